//! HTTP/2 as nobody should speak it: floods and tricks that have taken other servers down. Each costs the one who does it his connection, or
//! nothing; all others are served meanwhile.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::world::{
    client::{review, tls},
    ends,
    server::{ADMIT, SHORT, Server, patient, start},
};
use outrigger::server::Limits;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `POST https://localhost/admit`, in HPACK without Huffman's code.
fn request() -> Vec<u8> {
    let mut block = vec![0x83, 0x87];
    for (index, value) in [(1, "localhost"), (4, ADMIT)] {
        block.push(index);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    }
    block
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn connected(server: &Server, settings: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = tls(server.address, server.trust.clone(), "localhost", &["h2"]).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await.unwrap();
    stream
}

/// Writes as long as it is taken, up to `most` bytes, and reads away what comes. Gives how much was taken.
async fn flood(stream: TlsStream<TcpStream>, mut next: impl FnMut(u32) -> Vec<u8>, most: usize) -> usize {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let reading = async {
        let mut rest = vec![0; 1 << 16];
        while reader.read(&mut rest).await.is_ok_and(|length| length > 0) {}
    };
    let writing = async {
        let (mut sent, mut number) = (0, 0);
        while sent < most {
            let piece: Vec<u8> = (0..64)
                .flat_map(|_| {
                    number += 1;
                    next(number)
                })
                .collect();
            if writer.write_all(&piece).await.is_err() || writer.flush().await.is_err() {
                break;
            }
            sent += piece.len();
        }
        sent
    };
    tokio::pin!(reading);
    tokio::select! {
        // The end of the connection: what is written after it goes nowhere.
        () = &mut reading => 0,
        sent = writing => sent,
    }
}

/// Others are served while that goes on, and when it is over.
async fn assert_harmless(server: &Server, abuse: Pin<Box<impl Future<Output = usize>>>) {
    let since = Instant::now();
    let (_, ()) = tokio::join!(ends("the abuse", abuse), server.assert_serves());
    server.assert_serves().await;
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}

/// The first, third, fifth … stream.
fn stream_of(number: u32) -> u32 {
    number * 2 - 1
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let server = start(patient()).await;
    let stream = connected(&server, &[]).await;
    let reset =
        |number| [frame(HEADERS, END_HEADERS, stream_of(number), &request()), frame(RESET, 0, stream_of(number), &[0, 0, 0, 8])].concat();
    let most = 50_000_000;
    let (sent, ()) = tokio::join!(ends("the resets", flood(stream, reset, most)), server.assert_serves());
    assert!(sent < most, "a connection took {sent} bytes of streams that were reset");
    server.assert_serves().await;
}

#[tokio::test]
async fn headers_that_go_on_without_end_end_the_connection() {
    let server = start(patient()).await;
    let mut stream = connected(&server, &[]).await;
    stream.write_all(&frame(HEADERS, 0, 1, &request())).await.unwrap();
    // A literal header of 1,000 bytes, again and again.
    let header = [&[0, 1, b'x', 0x7f, 0xe9, 0x06][..], &[b'a'; 1000]].concat();
    let most = 50_000_000;
    let (sent, ()) = tokio::join!(ends("the headers", flood(stream, |_| frame(CONTINUATION, 0, 1, &header), most)), server.assert_serves());
    assert!(sent < most, "a connection took {sent} bytes of headers");
    server.assert_serves().await;
}

#[tokio::test]
async fn empty_continuations_end_the_connection_or_cost_nothing() {
    let server = start(Limits { idle: SHORT, drain: SHORT, ..patient() }).await;
    let mut stream = connected(&server, &[]).await;
    stream.write_all(&frame(HEADERS, 0, 1, &request())).await.unwrap();
    Box::pin(assert_harmless(&server, Box::pin(flood(stream, |_| frame(CONTINUATION, 0, 1, &[]), 5_000_000)))).await;
}

#[tokio::test]
async fn pings_settings_and_empty_frames_hold_up_nobody() {
    let server = start(patient()).await;
    let kinds: [fn(u32) -> Vec<u8>; 4] = [
        |number| frame(PING, 0, 0, &u64::from(number).to_be_bytes()),
        |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        |number| frame(2, 0, stream_of(number), &[0, 0, 0, 0, 1]),
    ];
    for next in kinds {
        let stream = connected(&server, &[]).await;
        Box::pin(assert_harmless(&server, Box::pin(flood(stream, next, 2_000_000)))).await;
    }
}

#[tokio::test]
async fn pings_whose_answers_nobody_reads_end_the_connection() {
    let server = start(Limits { idle: SHORT, drain: SHORT, ..patient() }).await;
    let (_reader, mut writer) = tokio::io::split(connected(&server, &[]).await);
    let ping = frame(PING, 0, 0, &[0; 8]).repeat(1000);
    let cut = async { while writer.write_all(&ping).await.is_ok() && writer.flush().await.is_ok() {} };
    ends("the deaf client's connection", cut).await;
    server.assert_serves().await;
}

#[tokio::test]
async fn bodies_of_empty_frames_are_given_up() {
    let server = start(Limits { body_time: SHORT, idle: SHORT, drain: SHORT, ..patient() }).await;
    let mut stream = connected(&server, &[]).await;
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &request())).await.unwrap();
    Box::pin(assert_harmless(&server, Box::pin(flood(stream, |_| frame(DATA, 0, 1, &[]), 5_000_000)))).await;
}

