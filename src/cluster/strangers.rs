//! Pods and nodes in full, for those few pods that nobody has placed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1;
use kube::{
    api::ListParams,
    core::{ObjectList, Request},
};
use serde_json::Value;

use super::{
    apply::{Failure, PAGE, path, send},
    facts::Facts,
};
use crate::{plan::Kind, spread::adopt::Node};

/// Up to how many pods are asked for one by one; of more, all of the namespace are listed.
const ONE_BY_ONE: usize = 8;

impl Facts {
    /// All nodes, by name.
    pub async fn nodes(&self) -> Result<BTreeMap<String, Node>, Failure> {
        let mut nodes = BTreeMap::new();
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let listed: ObjectList<v1::Node> = send(&self.client, Request::new(path(Kind::NODE, "")).list(&parameters)).await?;
            for node in listed.items {
                let name = node.metadata.name.unwrap_or_default();
                let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
                let labels = node.metadata.labels.unwrap_or_default();
                nodes.insert(name.clone(), Node { name, labels, taints });
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(nodes),
            }
        }
    }

    /// These pods of a namespace, whole, by name; those that are gone are not among them.
    pub async fn whole_pods(&self, namespace: &str, names: &BTreeSet<&str>) -> Result<BTreeMap<String, Value>, Failure> {
        let mut pods = BTreeMap::new();
        if names.len() <= ONE_BY_ONE {
            for name in names {
                let request = Request::new(path(Kind::POD, namespace)).get(name, &kube::api::GetParams::default());
                match send::<Value>(&self.client, request).await {
                    Ok(pod) => drop(pods.insert((*name).to_owned(), pod)),
                    Err(Failure::Outdated(_)) => {}
                    Err(failure) => return Err(failure),
                }
            }
            return Ok(pods);
        }
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let listed: ObjectList<Value> = send(&self.client, Request::new(path(Kind::POD, namespace)).list(&parameters)).await?;
            for pod in listed.items {
                let name = pod.pointer("/metadata/name").and_then(Value::as_str).filter(|name| names.contains(name)).map(str::to_owned);
                pods.extend(name.map(|name| (name, pod)));
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(pods),
            }
        }
    }
}
