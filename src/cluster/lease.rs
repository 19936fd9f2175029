//! Who of several replicas reconciles: the holder of a Lease. Every replica answers reviews.
//!
//! Never do two lead at once. A leader counts its time from the moment at which it *began* its last renewal, and steps down
//! after the renew deadline; a rival counts from the moment at which it has *seen* that renewal, and waits for the longer lease
//! duration. In between the work of the old term comes to its end. At a shutdown the lease is given back, but only when that
//! work is done.
//!
//! One thing is left to people: who deletes the lease by hand while a replica starts may for one retry period see two leaders.

pub mod election;
pub mod identity;
mod term;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub use self::term::{Term, Work};
use self::{
    election::{NAME, Now, Observed, Step, Times, next, release},
    identity::Identity,
};
use crate::telemetry::metrics::Metrics;

/// How often a write that came second is tried again at once. Twice in a row somebody else was faster: then there is a pause.
const ROUNDS: usize = 2;

/// A replica that stands for election.
pub struct Candidacy {
    /// Speaks to the API server.
    pub client: Client,
    /// Where the lease is: our own namespace.
    pub namespace: String,
    /// Under which name we stand.
    pub identity: Identity,
    /// How long things may take.
    pub times: Times,
    /// The clock on the wall. Nothing is decided by it.
    pub wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// What was seen is no longer so.
    #[error("another was faster")]
    Conflict,
    #[error("no answer in time")]
    Timeout,
    #[error(transparent)]
    Refused(kube::Error),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 409 => Self::Conflict,
            error => Self::Refused(error),
        }
    }
}

impl Failure {
    /// The same for a replacement: it is answered by 404 when the lease is gone. (For a creation that means that there is no
    /// such namespace, which must be told.)
    fn of_replacing(self) -> Self {
        match self {
            Self::Refused(kube::Error::Api(status)) if status.code == 404 => Self::Conflict,
            other => other,
        }
    }
}

impl Candidacy {
    /// Stands for election until `stop`, then gives back the lease if it has it. `leadership` always says whether we lead.
    ///
    /// Nothing makes it give up; failures are logged, and tried again after a while.
    pub async fn run(self, stop: CancellationToken, leadership: watch::Sender<Option<Term>>) {
        let mut candidate = Candidate::new(self, stop.clone(), leadership);
        while !stop.is_cancelled() {
            let again = candidate.turn().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep_until(again) => {}
            }
        }
        candidate.resign().await;
    }
}

/// A [`Candidacy`] under way.
struct Candidate {
    candidacy: Candidacy,
    leases: Api<Lease>,
    random: fastrand::Rng,
    observed: Observed,
    /// Whether `observed` is what the API server would say, as far as we know: then it need not be asked before a write.
    is_fresh: bool,
    /// Whether the lease may be ours: it is, or a write of ours has an unknown end.
    may_hold: bool,
    /// The term that lasts.
    term: Option<Term>,
    /// The one before it, whose work may not be done yet.
    past: Option<Term>,
    terms: u64,
    stop: CancellationToken,
    leadership: watch::Sender<Option<Term>>,
}

impl Candidate {
    fn new(candidacy: Candidacy, stop: CancellationToken, leadership: watch::Sender<Option<Term>>) -> Self {
        Self {
            leases: Api::namespaced(candidacy.client.clone(), &candidacy.namespace),
            random: fastrand::Rng::with_seed(candidacy.identity.seed),
            candidacy,
            observed: Observed::default(),
            is_fresh: false,
            may_hold: false,
            term: None,
            past: None,
            terms: 0,
            stop,
            leadership,
        }
    }

    fn now(&self) -> Now {
        Now { monotonic: Instant::now(), wall: (self.candidacy.wall)() }
    }

    /// Tries once to become the leader or to stay it; returns when to try again.
    async fn turn(&mut self) -> Instant {
        self.step_down_if_time_is_up();
        if !self.past_is_done().await {
            return Instant::now();
        }
        if let Err(error) = self.attempt().await {
            tracing::warn!(lease = NAME, leading = self.term.is_some(), error = %error, "the lease cannot be read or written");
        }
        self.step_down_if_time_is_up();
        self.next_turn()
    }

    /// Waits until nothing of the last term is under way; false if the end came first.
    async fn past_is_done(&mut self) -> bool {
        let Some(past) = &self.past else { return true };
        if past.has_work() {
            tracing::info!(term = past.number(), "waiting for the work of the last term to end");
        }
        tokio::select! {
            () = self.stop.cancelled() => return false,
            () = past.finished() => {}
        }
        self.past = None;
        true
    }

