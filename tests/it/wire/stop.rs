//! The end: what is under way finishes, nothing new begins, and nobody can keep the server from ending.

use std::time::Instant;

use outrigger::server::Limits;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::world::{
    PATIENCE,
    client::{BOTH, Client, Protocol, review, tls},
    ends,
    server::{ADMIT, SHORT, Server, patient, start},
    until,
};

/// Asks for the end and waits until it has begun, which shows in that nobody new is let in.
async fn stopping(server: &Server) {
    server.stop.cancel();
    until("new connections are refused", async || TcpStream::connect(server.address).await.err()).await;
}

#[tokio::test]
async fn a_request_under_way_finishes_and_new_connections_are_refused() {
    for protocol in BOTH {
        let server = start(patient()).await;
        let mut client = server.client(protocol).await;
        let body = review("late");
        let (head, tail) = body.as_bytes().split_at(20);
        let (pieces, answer) = client.post_in_pieces(ADMIT);
        pieces.unbounded_send(head.to_vec().into()).unwrap();
        if protocol == Protocol::Http2 {
            // An answer to a later request shows that the server has seen the earlier one.
            client.post(ADMIT, review("beside")).await.assert_admits("beside");
        } else {
            client_is_heard(&server, &mut client).await;
        }
        stopping(&server).await;
        assert!(!server.ended.is_finished());
        pieces.unbounded_send(tail.to_vec().into()).unwrap();
        drop(pieces);
        answer.await.unwrap().unwrap().assert_admits("late");
        ends("the server", server.ended).await.unwrap();
        ends("the connection", client.closed).await.unwrap();
    }
}

/// HTTP/1.1 has no way to ask beside; but what was sent before another connection's answer has arrived as well.
async fn client_is_heard(server: &Server, client: &mut Client) {
    assert!(!client.closed.is_finished());
    tokio::task::yield_now().await;
    for _ in 0..5 {
        server.assert_serves().await;
    }
}

#[tokio::test]
async fn connections_in_use_are_left_before_the_stop() {
    let server = start(patient()).await;
    let mut used = server.client(Protocol::Http1).await;
    assert!(!used.post(ADMIT, review("before")).await.is_last);
    let mut over_http2 = server.client(Protocol::Http2).await;
    server.leaving.cancel();
    let last = used.post(ADMIT, review("last")).await;
    assert!(last.is_last);
    last.assert_admits("last");
    ends("the connection", used.closed).await.unwrap();
    // Whoever does not know yet is served.
    server.assert_serves().await;
    for _ in 0..2 {
        over_http2.post(ADMIT, review("again")).await.assert_admits("again");
    }
}

#[tokio::test]
async fn who_has_just_connected_when_the_server_stops_is_answered() {
    for protocol in BOTH {
        let server = start(patient()).await;
        // One that has shaken hands, and one whose handshake has not begun.
        let mut shaken = server.client(protocol).await;
        let connected = TcpStream::connect(server.address).await.unwrap();
        stopping(&server).await;
        shaken.post(ADMIT, review("shaken")).await.assert_admits("shaken");
        let mut connected = Client::over(connected, &server.trust, "localhost", protocol).await.unwrap();
        connected.post(ADMIT, review("connected")).await.assert_admits("connected");
        ends("the server", server.ended).await.unwrap();
    }
}

#[tokio::test]
async fn clients_that_keep_their_connections_open_do_not_keep_the_server() {
    let server = start(patient()).await;
    let since = Instant::now();
    let mut clients = Vec::new();
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        client.post(ADMIT, review("kept")).await.assert_admits("kept");
        clients.push(client);
        // Connected, and has asked nothing.
        clients.push(server.client(protocol).await);
    }
    let silent = TcpStream::connect(server.address).await.unwrap();
    let shaken = tls(server.address, server.trust.clone(), "localhost", &["h2"]).await.unwrap();
    server.end().await;
    assert!(since.elapsed() < PATIENCE / 2);
    for client in clients {
        ends("the connection", client.closed).await.unwrap();
    }
    drop((silent, shaken));
}

#[tokio::test]
async fn stuck_clients_are_cut_when_the_drain_limit_is_over() {
    let server = start(Limits { drain: SHORT, ..patient() }).await;
    let mut half = Vec::new();
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        let (pieces, answer) = client.post_in_pieces(ADMIT);
        pieces.unbounded_send(b"{".to_vec().into()).unwrap();
        half.push((client, pieces, answer));
    }
    let mut begun = tls(server.address, server.trust.clone(), "localhost", &["http/1.1"]).await.unwrap();
    begun.write_all(b"POST /admit HTTP/1.1\r\n").await.unwrap();
    // An answer on each kind of connection; by then the others' bytes have arrived.
    server.assert_serves().await;
    let since = Instant::now();
    server.end().await;
    let took = since.elapsed();
    assert!(took >= SHORT && took < PATIENCE / 2, "{took:?}");
    for (client, _pieces, answer) in half {
        assert!(answer.await.unwrap().is_err());
        ends("the connection", client.closed).await.unwrap();
    }
}
