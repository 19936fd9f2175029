//! Ten thousand clients that say nothing, at the real binary.

use std::{
    io::{ErrorKind, Write},
    net::TcpStream,
    time::Instant,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::world::{
    binary::{Serving, folder, outrigger},
    client::{BOTH, Client, review},
    ends,
};

const MANY: u64 = 10_000;
/// What this process needs beside the crowd: other tests run in it at the same time.
const OTHERS: u64 = 1_500;

/// Raises the number of files that this process may open as far as it goes; how large a crowd that allows.
fn crowd() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let crowd = maximum.map_or(MANY, |maximum| maximum.saturating_sub(OTHERS).min(MANY));
    if crowd < MANY {
        let note = format!("only {crowd} connections instead of {MANY}: this process may not open more files\n");
        std::io::stderr().write_all(note.as_bytes()).unwrap();
    }
    crowd
}

fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_silent_connections_hold_up_nobody() {
    let crowd = crowd();
    let from = folder([]);
    let serving = Serving::folder(from.path());
    let (trust, address) = (serving.trust(), serving.reviews);
    let idle: Vec<TcpStream> = (0..crowd).map(|_| TcpStream::connect(address).unwrap()).collect();
    let since = Instant::now();
    for _ in 0..20 {
        for protocol in BOTH {
            let mut client = ends("a new connection", Client::connect(address, &trust, protocol)).await;
            client.post("/mutate-pod", review("good")).await.assert_admits("good");
        }
    }
    let took = since.elapsed();
    assert!(took.as_secs() < 5, "40 connections took {took:?} beside {crowd} silent ones");
    let gone = idle.iter().filter(|stream| !is_open(stream)).count();
    assert_eq!(gone, 0, "of {crowd} silent connections, so that this has shown nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_limit_of_open_files_is_raised_as_far_as_it_goes() {
    let _ = crowd();
    let from = folder([]);
    let mut shell = std::process::Command::new("sh");
    let certs = tempfile::tempdir().unwrap();
    shell.args(["-c", r#"ulimit -Sn 64; exec "$0" serve --listen 127.0.0.1:0 --admin 127.0.0.1:0 --from "$1" --certs "$2""#]);
    shell.arg(outrigger().get_program()).arg(from.path()).arg(certs.path());
    let serving = Serving::spawn(&mut shell, certs.path().to_owned(), certs);
    let (trust, address) = (serving.trust(), serving.reviews);
    let idle: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    let since = Instant::now();
    let mut client = ends("a new connection", Client::connect(address, &trust, BOTH[0])).await;
    let answer = client.post("/mutate-pod", review("good")).await;
    assert_eq!(answer.json()["response"], json!({"uid": "good", "allowed": true}));
    let took = since.elapsed();
    assert!(took.as_secs() < 5, "one connection took {took:?} beside 200 silent ones");
    drop(idle);
}
