//! In which version our kinds are served where the definitions are somebody else's: OpenKruise up to 1.8 knows the older one alone.
//!
//! Who has definitions of ours never needs this: they serve both.

use std::collections::BTreeSet;

use kube::{
    Client,
    api::{ApiResource, DynamicObject},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Feed, LOOK_AGAIN};
use crate::{
    cluster::apply::{Failure, Prepared, send},
    handlers::convert::modernized,
    plan::Kind,
};

/// The older version of all our kinds.
const OLDER: &str = "v1alpha1";

impl Feed {
    /// The same for a server that is a guest: it takes the kinds in the version in which it finds them, and does not wait for those that
    /// there are not.
    #[must_use]
    pub fn as_guest(self) -> Self {
        Self { is_guest: true, ..self }
    }

    /// The kind in the version in which it is read.
    pub(in crate::cluster) fn as_served(&self, kind: Kind) -> Kind {
        if self.older.lock().contains(kind.kind) { Kind { version: OLDER, ..kind } } else { kind }
    }

    /// What the kind is watched as. A guest returns only when it is served, or `None` at the stop; until then there are no such objects.
    pub(super) async fn found(
        &self,
        kind: Kind,
        condition: &'static str,
        client: &Client,
        stop: &CancellationToken,
    ) -> Option<ApiResource> {
        if !self.is_guest {
            return Some(resource(kind));
        }
        loop {
            match served(kind, client).await {
                Ok(Some(found)) => {
                    if found.version == OLDER {
                        tracing::info!(kind = condition, "served in {OLDER} alone");
                        self.older.lock().insert(kind.kind);
                    }
                    return Some(resource(found));
                }
                Ok(None) => self.readiness.report(condition, Ok(())),
                Err(error) => self.readiness.explain(condition, error.to_string()),
            }
            if timeout(LOOK_AGAIN, stop.cancelled()).await.is_ok() {
                return None;
            }
        }
    }
}

/// The kind in the newest of its versions that is served.
async fn served(kind: Kind, client: &Client) -> kube::Result<Option<Kind>> {
    for version in [kind.version, OLDER] {
        let found = Kind { version, ..kind };
        match client.list_api_group_resources(&found.api_version()).await {
            Ok(list) if list.resources.iter().any(|resource| resource.name == kind.plural) => return Ok(Some(found)),
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn resource(kind: Kind) -> ApiResource {
    ApiResource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        plural: kind.plural.to_owned(),
    }
}

/// Reads an object of one of our kinds, whatever its version.
pub(in crate::cluster) async fn read<T: DeserializeOwned>(client: &Client, request: Prepared) -> Result<T, Failure> {
    let mut object: Value = send(client, request).await?;
    modernized(&mut object).map_err(Failure::Unknown)?;
    serde_json::from_value(object).map_err(|error| Failure::Unknown(error.to_string()))
}

/// Kinds that are read in the older version.
pub(super) type Older = BTreeSet<&'static str>;

/// The members of an object in the present version, but for those that the API server keeps about its managers.
pub(super) fn value(mut object: DynamicObject) -> Result<Value, String> {
    object.metadata.managed_fields = None;
    let mut value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    modernized(&mut value)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::server::admin::Readiness;

    /// An API server that serves these versions of these resources, and nothing else.
    fn serving(versions: &'static [(&'static str, &'static str)]) -> Client {
        let server = tower::service_fn(move |request: Request<Body>| async move {
            let path = request.uri().path().to_owned();
            let resources: Vec<_> = versions
                .iter()
                .filter(|(version, _)| path == format!("/apis/{version}"))
                .map(|(_, name)| json!({"name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": ["get"]}))
                .collect();
            let (status, body) = if resources.is_empty() {
                (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}))
            } else {
                (200, json!({"kind": "APIResourceList", "groupVersion": path, "resources": resources}))
            };
            Ok::<_, Infallible>(Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap())
        });
        Client::new(server, "own")
    }

    fn feed() -> Feed {
        Feed::new(Arc::default(), Readiness::default(), Arc::default(), None)
    }

    async fn version(feed: &Feed, client: &Client, stop: &CancellationToken) -> Option<String> {
        feed.found(Kind::BUDGET, "budgets", client, stop).await.map(|resource| resource.version)
    }

    #[tokio::test]
    async fn the_newest_version_that_is_served_is_read() {
        let stop = CancellationToken::new();
        let both =
            serving(&[("policy.kruise.io/v1alpha1", "podunavailablebudgets"), ("policy.kruise.io/v1beta1", "podunavailablebudgets")]);
        let old = serving(&[("policy.kruise.io/v1alpha1", "podunavailablebudgets"), ("policy.kruise.io/v1beta1", "others")]);
        let guest = feed().as_guest();
        assert_eq!(version(&guest, &both, &stop).await.as_deref(), Some("v1beta1"));
        assert_eq!(guest.as_served(Kind::BUDGET), Kind::BUDGET);
        assert_eq!(version(&guest, &old, &stop).await.as_deref(), Some("v1alpha1"));
        assert_eq!((guest.as_served(Kind::BUDGET).version, guest.as_served(Kind::SPREAD)), ("v1alpha1", Kind::SPREAD));
    }

    #[tokio::test]
    async fn who_is_no_guest_asks_nobody() {
        assert_eq!(version(&feed(), &serving(&[]), &CancellationToken::new()).await.as_deref(), Some("v1beta1"));
    }

    #[tokio::test]
    async fn a_guest_is_ready_without_kinds_that_there_are_not() {
        let (guest, stop) = (feed().as_guest(), CancellationToken::new());
        guest.readiness.expect("budgets");
        stop.cancel();
        assert_eq!(version(&guest, &serving(&[]), &stop).await, None);
        assert!(guest.readiness.holds(&["budgets"]));
    }

    #[tokio::test]
    async fn an_object_of_the_older_version_is_read_as_the_present_one() {
        let server = tower::service_fn(|_: Request<Body>| async {
            let spread = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "WorkloadSpread", "metadata": {"name": "a"},
                "spec": {"subsets": [{"name": "a", "requiredNodeSelectorTerm": {"matchExpressions": []}}]}});
            Ok::<_, Infallible>(Response::new(Body::from(spread.to_string().into_bytes())))
        });
        let request = Ok(Request::get("/x").body(Vec::new()).unwrap());
        let spread: Value = read(&Client::new(server, "own"), request).await.unwrap();
        assert!(spread.pointer("/spec/subsets/0/requiredNodeSelector").is_some(), "{spread}");
        assert_eq!(spread["apiVersion"], "apps.kruise.io/v1beta1");
    }
}
