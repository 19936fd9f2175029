//! Which object is looked at next, and when: each by one reconcile at a time, and in peace for a moment after it.

use std::{collections::HashMap, time::Duration};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::runtime::scheduler::ScheduleRequest;
use tokio::time::Instant;

use super::desk::Desk;
use crate::{plan::Key, telemetry::metrics::QueueMetrics};

/// How long an object has peace after a reconcile.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// What a reconcile leaves.
pub(super) struct Done {
    pub(super) key: Key,
    /// What is remembered; `None` if the object is gone.
    pub(super) desk: Option<Desk>,
    /// When to look again, if not only when something happens.
    pub(super) again: Option<Instant>,
}

/// The keys in their order of time.
pub(super) struct Agenda {
    requests: UnboundedSender<ScheduleRequest<Key>>,
    /// When each object has had its peace.
    rested: HashMap<Key, Instant>,
    /// Those that are being looked at, and whether they are to be again.
    busy: HashMap<Key, bool>,
    metrics: QueueMetrics,
}

impl Agenda {
    /// An empty one, and what comes out of it when its time has come.
    pub(super) fn new(metrics: QueueMetrics) -> (Self, UnboundedReceiver<ScheduleRequest<Key>>) {
        let (requests, incoming) = unbounded();
        (Self { requests, rested: HashMap::new(), busy: HashMap::new(), metrics }, incoming)
    }

    /// An object is to be looked at then, or as soon as it has had its peace.
    pub(super) fn look_at(&mut self, key: Key, at: Instant) {
        if let Some(once_more) = self.busy.get_mut(&key) {
            *once_more = true;
            return;
        }
        let run_at = self.rested.get(&key).map_or(at, |rested| at.max(*rested));
        self.metrics.put(&key, run_at);
        // The other end lives as long as this one.
        let _ = self.requests.unbounded_send(ScheduleRequest { message: key, run_at });
    }

    /// Whether an object whose time has come may be looked at now. If not, it is again when it is no longer busy.
    pub(super) fn take(&mut self, key: &Key) -> bool {
        self.metrics.take(key);
        if let Some(once_more) = self.busy.get_mut(key) {
            *once_more = true;
            return false;
        }
        self.busy.insert(key.clone(), false);
        true
    }

    /// Notes what a reconcile leaves, and gives back what is to be remembered.
    pub(super) fn take_back(&mut self, done: Done) -> Option<Desk> {
        let Done { key, desk, again } = done;
        let (is_touched, now) = (self.busy.remove(&key) == Some(true), Instant::now());
        match &desk {
            Some(desk) => drop(self.rested.insert(key.clone(), desk.rests_until().into_iter().fold(now + PAUSE, Instant::max))),
            None => drop(self.rested.remove(&key)),
        }
        if let Some(at) = if is_touched { Some(now) } else { again } {
            self.look_at(key, at);
        }
        desk
    }
}

impl Drop for Agenda {
    fn drop(&mut self) {
        self.metrics.clear();
    }
}
