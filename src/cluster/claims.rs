//! Takes what handlers claim: by writing the object in the version that was read, so that no two replicas take the same.
//!
//! [`turnstile`] has those wait who want something of one object. Here it is said what there is to be taken, in which order, and what
//! becomes of who gets nothing.

pub mod turnstile;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use jiff::Timestamp;
use kube::{Client, api::GetParams};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use self::turnstile::{Purse, Queueable, Trouble, Turnstile};
use super::{
    apply::{Failure, requests, send},
    watch::Feed,
};
use crate::{
    admission::{
        reason::Reason,
        verdict::{Decision, Denial},
    },
    base::{interned::Interner, observed::Wire},
    budget::{self, api::PodUnavailableBudget, index::Budget, refusal},
    handlers::{Claim, Claims, Gain},
    plan::{Kind, Target},
    server::http::Settled,
    spread::{self, api::WorkloadSpread, claim::Want, crew::wait, index::Spread},
    state::{Snapshot, State},
};

impl Purse for Budget {
    type Stored = PodUnavailableBudget;
    const KIND: Kind = Kind::BUDGET;
    const CALLED: &'static str = "budget";

    fn compile(stored: PodUnavailableBudget) -> Self {
        Self::compile(stored)
    }
    fn known(snapshot: &Snapshot<'_>, namespace: &str, name: &str) -> Option<Arc<Self>> {
        snapshot.budgets.get(namespace, name).cloned()
    }
    fn assume(self, state: &mut State) {
        state.assume_budget(self);
    }
    fn claim_patch(&self, before: &Self) -> serde_json::Value {
        self.claim_patch(before)
    }
}

impl Purse for Spread {
    type Stored = WorkloadSpread;
    const KIND: Kind = Kind::SPREAD;
    const CALLED: &'static str = "spread";

    fn compile(stored: WorkloadSpread) -> Self {
        Self::compile(stored)
    }
    fn known(snapshot: &Snapshot<'_>, namespace: &str, name: &str) -> Option<Arc<Self>> {
        snapshot.spreads.get(namespace, name).cloned()
    }
    fn assume(self, state: &mut State) {
        state.assume_spread(self);
    }
    fn claim_patch(&self, before: &Self) -> serde_json::Value {
        self.claim_patch(before)
    }
    fn informed(self: Arc<Self>, snapshot: &Snapshot<'_>, now: Timestamp) -> Arc<Self> {
        let crews = snapshot.crews(&self, now);
        if crews.0.is_empty() { self } else { Arc::new(Self { crews, ..Self::clone(&self) }) }
    }
    fn has_news(&self) -> bool {
        self.crews.unnoted().next().is_some()
    }
    fn remember(&self, state: &mut State, now: Timestamp) {
        state.note_sent(self, now);
    }
}

impl Queueable for budget::guard::Take {
    fn key(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.namespace), Arc::clone(&self.budget))
    }
    // Nothing is guarded by what does not exist.
    fn without(&self) {}
    // The hook has 5 s.
    const PATIENCE: Duration = Duration::from_secs(2);
}

impl Queueable for spread::claim::Take {
    fn key(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.namespace), Arc::clone(&self.spread))
    }
    // Nothing is placed by what does not exist.
    fn without(&self) -> Option<spread::claim::Place> {
        None
    }
    // The hook has 3 s.
    const PATIENCE: Duration = Duration::from_millis(1200);
}

/// How often it is looked again, where what a claim was made from does not hold any more.
const LOOKS: usize = 3;
/// For how long it is looked again: a turn more than that, and the hook has no time left.
const LOOKING: Duration = Duration::from_millis(600);
/// How long is paused before it is looked again whether pods are too many: most were made or are gone a moment ago.
const UNTIL_SEEN: Duration = Duration::from_millis(100);

