//! An API server that knows one lease, keeps it as the real one would, and treats requests as badly as a test likes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/own/leases";

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// How long it travels.
    pub(crate) there: Duration,
    /// How long its answer does.
    pub(crate) back: Duration,
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// It is done and answered.
    Answered,
    /// It is not done; the answer is this status.
    Refused(u16),
    /// It is done, but the answer is an error.
    Lost,
    /// Nothing is ever heard of it, nor done.
    Hangs,
}

impl Fate {
    pub(crate) const GOOD: Self = Self::of(End::Answered);

    pub(crate) const fn of(end: End) -> Self {
        Self { there: Duration::from_millis(2), back: Duration::from_millis(2), end }
    }
}

#[derive(Default)]
struct Stored {
    lease: Option<Value>,
    version: u64,
}

/// Clones are the same server.
#[derive(Clone, Default)]
pub(crate) struct ApiServer {
    stored: Arc<Mutex<Stored>>,
    /// What is on its way goes on when its sender does not wait any more.
    requests: TaskTracker,
}

impl ApiServer {
    /// A client whose requests fare as `fate` says.
    pub(crate) fn client(&self, fate: impl Fn() -> Fate + Send + Sync + 'static) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, fate) = (server.clone(), fate());
            async move {
                let request = server.clone().serve(request, fate);
                Ok::<_, Infallible>(server.requests.spawn(request).await.unwrap())
            }
        });
        Client::new(service, "own")
    }

    async fn serve(self, request: Request<Body>, fate: Fate) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
        sleep(fate.there).await;
        let (status, answer) = match fate.end {
            End::Answered => self.answer(&head.method, head.uri.path(), body),
            End::Refused(status) => (status, failure(status)),
            End::Lost => {
                self.answer(&head.method, head.uri.path(), body);
                (500, failure(500))
            }
            End::Hangs => std::future::pending().await,
        };
        sleep(fate.back).await;
        Response::builder().status(status).body(Body::from(answer.to_string().into_bytes())).unwrap()
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> (u16, Value) {
        let mut stored = self.stored.lock();
        let is_named = path == format!("{PATH}/outrigger");
        assert!(is_named || path == PATH, "{path}");
        match (method, &stored.lease) {
            (&Method::GET, Some(lease)) if is_named => (200, lease.clone()),
            (&Method::GET | &Method::PUT, None) if is_named => (404, failure(404)),
            (&Method::POST, Some(_)) if !is_named => (409, failure(409)),
            (&Method::POST, None) if !is_named => (201, stored.keep(body)),
            (&Method::PUT, Some(lease)) if is_named => match &body["metadata"]["resourceVersion"] {
                Value::Null => (422, failure(422)),
                version if *version != lease["metadata"]["resourceVersion"] => (409, failure(409)),
                _ if body == *lease => (200, body),
                _ => (200, stored.keep(body)),
            },
            other => panic!("{other:?}"),
        }
    }

    /// The lease as it stands.
    pub(crate) fn lease(&self) -> Value {
        self.stored.lock().lease.clone().unwrap_or_default()
    }

    /// Who has the lease.
    pub(crate) fn holder(&self) -> Option<String> {
        self.lease()["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }

    /// Somebody takes the lease who asks nobody.
    pub(crate) fn seize(&self, holder: &str, seconds: u32) {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": 1});
        self.stored.lock().keep(json!({"metadata": {"name": "outrigger", "namespace": "own"}, "spec": spec}));
    }

    /// Somebody deletes the lease.
    pub(crate) fn delete(&self) {
        self.stored.lock().lease = None;
    }
}

impl Stored {
    fn keep(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = self.version.to_string().into();
        lease["metadata"]["namespace"] = "own".into();
        self.lease = Some(lease.clone());
        lease
    }
}

fn failure(status: u16) -> Value {
    let reason = match status {
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        403 => "Forbidden",
        _ => "InternalError",
    };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "reason": reason, "code": status})
}
