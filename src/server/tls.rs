//! Accepts connections, shakes hands with a time limit off the accept path, and serves HTTP/2 and HTTP/1.1 until told to
//! stop. A client that says nothing, or nothing more, costs a socket for a while and holds up nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use hyper::{Request, body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Limits, streams::Streams};

/// Serves `router` on `listener` until `stop`, then lets requests under way finish.
pub async fn serve(listener: TcpListener, tls: TlsAcceptor, router: Router, limits: Limits, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let shaking = Arc::new(Semaphore::new(limits.handshakes));
    loop {
        let accepted = tokio::select! { biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let connection = Connection { limits: limits.clone(), stop: stop.clone(), cut: cut.clone(), shaking: Arc::clone(&shaking) };
                connections.spawn(connection.run(socket, tls.clone(), router.clone()));
            }
            // Out of file descriptors, most likely: others have to end first.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
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
    shaking: Arc<Semaphore>,
}

impl Connection {
    async fn run(self, socket: TcpStream, tls: TlsAcceptor, router: Router) {
        let shaken = tokio::select! {
            () = self.stop.cancelled() => return,
            shaken = self.handshake(socket, tls) => shaken,
        };
        let Some(stream) = shaken else { return };
        let requests = Arc::new(AtomicU64::new(0));
        let service = Counted { inner: TowerToHyperService::new(router), requests: Arc::clone(&requests) };
        let mut streams = Streams::default();
        let mut builder = auto::Builder::new(streams.executor());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.limits.headers);
        // A client that is gone without a word does not answer pings.
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).keep_alive_timeout(Duration::from_secs(10));
        builder.http2().max_concurrent_streams(250).initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            _ = streams.drive(connection.as_mut()) => return,
            () = self.stop.cancelled() => {}
            () = idle(&requests, self.limits.idle) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = streams.drive(connection) => {}
            () = self.cut.cancelled() => {}
        }
    }

    async fn handshake(&self, socket: TcpStream, tls: TlsAcceptor) -> Option<TlsStream<TcpStream>> {
        let _ = socket.set_nodelay(true);
        // Silent clients wait here, where they hold no permit.
        timeout(self.limits.headers, socket.readable()).await.ok()?.ok()?;
        let _permit = self.shaking.acquire().await.ok()?;
        match timeout(self.limits.handshake, tls.accept(socket)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "handshake failed");
                None
            }
            Err(_) => None,
        }
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

/// Counts requests, for [`idle`].
struct Counted {
    inner: TowerToHyperService<Router>,
    requests: Arc<AtomicU64>,
}

impl Service<Request<Incoming>> for Counted {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.inner.call(request)
    }
}
