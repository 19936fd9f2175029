//! Facts that are not mirrored, asked of the API server when a plan needs them. No answer in time is a [`Failure`], as for
//! requests of plans.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{Client, api::GetParams, core::PartialObjectMeta};
use parking_lot::Mutex;

use super::{
    apply::{Failure, requests, root, send},
    scales::Scales,
    strangers::KnownFits,
};
use crate::plan::{Kind, Target};

/// How long an answer about kinds holds.
const KINDS_HOLD: Duration = Duration::from_mins(1);

/// Whether an object is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is.
    Stays {
        /// What tells it from an earlier one of its name.
        uid: String,
    },
    /// It is being deleted, or gone.
    Goes,
}

/// Asks the API server.
pub struct Facts {
    pub(super) client: Client,
    /// Which kinds were served, and when that was asked.
    served: Mutex<Vec<(Kind, bool, Instant)>>,
    /// Where pods fit that nobody placed.
    pub(super) fits: Mutex<KnownFits>,
    /// Scales of workloads.
    pub scales: Scales,
}

impl Facts {
    /// Asks through this client.
    pub fn new(client: Client) -> Self {
        Self { scales: Scales::new(client.clone()), client, served: Mutex::default(), fits: Mutex::default() }
    }

    /// The labels of an object; [`Failure::Outdated`] if there is no such object.
    pub async fn labels(&self, target: &Target) -> Result<BTreeMap<String, String>, Failure> {
        Ok(self.metadata(target).await?.metadata.labels.unwrap_or_default())
    }

    /// Whether there is such an object.
    pub async fn exists(&self, target: &Target) -> Result<bool, Failure> {
        match self.metadata(target).await {
            Ok(_) => Ok(true),
            Err(Failure::Outdated(_)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Whether an object is there, and not about to go.
    pub async fn life_of(&self, target: &Target) -> Result<Life, Failure> {
        match self.metadata(target).await {
            Ok(found) if found.metadata.deletion_timestamp.is_none() => Ok(Life::Stays { uid: found.metadata.uid.unwrap_or_default() }),
            Ok(_) | Err(Failure::Outdated(_)) => Ok(Life::Goes),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the API server knows this kind, as of at most a minute ago.
    pub async fn is_served(&self, kind: Kind) -> Result<bool, Failure> {
        if let Some(is_served) = self.remembered(kind, Instant::now()) {
            return Ok(is_served);
        }
        let request = http::Request::get(root(kind)).body(Vec::new()).map_err(|error| Failure::Refused(error.to_string()))?;
        let is_served = match send::<APIResourceList>(&self.client, Ok(request)).await {
            Ok(list) => list.resources.iter().any(|resource| resource.name == kind.plural),
            // The whole group is unknown.
            Err(Failure::Outdated(_)) => false,
            Err(failure) => return Err(failure),
        };
        self.remember(kind, is_served, Instant::now());
        Ok(is_served)
    }

    async fn metadata(&self, target: &Target) -> Result<PartialObjectMeta<k8s_openapi::api::core::v1::Pod>, Failure> {
        send(&self.client, requests(target).get_metadata(&target.name, &GetParams::default())).await
    }

    fn remembered(&self, kind: Kind, now: Instant) -> Option<bool> {
        let served = self.served.lock();
        served.iter().find(|(known, _, at)| *known == kind && now.duration_since(*at) < KINDS_HOLD).map(|(_, is_served, _)| *is_served)
    }

    fn remember(&self, kind: Kind, is_served: bool, now: Instant) {
        let mut served = self.served.lock();
        served.retain(|(known, _, _)| *known != kind);
        served.push((kind, is_served, now));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use kube::client::Body;

    use super::*;

    /// An API server that knows one node and one kind of `apps.kruise.io/v1alpha1`, and counts what it is asked.
    fn facts() -> (Facts, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            let (status, body) = match request.uri().path() {
                "/api/v1/nodes/n1" => (200, r#"{"metadata": {"name": "n1", "labels": {"type": "virtual-kubelet"}}}"#),
                "/api/v1/nodes/ill" => (500, r#"{"kind": "Status", "status": "Failure", "message": "etcd", "code": 500}"#),
                "/apis/apps.kruise.io/v1alpha1" => (
                    200,
                    r#"{"groupVersion": "g", "resources": [{"name": "sidecarsets", "singularName": "", "namespaced": false, "kind": "SidecarSet", "verbs": []}]}"#,
                ),
                _ => (404, r#"{"kind": "Status", "status": "Failure", "message": "not found", "code": 404}"#),
            };
            let answer = http::Response::builder().status(status).body(Body::from(body.as_bytes().to_vec())).unwrap();
            async { Ok::<_, std::convert::Infallible>(answer) }
        });
        (Facts::new(Client::new(service, "default")), asked)
    }

    fn node(name: &str) -> Target {
        Target { kind: Kind::NODE, namespace: String::new(), name: name.to_owned(), uid: String::new() }
    }

    #[tokio::test]
    async fn an_object_that_is_not_there_is_told_from_one_of_which_nothing_is_known() {
        let (facts, _) = facts();
        assert_eq!(facts.labels(&node("n1")).await.unwrap()["type"], "virtual-kubelet");
        assert!(facts.exists(&node("n1")).await.unwrap() && !facts.exists(&node("n2")).await.unwrap());
        assert!(matches!(facts.labels(&node("n2")).await, Err(Failure::Outdated(_))));
        assert!(matches!(facts.exists(&node("ill")).await, Err(Failure::Unknown(_))));
    }

    #[tokio::test]
    async fn a_kind_is_asked_for_once_a_minute() {
        let (facts, asked) = facts();
        let unknown = Kind { group: "none.example", ..Kind::SIDECAR_SET };
        let known = Kind { version: "v1alpha1", ..Kind::SIDECAR_SET };
        for (kind, is_served) in [(known, true), (Kind::CONTAINER_RECREATE_REQUEST, false), (unknown, false)] {
            asked.store(0, Ordering::Relaxed);
            for _ in 0..3 {
                assert_eq!(facts.is_served(kind).await.unwrap(), is_served, "{kind:?}");
            }
            assert_eq!(asked.load(Ordering::Relaxed), 1);
            let later = Instant::now() + KINDS_HOLD;
            assert_eq!(facts.remembered(kind, later), None);
        }
    }
}
