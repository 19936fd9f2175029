//! An API server that knows nothing but lists and watches: as many pods as are wanted, their namespaces, a set, spreads. Nothing that is
//! sent to it is kept, and nothing changes.

use std::{collections::HashMap, convert::Infallible, future::ready, net::SocketAddr};

use anyhow::Result;
use futures::{Stream, StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::pods::Pods;

const VERSION: &str = "2000000";
/// Pods that are written out at a time.
const CHUNK: usize = 50;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What is served.
#[derive(Clone, Copy)]
pub(crate) struct ApiServer {
    pub(crate) pods: Pods,
    /// It does not stream lists.
    pub(crate) is_paged: bool,
}

/// A request, as far as it matters.
struct Asked {
    method: Method,
    /// `pods`, `leases` …
    resource: String,
    api_version: String,
    query: HashMap<String, String>,
}

impl ApiServer {
    /// Serves until the task is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) -> Result<Infallible> {
        let mut connections = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let service = service_fn(move |request: Request<Incoming>| ready(Ok::<_, Infallible>(self.answer(&Asked::new(&request)))));
            connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            while connections.try_join_next().is_some() {}
        }
    }

    /// The file by which a client finds it.
    pub(crate) fn kubeconfig(address: SocketAddr) -> String {
        let cluster = json!([{"name": "bench", "cluster": {"server": format!("http://{address}")}}]);
        let context = json!([{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}]);
        let user = json!([{"name": "bench", "user": {}}]);
        json!({"apiVersion": "v1", "kind": "Config", "clusters": cluster, "contexts": context, "users": user, "current-context": "bench"})
            .to_string()
    }

    fn answer(self, asked: &Asked) -> Response<Body> {
        let is = |name: &str, value: &str| asked.query.get(name).is_some_and(|found| found == value);
        match (&asked.method, asked.resource.as_str()) {
            (&Method::GET, "leases") => whole(StatusCode::OK, &lease()),
            (&Method::GET, _) if is("watch", "true") && is("sendInitialEvents", "true") && self.is_paged => {
                whole(StatusCode::UNPROCESSABLE_ENTITY, &refusal())
            }
            (&Method::GET, "pods") if is("watch", "true") && is("sendInitialEvents", "true") => self.streamed_pods(),
            (&Method::GET, _) if is("watch", "true") && is("sendInitialEvents", "true") => self.streamed(asked),
            (&Method::GET, _) if is("watch", "true") => watched(stream::empty()),
            (&Method::GET, "pods") => self.page_of_pods(asked),
            (&Method::GET, _) => whole(
                StatusCode::OK,
                &json!({"kind": "List", "apiVersion": asked.api_version, "metadata": {"resourceVersion": VERSION}, "items": self.objects(asked)}),
            ),
            _ => whole(StatusCode::CREATED, &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})),
        }
    }

    /// All objects of a kind that is none of many.
    fn objects(self, asked: &Asked) -> Vec<Value> {
        let named = |spec: Value, kind: &str, namespace: &str, name: &str| json!({"apiVersion": asked.api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": VERSION, "generation": 1}, "spec": spec});
        match asked.resource.as_str() {
            "namespaces" => Pods::namespaces().map(|name| named(json!({}), "Namespace", "", &name)).collect(),
            "sidecarsets" => {
                let containers =
                    ["mesh-proxy", "log-agent"].map(|name| json!({"name": name, "image": format!("registry.example.com/store/{name}:1")}));
                vec![named(json!({"selector": {"matchLabels": {"tier": "front"}}, "containers": containers}), "SidecarSet", "", "mesh")]
            }
            "workloadspreads" => {
                let spec =
                    json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}, "subsets": [{"name": "one"}]});
                self.pods.spread_namespaces().map(|namespace| named(spec.clone(), "WorkloadSpread", &namespace, "spread")).collect()
            }
            _ => Vec::new(),
        }
    }

    fn streamed(self, asked: &Asked) -> Response<Body> {
        let event = |object: Value| json!({"type": "ADDED", "object": object}).to_string() + "\n";
        let events: Vec<_> = self.objects(asked).into_iter().map(event).chain([bookmark(&asked.api_version)]).map(Bytes::from).collect();
        watched(stream::iter(events))
    }

    fn streamed_pods(self) -> Response<Body> {
        let chunks = (0..self.pods.count).step_by(CHUNK).map(move |first| {
            let mut text = String::new();
            for number in first..self.pods.count.min(first + CHUNK) {
                text.push_str(r#"{"type":"ADDED","object":"#);
                self.pods.write(number, &mut text);
                text.push_str("}\n");
            }
            Bytes::from(text)
        });
        watched(stream::iter(chunks.chain([Bytes::from(bookmark("v1"))])))
    }

    fn page_of_pods(self, asked: &Asked) -> Response<Body> {
        let number = |name: &str| asked.query.get(name).and_then(|text| text.parse::<usize>().ok());
        let first = number("continue").unwrap_or_default();
        let end = number("limit").map_or(self.pods.count, |limit| self.pods.count.min(first + limit));
        let next = if end < self.pods.count { end.to_string() } else { String::new() };
        let mut text =
            format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{VERSION}","continue":"{next}"}},"items":["#);
        for number in first..end {
            text.push_str(if number == first { "" } else { "," });
            self.pods.write(number, &mut text);
        }
        text.push_str("]}");
        answered(StatusCode::OK, Full::new(Bytes::from(text)).boxed_unsync())
    }
}

impl Asked {
    fn new(request: &Request<Incoming>) -> Self {
        let mut parts: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
        let version: Vec<&str> = parts.drain(..parts.len().min(if parts.first() == Some(&"api") { 2 } else { 3 })).skip(1).collect();
        if parts.len() > 2 && parts.first() == Some(&"namespaces") {
            parts.drain(..2);
        }
        let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Self {
            method: request.method().clone(),
            resource: parts.first().copied().unwrap_or_default().to_owned(),
            api_version: version.join("/"),
            query: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}

/// The end of a list that is streamed.
fn bookmark(api_version: &str) -> String {
    let metadata = json!({"resourceVersion": VERSION, "creationTimestamp": null, "annotations": {"k8s.io/initial-events-end": "true"}});
    json!({"type": "BOOKMARK", "object": {"kind": "", "apiVersion": api_version, "metadata": metadata}}).to_string() + "\n"
}

/// The lease is somebody else's, and he is alive.
fn lease() -> Value {
    #[expect(clippy::disallowed_methods, reason = "a lease is renewed at a time")]
    let now = Timestamp::now();
    let spec =
        json!({"holderIdentity": "somebody-else", "leaseDurationSeconds": 15, "renewTime": format!("{now:.6}"), "leaseTransitions": 1});
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "outrigger", "namespace": "outrigger-system", "uid": "lease", "resourceVersion": VERSION}, "spec": spec})
}

fn refusal() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid", "code": 422, "message": "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"})
}

/// Events, and then nothing more happens.
fn watched(events: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let frames = events.chain(stream::pending()).map(|bytes| Ok(Frame::data(bytes)));
    answered(StatusCode::OK, StreamBody::new(frames).boxed_unsync())
}

fn whole(status: StatusCode, value: &Value) -> Response<Body> {
    answered(status, Full::new(Bytes::from(value.to_string())).boxed_unsync())
}

fn answered(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
