//! The floor: TLS and HTTP/2 as the product has them, and nothing behind them. Reads a body, answers with it.

use std::{convert::Infallible, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use outrigger::{
    server::certs::{Acceptor, Files, Serving},
    telemetry::metrics::Metrics,
};
use rustls::crypto::aws_lc_rs;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Serves until the process is ended.
pub(crate) async fn serve(listen: SocketAddr, certs: &Path) -> anyhow::Result<()> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pem = Files { chain: certs.join("tls.crt"), key: certs.join("tls.key") }.read()?;
    let acceptor = Serving::new(&pem, &provider, &Metrics::new())?.acceptor(&provider)?;
    let listener = TcpListener::bind(listen).await?;
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        connections.spawn(connection(socket, acceptor.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(socket: TcpStream, acceptor: Acceptor) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let stream = acceptor.accept(socket).await?;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).keep_alive_timeout(Duration::from_secs(10));
    builder.max_concurrent_streams(250).initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
    builder.serve_connection(TokioIo::new(stream), service_fn(echo)).await?;
    Ok(())
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off ends its stream, and the client sees an answer of another length.
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(Response::new(Full::new(body)))
}
