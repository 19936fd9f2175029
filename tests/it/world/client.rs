//! Clients: one that speaks HTTP over one connection, of which a test knows when it ends, and the bare TLS stream below.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::TaskTracker;

use super::ends;

pub(crate) use futures::channel::mpsc::UnboundedSender as Pieces;

type Body = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// One connection.
pub(crate) struct Client {
    sender: Sender,
    /// Ends when the connection does.
    pub(crate) closed: JoinHandle<()>,
    /// What the server showed.
    pub(crate) certificate: CertificateDer<'static>,
    /// Sent with each request from now on.
    pub(crate) header: Option<(&'static str, String)>,
}

enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    /// It says that no other one will come over its connection.
    pub(crate) is_last: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless this admits the review with that uid.
    pub(crate) fn assert_admits(&self, uid: &str) {
        assert_eq!((self.status, &self.json()["response"]), (200, &json!({"uid": uid, "allowed": true})), "{self:?}");
    }
}

/// A handshake; the name is what the certificate has to be valid for.
pub(crate) async fn tls(address: SocketAddr, config: ClientConfig, name: &str, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    tls_over(TcpStream::connect(address).await?, config, name, alpn).await
}

async fn tls_over(socket: TcpStream, mut config: ClientConfig, name: &str, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    socket.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, config: &ClientConfig, protocol: Protocol) -> Self {
        Self::try_connect(address, config, "localhost", protocol).await.unwrap()
    }

    pub(crate) async fn try_connect(address: SocketAddr, config: &ClientConfig, name: &str, protocol: Protocol) -> std::io::Result<Self> {
        Self::over(TcpStream::connect(address).await?, config, name, protocol).await
    }

    /// Over a connection that is there already.
    pub(crate) async fn over(socket: TcpStream, config: &ClientConfig, name: &str, protocol: Protocol) -> std::io::Result<Self> {
        let alpn = if protocol == Protocol::Http1 { "http/1.1" } else { "h2" };
        let stream = tls_over(socket, config.clone(), name, &[alpn]).await?;
        let session = stream.get_ref().1;
        assert_eq!(session.alpn_protocol(), Some(alpn.as_bytes()));
        let certificate = session.peer_certificates().unwrap()[0].clone();
        let (io, tasks) = (TokioIo::new(stream), TaskTracker::new());
        let (sender, closed) = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await.map_err(std::io::Error::other)?;
                (Sender::One(sender), tasks.spawn(async { drop(connection.await) }))
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(std::io::Error::other)?;
                (Sender::Two(sender), tasks.spawn(async { drop(connection.await) }))
            }
        };
        Ok(Self { sender, closed, certificate, header: None })
    }

    /// Posts a body of known length.
    pub(crate) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.try_post(path, body).await.unwrap()
    }

    pub(crate) async fn try_post(&mut self, path: &str, body: impl Into<Bytes>) -> hyper::Result<Answer> {
        self.send("POST", path, Full::new(body.into()).boxed_unsync()).await
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str) -> Answer {
        self.send(method, path, Full::default().boxed_unsync()).await.unwrap()
    }

    /// Posts a body of unknown length, whose pieces the test sends when it likes; dropping the sender ends the body.
    pub(crate) fn post_in_pieces(&mut self, path: &str) -> (Pieces<Bytes>, JoinHandle<hyper::Result<Answer>>) {
        let (pieces, body) = futures::channel::mpsc::unbounded();
        let body = StreamBody::new(futures::StreamExt::map(body, |piece| Ok(Frame::data(piece)))).boxed_unsync();
        let answer = self.start("POST", path, body);
        (pieces, TaskTracker::new().spawn(async { read(answer.await?).await }))
    }

    /// Several posts at once, where the protocol has that.
    pub(crate) fn post_beside(&mut self, path: &str, body: impl Into<Bytes>) -> JoinHandle<hyper::Result<Answer>> {
        let answer = self.start("POST", path, Full::new(body.into()).boxed_unsync());
        TaskTracker::new().spawn(async { read(answer.await?).await })
    }

    async fn send(&mut self, method: &str, path: &str, body: Body) -> hyper::Result<Answer> {
        match &mut self.sender {
            Sender::One(sender) => ends("the connection is ready", sender.ready()).await?,
            Sender::Two(sender) => ends("the connection is ready", sender.ready()).await?,
        }
        let answer = self.start(method, path, body);
        read(ends(path, answer).await?).await
    }

    fn start(&mut self, method: &str, path: &str, body: Body) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<> {
        let mut builder = Request::builder().method(method).header("content-type", "application/json");
        if let Some((name, value)) = &self.header {
            builder = builder.header(*name, value);
        }
        match &mut self.sender {
            Sender::One(sender) => {
                let request = builder.uri(path).header("host", "localhost").body(body).unwrap();
                futures::future::Either::Left(sender.send_request(request))
            }
            Sender::Two(sender) => {
                let request = builder.uri(format!("https://localhost{path}")).body(body).unwrap();
                futures::future::Either::Right(sender.send_request(request))
            }
        }
    }
}

async fn read(response: Response<Incoming>) -> hyper::Result<Answer> {
    let status = response.status().as_u16();
    let is_last = response.headers().get("connection").is_some_and(|value| value == "close");
    let body = ends("the body of an answer", response.into_body().collect()).await?;
    Ok(Answer { status, text: String::from_utf8(body.to_bytes().to_vec()).unwrap(), is_last })
}

/// A review of a new pod that nothing selects.
pub(crate) fn review(uid: &str) -> String {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": uid, "operation": "CREATE", "namespace": "shop", "object": pod,
        "resource": {"group": "", "version": "v1", "resource": "pods"}}})
    .to_string()
}
