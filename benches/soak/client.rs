//! The client: sends each review when its time has come.

#![expect(clippy::indexing_slicing, reason = "kinds are numbered")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsConnector;

use crate::reviews::{KINDS, Reviews};

/// The API server would not wait longer for any of our hooks.
const PATIENCE: Duration = Duration::from_secs(5);

type Sender = SendRequest<Full<Bytes>>;

/// Connections to one server.
pub(crate) struct Connections {
    address: SocketAddr,
    senders: Vec<Sender>,
    driven: JoinSet<Result<(), hyper::Error>>,
}

/// What became of a review.
pub(crate) struct Answered {
    /// Which of [`KINDS`].
    pub(crate) kind: usize,
    /// From when it was to be sent until its answer was there.
    pub(crate) took: Duration,
    /// `None` if it was allowed, or the answer by which it was refused; or what went wrong.
    pub(crate) outcome: Result<Option<String>, String>,
}

impl Connections {
    pub(crate) async fn open(port: u16, authority: &str, count: usize) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        let (mut senders, mut driven) = (Vec::new(), JoinSet::new());
        for _ in 0..count {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            let stream = tls.connect(ServerName::try_from("127.0.0.1")?, socket).await?;
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            driven.spawn(connection);
            senders.push(sender);
        }
        Ok(Self { address, senders, driven })
    }

    /// How many of them the server has closed.
    pub(crate) fn closed(&mut self) -> usize {
        while self.driven.try_join_next().is_some() {}
        self.senders.len() - self.driven.len()
    }

    /// Sends `rate` reviews a second for so long, and gives what became of each.
    pub(crate) async fn soak(&self, reviews: &Reviews, rate: u64, seconds: u64) -> Result<Vec<Answered>> {
        let (began, mut sent, mut answered) = (Instant::now(), JoinSet::new(), Vec::new());
        for number in 0..rate * seconds {
            let due = began + Duration::from_nanos(number * 1_000_000_000 / rate);
            if due > Instant::now() {
                sleep_until(due).await;
            }
            let (kind, body) = reviews.make(number);
            let at = usize::try_from(number)? % self.senders.len();
            let sender = self.senders.get(at).context("no connection")?.clone();
            let address = self.address;
            sent.spawn(async move {
                let asked = timeout(PATIENCE, ask(sender, address, KINDS[kind].path, body)).await;
                let outcome = match asked {
                    Ok(answer) => answer.map_err(|error| format!("{error:#}")),
                    Err(_) => Err(format!("no answer within {PATIENCE:?}")),
                };
                Answered { kind, took: due.elapsed(), outcome }
            });
            while let Some(one) = sent.try_join_next() {
                answered.push(one?);
            }
        }
        while let Some(one) = sent.join_next().await {
            answered.push(one?);
        }
        Ok(answered)
    }
}

/// Asks, and gives the answer if it is a refusal.
async fn ask(mut sender: Sender, address: SocketAddr, path: &str, body: Bytes) -> Result<Option<String>> {
    let request = Request::post(format!("https://{address}{path}?timeout=5s"))
        .header(header::ACCEPT, "application/json, */*")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(body))?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    let text = std::str::from_utf8(&answer)?;
    ensure!(status == StatusCode::OK, "{status}: {text}");
    let says = |words: &str| text.contains(words);
    let is_allowed = says(r#""allowed":true"#) || says(r#""status":"Success""#);
    ensure!(is_allowed || says(r#""allowed":false"#), "neither yes nor no: {text}");
    // A refusal because nobody could tell is none that the objects asked for.
    ensure!(!says("nobody can tell"), "{text}");
    Ok((!is_allowed).then(|| text.to_owned()))
}
