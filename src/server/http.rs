//! From a body to an answer: read the review, decide on the state of this moment, write the response.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header},
    routing::post,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use parking_lot::RwLock;

use super::Limits;
use crate::{
    admission::{
        review::{self, Request},
        verdict::{Decision, Outcome, Verdict},
    },
    handlers::Handler,
    state::State,
    telemetry::metrics::{HookMetrics, Metrics},
};

/// One path and what is behind it.
#[derive(Clone)]
pub struct Hook {
    path: &'static str,
    handler: Handler,
    state: Arc<RwLock<State>>,
    metrics: HookMetrics,
    limits: Limits,
}

/// A router with a route for each `(path, handler)`.
pub fn router(
    hooks: impl IntoIterator<Item = (&'static str, Handler)>,
    state: &Arc<RwLock<State>>,
    metrics: &Metrics,
    limits: &Limits,
) -> Router {
    let mut router = Router::new();
    for (path, handler) in hooks {
        let hook = Hook { path, handler, state: Arc::clone(state), metrics: metrics.hook(path), limits: limits.clone() };
        router = router.route(path, post(move |body: Body| hook.clone().answer(body)));
    }
    router
}

impl Hook {
    async fn answer(self, body: Body) -> Response<Body> {
        let started = Instant::now();
        let body = match self.read(body).await {
            Ok(body) => body,
            Err((status, sentence)) => return self.refuse(status, sentence),
        };
        let request = match review::read(&body) {
            Ok(request) => request,
            Err(error) => return self.refuse(StatusCode::BAD_REQUEST, error.to_string()),
        };
        // A panic is answered with 500: the API server then does as the hook's failure policy says.
        let Ok(verdict) = catch_unwind(AssertUnwindSafe(|| self.decide(&request))) else {
            self.metrics.panics.inc();
            tracing::error!(hook = self.path, uid = %request.uid, namespace = %request.namespace, name = %request.name, "the handler panicked");
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the handler of this review panicked; see the log".to_owned());
        };
        let Verdict::Decided(decision) = verdict;
        self.note(&request, &decision);
        let response = json(review::write(&request.uid, &decision));
        self.metrics.seconds.observe(started.elapsed().as_secs_f64());
        response
    }

    fn decide(&self, request: &Request<'_>) -> Verdict {
        #[expect(clippy::disallowed_methods, reason = "the clock of admission is read here and nowhere else")]
        let now = Timestamp::now();
        (self.handler)(request, &self.state.read().snapshot(), now)
    }

    /// The body, or the status and sentence to refuse it with.
    async fn read(&self, body: Body) -> Result<Bytes, (StatusCode, String)> {
        let collected = tokio::time::timeout(self.limits.body_time, Limited::new(body, self.limits.body).collect()).await;
        match collected {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err((StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {} bytes", self.limits.body)))
            }
            Ok(Err(error)) => Err((StatusCode::BAD_REQUEST, format!("the body did not arrive: {error}"))),
            Err(_) => Err((StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {} s", self.limits.body_time.as_secs()))),
        }
    }

    fn refuse(&self, status: StatusCode, sentence: String) -> Response<Body> {
        self.metrics.unreadable.inc();
        tracing::info!(hook = self.path, status = status.as_u16(), "{sentence}");
        text(status, sentence)
    }

    fn note(&self, request: &Request<'_>, decision: &Decision) {
        let (namespace, name, user) = (&request.namespace, &request.name, &request.user_info.username);
        match &decision.outcome {
            Outcome::Deny(denial) => {
                self.metrics.denied.inc();
                tracing::info!(hook = self.path, %namespace, %name, %user, dry_run = request.dry_run, "denied: {}", denial.message);
            }
            Outcome::Allow(edits) if edits.is_empty() => {
                self.metrics.allowed.inc();
            }
            Outcome::Allow(_) => {
                self.metrics.patched.inc();
                tracing::debug!(hook = self.path, %namespace, %name, %user, dry_run = request.dry_run, "patched: {}", decision.note);
            }
        }
    }
}

fn json(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, sentence: String) -> Response<Body> {
    let mut response = Response::new(Body::from(sentence + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
