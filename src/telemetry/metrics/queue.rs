//! What is counted of the reconcilers' queue.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tokio::time::Instant;

use super::{Buckets, labels::OfKind, number};
use crate::plan::Key;

/// What kinds are reconciled.
const KINDS: [&str; 4] = ["sidecarset", "budget", "spread", "pod"];

/// The queue, as the reconcilers fill and empty it.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    /// When the turn of each object that waits comes, or has come.
    pending: Arc<Mutex<HashMap<Key, Instant>>>,
    depth: Family<OfKind, Gauge>,
    oldest: Family<OfKind, Gauge<f64, std::sync::atomic::AtomicU64>>,
    waited: Family<OfKind, Histogram, Buckets>,
    looks: Family<OfKind, Counter>,
    errors: Family<OfKind, Counter>,
    seconds: Family<OfKind, Histogram, Buckets>,
}

impl Default for QueueMetrics {
    fn default() -> Self {
        Self {
            pending: Arc::default(),
            depth: Family::default(),
            oldest: Family::default(),
            waited: Family::new_with_constructor(Buckets),
            looks: Family::default(),
            errors: Family::default(),
            seconds: Family::new_with_constructor(Buckets),
        }
    }
}

const fn of(key: &Key) -> OfKind {
    let kind = match key {
        Key::SidecarSet(_) => "sidecarset",
        Key::Budget { .. } => "budget",
        Key::Spread { .. } => "spread",
        Key::Pod { .. } => "pod",
    };
    OfKind { kind }
}

impl QueueMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("queue_depth", "Objects whose turn to be reconciled has come and that wait", self.depth.clone());
        registry.register("queue_oldest_seconds", "How long the one of these waits that waits longest", self.oldest.clone());
        registry.register("queue_wait_seconds", "How long objects waited when their turn had come", self.waited.clone());
        registry.register("reconciles", "Times that an object was looked at by its reconciler", self.looks.clone());
        registry.register("reconcile_errors", "What reconcilers wanted done and was not", self.errors.clone());
        registry.register("reconcile_seconds", "From a look at an object to the last answer about it", self.seconds.clone());
        for kind in KINDS {
            let of = OfKind { kind };
            // From the start there, at zero: what grows from nothing is not seen to grow.
            let _ = (self.looks.get_or_create(&of).get(), self.errors.get_or_create(&of).get());
        }
    }

    /// An object waits for its turn at this moment, or for an earlier one if it did already.
    pub fn put(&self, key: &Key, turn: Instant) {
        let mut pending = self.pending.lock();
        pending.entry(key.clone()).and_modify(|known| *known = turn.min(*known)).or_insert(turn);
    }

    /// The turn of an object has come.
    pub fn take(&self, key: &Key) {
        let turn = self.pending.lock().remove(key);
        if let Some(turn) = turn {
            self.waited.get_or_create(&of(key)).observe(turn.elapsed().as_secs_f64());
        }
    }

    /// Nobody waits any more: another replica leads.
    pub fn clear(&self) {
        self.pending.lock().clear();
    }

    /// An object was looked at.
    pub fn done(&self, key: &Key, begun: Instant) {
        self.looks.get_or_create(&of(key)).inc();
        self.seconds.get_or_create(&of(key)).observe(begun.elapsed().as_secs_f64());
    }

    /// Something that was wanted of an object was not done.
    pub fn failed(&self, key: &Key) {
        self.errors.get_or_create(&of(key)).inc();
    }

    /// Reckons depth and age as of now.
    pub(super) fn reckon(&self, now: Instant) {
        let mut due = BTreeMap::from(KINDS.map(|kind| (kind, (0, 0.0))));
        for (key, turn) in self.pending.lock().iter().filter(|(_, turn)| **turn <= now) {
            let (depth, oldest): &mut (usize, f64) = due.entry(of(key).kind).or_default();
            *depth += 1;
            *oldest = oldest.max(now.duration_since(*turn).as_secs_f64());
        }
        for (kind, (depth, oldest)) in due {
            self.depth.get_or_create(&OfKind { kind }).set(number(depth));
            self.oldest.get_or_create(&OfKind { kind }).set(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_those_count_whose_turn_has_come() {
        let queue = QueueMetrics::default();
        let set = |name: &str| Key::SidecarSet(name.into());
        let now = Instant::now();
        queue.put(&set("due"), now);
        queue.put(&set("due"), now + Duration::from_secs(9));
        queue.put(&set("later"), now + Duration::from_mins(1));
        tokio::time::advance(Duration::from_secs(7)).await;
        queue.reckon(Instant::now());
        let of = OfKind { kind: "sidecarset" };
        assert_eq!((queue.depth.get_or_create(&of).get(), queue.oldest.get_or_create(&of).get()), (1, 7.0));
        queue.take(&set("due"));
        queue.reckon(Instant::now());
        assert_eq!((queue.depth.get_or_create(&of).get(), queue.oldest.get_or_create(&of).get()), (0, 0.0));
        tokio::time::advance(Duration::from_mins(1)).await;
        queue.reckon(Instant::now());
        assert_eq!(queue.depth.get_or_create(&of).get(), 1);
        queue.clear();
        queue.reckon(Instant::now());
        assert_eq!(queue.depth.get_or_create(&of).get(), 0);
    }
}
