//! Scales of workloads that are not mirrored, asked of the API server when a plan needs them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::{
    api::autoscaling::v1::Scale as Answer,
    apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList},
};
use kube::Client;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::apply::{Failure, group_root, resources, send};
use crate::{
    base::{
        selector::Selector,
        workload::{Owner, Workload},
    },
    budget::picture::{Coordinates, Scale},
};

/// How long an answer about one workload holds: several budgets may ask in a moment.
const SCALE_HOLDS: Duration = Duration::from_secs(2);
/// How long it holds which resource a kind is.
const KIND_HOLDS: Duration = Duration::from_mins(5);
/// How long it holds that there is no such kind, or that it has no scale: whoever makes a definition wants to see it used.
const NO_KIND_HOLDS: Duration = Duration::from_secs(10);
/// How many answers there may be before old ones are looked for.
const MANY: usize = 1024;

/// Answers, and when they were given.
type Known<K, T> = HashMap<K, (T, Instant)>;

/// The scales of workloads.
pub struct Scales {
    client: Client,
    /// By namespace and workload.
    answers: Mutex<Known<(Arc<str>, Coordinates), Scale>>,
    /// By group, version and kind.
    kinds: Mutex<Known<[Arc<str>; 3], Resource>>,
}

/// What a kind is to the API server.
#[derive(Clone, Debug, PartialEq)]
enum Resource {
    /// Its objects have scales.
    Scaled {
        /// Where its group and version are.
        root: String,
        /// As it stands in paths.
        plural: String,
    },
    /// They have none.
    Unscaled,
    /// There is no such kind.
    Unknown,
}

impl Scales {
    /// Asks through this client.
    pub fn new(client: Client) -> Self {
        Self { client, answers: Mutex::default(), kinds: Mutex::default() }
    }

    /// The scale of a workload, as of at most two seconds ago. No answer is an answer as well.
    pub async fn of(&self, namespace: &str, owner: &Owner) -> Scale {
        let (key, now) = ((Arc::from(namespace), owner.coordinates()), Instant::now());
        if let Some(known) = fresh(&self.answers.lock(), &key, now, |_| SCALE_HOLDS) {
            return known;
        }
        let scale = match self.ask(namespace, owner).await {
            Ok(scale) => scale,
            Err(failure) => Scale::Unanswered(failure.to_string()),
        };
        remember(&mut self.answers.lock(), key, scale.clone(), |_| SCALE_HOLDS);
        scale
    }

    async fn ask(&self, namespace: &str, owner: &Owner) -> Result<Scale, Failure> {
        // Nobody checks what stands in a reference to an owner.
        if ![&owner.group, &owner.version, &owner.kind, &owner.name].into_iter().all(|part| is_path_part(part)) {
            return Ok(Scale::UnknownKind);
        }
        let resource = self.resource(owner).await?;
        let (root, plural) = match &resource {
            Resource::Scaled { root, plural } => (root, plural),
            Resource::Unscaled => return Ok(Scale::NoScale),
            Resource::Unknown => return Ok(Scale::UnknownKind),
        };
        let path = format!("{}/{}/scale", resources(root, namespace, plural), owner.name);
        match self.get::<Answer>(&path).await {
            Ok(answer) => Ok(Scale::Found(Arc::new(workload(namespace, owner, answer)))),
            Err(Failure::Outdated(text)) => {
                // Unless the kind itself is no longer where it was: then it is looked for anew.
                self.kinds.lock().remove(&kind_of(owner));
                let is_there_still = self.resource(owner).await? == resource;
                if is_there_still { Ok(Scale::Missing) } else { Err(Failure::Outdated(text)) }
            }
            Err(Failure::Refused(_)) => Ok(Scale::Forbidden),
            Err(failure) => Err(failure),
        }
    }

    /// Which resource a kind is: in the version by which it is named, or in another one of its group.
    async fn resource(&self, owner: &Owner) -> Result<Resource, Failure> {
        let (key, now) = (kind_of(owner), Instant::now());
        if let Some(known) = fresh(&self.kinds.lock(), &key, now, Resource::holds) {
            return Ok(known);
        }
        let mut found = self.in_version(&owner.group, &owner.version, &owner.kind).await?;
        if found == Resource::Unknown && !owner.group.is_empty() {
            let group = existing(self.get::<APIGroup>(&format!("/apis/{}", owner.group)).await)?;
            for version in group.into_iter().flat_map(|group| group.versions) {
                if found == Resource::Unknown && version.version != *owner.version {
                    found = self.in_version(&owner.group, &version.version, &owner.kind).await?;
                }
            }
        }
        remember(&mut self.kinds.lock(), key, found.clone(), Resource::holds);
        Ok(found)
    }

    async fn in_version(&self, group: &str, version: &str, kind: &str) -> Result<Resource, Failure> {
        let root = group_root(group, version);
        let Some(list) = existing(self.get::<APIResourceList>(&root).await)? else { return Ok(Resource::Unknown) };
        let mut of_kind = list.resources.iter().filter(|resource| resource.kind == kind && !resource.name.contains('/'));
        let Some(resource) = of_kind.next() else { return Ok(Resource::Unknown) };
        let scale = format!("{}/scale", resource.name);
        let is_scaled = resource.namespaced && list.resources.iter().any(|resource| resource.name == scale);
        Ok(if is_scaled { Resource::Scaled { root, plural: resource.name.clone() } } else { Resource::Unscaled })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = http::Request::get(path).body(Vec::new()).map_err(|error| Failure::Outdated(error.to_string()))?;
        send(&self.client, Ok(request)).await
    }
}

impl Resource {
    const fn holds(&self) -> Duration {
        if matches!(self, Self::Scaled { .. }) { KIND_HOLDS } else { NO_KIND_HOLDS }
    }
}

/// Whether a text stands for itself in a path.
fn is_path_part(text: &str) -> bool {
    ![".", ".."].contains(&text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
}

/// What is not there is none.
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

fn fresh<K: Eq + std::hash::Hash, T: Clone>(known: &Known<K, T>, key: &K, now: Instant, holds: impl Fn(&T) -> Duration) -> Option<T> {
    known.get(key).filter(|(answer, at)| now.duration_since(*at) < holds(answer)).map(|(answer, _)| answer.clone())
}

fn remember<K: Eq + std::hash::Hash, T>(known: &mut Known<K, T>, key: K, answer: T, holds: impl Fn(&T) -> Duration) {
    let now = Instant::now();
    if known.len() >= MANY {
        known.retain(|_, (answer, at)| now.duration_since(*at) < holds(answer));
    }
    known.insert(key, (answer, now));
}

/// A workload, as far as its scale tells. A scale without a number has none.
fn workload(namespace: &str, owner: &Owner, scale: Answer) -> Workload {
    let selector = scale.status.and_then(|status| status.selector).and_then(|text| Selector::parse(&text).ok());
    let uid = scale.metadata.uid.map_or_else(|| Arc::clone(&owner.uid), Arc::from);
    Workload {
        namespace: namespace.into(),
        identity: Owner { uid, ..owner.clone() },
        replicas: Some(scale.spec.and_then(|spec| spec.replicas).unwrap_or_default()),
        // An empty one would select all.
        selector: selector.filter(|selector| !selector.is_empty()),
        is_terminating: scale.metadata.deletion_timestamp.is_some(),
        ..Workload::default()
    }
}

#[cfg(test)]
mod tests;
