//! Events that come up while reviews are answered, on any replica. They wait in a queue that is bounded: where more happens than can be
//! told, some of it is not, and no review waits for it.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Teller;
use crate::{plan::Event, server::http::Told, telemetry::metrics::Metrics};

/// How many may wait.
const WAITING: usize = 1024;
/// How many are told at a time.
const AT_ONCE: usize = 64;

/// A queue of events: what puts them in, and what tells them.
pub struct Queue {
    events: mpsc::Receiver<Event>,
    teller: Teller,
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Queue {
    /// An empty one.
    pub fn new(teller: Teller, metrics: Arc<Metrics>, wall: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> (Told, Self) {
        let (put, events) = mpsc::channel(WAITING);
        let told = move |events: Vec<Event>| {
            for event in events {
                if put.try_send(event).is_err() {
                    metrics.events("dropped");
                }
            }
        };
        (Arc::new(told), Self { events, teller, wall })
    }

    /// Tells what comes in until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                count = self.events.recv_many(&mut batch, AT_ONCE) => if count == 0 { return },
            }
            self.teller.tell(&batch, (self.wall)()).await;
            batch.clear();
        }
    }
}