    async fn attempt(&mut self) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            if !self.is_fresh {
                self.read().await?;
            }
            let now = self.now();
            let step = next(&self.observed, &self.candidacy.identity.name, &self.candidacy.times, now);
            // Only an answer makes it true again.
            self.is_fresh = false;
            if matches!(step, Step::Wait(_)) {
                return Ok(());
            }
            self.may_hold = true;
            let written = match &step {
                Step::Wait(_) => return Ok(()),
                Step::Create(lease) => self.in_time(self.leases.create(&PostParams::default(), lease)).await,
                Step::Replace(lease) => self.replace(lease).await,
            };
            match written {
                Ok(lease) => return self.won(lease, now.monotonic),
                Err(Failure::Conflict) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Waits for an answer: not longer than one request may take, nor than the term lasts.
    async fn in_time<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        let limit = Instant::now() + self.candidacy.times.request();
        let limit = self.term.as_ref().and_then(Term::until).map_or(limit, |until| limit.min(until));
        Ok(timeout_at(limit, request).await.map_err(|_| Failure::Timeout)??)
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, Failure> {
        self.in_time(self.leases.replace(NAME, &PostParams::default(), lease)).await.map_err(Failure::of_replacing)
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let found = self.in_time(self.leases.get_opt(NAME)).await?;
        let before = self.observed.holder().map(str::to_owned);
        self.observed = std::mem::take(&mut self.observed).see(found, Instant::now());
        self.is_fresh = true;
        let holder = self.observed.holder();
        self.may_hold = holder == Some(self.candidacy.identity.name.as_str());
        if let Some(holder) = holder
            && !self.may_hold
            && before.as_deref() != Some(holder)
        {
            tracing::info!(holder, "another replica leads");
        }
        if !self.may_hold {
            self.step_down("another has the lease, or it was deleted");
        }
        Ok(())
    }

    /// The lease was written, by a request that began at `began`: that is when the time of the term counts from.
    fn won(&mut self, lease: Lease, began: Instant) -> Result<(), Failure> {
        self.step_down_if_time_is_up();
        let until = began + self.candidacy.times.renew();
        if until <= Instant::now() {
            return Err(Failure::Timeout);
        }
        let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions);
        self.observed = Observed::Present { lease: Box::new(lease), since: Instant::now() };
        self.is_fresh = true;
        match &self.term {
            Some(term) => term.extend(until),
            // What was just deposed has work under way; what is about to end need not begin.
            None if self.past.is_some() || self.stop.is_cancelled() => {}
            None => self.step_up(until, transitions),
        }
        Ok(())
    }

    fn step_up(&mut self, until: Instant, transitions: Option<i32>) {
        self.terms += 1;
        let term = Term::new(self.terms, &self.stop, Some(until));
        tracing::info!(term = self.terms, identity = self.candidacy.identity.name, transitions, "leading");
        self.candidacy.metrics.leader.set(1);
        self.candidacy.metrics.leader_transitions.inc();
        self.leadership.send_replace(Some(term.clone()));
        self.term = Some(term);
    }

    fn step_down_if_time_is_up(&mut self) {
        if self.term.as_ref().is_some_and(|term| term.is_over(Instant::now())) {
            self.step_down("the lease was not renewed in time");
        }
    }

    fn step_down(&mut self, why: &str) {
        let Some(term) = self.term.take() else { return };
        term.end();
        self.leadership.send_replace(None);
        self.candidacy.metrics.leader.set(0);
        self.candidacy.metrics.leader_transitions.inc();
        if self.stop.is_cancelled() {
            tracing::info!(term = term.number(), "not leading any more: stopping");
        } else {
            tracing::warn!(term = term.number(), why, "not leading any more");
        }
        self.past = Some(term);
    }

    fn next_turn(&mut self) -> Instant {
        let (now, retry) = (Instant::now(), self.candidacy.times.retry());
        if let Some(term) = &self.term {
            return term.until().map_or(now + retry, |until| until.min(now + retry));
        }
        // Up to a fifth earlier: replicas that were started together do not go on asking together.
        let again = now + retry.mul_f64(1.0 - 0.2 * self.random.f64());
        match next(&self.observed, &self.candidacy.identity.name, &self.candidacy.times, self.now()) {
            Step::Wait(until) => again.min(until),
            Step::Create(_) | Step::Replace(_) => again,
        }
    }

    /// Ends the term, waits for its work, and gives back the lease. Where the work does not end in time the lease is left to
    /// run out: nobody may begin while our last write is under way.
    async fn resign(&mut self) {
        let until = self.term.as_ref().and_then(Term::until).unwrap_or_else(|| Instant::now() + self.candidacy.times.request());
        self.step_down("stopping");
        if !self.may_hold {
            return;
        }
        let given_back = timeout_at(until, async {
            if let Some(past) = &self.past {
                past.finished().await;
            }
            self.give_back().await
        });
        match given_back.await {
            Ok(Ok(true)) => tracing::info!(lease = NAME, "the lease is released"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(lease = NAME, %error, "the lease is not released but will run out"),
            Err(_) => tracing::warn!(lease = NAME, "the leader's work has not ended in time; the lease is not released"),
        }
    }

    /// Writes the lease without a holder; false if it was not ours.
    async fn give_back(&mut self) -> Result<bool, Failure> {
        loop {
            if !self.is_fresh {
                self.read().await?;
            }
            let Some(lease) = release(&self.observed, &self.candidacy.identity.name, (self.candidacy.wall)()) else { return Ok(false) };
            self.is_fresh = false;
            match self.replace(&lease).await {
                Ok(_) => return Ok(true),
                // A renewal of which we had no answer has come through after all.
                Err(Failure::Conflict) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}

impl Drop for Candidate {
    /// However this ends, what it has announced ends with it.
    fn drop(&mut self) {
        self.step_down("the election was given up");
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answered(code: u16) -> Failure {
        kube::Error::Api(Box::new(Status { code, ..Status::default() })).into()
    }

    #[test]
    fn a_missing_namespace_is_told_and_a_missing_lease_is_made_anew() {
        assert!(matches!(answered(404), Failure::Refused(_)));
        assert!(matches!(answered(404).of_replacing(), Failure::Conflict));
        assert!(matches!(answered(409).of_replacing(), Failure::Conflict));
        assert!(matches!(answered(403).of_replacing(), Failure::Refused(_)));
    }
}