/// A client that takes no answers: its windows are empty.
#[tokio::test]
async fn answers_that_are_not_taken_are_held_back_and_dropped_with_the_connection() {
    let server = start(Limits { idle: SHORT, drain: SHORT, ..patient() }).await;
    // SETTINGS_INITIAL_WINDOW_SIZE: 0.
    let mut stream = connected(&server, &[0, 4, 0, 0, 0, 0]).await;
    let body = review("held");
    for number in 1..=200 {
        let headers = frame(HEADERS, END_HEADERS, stream_of(number), &request());
        let data = frame(DATA, END_STREAM, stream_of(number), body.as_bytes());
        stream.write_all(&[headers, data].concat()).await.unwrap();
    }
    server.assert_serves().await;
    let mut rest = Vec::new();
    // Cut, or closed: either is an end.
    drop(ends("the client without windows", stream.read_to_end(&mut rest)).await);
    server.assert_serves().await;
}

#[tokio::test]
async fn more_streams_than_are_allowed_are_refused_and_the_others_answered() {
    let server = start(patient()).await;
    let mut stream = connected(&server, &[]).await;
    for number in 1..=2000 {
        // None of these bodies ever ends.
        if stream.write_all(&frame(HEADERS, END_HEADERS, stream_of(number), &request())).await.is_err() {
            break;
        }
    }
    server.assert_serves().await;
}

#[tokio::test]
async fn bytes_that_are_dribbled_hold_up_nobody_and_gain_no_time() {
    let server = start(Limits { handshake: SHORT, hello: SHORT, body_time: SHORT, idle: SHORT * 2, drain: SHORT, ..patient() }).await;
    let pause = Duration::from_millis(20);
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 500]].concat();
    let post = format!("POST {ADMIT} HTTP/1.1\r\nhost: localhost\r\nx: {}", "y".repeat(4000));
    let body = format!("POST {ADMIT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000\r\n\r\n{}", " ".repeat(3000));
    let since = Instant::now();
    let handshake = async {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        dribble(&mut stream, &hello, pause).await;
    };
    let headers = async {
        let mut stream = tls(server.address, server.trust.clone(), "localhost", &["http/1.1"]).await.unwrap();
        dribble(&mut stream, post.as_bytes(), pause).await;
    };
    let bodies = async {
        let mut stream = tls(server.address, server.trust.clone(), "localhost", &["http/1.1"]).await.unwrap();
        let (head, rest) = body.split_at(body.find("\r\n\r\n").unwrap() + 4);
        stream.write_all(head.as_bytes()).await.unwrap();
        dribble(&mut stream, rest.as_bytes(), pause).await;
    };
    ends("all that is dribbled", Box::pin(async { tokio::join!(handshake, headers, bodies, server.assert_serves()) })).await;
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
}

/// Writes a byte at a time until the other side has had enough of it.
async fn dribble(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), bytes: &[u8], pause: Duration) {
    for byte in bytes {
        let mut answer = [0; 512];
        match timeout(pause, stream.read(&mut answer)).await {
            Err(_) if stream.write_all(&[*byte]).await.is_ok() && stream.flush().await.is_ok() => {}
            // An answer, or the end.
            _ => return,
        }
    }
    panic!("all {} bytes were taken, one at a time", bytes.len());
}
