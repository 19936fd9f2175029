//! What is remembered about one object between two of its reconciles, while this replica leads. Losing it costs a request, never
//! a wrong decision.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use crate::plan::Key;

/// A status is written no more often than this.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// That of a budget is what disruptions are admitted by: as long as it says that more may go than may, it must not wait.
const BUDGET_EVERY: Duration = Duration::from_millis(100);
/// That of a spread is what places are taken from, by many at a time: each write of ours is in the way of theirs. But a workload that
/// runs to its end has to have the places of those that ended soon.
const SPREAD_EVERY: Duration = Duration::from_millis(300);
/// A status that the API server does not keep as it was written is not written again at once.
const SAME_STATUS_EVERY: Duration = Duration::from_mins(1);
/// A pod that the API server would not change is left alone for a while, so that others get their turn.
const REFUSED_FOR: Duration = Duration::from_secs(15);
/// An API server that lets no native sidecar be changed is not asked again soon: it takes an upgrade to change that.
const NATIVE_LEFT_FOR: Duration = Duration::from_hours(1);
/// How long after the first failure the next attempt is.
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// How long at most.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// The memory of one object.
#[derive(Debug)]
pub struct Desk {
    /// Its pods were read from the API server since this replica leads, so that nothing of what an earlier leader did is missed.
    pub is_verified: bool,
    /// How often its status may be written.
    status_every: Duration,
    failures: u32,
    rests_until: Option<Instant>,
    /// What was written last, if it was taken, and when.
    status: Option<(Option<Value>, Instant)>,
    refused: HashMap<String, Instant>,
    native_left_until: Option<Instant>,
    /// How many pods of it are in no subset, as far as that was said.
    strays: usize,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            is_verified: false,
            status_every: STATUS_EVERY,
            failures: 0,
            rests_until: None,
            status: None,
            refused: HashMap::new(),
            native_left_until: None,
            strays: 0,
        }
    }
}

impl Desk {
    /// An empty memory of this object.
    pub fn of(key: &Key) -> Self {
        let status_every = match key {
            Key::Budget { .. } => BUDGET_EVERY,
            Key::Spread { .. } => SPREAD_EVERY,
            Key::SidecarSet(_) | Key::Pod { .. } => STATUS_EVERY,
        };
        Self { status_every, ..Self::default() }
    }

    /// Remembers how many pods of it are in no subset, and says how many that is more.
    pub fn strays(&mut self, count: usize) -> i64 {
        let before = std::mem::replace(&mut self.strays, count);
        let of = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        of(count).saturating_sub(of(before))
    }

    /// Whether a change of this pod was refused a moment ago.
    pub fn is_refused(&self, uid: &str, now: Instant) -> bool {
        self.refused.get(uid).is_some_and(|until| now < *until)
    }

    /// Remembers that a change of this pod was refused.
    pub fn refuse(&mut self, uid: &str, now: Instant) {
        self.refused.retain(|_, until| now < *until);
        self.refused.insert(uid.to_owned(), now + REFUSED_FOR);
    }

    /// Whether images of native sidecars may be changed in running pods, as far as known.
    pub fn may_change_native(&self, now: Instant) -> bool {
        self.native_left_until.is_none_or(|until| until <= now)
    }

    /// Remembers that the API server does not let them be changed: such pods are left as they are.
    pub fn leave_native(&mut self, now: Instant) {
        self.native_left_until = Some(now + NATIVE_LEFT_FOR);
    }

    /// When something refused is to be tried again. What has had its time is so now, and forgotten.
    pub fn next_try(&mut self, now: Instant) -> Option<Instant> {
        self.refused.retain(|_, until| now < *until);
        self.native_left_until = self.native_left_until.filter(|until| now < *until);
        self.refused.values().copied().chain(self.native_left_until).min()
    }

    /// When this status may be written: now, or later.
    pub fn status_due(&self, status: &Value, now: Instant) -> Instant {
        let Some((last, at)) = &self.status else { return now };
        let is_same = last.as_ref().is_some_and(|last| *last == gist(status));
        (*at + if is_same { SAME_STATUS_EVERY } else { self.status_every }).max(now)
    }

    /// Remembers that this status was written.
    pub fn wrote_status(&mut self, status: &Value, now: Instant) {
        self.status = Some((Some(gist(status)), now));
    }