/// Settles claims against an API server.
pub struct Counter {
    client: Client,
    budgets: Arc<Turnstile<budget::guard::Take>>,
    spreads: Arc<Turnstile<spread::claim::Take>>,
    feed: Feed,
    tasks: TaskTracker,
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Counter {
    /// Takes through this client, from the objects of this picture first. The client must send each request once.
    pub fn new(client: Client, feed: Feed, tasks: TaskTracker, wall: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        let budgets = Arc::new(Turnstile::new(client.clone(), feed.clone(), tasks.clone(), Arc::clone(&wall)));
        let spreads = Arc::new(Turnstile::new(client.clone(), feed.clone(), tasks.clone(), Arc::clone(&wall)));
        Self { client, budgets, spreads, feed, tasks, wall }
    }

    /// What the server asks to settle claims.
    pub fn settled(self) -> Settled {
        let counter = Arc::new(self);
        Arc::new(move |claims| {
            let counter = Arc::clone(&counter);
            // On a task of its own: what is begun is ended.
            let settled = counter.tasks.spawn(counter.clone().settle(claims));
            async move { settled.await.unwrap_or_else(|_| lost()) }.boxed()
        })
    }

    async fn settle(self: Arc<Self>, claims: Claims) -> Decision {
        let is_dry_run = claims.is_dry_run;
        // Of several, none is taken unless all have room. One that is lost after that stays taken until its record lapses.
        let budgets = claims.claims.iter().filter(|claim| matches!(claim, Claim::Budget(_))).count();
        if budgets > 1 && !is_dry_run {
            for claim in claims.claims.iter().filter(|claim| matches!(claim, Claim::Budget(_))) {
                if let Err(denial) = self.clone().take(claim, true).await {
                    return self.refused(claim, denial, is_dry_run);
                }
            }
        }
        let mut gains = Vec::with_capacity(claims.claims.len());
        for claim in &claims.claims {
            match self.clone().take(claim, is_dry_run).await {
                Ok(gain) => gains.push(gain),
                Err(denial) => return self.refused(claim, denial, is_dry_run),
            }
        }
        // Nothing panics; should something, it fails this review alone.
        let settle = || claims.settle(gains, &self.feed.state.read().snapshot(), (self.wall)());
        catch_unwind(AssertUnwindSafe(settle)).unwrap_or_else(|_| {
            self.feed.metrics.panicked("claims");
            lost()
        })
    }

    async fn take(self: Arc<Self>, claim: &Claim, is_trial: bool) -> Result<Gain, Denial> {
        match claim {
            Claim::Budget(take) => match self.budgets.clone().pass(take.clone(), is_trial).await {
                Ok(()) => Ok(Gain::Unit),
                Err(Trouble::Refused(denial)) => Err(denial),
                Err(Trouble::Stale) => Err(refusal::unsettled(take, "the budget has changed")),
                Err(Trouble::Unsettled { problem, .. }) => Err(refusal::unsettled(take, &problem)),
            },
            Claim::Spread(take) => self.place(take.clone(), is_trial).await,
        }
    }

    /// Takes or gives back a place. A pod that may have been left out of the count meanwhile is looked at once more.
    async fn place(self: Arc<Self>, mut take: spread::claim::Take, is_trial: bool) -> Result<Gain, Denial> {
        let begun = Instant::now();
        for _ in 0..LOOKS {
            if begun.elapsed() > LOOKING {
                break;
            }
            match self.spreads.clone().pass(take.clone(), is_trial).await {
                Ok(place) => return Ok(Gain::Place(place)),
                Err(Trouble::Refused(denial)) => return Err(denial),
                Err(Trouble::Unsettled { problem, will_pass }) => return unsettled(&take, problem, will_pass),
                Err(Trouble::Stale) if matches!(take.want, Want::Place(_)) => tokio::time::sleep(UNTIL_SEEN).await,
                Err(Trouble::Stale) => match self.looked(take.clone()).await {
                    Ok(Some(again)) => take = again,
                    Ok(None) => return Ok(Gain::Place(None)),
                    Err(failure) => return unsettled(&take, format!("the pod could not be read: {failure}"), false),
                },
            }
        }
        match take.want {
            Want::Place(_) => Err(wait(&take.spread)),
            Want::Return { .. } => unsettled(&take, "it is counted again and again".to_owned(), false),
        }
    }

    /// The claim of a pod that gives back its place, as of this moment; `None` if it has none any more.
    async fn looked(&self, take: spread::claim::Take) -> Result<Option<spread::claim::Take>, Failure> {
        let Want::Return { pod, uid, subset, .. } = &take.want else { return Ok(None) };
        // Before the pod is read: whoever counts it out does so after that.
        let counted = self.feed.state.read().snapshot().spreads.get(&take.namespace, &take.spread).map(|spread| spread.status.counted);
        let Some(counted) = counted else { return Ok(None) };
        let target = Target { kind: Kind::POD, namespace: take.namespace.to_string(), name: pod.to_string(), uid: String::new() };
        let read = timeout(LOOKING, send::<Wire>(&self.client, requests(&target).get(pod, &GetParams::default())));
        let live = match read.await.unwrap_or_else(|_| Err(Failure::Unknown("the API server did not answer in time".to_owned()))) {
            Ok(live) => spread::pod::Pod::read(&live, &mut Interner::default()),
            Err(Failure::Outdated(_)) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let is_there = live.is_active() && *live.uid == **uid;
        let want = Want::Return { pod: Arc::clone(pod), uid: Arc::clone(uid), subset: Arc::clone(subset), counted };
        Ok(is_there.then(|| spread::claim::Take { want, ..take.clone() }))
    }

    /// The decision when something is refused, and what is told of it.
    fn refused(&self, claim: &Claim, denial: Denial, is_dry_run: bool) -> Decision {
        let state = self.feed.state.read();
        let (snapshot, grounds) = (state.snapshot(), denial.grounds);
        let events = match claim {
            Claim::Budget(take) => {
                let uid = snapshot.budgets.get(&take.namespace, &take.budget).map(|budget| budget.uid.to_string());
                budget::tell::refused(take, &uid.unwrap_or_default(), grounds)
            }
            Claim::Spread(take) => {
                let spread = snapshot.spreads.get(&take.namespace, &take.spread);
                spread.and_then(|spread| spread::tell::refused(spread, &denial)).into_iter().collect()
            }
        };
        Decision { events, ..Decision::deny(denial) }.unless_dry(is_dry_run)
    }
}

/// Nobody can tell whether there is a place. Who makes pods tries again; what will not pass by itself holds up nobody, and neither does
/// a place that could not be given back: the reconciler sees to that.
fn unsettled(take: &spread::claim::Take, problem: String, will_pass: bool) -> Result<Gain, Denial> {
    tracing::warn!(namespace = %take.namespace, spread = %take.spread, "a place was not settled: {problem}");
    if will_pass && matches!(take.want, Want::Place(_)) {
        let text = format!("WorkloadSpread {:?}: nobody can tell where the pod belongs now: {problem}; try again in a second", take.spread);
        return Err(Denial::later(text, 1));
    }
    Ok(Gain::Unsettled(problem))
}

/// The task that settles claims has panicked.
fn lost() -> Decision {
    let denial = Denial::forbidden("what has to be taken for this request could not be taken; see the log");
    Decision::deny(denial.because(Reason::Unsettled))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;
    use crate::{
        admission::verdict::Outcome,
        budget::{index::Operation, subject::Subject},
        server::admin::Readiness,
    };

    fn claims() -> Claims {
        let pod = Arc::new(Subject { name: "web-1".into(), ..Subject::default() });
        let (namespace, budget, operation) = ("shop".into(), "web".into(), Operation::Delete);
        let take =
            budget::guard::Take { namespace, budget, pod, is_certain: true, operation, resize_is_its_own: false, eviction_code: 429 };
        Claims::to_pass(vec![Claim::Budget(take)], false)
    }

    #[tokio::test]
    async fn a_queue_that_nobody_waits_in_is_not_kept() {
        let gone = |_: Request<Body>| async {
            let status = r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}"#;
            Ok::<_, Infallible>(Response::builder().status(404).body(Body::from(status.as_bytes().to_vec())).unwrap())
        };
        let client = Client::new(tower::service_fn(gone), "own");
        let feed = Feed::new(Arc::default(), Readiness::default(), Arc::default(), None);
        let turnstile = Counter::new(client, feed, TaskTracker::new(), Arc::new(|| Timestamp::UNIX_EPOCH));
        let turnstile = Arc::new(turnstile);
        let decisions = futures::future::join_all((0..5).map(|_| turnstile.clone().settle(claims()))).await;
        assert!(decisions.iter().all(|decision| matches!(decision.outcome, Outcome::Allow(_))), "{decisions:?}");
        turnstile.tasks.close();
        turnstile.tasks.wait().await;
        assert!(turnstile.budgets.is_empty());
    }
}
