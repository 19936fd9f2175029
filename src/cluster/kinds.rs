//! Which resource a kind is to the API server, in a version that is served.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList};
use kube::Client;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::apply::{Failure, group_root, resources, send};
use crate::base::workload::Owner;

/// How long it holds which resource a kind is.
const KIND_HOLDS: Duration = Duration::from_mins(5);
/// How long it holds that there is no such kind, or that it has no scale: whoever makes a definition wants to see it used.
pub(super) const NO_KIND_HOLDS: Duration = Duration::from_secs(10);
/// How many answers there may be before old ones are looked for.
const MANY: usize = 1024;

/// Answers, and when they were given.
pub(super) type Known<K, T> = HashMap<K, (T, Instant)>;

/// The kinds that the API server knows.
pub struct Kinds {
    client: Client,
    /// By group, version and kind.
    known: Mutex<Known<[Arc<str>; 3], Answer>>,
}

/// Which resource a kind is; `None` if there is no such kind.
type Answer = Option<Resource>;

/// What a kind is to the API server.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resource {
    /// Where its group and version are.
    pub root: String,
    /// As it stands in paths.
    pub plural: String,
    /// Its objects have scales.
    pub is_scaled: bool,
}

impl Kinds {
    /// Asks through this client.
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// An object as it is at this moment, in whatever version is served; `None` if there is none.
    pub async fn object(&self, namespace: &str, owner: &Owner) -> Result<Option<Value>, Failure> {
        let Some(resource) = self.resource(owner).await? else { return Ok(None) };
        let path = format!("{}/{}", resources(&resource.root, namespace, &resource.plural), owner.name);
        match self.get(&path).await {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Outdated(text)) => {
                if self.is_still(owner, &resource).await? {
                    Ok(None)
                } else {
                    Err(Failure::Outdated(text))
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// Which resource a kind is: in the version by which it is named, or in another one of its group. `None` if there is no such kind.
    pub(super) async fn resource(&self, owner: &Owner) -> Result<Option<Resource>, Failure> {
        // Nobody checks what stands in a reference to an owner.
        if ![&owner.group, &owner.version, &owner.kind, &owner.name].into_iter().all(|part| is_path_part(part)) {
            return Ok(None);
        }
        let (key, now) = (kind_of(owner), Instant::now());
        if let Some(known) = fresh(&self.known.lock(), &key, now, |known| holds(known.as_ref())) {
            return Ok(known);
        }
        let version = if owner.group.is_empty() && owner.version.is_empty() { "v1" } else { &owner.version };
        // Without a version the path would be that of the group.
        let mut found = if version.is_empty() { None } else { self.in_version(&owner.group, version, &owner.kind).await? };
        if found.is_none() && !owner.group.is_empty() {
            let group = existing(self.get::<APIGroup>(&format!("/apis/{}", owner.group)).await)?;
            for version in group.into_iter().flat_map(|group| group.versions) {
                if found.is_none() && version.version != *owner.version {
                    found = self.in_version(&owner.group, &version.version, &owner.kind).await?;
                }
            }
        }
        remember(&mut self.known.lock(), key, found.clone(), |known| holds(known.as_ref()));
        Ok(found)
    }

    /// Whether a kind is still where it was, when an object of it was not found: it is looked for anew.
    pub(super) async fn is_still(&self, owner: &Owner, resource: &Resource) -> Result<bool, Failure> {
        self.known.lock().remove(&kind_of(owner));
        Ok(self.resource(owner).await?.as_ref() == Some(resource))
    }

    async fn in_version(&self, group: &str, version: &str, kind: &str) -> Result<Option<Resource>, Failure> {
        let root = group_root(group, version);
        let Some(list) = existing(self.get::<APIResourceList>(&root).await)? else { return Ok(None) };
        let mut of_kind = list.resources.iter().filter(|resource| resource.kind == kind && !resource.name.contains('/'));
        let Some(resource) = of_kind.next() else { return Ok(None) };
        let scale = format!("{}/scale", resource.name);
        let is_scaled = resource.namespaced && list.resources.iter().any(|resource| resource.name == scale);
        Ok(Some(Resource { root, plural: resource.name.clone(), is_scaled }))
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = http::Request::get(path).body(Vec::new()).map_err(|error| Failure::Outdated(error.to_string()))?;
        send(&self.client, Ok(request)).await
    }
}

fn holds(resource: Option<&Resource>) -> Duration {
    if resource.is_some_and(|resource| resource.is_scaled) { KIND_HOLDS } else { NO_KIND_HOLDS }
}

/// Whether a text stands for itself in a path.
fn is_path_part(text: &str) -> bool {
    ![".", ".."].contains(&text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
}

fn existing<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Outdated(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// How kinds are remembered: by the coordinates that an owner names.
fn kind_of(owner: &Owner) -> [Arc<str>; 3] {
    [Arc::clone(&owner.group), Arc::clone(&owner.version), Arc::clone(&owner.kind)]
}

pub(super) fn fresh<K: Eq + Hash, T: Clone>(known: &Known<K, T>, key: &K, now: Instant, holds: impl Fn(&T) -> Duration) -> Option<T> {
    known.get(key).filter(|(answer, at)| now.duration_since(*at) < holds(answer)).map(|(answer, _)| answer.clone())
}

pub(super) fn remember<K: Eq + Hash, T>(known: &mut Known<K, T>, key: K, answer: T, holds: impl Fn(&T) -> Duration) {
    let now = Instant::now();
    if known.len() >= MANY {
        known.retain(|_, (answer, at)| now.duration_since(*at) < holds(answer));
    }
    known.insert(key, (answer, now));
}

#[cfg(test)]
mod tests {
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// An API server with two kinds, in one version each.
    fn kinds() -> Kinds {
        let service = tower::service_fn(|request: http::Request<Body>| {
            let list = |name: &str, kind: &str| json!({"groupVersion": "g", "resources": [{"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": []}]});
            let (status, body) = match request.uri().path() {
                "/apis/apps" => (200, json!({"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}]})),
                "/apis/apps/v1" => (200, list("deployments", "Deployment")),
                "/api/v1" => (200, list("pods", "Pod")),
                "/apis/apps/v1/namespaces/shop/deployments/web" | "/api/v1/namespaces/shop/pods/web" => (200, json!({"found": true})),
                "/apis/apps/v1/namespaces/shop/deployments/mine" => (403, json!({"kind": "Status", "message": "no", "code": 403})),
                _ => (404, json!({"kind": "Status", "message": "not found", "code": 404})),
            };
            let answer = http::Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap();
            async { Ok::<_, std::convert::Infallible>(answer) }
        });
        Kinds::new(Client::new(service, "default"))
    }

    fn owner(group: &str, version: &str, kind: &str, name: &str) -> Owner {
        Owner { group: group.into(), version: version.into(), kind: kind.into(), name: name.into(), uid: "".into() }
    }

    #[tokio::test]
    async fn an_object_is_found_in_a_version_that_is_served() {
        let kinds = kinds();
        for owner in [
            owner("apps", "v1", "Deployment", "web"),
            owner("apps", "v1beta2", "Deployment", "web"),
            owner("apps", "", "Deployment", "web"),
            owner("", "", "Pod", "web"),
        ] {
            assert_eq!(kinds.object("shop", &owner).await.unwrap(), Some(json!({"found": true})), "{owner:?}");
        }
    }

    #[tokio::test]
    async fn one_that_is_not_there_is_told_from_one_that_may_not_be_seen() {
        let kinds = kinds();
        for name in ["none", "../web", ".."] {
            assert_eq!(kinds.object("shop", &owner("apps", "v1", "Deployment", name)).await.unwrap(), None);
        }
        assert_eq!(kinds.object("shop", &owner("example.com", "v1", "Flow", "web")).await.unwrap(), None);
        assert!(matches!(kinds.object("shop", &owner("apps", "v1", "Deployment", "mine")).await, Err(Failure::Refused(_))));
    }
}
