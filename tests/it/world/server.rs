//! The server of the library, in this process, with handlers and limits of the test's own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use outrigger::{
    admission::{
        ask::{Answer, Question},
        review::Request,
        verdict::{Decision, Denial, Outcome},
    },
    handlers::{Ask, Handler, Verdict},
    server::{
        Limits,
        certs::Serving,
        http::{self, Asked, Outside},
        tls,
    },
    state::{Snapshot, State},
    telemetry::metrics::Metrics,
};
use parking_lot::RwLock;
use rustls::ClientConfig;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    PATIENCE,
    client::{Client, Protocol, review},
    ends,
    pki::{Authority, provider},
};

/// Lets every review pass.
pub(crate) const ADMIT: &str = "/admit";
/// Has a handler that panics.
pub(crate) const PANIC: &str = "/panic";
/// Refuses with a megabyte of text.
pub(crate) const LONG: &str = "/long";

/// Asks about a pod, and refuses with what it hears.
pub(crate) const ASK: &str = "/ask";
/// Asks, and panics over the answer.
pub(crate) const ASK_AND_PANIC: &str = "/ask-and-panic";

const HOOKS: [(&str, Handler); 5] = [
    (ADMIT, |_, _, _| Verdict::allow()),
    (PANIC, panics),
    (LONG, |_, _, _| Verdict::deny(Denial::forbidden("x".repeat(1 << 20)))),
    (ASK, asks),
    (ASK_AND_PANIC, asks_and_panics),
];

fn asks(request: &Request<'_>, _: &Snapshot<'_>, _: jiff::Timestamp) -> Verdict {
    let tell = |answer: Answer| {
        let outcome = Outcome::Deny(Denial::invalid(format!("{answer:?}")));
        Verdict::Decided(Decision { outcome, ..Decision::default() })
    };
    Verdict::Ask(Ask::one(Question::DryRunPod(serde_json::json!({"uid": request.uid})), tell))
}

fn asks_and_panics(_: &Request<'_>, _: &Snapshot<'_>, _: jiff::Timestamp) -> Verdict {
    Verdict::Ask(Ask::one(Question::DryRunPod(serde_json::Value::Null), |answer| panic!("{answer:?}, as it should")))
}

fn panics(request: &Request<'_>, _: &Snapshot<'_>, _: jiff::Timestamp) -> Verdict {
    panic!("the handler panics over {}, as it should", request.uid)
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) trust: ClientConfig,
    pub(crate) serving: Arc<Serving>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) leaving: CancellationToken,
    pub(crate) stop: CancellationToken,
    /// Ends when `serve` does.
    pub(crate) ended: JoinHandle<()>,
}

/// Limits under which nothing ends while a test runs; a test shortens the one that it is about.
pub(crate) fn patient() -> Limits {
    Limits { handshake: PATIENCE, hello: PATIENCE, body_time: PATIENCE, idle: PATIENCE, drain: PATIENCE, ..Limits::default() }
}

/// Short enough to wait for, long enough for what has to happen before.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

pub(crate) async fn start(limits: Limits) -> Server {
    let authority = Authority::new();
    let metrics = Arc::new(Metrics::new());
    let serving = Serving::new(&authority.issue(), &provider(), &metrics).unwrap();
    start_with(limits, authority.trust(), serving, metrics).await
}

pub(crate) async fn start_with(limits: Limits, trust: ClientConfig, serving: Arc<Serving>, metrics: Arc<Metrics>) -> Server {
    start_asking(limits, trust, (serving, metrics), None).await
}

/// A server whose handlers' questions go to `asked`.
pub(crate) async fn start_with_answers(asked: Asked) -> Server {
    let authority = Authority::new();
    let metrics = Arc::new(Metrics::new());
    let serving = Serving::new(&authority.issue(), &provider(), &metrics).unwrap();
    start_asking(patient(), authority.trust(), (serving, metrics), Some(asked)).await
}

async fn start_asking(
    limits: Limits,
    trust: ClientConfig,
    (serving, metrics): (Arc<Serving>, Arc<Metrics>),
    asked: Option<Asked>,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, leaving, stop) = (listener.local_addr().unwrap(), CancellationToken::new(), CancellationToken::new());
    let outside = Outside { asked, ..Outside::default() };
    let router = http::router(HOOKS, &Arc::new(RwLock::new(State::default())), &metrics, &limits, &outside);
    let router = router.merge(http::conversions(&metrics, &limits));
    let acceptor = serving.acceptor(&provider()).unwrap();
    let ended = TaskTracker::new().spawn(tls::serve(
        listener,
        tls::Door { tls: acceptor, router, counted: metrics.connections.clone(), leaving: leaving.clone() },
        limits,
        stop.clone(),
    ));
    Server { address, trust, serving, metrics, leaving, stop, ended }
}

impl Server {
    pub(crate) async fn client(&self, protocol: Protocol) -> Client {
        Client::connect(self.address, &self.trust, protocol).await
    }

    /// Somebody new is served, and not late.
    pub(crate) async fn assert_serves(&self) {
        for protocol in super::client::BOTH {
            let mut client = ends("a new connection", self.client(protocol)).await;
            ends("a review", client.post(ADMIT, review("good"))).await.assert_admits("good");
        }
    }

    pub(crate) fn metric(&self, series: &str) -> u64 {
        super::metric(&self.metrics.to_text(), series)
    }

    /// Stops and waits for the end.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        ends("the server", self.ended).await.unwrap();
    }
}
