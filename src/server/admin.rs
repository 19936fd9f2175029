//! The operator's port, plain HTTP: is it alive, is it ready, what does it count.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
};

use axum::{
    Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::telemetry::{
    log::{EXPECTED, Filter},
    metrics::Metrics,
};

/// A filter is no longer than this, in bytes.
const LONGEST_FILTER: usize = 4096;

/// What has to be so before the server says that it is ready. Nothing can make it ready that was not named at the start.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    conditions: Mutex<BTreeMap<&'static str, Result<(), String>>>,
    warnings: Mutex<BTreeMap<&'static str, String>>,
    is_stopping: AtomicBool,
}

impl Readiness {
    /// Names something to wait for; it does not hold yet.
    pub fn expect(&self, condition: &'static str) {
        self.0.conditions.lock().insert(condition, Err("not yet".to_owned()));
    }

    /// Says whether it holds; if not, why not.
    pub fn report(&self, condition: &'static str, holds: Result<(), String>) {
        self.0.conditions.lock().insert(condition, holds);
    }

    /// Says why something does not hold yet. What has held once is not taken back.
    pub fn explain(&self, condition: &'static str, why: String) {
        if let Some(Err(reason)) = self.0.conditions.lock().get_mut(condition) {
            *reason = why;
        }
    }

    /// Says, beside whether we are ready, what somebody should look at; or that there is nothing any more.
    pub fn warn(&self, topic: &'static str, warning: Option<String>) {
        let mut warnings = self.0.warnings.lock();
        match warning {
            Some(text) => drop(warnings.insert(topic, text)),
            None => drop(warnings.remove(topic)),
        }
    }

    /// What somebody should look at, a line each.
    pub fn warnings(&self) -> String {
        let warnings = self.0.warnings.lock();
        warnings.iter().fold(String::new(), |all, (topic, text)| all + "warning: " + topic + ": " + text + "\n")
    }

    /// Whether all of these hold.
    pub fn holds(&self, names: &[&str]) -> bool {
        let conditions = self.0.conditions.lock();
        names.iter().all(|name| conditions.get(name).is_some_and(Result::is_ok))
    }

    /// Never ready again.
    pub fn stop(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }

    /// `Ok` if everything holds, else what does not, a line each.
    pub fn check(&self) -> Result<(), String> {
        if self.0.is_stopping.load(Ordering::Relaxed) {
            return Err("stopping".to_owned());
        }
        let conditions = self.0.conditions.lock();
        let unmet: Vec<_> =
            conditions.iter().filter_map(|(name, holds)| holds.as_ref().err().map(|why| format!("{name}: {why}"))).collect();
        if unmet.is_empty() { Ok(()) } else { Err(unmet.join("\n")) }
    }
}

/// The route under which the log filter is read and changed. It is changed from the machine itself alone, which is where
/// `kubectl port-forward` comes from: this port is plain HTTP, and whoever reaches it could silence the log.
pub fn log_level(filter: Filter) -> Router {
    let read = filter.clone();
    let set = async move |ConnectInfo(from): ConnectInfo<SocketAddr>, text: String| {
        if !from.ip().to_canonical().is_loopback() {
            let sentence =
                format!("the log level is changed from the pod itself, as through kubectl port-forward, not from {}\n", from.ip());
            return (StatusCode::FORBIDDEN, sentence);
        }
        match filter.set(&text) {
            Ok(()) => (StatusCode::OK, filter.text() + "\n"),
            Err(_) => (StatusCode::BAD_REQUEST, format!("expected {EXPECTED}, found `{}`\n", text.trim())),
        }
    };
    Router::new().route("/log-level", get(async move || read.text() + "\n").put(set)).layer(DefaultBodyLimit::max(LONGEST_FILTER))
}

/// Gives all objects of an offline server.
pub type Objects = Arc<dyn Fn() -> Vec<Value> + Send + Sync>;

/// The router of the admin port; `objects` only where there is no cluster.
pub fn router(readiness: Readiness, metrics: Arc<Metrics>, objects: Option<Objects>) -> Router {
    let ready = move || {
        let warnings = readiness.warnings();
        let answer = match readiness.check() {
            Ok(()) => (StatusCode::OK, format!("ok\n{warnings}")),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n{warnings}")),
        };
        async { answer }
    };
    let router = Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready)).route(
        "/metrics",
        get(move || {
            let text = metrics.to_text();
            async { ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response() }
        }),
    );
    match objects {
        None => router,
        Some(objects) => router.route("/objects", get(async move || Json(json!({"apiVersion": "v1", "kind": "List", "items": objects()})))),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::connect_info::MockConnectInfo, http::Request};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn who_is_not_on_this_machine_reads_the_log_level_and_changes_nothing() {
        let (filter, _layer) = Filter::new("info").unwrap();
        let ask = async |from: &str, method: &str| {
            let from: SocketAddr = from.parse().unwrap();
            let request = Request::builder().method(method).uri("/log-level").body(Body::from("off")).unwrap();
            let answer = log_level(filter.clone()).layer(MockConnectInfo(from)).oneshot(request).await.unwrap();
            answer.status()
        };
        for from in ["10.1.2.3:4", "[fd00::1]:4", "[::ffff:10.1.2.3]:4"] {
            assert_eq!((ask(from, "PUT").await, ask(from, "GET").await), (StatusCode::FORBIDDEN, StatusCode::OK), "{from}");
        }
        assert_eq!(filter.text(), "info");
        for from in ["127.0.0.1:4", "[::1]:4", "[::ffff:127.0.0.1]:4"] {
            filter.set("info").unwrap();
            assert_eq!((ask(from, "PUT").await, filter.text().as_str()), (StatusCode::OK, "off"), "{from}");
        }
    }
}
