//! From a body to an answer: read the review, decide on the state of this moment, write the response.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    routing::post,
};
use futures::future::{BoxFuture, join_all};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use parking_lot::RwLock;
use tracing::Instrument;

use super::{Limits, account, shadow::Shadow};
use crate::{
    admission::{
        ask::{Answer, Question},
        reason::Reason,
        review::{self, Request},
        verdict::{Decision, Denial},
    },
    handlers::{Claims, Handler, Verdict, convert},
    plan::Event,
    state::State,
    telemetry::{
        metrics::{HookMetrics, Metrics, Verdict as Answered},
        trace,
    },
};

/// Who answers what handlers ask. It has to give up in time for the hook to answer.
pub type Asked = Arc<dyn Fn(Question) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Who takes what handlers claim, in time for the hook to answer, and gives the decision. What it has begun, it ends, whether or not
/// somebody waits for it.
pub type Settled = Arc<dyn Fn(Claims) -> BoxFuture<'static, Decision> + Send + Sync>;

/// Who tells those who look after objects what has happened. Returns at once.
pub type Told = Arc<dyn Fn(Vec<Event>) + Send + Sync>;

/// What decisions need beside the picture.
#[derive(Clone, Default)]
pub struct Outside {
    /// Without, handlers decide as they do where there is no one to ask.
    pub asked: Option<Asked>,
    /// Without, what has to be taken is refused.
    pub settled: Option<Settled>,
    /// Without, nobody is told of events.
    pub told: Option<Told>,
    /// Every review is let pass as it is; what would have been done is only told.
    pub is_shadow: bool,
}

/// One path, and what its clients may take.
#[derive(Clone)]
struct Door {
    path: &'static str,
    metrics: HookMetrics,
    limits: Limits,
}

/// A door and what is behind it.
#[derive(Clone)]
struct Hook {
    door: Door,
    handler: Handler,
    state: Arc<RwLock<State>>,
    outside: Outside,
    /// Who tells what would have been done, where nothing is.
    shadow: Option<Shadow>,
}

