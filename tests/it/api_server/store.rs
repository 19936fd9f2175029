//! What the scripted API server keeps.

use std::collections::BTreeMap;

use http::Method;
use outrigger::base::strategic_merge::{self, KeyedList, PLAIN, POD, Shape};
use serde_json::{Value, json};

use super::{Asked, failure};

/// Hooks have names.
const HOOKS: &Shape = &Shape { lists: &[KeyedList { name: "webhooks", key: "name", item: PLAIN }], sets: &[], objects: &[] };

type Watch = Box<dyn FnMut(&str, &Value) + Send>;

/// Objects by `RESOURCE/NAMESPACE/NAME`.
#[derive(Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<String, Value>,
    version: u64,
    pub(super) watch: Option<Watch>,
    pub(super) prune: Option<fn(&str, &mut Value)>,
}

impl Store {
    pub(super) fn answer(&mut self, asked: &Asked) -> (u16, Value) {
        let key = asked.key();
        let present = self.objects.get(&key).cloned();
        match (&asked.method, present) {
            (&Method::GET, None) if asked.name.is_empty() => (200, self.list(asked)),
            (&Method::GET, Some(object)) => (200, object),
            (&Method::POST, Some(_)) => (409, failure(409)),
            (&Method::POST, None) => (201, self.keep(&key, asked.body.clone())),
            (_, None) => (404, failure(404)),
            (&Method::PUT, Some(object)) => match &asked.body["metadata"]["resourceVersion"] {
                Value::Null => (422, failure(422)),
                version if *version != object["metadata"]["resourceVersion"] => (409, failure(409)),
                _ => (200, self.replace(&key, &object, asked.body.clone())),
            },
            (&Method::PATCH, Some(object)) => {
                let is_other = |member: &str| {
                    let wanted = &asked.body["metadata"][member];
                    !wanted.is_null() && *wanted != object["metadata"][member]
                };
                if is_other("resourceVersion") || is_other("uid") {
                    return (409, failure(409));
                }
                let shape = match asked.resource.as_str() {
                    "pods" => POD,
                    resource if resource.ends_with("webhookconfigurations") => HOOKS,
                    _ => PLAIN,
                };
                let mut merged = object.clone();
                strategic_merge::merge(merged.as_object_mut().unwrap(), asked.body.as_object().unwrap().clone(), shape).unwrap();
                (200, self.replace(&key, &object, merged))
            }
            (&Method::DELETE, Some(object)) => {
                let version = &asked.body["preconditions"]["resourceVersion"];
                if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
                    return (409, failure(409));
                }
                self.objects.remove(&key);
                (200, object)
            }
            other => panic!("{other:?}"),
        }
    }

    /// What changes nothing is not stored anew.
    fn replace(&mut self, key: &str, before: &Value, after: Value) -> Value {
        if *before == after { after } else { self.keep(key, after) }
    }

    pub(super) fn keep(&mut self, key: &str, mut object: Value) -> Value {
        let mut parts = key.split('/');
        let (resource, namespace) = (parts.next().unwrap(), parts.next().unwrap());
        if let Some(prune) = self.prune {
            prune(resource, &mut object);
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = namespace.into();
        }
        if object["metadata"]["uid"].is_null() && resource != "leases" {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
        }
        self.objects.insert(key.to_owned(), object.clone());
        if let Some(watch) = &mut self.watch {
            watch(resource, &object);
        }
        object
    }

    pub(super) fn all(&self, resource: &str) -> impl Iterator<Item = &Value> {
        let prefix = format!("{resource}/");
        self.objects.iter().filter(move |(key, _)| key.starts_with(&prefix)).map(|(_, object)| object)
    }

    fn list(&self, asked: &Asked) -> Value {
        let wanted: Vec<_> = asked.selector.split(',').filter(|one| !one.is_empty()).collect();
        let is_wanted = |object: &&Value| {
            wanted.iter().all(|one| match one.split_once('=') {
                Some((key, value)) => object["metadata"]["labels"][key] == value,
                None => object["metadata"]["labels"].get(one).is_some(),
            })
        };
        let items: Vec<_> = self.all(&asked.resource).filter(is_wanted).collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }
}
