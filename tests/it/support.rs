//! What several tests stand on.

use std::{net::SocketAddr, sync::Arc};

use outrigger::{
    handlers,
    offline::{ask, claims, files::Objects},
    server::{
        Limits,
        certs::Serving,
        http::{self, Asked, Outside},
        throwaway, tls,
    },
    state::State,
    telemetry::metrics::Metrics,
};
use parking_lot::RwLock;
use rustls::crypto::aws_lc_rs::default_provider;
use serde_json::Value;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::sync::CancellationToken;

/// The admission server over real sockets, in this process, and a client that trusts it.
pub(crate) struct HttpsServer {
    /// What it decides on.
    pub(crate) state: Arc<RwLock<State>>,
    /// The objects from which requests take, as they stand.
    pub(crate) objects: Objects,
    address: SocketAddr,
    client: reqwest::Client,
    runtime: Runtime,
    stop: CancellationToken,
}

impl HttpsServer {
    /// A server with an empty state.
    pub(crate) fn start() -> Self {
        Self::start_asking(None)
    }

    /// The same; its questions are put there.
    pub(crate) fn start_asking(asked: Option<Asked>) -> Self {
        // The client library asks for a provider of the whole process; another test may have been first.
        let _ = default_provider().install_default();
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (provider, metrics, limits) = (Arc::new(default_provider()), Metrics::new(), Limits::default());
        let pem = throwaway::pair(folder.path(), &["localhost".to_owned()], jiff::Timestamp::constant(1_800_000_000, 0)).unwrap();
        let state = Arc::new(RwLock::new(State::default()));
        let objects = Objects::default();
        let settled = claims::settled(Arc::clone(&state), Arc::clone(&objects), Arc::new(|| jiff::Timestamp::constant(1_800_000_000, 0)));
        let asked = asked.unwrap_or_else(|| ask::asked(Arc::clone(&objects)));
        let outside = Outside { settled: Some(settled), asked: Some(asked), ..Outside::default() };
        let router = http::router(handlers::TABLE.iter().map(|hook| (hook.path, hook.handler)), &state, &metrics, &limits, &outside);
        let router = router.merge(http::conversions(&metrics, &limits));
        let acceptor = Serving::new(&pem, &provider, &metrics).unwrap().acceptor(&provider).unwrap();
        let stop = CancellationToken::new();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(tls::serve(
            listener,
            tls::Door { tls: acceptor, router, counted: metrics.connections.clone(), leaving: stop.clone() },
            limits,
            stop.clone(),
        ));
        let client = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy().build().unwrap();
        Self { state, objects, address, client, runtime, stop }
    }

    /// Posts a body; gives status and JSON of the answer.
    pub(crate) fn post(&self, path: &str, body: Vec<u8>) -> (u16, Value) {
        let url = format!("https://{}{path}", self.address);
        self.runtime.block_on(async {
            let response = self.client.post(url).header("content-type", "application/json").body(body).send().await.unwrap();
            let status = response.status().as_u16();
            (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
        })
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
