//! What one client may take: time for a handshake, for headers, for a body, for nothing at all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use outrigger::server::Limits;
use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{
    PATIENCE,
    client::{BOTH, Protocol, review, tls},
    ends,
    server::{ADMIT, LONG, SHORT, Server, patient, start},
};

/// The beginning of a TLS handshake: a record that promises 512 bytes, of which a handful comes.
const HALF_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];

/// Waits until the server has closed the connection; anything it still says is read away.
async fn closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    // A connection that is cut ends in an error, which is an end as well.
    drop(ends("the connection", stream.read_to_end(&mut rest)).await);
}

/// How long it took, which must be about `limit`: never less, and not for ever.
fn assert_about(limit: Duration, since: Instant) {
    let took = since.elapsed();
    assert!(took >= limit && took < PATIENCE / 2, "a limit of {limit:?} took {took:?}");
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let server = start(Limits { body_time: SHORT, ..patient() }).await;
    for protocol in BOTH {
        let since = Instant::now();
        let mut client = server.client(protocol).await;
        let (pieces, answer) = client.post_in_pieces(ADMIT);
        pieces.unbounded_send(b"{".to_vec().into()).unwrap();
        server.assert_serves().await;
        assert_eq!(answer.await.unwrap().unwrap().status, 408, "{protocol:?}");
        assert_about(SHORT, since);
    }
    assert_eq!(server.metric(r#"outrigger_reviews_total{hook="/admit",verdict="unreadable"}"#), 2);
}

#[tokio::test]
async fn a_slow_body_on_http_2_is_no_other_streams_business() {
    let server = start(Limits { body_time: SHORT, ..patient() }).await;
    let mut client = server.client(Protocol::Http2).await;
    let (pieces, answer) = client.post_in_pieces(ADMIT);
    pieces.unbounded_send(b"{".to_vec().into()).unwrap();
    client.post(ADMIT, review("beside")).await.assert_admits("beside");
    assert_eq!(answer.await.unwrap().unwrap().status, 408);
    client.post(ADMIT, review("after")).await.assert_admits("after");
}

#[tokio::test]
async fn a_client_that_never_sends_a_byte_is_closed_and_holds_up_nobody() {
    let server = start(Limits { hello: SHORT, handshakes: 2, ..patient() }).await;
    let since = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    server.assert_serves().await;
    for stream in &mut silent {
        closed(stream).await;
    }
    assert_about(SHORT, since);
}

#[tokio::test]
async fn handshakes_that_stop_half_way_are_closed_and_hold_up_nobody() {
    let server = start(Limits { handshakes: 2, ..patient() }).await;
    let begin = async |server: &Server| {
        let mut begun = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(HALF_HELLO).await.unwrap();
            begun.push(stream);
        }
        begun
    };
    let _begun = begin(&server).await;
    server.assert_serves().await;

    let server = start(Limits { handshake: SHORT, handshakes: 2, ..patient() }).await;
    let since = Instant::now();
    for stream in &mut begin(&server).await {
        closed(stream).await;
    }
    assert_about(SHORT, since);
}

#[tokio::test]
async fn clients_that_do_not_finish_a_handshake_hold_up_nobody() {
    let server = start(Limits { handshakes: 2, ..patient() }).await;
    let mut begun = Vec::new();
    for _ in 0..20 {
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(Arc::new(server.trust.clone()), name).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        // The server has said its part, so that it is the client who is waited for.
        stream.readable().await.unwrap();
        begun.push(stream);
    }
    server.assert_serves().await;
}

#[tokio::test]
async fn what_is_no_tls_is_closed_at_once() {
    let server = start(patient()).await;
    for words in ["GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\0\0\0\0\0"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let since = Instant::now();
        closed(&mut stream).await;
        assert!(since.elapsed() < PATIENCE / 2, "{words:?}");
        server.assert_serves().await;
    }
}

#[tokio::test]
async fn headers_that_do_not_end_are_given_up() {
    let server = start(Limits { idle: SHORT, ..patient() }).await;
    let since = Instant::now();
    let mut stream = tls(server.address, server.trust.clone(), "localhost", &["http/1.1"]).await.unwrap();
    stream.write_all(b"POST /admit HTTP/1.1\r\nhost: ").await.unwrap();
    server.assert_serves().await;
    closed(&mut stream).await;
    assert_about(SHORT, since);
}

/// Go's default, which API servers have for their connections to hooks.
const GO_KEEPS: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_connection_rests_longer_than_an_api_server_keeps_it() {
    assert!(Limits::default().idle > GO_KEEPS);
    // Neither does it end for what is expected at its beginning.
    let server = start(Limits { hello: SHORT, handshake: SHORT, ..patient() }).await;
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        client.post(ADMIT, review("first")).await.assert_admits("first");
        tokio::time::sleep(SHORT * 2).await;
        client.post(ADMIT, review("second")).await.assert_admits("second");
    }
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_after_the_idle_limit() {
    let server = start(Limits { idle: SHORT, ..patient() }).await;
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        client.post(ADMIT, review("once")).await.assert_admits("once");
        let since = Instant::now();
        ends("the idle connection", client.closed).await.unwrap();
        assert!(since.elapsed() < PATIENCE / 2);
    }
    // Shook hands and said nothing more; whichever protocol it meant to speak.
    for protocol in ["http/1.1", "h2"] {
        let since = Instant::now();
        let mut stream = tls(server.address, server.trust.clone(), "localhost", &[protocol]).await.unwrap();
        closed(&mut stream).await;
        assert_about(SHORT, since);
    }
}

#[tokio::test]
async fn a_connection_in_use_outlives_the_idle_limit() {
    let server = start(Limits { idle: SHORT, ..patient() }).await;
    for protocol in BOTH {
        let (mut client, since) = (server.client(protocol).await, Instant::now());
        while since.elapsed() < SHORT * 4 {
            client.post(ADMIT, review("again")).await.assert_admits("again");
        }
        assert!(!client.closed.is_finished());
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_after_the_idle_limit() {
    let server = start(Limits { idle: SHORT, drain: SHORT, ..patient() }).await;
    let stream = tls(server.address, server.trust.clone(), "localhost", &["http/1.1"]).await.unwrap();
    let (_reader, mut writer) = tokio::io::split(stream);
    let body = review("deaf");
    let request = format!("POST {LONG} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // Each answer is a megabyte: more than the sockets between us hold.
    writer.write_all(request.repeat(64).as_bytes()).await.unwrap();
    writer.flush().await.unwrap();
    let cut = async {
        while writer.write_all(b" ").await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    ends("the deaf client's connection", cut).await;
    server.assert_serves().await;
}

#[tokio::test]
async fn headers_on_http_2_that_do_not_end_are_cut_after_the_idle_limit() {
    let server = start(Limits { idle: SHORT, drain: SHORT, ..patient() }).await;
    let since = Instant::now();
    let mut stream = tls(server.address, server.trust.clone(), "localhost", &["h2"]).await.unwrap();
    // The preface, empty settings, and one byte of a request's 32.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x20\x01\x04\0\0\0\x01\x82").await.unwrap();
    server.assert_serves().await;
    closed(&mut stream).await;
    assert_about(SHORT, since);
}
