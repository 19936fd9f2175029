//! An API server that keeps objects as the real one would, and treats requests as badly as a test likes.

mod asked;
mod store;

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

pub(crate) use self::asked::Asked;
use self::store::Store;

const LEASE: &str = "leases/own/outrigger";
/// How long something is waited for that has to come. The clock of these tests jumps, so it costs nothing.
const PATIENCE: Duration = Duration::from_mins(10);

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
    /// It is done, but nothing is ever heard of it.
    Mute,
}

impl Fate {
    pub(crate) const GOOD: Self = Self::of(End::Answered);

    pub(crate) const fn of(end: End) -> Self {
        Self { there: Duration::from_millis(2), back: Duration::from_millis(2), end }
    }
}

/// Clones are the same server.
#[derive(Clone, Default)]
pub(crate) struct ApiServer {
    store: Arc<Mutex<Store>>,
    /// What was asked, in the order in which it was answered or not.
    log: Arc<Mutex<Vec<Asked>>>,
    news: Arc<Notify>,
    /// What is on its way goes on when its sender does not wait any more.
    requests: TaskTracker,
}

impl ApiServer {
    /// A client whose requests fare as `fate` says.
    pub(crate) fn client(&self, fate: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Client {
        let (server, fate) = (self.clone(), Arc::new(fate));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, fate) = (server.clone(), Arc::clone(&fate));
            async move {
                let (head, body) = request.into_parts();
                let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
                let asked = Asked::new(&head.method, &head.uri, body);
                let fate = fate(&asked);
                let request = server.clone().serve(asked, fate);
                Ok::<_, Infallible>(server.requests.spawn(request).await.unwrap())
            }
        });
        Client::new(service, "own")
    }

    async fn serve(self, asked: Asked, fate: Fate) -> Response<Body> {
        sleep(fate.there).await;
        let done = || self.store.lock().answer(&asked);
        let (status, answer) = match fate.end {
            End::Answered => done(),
            End::Refused(status) => (status, failure(status)),
            End::Lost | End::Mute => {
                let (status, _) = done();
                (if status < 300 { 500 } else { status }, failure(500))
            }
            End::Hangs => (0, Value::Null),
        };
        let is_stored = matches!(fate.end, End::Answered | End::Lost | End::Mute) && (status < 300 || status == 500);
        self.log.lock().push(Asked { status, is_stored, ..asked });
        self.news.notify_waiters();
        if matches!(fate.end, End::Hangs | End::Mute) {
            std::future::pending::<()>().await;
        }
        sleep(fate.back).await;
        Response::builder().status(status).body(Body::from(answer.to_string().into_bytes())).unwrap()
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.log.lock().clone()
    }

    /// Forgets what was asked so far.
    pub(crate) fn forget_asked(&self) {
        self.log.lock().clear();
    }

    /// Waits until what was asked is as it should be.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&[Asked]) -> bool) {
        let waited = timeout(PATIENCE, async {
            loop {
                let news = self.news.notified();
                if is_so(&self.log.lock()) {
                    return;
                }
                news.await;
            }
        });
        let is_in_time = waited.await.is_ok();
        assert!(is_in_time, "waited in vain: {what}; asked was {:#?}", self.asked().iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    /// Calls `watch` with each object that is stored from now on, in order; the first argument is its resource.
    pub(crate) fn watch(&self, watch: impl FnMut(&str, &Value) + Send + 'static) {
        self.store.lock().watch = Some(Box::new(watch));
    }

    /// From now on every object goes through this before it is stored.
    pub(crate) fn prune(&self, prune: fn(&str, &mut Value)) {
        self.store.lock().prune = Some(prune);
    }

    /// Somebody stores an object who asks nobody.
    pub(crate) fn put(&self, resource: &str, object: Value) {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let key = format!("{resource}/{namespace}/{}", object["metadata"]["name"].as_str().unwrap());
        self.store.lock().keep(&key, object);
    }

    /// Somebody changes an object.
    pub(crate) fn change(&self, key: &str, change: impl FnOnce(&mut Value)) {
        let mut store = self.store.lock();
        let mut object = store.objects[key].clone();
        change(&mut object);
        store.keep(key, object);
    }

    /// Somebody deletes an object.
    pub(crate) fn remove(&self, key: &str) {
        self.store.lock().objects.remove(key);
    }

    /// An object under `RESOURCE/NAMESPACE/NAME`, or null.
    pub(crate) fn object(&self, key: &str) -> Value {
        self.store.lock().objects.get(key).cloned().unwrap_or_default()
    }

    /// All objects of a resource.
    pub(crate) fn all(&self, resource: &str) -> Vec<Value> {
        self.store.lock().all(resource).cloned().collect()
    }

    /// The lease as it stands.
    pub(crate) fn lease(&self) -> Value {
        self.object(LEASE)
    }

    /// Who has the lease.
    pub(crate) fn holder(&self) -> Option<String> {
        self.lease()["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }

    /// Somebody takes the lease who asks nobody.
    pub(crate) fn seize(&self, holder: &str, seconds: u32) {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": 1});
        self.put("leases", json!({"metadata": {"name": "outrigger", "namespace": "own"}, "spec": spec}));
    }

    /// Somebody deletes the lease.
    pub(crate) fn delete(&self) {
        self.remove(LEASE);
    }
}

fn failure(status: u16) -> Value {
    let reason = match status {
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        403 => "Forbidden",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "reason": reason, "code": status})
}
