//! The admission server: bytes in, bytes out, and what must not break it (DESIGN §8).

mod account;
pub mod admin;
pub mod authority;
pub mod certs;
pub mod http;
pub mod open_files;
pub mod self_check;
pub mod shadow;
pub mod streams;
pub mod throwaway;
pub mod tls;

use std::time::Duration;

/// What one client may take of the server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest body, in bytes; the API server's own limit for objects is 3 MiB, and a review may hold two.
    pub body: usize,
    /// Largest body of a conversion, which holds all objects of a list.
    pub conversion_body: usize,
    /// From the first byte of a handshake to its end.
    pub handshake: Duration,
    /// Until the first byte of a handshake.
    pub hello: Duration,
    /// For all of a body. The API server waits at most 30 s for an answer.
    pub body_time: Duration,
    /// From a review to its decision, where others have to be asked: less than the API server waits, so that it hears our words.
    pub decision: Duration,
    /// A connection without any request for so long is closed, and one on which the headers of a request take so long. Go's clients, which
    /// API servers are, keep a connection that rests for 90 s: who closes it earlier loses the request that comes at that moment.
    pub idle: Duration,
    /// Handshakes going on at once; beyond that, the one that has taken longest makes room.
    pub handshakes: usize,
    /// Until connections that do not end by themselves are cut, at the stop or when they were idle.
    pub drain: Duration,
    /// At the stop, how long clients are waited for that have just connected and not asked anything yet.
    pub newcomers: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 8 << 20,
            conversion_body: 32 << 20,
            handshake: Duration::from_secs(5),
            hello: Duration::from_secs(10),
            body_time: Duration::from_secs(15),
            decision: Duration::from_millis(4500),
            idle: Duration::from_mins(5),
            handshakes: 1024,
            drain: Duration::from_secs(20),
            newcomers: Duration::from_secs(1),
        }
    }
}