    /// Remembers that a status was not taken.
    pub fn tried_status(&mut self, now: Instant) {
        self.status = Some((None, now));
    }

    /// Whatever happens, the object is left alone until then: the API server is to have less to do, not more.
    pub fn rest(&mut self, until: Instant) {
        self.rests_until = Some(until);
    }

    /// Until when the object has peace at least.
    pub fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// How long to wait after a failure: longer each time.
    pub fn failed(&mut self) -> Duration {
        let delay = FIRST_DELAY.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_DELAY);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// Something went well.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// A status without the times at which it became so. They are new each time if the API server does not keep conditions.
fn gist(status: &Value) -> Value {
    let mut status = status.clone();
    for condition in status.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(members) = condition.as_object_mut() {
            members.remove("lastTransitionTime");
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_written_at_once_and_then_once_a_second() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        assert_eq!(desk.status_due(&json!(1), now), now);
        desk.wrote_status(&json!(1), now);
        assert_eq!(desk.status_due(&json!(2), now), now + STATUS_EVERY);
        assert_eq!(desk.status_due(&json!(2), now + STATUS_EVERY * 2), now + STATUS_EVERY * 2);
        assert_eq!(desk.status_due(&json!(1), now), now + SAME_STATUS_EVERY);
        desk.tried_status(now);
        assert_eq!(desk.status_due(&json!(1), now), now + STATUS_EVERY, "it is not there yet");
    }

    #[test]
    fn the_status_of_a_budget_hardly_waits() {
        let (mut desk, now) = (Desk::of(&Key::Budget { namespace: "shop".into(), name: "web".into() }), Instant::now());
        desk.wrote_status(&json!(1), now);
        assert_eq!(desk.status_due(&json!(2), now), now + BUDGET_EVERY);
    }

    #[test]
    fn the_status_of_a_spread_waits_a_little() {
        let (mut desk, now) = (Desk::of(&Key::Spread { namespace: "shop".into(), name: "web".into() }), Instant::now());
        assert_eq!(desk.status_due(&json!(1), now), now);
        desk.wrote_status(&json!(1), now);
        assert_eq!(desk.status_due(&json!(2), now), now + SPREAD_EVERY);
    }

    #[test]
    fn strays_are_counted_by_how_many_more_there_are() {
        let mut desk = Desk::default();
        assert_eq!([3, 5, 5, 1, 0].map(|count| desk.strays(count)), [3, 2, 0, -4, -1]);
    }

    #[test]
    fn a_status_that_differs_in_nothing_but_the_time_of_a_condition_is_the_same() {
        let of = |reason: &str, at: &str| json!({"status": {"conditions": [{"reason": reason, "lastTransitionTime": at}]}});
        let (mut desk, now) = (Desk::default(), Instant::now());
        desk.wrote_status(&of("a", "1"), now);
        assert_eq!(desk.status_due(&of("a", "2"), now), now + SAME_STATUS_EVERY);
        assert_eq!(desk.status_due(&of("b", "1"), now), now + STATUS_EVERY);
    }

    #[test]
    fn failures_are_followed_by_longer_and_longer_waits() {
        let mut desk = Desk::default();
        let waits: Vec<_> = (0..12).map(|_| desk.failed()).collect();
        assert!(waits.is_sorted() && waits.first() == Some(&FIRST_DELAY) && waits.last() == Some(&LONGEST_DELAY), "{waits:?}");
        desk.succeeded();
        assert_eq!(desk.failed(), FIRST_DELAY);
    }

    #[test]
    fn native_sidecars_that_cannot_be_changed_are_left_for_an_hour() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        assert!(desk.may_change_native(now));
        desk.leave_native(now);
        assert!(!desk.may_change_native(now) && desk.may_change_native(now + NATIVE_LEFT_FOR));
        assert_eq!((desk.next_try(now), desk.next_try(now + NATIVE_LEFT_FOR)), (Some(now + NATIVE_LEFT_FOR), None));
    }

    #[test]
    fn a_refused_pod_gets_another_try_after_a_while() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        desk.refuse("a", now);
        assert!(desk.is_refused("a", now) && !desk.is_refused("b", now) && !desk.is_refused("a", now + REFUSED_FOR));
        assert_eq!(desk.next_try(now), Some(now + REFUSED_FOR));
        assert_eq!(desk.next_try(now + REFUSED_FOR), None, "it would be looked at again and again");
    }
}