/// A router with a route for each `(path, handler)`.
pub fn router(
    hooks: impl IntoIterator<Item = (&'static str, Handler)>,
    state: &Arc<RwLock<State>>,
    metrics: &Metrics,
    limits: &Limits,
    outside: &Outside,
) -> Router {
    let (mut router, mut paths) = (Router::new(), BTreeSet::new());
    for (path, handler) in hooks {
        // One path may be registered for several kinds of requests.
        if !paths.insert(path) {
            continue;
        }
        let door = Door::new(path, metrics, limits);
        let shadow = outside.is_shadow.then(|| Shadow::new(path, metrics));
        let hook = Hook { door, handler, state: Arc::clone(state), outside: outside.clone(), shadow };
        let answer = move |headers: HeaderMap, body: Body| {
            let span = trace::span(&headers, path);
            hook.clone().answer(body).instrument(span)
        };
        router = router.route(path, post(answer));
    }
    router
}

/// A router with the route of conversions.
pub fn conversions(metrics: &Metrics, limits: &Limits) -> Router {
    let limits = Limits { body: limits.conversion_body, ..limits.clone() };
    let door = Door::new(convert::PATH, metrics, &limits);
    Router::new().route(convert::PATH, post(move |body: Body| door.clone().convert(body)))
}

impl Hook {
    async fn answer(self, body: Body) -> Response<Body> {
        let (started, _under_way) = (Instant::now(), self.door.metrics.begin());
        let body = match self.door.read(body).await {
            Ok(body) => body,
            Err(problem) => return self.door.refuse(problem),
        };
        let request = match review::read(&body) {
            Ok(request) => request,
            Err(error) => return self.door.refuse(Unread::review(error.to_string())),
        };
        let decided = tokio::time::timeout(self.door.limits.decision, self.decided(&request)).await;
        let decided = match &self.shadow {
            Some(shadow) => Some(shadow.seen(&request, decided.ok().flatten().as_ref(), &self.state.read().snapshot(), now())),
            None => decided.unwrap_or_else(|_| Some(late(&request))),
        };
        let Some(mut decision) = decided else { return panicked() };
        if let Some(told) = self.outside.told.as_ref().filter(|_| !decision.events.is_empty()) {
            told(std::mem::take(&mut decision.events));
        }
        let response = json(review::write(&request.uid, &decision));
        account::note(self.door.path, &self.door.metrics, &request, &decision);
        self.door.metrics.seconds.observe(started.elapsed().as_secs_f64());
        response
    }

    fn decide(&self, request: &Request<'_>) -> Verdict {
        (self.handler)(request, &self.state.read().snapshot(), now())
    }

    /// The decision, when all questions are answered and all that it takes is taken; `None` if the handler panicked.
    async fn decided(&self, request: &Request<'_>) -> Option<Decision> {
        let mut verdict = self.guard(request, || self.decide(request))?;
        loop {
            match verdict {
                Verdict::Decided(decision) => return Some(decision),
                Verdict::Claim(claims) => return Some(self.settle(claims).await),
                Verdict::Ask(ask) => {
                    let answers = self.ask(ask.questions.clone()).await;
                    verdict = self.guard(request, || ask.settle(answers, &self.state.read().snapshot(), now()))?;
                }
            }
        }
    }

    async fn ask(&self, questions: Vec<Question>) -> Vec<Answer> {
        let Some(asked) = &self.outside.asked else { return questions.iter().map(|_| Answer::nobody()).collect() };
        let begun = Instant::now();
        let answers = join_all(questions.into_iter().map(|question| asked(question)))
            .instrument(trace::part(|| tracing::error_span!("questions")))
            .await;
        for answer in &answers {
            self.door.metrics.asked(!matches!(answer, Answer::Unknown(_)), begun.elapsed());
            if let Answer::Unknown(why) = answer {
                tracing::warn!(hook = self.door.path, "a question was not answered: {why}");
            }
        }
        answers
    }

    async fn settle(&self, claims: Claims) -> Decision {
        match &self.outside.settled {
            Some(settled) => settled(claims).instrument(trace::part(|| tracing::error_span!("claims"))).await,
            None => Decision::deny(Denial::forbidden("there is nothing to take it from").because(Reason::Unsettled)),
        }
    }

    fn guard<T>(&self, request: &Request<'_>, decide: impl FnOnce() -> T) -> Option<T> {
        self.door.guard(decide, || format!("uid {}, namespace {}, name {}", request.uid, request.namespace, request.name))
    }
}

impl Door {
    fn new(path: &'static str, metrics: &Metrics, limits: &Limits) -> Self {
        Self { path, metrics: metrics.hook(path), limits: limits.clone() }
    }

    async fn convert(self, body: Body) -> Response<Body> {
        let (started, _under_way) = (Instant::now(), self.metrics.begin());
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(problem) => return self.refuse(problem),
        };
        let converted = match self.guard(|| convert::answer(&body), || "a conversion".to_owned()) {
            Some(Ok(converted)) => converted,
            Some(Err(error)) => return self.refuse(Unread::review(error.to_string())),
            None => return panicked(),
        };
        match &converted.outcome {
            Ok(_) => self.metrics.answered(Answered::Allowed, Reason::Converted.word()),
            Err(problem) => {
                self.metrics.answered(Answered::Denied, Reason::Unreadable.word());
                tracing::warn!(hook = self.path, "not converted: {problem}");
            }
        }
        self.metrics.seconds.observe(started.elapsed().as_secs_f64());
        json(converted.response)
    }

    /// A panic is answered with 500: the API server then does as the hook's failure policy says.
    fn guard<T>(&self, decide: impl FnOnce() -> T, whose: impl FnOnce() -> String) -> Option<T> {
        let decided = catch_unwind(AssertUnwindSafe(decide)).ok();
        if decided.is_none() {
            self.metrics.panics.inc();
            self.metrics.answered(Answered::Panicked, "panic");
            tracing::error!(hook = self.path, review = whose(), "the handler panicked");
        }
        decided
    }

    /// The body, or why there is none.
    async fn read(&self, body: Body) -> Result<Bytes, Unread> {
        let collected = tokio::time::timeout(self.limits.body_time, Limited::new(body, self.limits.body).collect()).await;
        let (status, reason, sentence) = match collected {
            Ok(Ok(body)) => return Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("the body is larger than {} bytes", self.limits.body))
            }
            Ok(Err(error)) => (StatusCode::BAD_REQUEST, "broken-off", format!("the body did not arrive: {error}")),
            Err(_) => {
                let sentence = format!("the body did not arrive within {} s", self.limits.body_time.as_secs());
                (StatusCode::REQUEST_TIMEOUT, "slow", sentence)
            }
        };
        Err(Unread { status, reason, sentence })
    }

    fn refuse(&self, Unread { status, reason, sentence }: Unread) -> Response<Body> {
        self.metrics.answered(Answered::Unreadable, reason);
        tracing::info!(hook = self.path, status = status.as_u16(), reason, "{sentence}");
        text(status, sentence)
    }
}

/// Why a body is not answered, and with what it is refused.
struct Unread {
    status: StatusCode,
    /// For who counts.
    reason: &'static str,
    sentence: String,
}

impl Unread {
    fn review(sentence: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: "review", sentence }
    }
}

/// What is refused because nobody could tell in time. Who evicts tries again on 429 only.
fn late(request: &Request<'_>) -> Decision {
    let text = "the API server did not answer our questions in time: nobody can tell now; try again in a second";
    let denial = if request.sub_resource == "eviction" { Denial::later(text, 1) } else { Denial::forbidden(text) };
    Decision::deny(denial.because(Reason::Late))
}

#[expect(clippy::disallowed_methods, reason = "the clock of admission is read here and nowhere else")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn panicked() -> Response<Body> {
    text(StatusCode::INTERNAL_SERVER_ERROR, "the handler of this review panicked; see the log".to_owned())
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
