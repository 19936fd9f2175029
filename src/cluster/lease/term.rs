//! The time during which this replica leads, and the work that is done in it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// One time of leading. Clones are the same term. When it has ended it never begins again; a new one has a new number.
#[derive(Clone, Debug)]
pub struct Term {
    number: u64,
    ended: CancellationToken,
    work: TaskTracker,
    /// None: nobody else can lead.
    until: Arc<Mutex<Option<Instant>>>,
}

/// Something is being done in a term. While this exists the lease is not given back, and this replica begins no new term.
#[derive(Debug)]
#[must_use = "the work counts as done when this is dropped"]
pub struct Work {
    _token: TaskTrackerToken,
}

impl Term {
    /// A term that lasts until `stop`: for a server that runs alone.
    pub fn without_election(stop: &CancellationToken) -> Self {
        Self::new(1, stop, None)
    }

    pub(super) fn new(number: u64, stop: &CancellationToken, until: Option<Instant>) -> Self {
        Self { number, ended: stop.child_token(), work: TaskTracker::new(), until: Arc::new(Mutex::new(until)) }
    }

    /// The how-manieth term of this process it is, from 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Is cancelled when the term ends: at shutdown, when another leads, or when the lease could not be renewed in time. What
    /// goes on then should come to its end within seconds.
    pub const fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Whether we still lead. Looks at the clock, so that the answer is right even before anybody has noticed that time is up.
    pub fn is_current(&self) -> bool {
        !self.ended.is_cancelled() && !self.is_over(Instant::now())
    }

    /// Announces work: hold what is returned until the last write of it is answered. None if the term has ended.
    pub fn begin(&self) -> Option<Work> {
        // First the token, then the look: whoever ends the term and then waits for the work sees one or the other.
        let work = Work { _token: self.work.token() };
        self.is_current().then_some(work)
    }

    /// The moment at which the term ends by itself.
    pub(super) fn until(&self) -> Option<Instant> {
        *self.until.lock()
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until().is_some_and(|until| until <= now)
    }

    pub(super) fn extend(&self, until: Instant) {
        *self.until.lock() = Some(until);
    }

    pub(super) fn end(&self) {
        self.ended.cancel();
        self.work.close();
    }

    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Returns when the term has ended and all its work is done.
    pub(super) async fn finished(&self) {
        self.ended.cancelled().await;
        self.work.close();
        self.work.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_term_is_over_by_the_clock_before_anybody_has_noticed() {
        let term = Term::new(1, &CancellationToken::new(), Some(Instant::now() + Duration::from_secs(10)));
        advance(Duration::from_secs(9)).await;
        assert!(term.is_current() && term.begin().is_some());
        advance(Duration::from_secs(1)).await;
        assert!(!term.is_current() && term.begin().is_none() && !term.ended().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_election_a_term_lasts_until_the_stop() {
        let stop = CancellationToken::new();
        let term = Term::without_election(&stop);
        advance(Duration::from_secs(1_000_000)).await;
        assert!(term.is_current());
        stop.cancel();
        assert!(!term.is_current() && term.begin().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_term_is_finished_when_the_last_work_is_done() {
        let term = Term::without_election(&CancellationToken::new());
        let (one, other) = (term.begin().unwrap(), term.clone().begin().unwrap());
        term.end();
        let finished = async |after: &str| {
            let waited = tokio::time::timeout(Duration::from_secs(1), term.finished()).await;
            assert_eq!(waited.is_ok(), after == "both", "{after}");
        };
        finished("none").await;
        drop(one);
        finished("one").await;
        drop(other);
        finished("both").await;
    }
}
