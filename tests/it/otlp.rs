//! Spans of reviews, as a collector gets them over OTLP.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

use parking_lot::Mutex;

use crate::world::{
    binary::{Serving, folder, outrigger},
    client::{Client, Protocol, review},
    until_now,
};

const PARENT: &str = "00f067aa0ba902b7";
const SAMPLED: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const UNSAMPLED: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A path, and what was posted to it.
type Posted = (String, Vec<u8>);

/// A collector.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Posted>>>);

impl Collector {
    /// Listens on a free port of this machine.
    fn start() -> (Self, String) {
        let (collector, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (taken, address) = (collector.clone(), listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let taken = taken.clone();
                thread::spawn(move || while taken.take(&stream).is_some() {});
            }
        });
        (collector, format!("http://{address}"))
    }

    /// Takes in one request; none if the client has gone.
    fn take(&self, mut stream: &std::net::TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).ok().filter(|count| *count > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        self.0.lock().push((first.trim().to_owned(), body));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n").ok()
    }

    fn has(&self, bytes: &[u8]) -> bool {
        self.0.lock().iter().any(|(_, body)| body.windows(bytes.len()).any(|window| window == bytes))
    }
}

/// The bytes that hexadecimal digits stand for.
fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_span_of_a_sampled_review_comes_to_the_collector_and_no_other() {
    let (collector, endpoint) = Collector::start();
    let from = folder([]);
    let mut command = outrigger();
    let command = command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let mut serving = Serving::start(command, &["--from", from.path().to_str().unwrap()]);
    let mut client = Client::connect(serving.reviews, &serving.trust(), Protocol::Http2).await;
    for (uid, header) in
        [("none", None), ("unsampled", Some(format!("00-{UNSAMPLED}-{PARENT}-00"))), ("sampled", Some(format!("00-{SAMPLED}-{PARENT}-01")))]
    {
        client.header = header.map(|header| ("traceparent", header));
        client.post("/mutate-pod", review(uid)).await.assert_admits(uid);
    }
    drop(client);
    // What waits is sent at the end.
    serving.terminate();
    assert!(tokio::task::block_in_place(|| serving.wait()).success(), "{}", serving.log());
    until_now("the span", || collector.has(&bytes(SAMPLED)).then_some(()));
    for part in
        [bytes(PARENT), b"review".to_vec(), b"/mutate-pod".to_vec(), b"allowed".to_vec(), b"no-match".to_vec(), b"outrigger".to_vec()]
    {
        assert!(collector.has(&part), "{:?} is missing", String::from_utf8_lossy(&part));
    }
    assert!(!collector.has(&bytes(UNSAMPLED)));
    assert!(collector.0.lock().iter().all(|(first, _)| first == "POST /v1/traces HTTP/1.1"));
}
