//! Accepts connections, shakes hands with a time limit off the accept path, and serves HTTP/2 and HTTP/1.1 until told to
//! stop. A client that says nothing, or nothing more, costs a socket for a while and holds up nobody.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use futures::{
    FutureExt as _,
    future::{Either, Map},
};
use hyper::{
    Request, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    service::Service,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::server::TlsStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Limits, certs::Acceptor, streams::Streams};
use crate::telemetry::metrics::ConnectionMetrics;

/// What is behind a listener.
#[derive(Clone)]
pub struct Door {
    /// Shakes hands.
    pub tls: Acceptor,
    /// Answers.
    pub router: Router,
    /// Where connections are counted.
    pub counted: ConnectionMetrics,
    /// The end is near: others are to be asked from now on. Cancelled some seconds before the stop.
    pub leaving: CancellationToken,
}

/// Serves what is behind the door on `listener` until `stop`, then lets requests under way finish.
pub async fn serve(listener: TcpListener, door: Door, limits: Limits, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let shaking = Arc::new(Mutex::new(Handshakes::default()));
    let begin = |socket| {
        let connection = Connection { limits: limits.clone(), stop: stop.clone(), cut: cut.clone(), shaking: Arc::clone(&shaking) };
        connections.spawn(connection.run(socket, door.clone()));
    };
    loop {
        let accepted = tokio::select! { biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => begin(socket),
            // Out of file descriptors, most likely: others have to end first.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // Those that are connected already and only wait to be accepted.
    while let Ok(Ok((socket, _))) = timeout(Duration::ZERO, listener.accept()).await {
        begin(socket);
    }
    drop(listener);
    connections.close();
    if timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut");
        cut.cancel();
        connections.wait().await;
    }
}

struct Connection {
    limits: Limits,
    stop: CancellationToken,
    cut: CancellationToken,
    shaking: Arc<Mutex<Handshakes>>,
}

impl Connection {
    async fn run(self, socket: TcpStream, Door { tls, router, counted, leaving }: Door) {
        let _open = counted.begin();
        let Some(stream) = self.handshake(socket, tls, &counted).await else { return };
        let requests = Arc::new(AtomicU64::new(0));
        let service = Counted { inner: TowerToHyperService::new(router), requests: Arc::clone(&requests), leaving };
        let mut streams = Streams::default();
        let mut builder = auto::Builder::new(streams.executor());
        // Over HTTP/1.1 this time begins when the answer before is sent: it is that of resting, too.
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.limits.idle);
        // A client that is gone without a word does not answer pings.
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).keep_alive_timeout(Duration::from_secs(10));
        builder.http2().max_concurrent_streams(250).initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            _ = streams.drive(connection.as_mut()) => return,
            () = self.stopped(&requests) => {}
            () = idle(&requests, self.limits.idle) => {}
        }
        connection.as_mut().graceful_shutdown();
        // A client that does not read its answers would never let the connection end.
        tokio::select! {
            _ = streams.drive(connection) => {}
            () = self.cut.cancelled() => {}
            () = tokio::time::sleep(self.limits.drain) => {}
        }
    }

    /// Ends at the stop; of a client that has asked nothing yet, when it has, or when it was waited for long enough. Who connects at the
    /// very last moment, since word of our end is still on its way, is not turned away.
    async fn stopped(&self, requests: &AtomicU64) {
        self.stop.cancelled().await;
        let asked = async {
            while requests.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = timeout(self.limits.newcomers, asked).await;
    }

    async fn handshake(&self, socket: TcpStream, tls: Acceptor, counted: &ConnectionMetrics) -> Option<TlsStream<TcpStream>> {
        let _ = socket.set_nodelay(true);
        // Silent clients wait here, where they are no handshake yet. (`readable` would not do: it also ends without a byte.)
        let (mut byte, none) = ([0], AtomicU64::new(0));
        tokio::select! {
            spoken = timeout(self.limits.hello, socket.peek(&mut byte)) => spoken.ok()?.ok()?,
            () = self.stopped(&none) => return None,
        };
        let begun = Handshakes::begin(&self.shaking, self.limits.handshakes);
        let shaken = tokio::select! {
            shaken = timeout(self.limits.handshake, self.shake(socket, &tls)) => shaken.unwrap_or_else(|_| Err("it took too long".to_owned())),
            () = begun.cut.cancelled() => Err("too many shake hands".to_owned()),
            () = self.cut.cancelled() => return None,
        };
        shaken
            .inspect_err(|problem| {
                counted.handshakes_failed.inc();
                tracing::debug!(problem, "handshake failed");
            })
            .ok()
    }

    /// With the certificate, as soon as there is one; at the stop nobody will put one there.
    async fn shake(&self, socket: TcpStream, tls: &Acceptor) -> Result<TlsStream<TcpStream>, String> {
        tokio::select! { biased;
            () = tls.ready() => {}
            () = self.stop.cancelled() => return Err("there is no certificate yet, and the server stops".to_owned()),
        }
        tls.accept(socket).await.map_err(|error| error.to_string())
    }
}

/// Handshakes going on. There is room for one more at any time: the one that has taken longest makes it.
#[derive(Default)]
struct Handshakes {
    begun: u64,
    open: BTreeMap<u64, CancellationToken>,
}

/// One of them, until dropped.
struct Handshake {
    number: u64,
    cut: CancellationToken,
    all: Arc<Mutex<Handshakes>>,
}

impl Handshakes {
    fn begin(all: &Arc<Mutex<Self>>, limit: usize) -> Handshake {
        let cut = CancellationToken::new();
        let mut handshakes = all.lock();
        while handshakes.open.len() >= limit.max(1) {
            let Some((_, longest)) = handshakes.open.pop_first() else { break };
            longest.cancel();
        }
        handshakes.begun = handshakes.begun.wrapping_add(1);
        let number = handshakes.begun;
        handshakes.open.insert(number, cut.clone());
        drop(handshakes);
        Handshake { number, cut, all: Arc::clone(all) }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.all.lock().open.remove(&self.number);
    }
}

/// Ends when no request has come for as long as `limit`.
async fn idle(requests: &AtomicU64, limit: Duration) {
    let mut seen = 0;
    loop {
        tokio::time::sleep(limit).await;
        let now = requests.load(Ordering::Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// Counts requests, for [`idle`]; and says with an answer if it is the last one of its connection.
///
/// API servers call hooks over HTTP/1.1, where nobody can be told of the end of a connection but with an answer: who sends a request when the
/// connection is being closed gets none, and does not try again. So the connections that are in use are left by their clients before the stop.
/// HTTP/2 has a word for it of its own.
struct Counted {
    inner: TowerToHyperService<Router>,
    requests: Arc<AtomicU64>,
    leaving: CancellationToken,
}

type Answering = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;
type Answer = <Answering as Future>::Output;

impl Service<Request<Incoming>> for Counted {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = Either<Answering, Map<Answering, fn(Answer) -> Answer>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let is_last = self.leaving.is_cancelled() && request.version() <= Version::HTTP_11;
        let answering = self.inner.call(request);
        if is_last { Either::Right(answering.map(last as fn(Answer) -> Answer)) } else { Either::Left(answering) }
    }
}

fn last(answer: Answer) -> Answer {
    answer.map(|mut response| {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    })
}

#[cfg(test)]
mod tests;
