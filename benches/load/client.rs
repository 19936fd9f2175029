//! The client: a few connections that stay open, on each of them several requests under way at once.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::TlsConnector;

/// What Go's client grants: it never waits for these windows.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

type Sender = SendRequest<Full<Bytes>>;

/// Open connections to one server.
pub(crate) struct Connections {
    address: SocketAddr,
    senders: Vec<Sender>,
    _driven: JoinSet<Result<(), hyper::Error>>,
}

/// What came of a load.
pub(crate) struct Load {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) took: Duration,
}

/// TLS settings of a client that trusts `authority` and speaks HTTP/2.
pub(crate) fn tls(authority: &[u8], provider: &Arc<CryptoProvider>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority)?)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Opens `count` connections.
pub(crate) async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>, count: usize) -> anyhow::Result<Connections> {
    let mut driven = JoinSet::new();
    let mut senders = Vec::new();
    for _ in 0..count {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(ServerName::try_from("localhost")?, socket).await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        driven.spawn(connection);
        senders.push(sender);
    }
    Ok(Connections { address, senders, _driven: driven })
}

impl Connections {
    /// Asks once.
    pub(crate) async fn ask(&self, body: &Bytes) -> anyhow::Result<Bytes> {
        let mut sender = self.senders.first().context("no connection")?.clone();
        ask(&mut sender, self.address, body.clone()).await
    }

    /// Asks `count` times, with `streams` requests under way at once on each connection; every answer must have this length.
    pub(crate) async fn load(&self, body: &Bytes, length: usize, count: usize, streams: usize) -> anyhow::Result<Load> {
        let left = Arc::new(AtomicUsize::new(count));
        let mut all = JoinSet::new();
        let started = Instant::now();
        for sender in self.senders.iter().flat_map(|sender| std::iter::repeat_n(sender, streams)) {
            all.spawn(stream(sender.clone(), self.address, body.clone(), length, Arc::clone(&left)));
        }
        let mut latencies = Vec::with_capacity(count);
        while let Some(ended) = all.join_next().await {
            latencies.extend(ended??);
        }
        Ok(Load { latencies, took: started.elapsed() })
    }
}

/// Asks again and again until no requests are left.
async fn stream(
    mut sender: Sender,
    address: SocketAddr,
    body: Bytes,
    length: usize,
    left: Arc<AtomicUsize>,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let asked = Instant::now();
        let answer = ask(&mut sender, address, body.clone()).await?;
        latencies.push(asked.elapsed());
        ensure!(answer.len() == length, "an answer of {} bytes instead of {length}", answer.len());
    }
    Ok(latencies)
}

async fn ask(sender: &mut Sender, address: SocketAddr, body: Bytes) -> anyhow::Result<Bytes> {
    let request = Request::post(format!("https://{address}/mutate-pod?timeout=10s"))
        .header(header::ACCEPT, "application/json, */*")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(body))?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    ensure!(status == StatusCode::OK, "{status}: {}", String::from_utf8_lossy(&answer));
    Ok(answer)
}
