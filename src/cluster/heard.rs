//! Whether watches hear anything. The watcher keeps bookmarks to itself, which the API server sends once a minute where nothing else
//! happens; so it is listened to below it, where a watch is a response whose body goes on.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, combinators::MapFrame};
use hyper::body::{Body, Bytes, Frame};
use jiff::Timestamp;
use tower::{Layer, Service};

use crate::telemetry::metrics::WatchMetrics;

/// Where it is noted what watches hear, and when.
#[derive(Clone)]
pub struct Heard {
    /// Where.
    pub watches: WatchMetrics,
    /// The clock on the wall.
    pub wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// A client that is listened to.
pub struct Listening<S> {
    inner: S,
    heard: Heard,
}

impl<S> Layer<S> for Heard {
    type Service = Listening<S>;

    fn layer(&self, inner: S) -> Listening<S> {
        Listening { inner, heard: self.clone() }
    }
}

/// How a watch says that it is of one object.
const ONE_OBJECT: &str = "fieldSelector=metadata.name%3D";

type Note = Box<dyn FnMut(Frame<Bytes>) -> Frame<Bytes> + Send>;

impl<S, R, B> Service<Request<R>> for Listening<S>
where
    S: Service<Request<R>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + 'static,
{
    type Response = Response<MapFrame<B, Note>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let (resource, heard) = (watched(request.uri()), self.heard.clone());
        let answered = move |answer: Result<Response<B>, S::Error>| {
            let response = answer?;
            let note = resource.and_then(|resource| heard.note(&resource, response.status()));
            let note: Note = note.unwrap_or_else(|| Box::new(|frame| frame));
            Ok(response.map(|body| body.map_frame(note)))
        };
        self.inner.call(request).map(answered).boxed()
    }
}

impl Heard {
    /// What notes all that comes in by a watch that was answered with this.
    fn note(self, resource: &str, status: StatusCode) -> Option<Note> {
        if status == StatusCode::NOT_FOUND {
            self.watches.forget(resource);
        }
        if !status.is_success() {
            return None;
        }
        let (watch, wall) = (self.watches.of(resource), self.wall);
        watch.heard(wall());
        Some(Box::new(move |frame| {
            watch.heard(wall());
            frame
        }))
    }
}

/// The resource that a request watches, by its path: `pods`, with its group where two have the same name, and with the name of the one
/// object that is watched, if it is one: `configmaps/kruise-configuration`. Which those are is our own choice, so they are few.
fn watched(uri: &http::Uri) -> Option<String> {
    let query = uri.query()?;
    let is_watch = query.split('&').any(|pair| pair == "watch=true");
    let path = uri.path();
    let resource = path.rsplit('/').next().filter(|resource| is_watch && !resource.is_empty())?;
    let is_another = resource == "statefulsets" && !path.starts_with("/apis/apps/");
    let group = path.strip_prefix("/apis/").and_then(|rest| rest.split('/').next()).filter(|_| is_another);
    let mut watched = group.map_or_else(|| resource.to_owned(), |group| format!("{resource}.{group}"));
    if let Some(name) = query.split('&').find_map(|pair| pair.strip_prefix(ONE_OBJECT)) {
        watched.push('/');
        watched.push_str(name);
    }
    Some(watched)
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicI64, Ordering},
    };

    use http_body_util::{Empty, StreamBody};

    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn what_is_watched_stands_in_the_path() {
        let of = |path: &'static str| watched(&http::Uri::from_static(path));
        assert_eq!(of("/api/v1/pods?watch=true&timeoutSeconds=290").as_deref(), Some("pods"));
        assert_eq!(of("/apis/apps/v1/namespaces/own/controllerrevisions?&watch=true").as_deref(), Some("controllerrevisions"));
        assert_eq!(of("/apis/apps/v1/statefulsets?watch=true").as_deref(), Some("statefulsets"));
        assert_eq!(of("/apis/apps.kruise.io/v1beta1/statefulsets?watch=true").as_deref(), Some("statefulsets.apps.kruise.io"));
        let one = "fieldSelector=metadata.name%3Dsidecarsets.apps.kruise.io";
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions?&watch=true&{one}&allowWatchBookmarks=true");
        let one = watched(&path.parse().unwrap());
        assert_eq!(one.as_deref(), Some("customresourcedefinitions/sidecarsets.apps.kruise.io"));
        assert_eq!((of("/api/v1/pods?limit=500"), of("/api/v1/pods"), of("/?watch=true")), (None, None, None));
    }

    #[tokio::test]
    async fn every_frame_of_a_watch_is_a_sign_of_life_until_there_is_no_such_resource() {
        let (metrics, clock) = (Metrics::new(), Arc::new(AtomicI64::new(100)));
        let ticks = clock.clone();
        let wall = Arc::new(move || Timestamp::from_second(ticks.fetch_add(1, Ordering::Relaxed)).unwrap());
        let frames = || futures::stream::iter(["one", "two"].map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(text)))));
        let answer = |request: Request<Empty<Bytes>>| {
            let status = if request.uri().path().contains("gone") { StatusCode::NOT_FOUND } else { StatusCode::OK };
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(status).body(StreamBody::new(frames())).unwrap()))
        };
        let mut client = Heard { watches: metrics.watches.clone(), wall }.layer(tower::service_fn(answer));
        let mut get = async |path: &str| {
            let request = Request::get(path).body(Empty::new()).unwrap();
            client.call(request).await.unwrap().into_body().collect().await.unwrap().to_bytes()
        };
        assert_eq!(get("/api/v1/pods?limit=1").await, "onetwo");
        assert!(!metrics.to_text().contains("watch_heard_timestamp_seconds{"));
        assert_eq!(get("/api/v1/pods?watch=true").await, "onetwo");
        assert!(metrics.to_text().contains("outrigger_watch_heard_timestamp_seconds{resource=\"pods\"} 102\n"));
        metrics.watches.of("gone");
        get("/api/v1/gone?watch=true").await;
        assert!(!metrics.to_text().contains("resource=\"gone\""));
    }
}
