//! Pods and nodes in full, for those few pods that nobody has placed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1;
use kube::{
    api::ListParams,
    core::{ObjectList, Request},
};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    apply::{Failure, PAGE, path, send},
    facts::Facts,
    kinds::{Known, fresh, remember},
};
use crate::{
    plan::Kind,
    spread::{
        adopt::{Node, fits},
        index::{Rules, Spread},
        picture::Fit,
        pod::Pod,
    },
};

/// Up to how many pods are asked for one by one; of more, all of the namespace are listed.
const ONE_BY_ONE: usize = 8;

/// How long it holds where a pod fits: labels of nodes hardly change.
const FITS_HOLD: Duration = Duration::from_mins(1);

/// Where pods fit, by the uids of spread and pod.
pub(super) type KnownFits = Known<(Arc<str>, Arc<str>), Fitting>;

/// Where a pod fits, as long as this holds.
#[derive(Clone)]
pub(super) struct Fitting {
    rules: Arc<Rules>,
    fits: Vec<Fit>,
}

impl Facts {
    /// Where pods of a spread fit as they run, by uid, as of at most a minute ago. Pods that are gone are not among them.
    pub async fn fits(&self, spread: &Spread, pods: &[Arc<Pod>]) -> Result<BTreeMap<Arc<str>, Vec<Fit>>, Failure> {
        let (mut all, mut unknown, now) = (BTreeMap::new(), Vec::new(), Instant::now());
        for pod in pods {
            let known = fresh(&self.fits.lock(), &(Arc::clone(&spread.uid), pod.uid.clone()), now, |_| FITS_HOLD);
            match known.filter(|known| known.rules == spread.rules) {
                Some(known) => drop(all.insert(pod.uid.clone(), known.fits)),
                None => unknown.push(pod),
            }
        }
        if unknown.is_empty() {
            return Ok(all);
        }
        let nodes = self.nodes().await?;
        let unknown: BTreeMap<&str, _> = unknown.into_iter().map(|pod| (&*pod.name, pod)).collect();
        let names = unknown.keys().copied().collect();
        let look = |name: &str, object: &Value| {
            let Some(pod) = unknown.get(name) else { return };
            if object.pointer("/metadata/uid").and_then(Value::as_str) != Some(&pod.uid) {
                return;
            }
            let node = pod.node.as_ref().and_then(|node| nodes.get(&**node));
            let found = node.map(|node| fits(&spread.rules, object, node)).unwrap_or_default();
            let fitting = Fitting { rules: Arc::clone(&spread.rules), fits: found.clone() };
            remember(&mut self.fits.lock(), (Arc::clone(&spread.uid), pod.uid.clone()), fitting, |_| FITS_HOLD);
            all.insert(pod.uid.clone(), found);
        };
        self.whole_pods(&spread.namespace, &names, look).await?;
        Ok(all)
    }

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

    /// Looks at these pods of a namespace, whole, one after another: all of a large workload would not fit into memory. Those that are
    /// gone are not among them.
    async fn whole_pods(&self, namespace: &str, names: &BTreeSet<&str>, mut look: impl FnMut(&str, &Value)) -> Result<(), Failure> {
        if names.len() <= ONE_BY_ONE {
            for name in names {
                let request = Request::new(path(Kind::POD, namespace)).get(name, &kube::api::GetParams::default());
                match send::<Value>(&self.client, request).await {
                    Ok(pod) => look(name, &pod),
                    Err(Failure::Outdated(_)) => {}
                    Err(failure) => return Err(failure),
                }
            }
            return Ok(());
        }
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let listed: ObjectList<Value> = send(&self.client, Request::new(path(Kind::POD, namespace)).list(&parameters)).await?;
            for pod in listed.items {
                if let Some(name) = pod.pointer("/metadata/name").and_then(Value::as_str).filter(|name| names.contains(name)) {
                    look(name, &pod);
                }
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(()),
            }
        }
    }
}
