//! Takes what handlers claim: by writing the object in the version that was read, so that no two replicas take the same.
//!
//! All claims that wait for one object are folded over it and written at once; those that come meanwhile wait for the next turn. Nobody
//! passes on the strength of a copy that may be old: what is not confirmed by a write is confirmed by a read. The work is done in tasks
//! of the server, not in those of requests: a client that hangs up leaves nothing half done.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use jiff::Timestamp;
use kube::{
    Client,
    api::{GetParams, Patch as Body, PatchParams},
};
use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::task::TaskTracker;

use super::{
    apply::{Failure, MANAGER, requests, send},
    events::Teller,
    watch::Feed,
};
use crate::{
    admission::{
        claim::{Taken, Waiting, fold},
        verdict::{Decision, Denial, Outcome},
    },
    budget::{api::PodUnavailableBudget, guard::Take, index::Budget, refusal},
    handlers::{Claim, Claims},
    plan::{Event, Kind, Target},
    server::http::Settled,
    telemetry::metrics::Metrics,
};

/// Namespace and name of a budget.
type Key = (Arc<str>, Arc<str>);

/// How long a turn may take. A hook has 5 s to answer, and a claim may have to wait for the turn before its own.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long others are waited for before a turn begins. Those who were answered a moment ago ask next, and a write for each would keep
/// all of them waiting, and meet those of other replicas.
const GATHERING: Duration = Duration::from_millis(5);
/// At most how long is paused when another replica was first. Who looks again at once meets the next one.
const AFTER_A_CONFLICT: Duration = Duration::from_millis(20);
/// How long is paused when the API server has no time.
const AFTER_TROUBLE: Duration = Duration::from_millis(100);

type Told = Result<(), Denial>;

/// A claim in its queue.
struct Queued {
    claim: Take,
    is_trial: bool,
    tell: oneshot::Sender<Told>,
}

/// Where claims wait for their turn.
pub struct Turnstile {
    client: Client,
    feed: Feed,
    teller: Teller,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// By namespace and name. A queue is there as long as a task serves it.
    queues: Mutex<HashMap<Key, Vec<Queued>>>,
}

impl Turnstile {
    /// Takes through this client, from the objects of this picture first. The client must send each request once.
    pub fn new(client: Client, feed: Feed, tasks: TaskTracker, wall: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        let (teller, metrics) = (Teller::named(client.clone(), "pub-controller"), Arc::clone(&feed.metrics));
        Self { client, feed, teller, tasks, metrics, wall, queues: Mutex::default() }
    }

    /// What the server asks to settle claims.
    pub fn settled(self) -> Settled {
        let turnstile = Arc::new(self);
        Arc::new(move |claims| {
            let turnstile = Arc::clone(&turnstile);
            // On a task of its own: what is begun is ended.
            let settled = turnstile.tasks.spawn(turnstile.clone().settle(claims));
            async move { settled.await.unwrap_or_else(|_| lost()) }.boxed()
        })
    }

    async fn settle(self: Arc<Self>, claims: Claims) -> Decision {
        let Claims { claims, is_dry_run, decision } = claims;
        let takes: Vec<_> = claims.into_iter().map(|Claim::Budget(take)| take).collect();
        // Of several, none is taken unless all have room. One that is lost after that stays taken until its record lapses.
        let must_try = takes.len() > 1 && !is_dry_run;
        for is_trial in [true, false].into_iter().filter(|is_trial| *is_trial == is_dry_run || (*is_trial && must_try)) {
            for take in &takes {
                if let Err(denial) = self.clone().pass(take.clone(), is_trial).await {
                    self.metrics.claims_refused.inc();
                    if !is_dry_run {
                        self.clone().tell(take);
                    }
                    return Decision { outcome: Outcome::Deny(denial), ..decision };
                }
            }
        }
        decision
    }

    /// Waits for the claim's turn.
    async fn pass(self: Arc<Self>, claim: Take, is_trial: bool) -> Told {
        let key = (Arc::clone(&claim.namespace), Arc::clone(&claim.budget));
        let (tell, told) = oneshot::channel();
        let unheard = refusal::unsettled(&claim, "the server is stopping");
        let is_first = {
            let mut queues = self.queues.lock();
            let is_first = !queues.contains_key(&key);
            queues.entry(key.clone()).or_default().push(Queued { claim, is_trial, tell });
            is_first
        };
        if is_first {
            self.tasks.spawn(self.clone().serve(key));
        }
        told.await.unwrap_or(Err(unheard))
    }

    /// Serves a queue until it is empty.
    async fn serve(self: Arc<Self>, key: Key) {
        loop {
            sleep(GATHERING).await;
            let mut turn = self.next(&key);
            if turn.is_empty() {
                return;
            }
            // Whatever becomes of this turn, the next one has to come.
            let served = AssertUnwindSafe(self.turn(&key, &mut turn)).catch_unwind().await;
            let results = served.unwrap_or_else(|_| {
                tracing::error!(namespace = %key.0, budget = %key.1, "taking from a budget panicked");
                undecided(&turn, "the server has failed; see its log")
            });
            for (queued, result) in turn.into_iter().zip(results) {
                // Whoever asked may have hung up.
                let _ = queued.tell.send(result);
            }
        }
    }

    /// All that wait in a queue; where nobody waits, it is given up.
    fn next(&self, key: &Key) -> Vec<Queued> {
        let mut queues = self.queues.lock();
        let turn = queues.get_mut(key).map(std::mem::take).unwrap_or_default();
        if turn.is_empty() {
            queues.remove(key);
        }
        turn
    }

    /// Those who came since the turn began.
    fn latecomers(&self, key: &Key) -> Vec<Queued> {
        self.queues.lock().get_mut(key).map(std::mem::take).unwrap_or_default()
    }

    /// What becomes of those whose turn it is. If it takes more than one attempt, those who came meanwhile go along.
    async fn turn(&self, key: &Key, turn: &mut Vec<Queued>) -> Vec<Told> {
        let (begun, (namespace, name)) = (Instant::now(), key);
        let deadline = begun + PATIENCE;
        let target = Target { kind: Kind::BUDGET, namespace: namespace.to_string(), name: name.to_string(), uid: String::new() };
        let mut known = self.feed.state.read().snapshot().budgets.get(namespace, name).cloned();
        let mut is_live = false;
        loop {
            if let Some(before) = &known {
                if begun.elapsed() < PATIENCE / 2 {
                    turn.append(&mut self.latecomers(key));
                }
                let mut after = Budget::clone(before);
                let waiting = turn.iter().map(|queued| Waiting { claim: &queued.claim, is_trial: queued.is_trial });
                let taken = fold(&mut after, waiting, (self.wall)());
                let is_changed = after != **before;
                if is_changed {
                    match self.write(&target, before, &after, deadline).await {
                        Ok(()) => return taken.into_iter().map(told).collect(),
                        Err(failure) if Instant::now() < deadline && may_be_tried_again(&failure) => pause(&failure).await,
                        Err(failure) => return undecided(turn, &format!("the budget could not be written: {failure}")),
                    }
                } else if is_live {
                    return taken.into_iter().map(told).collect();
                }
            } else if is_live {
                // Nothing is guarded by what does not exist.
                return turn.iter().map(|_| Ok(())).collect();
            }
            match self.live(&target, deadline).await {
                Ok(live) => known = live,
                Err(problem) => return undecided(turn, &problem),
            }
            is_live = true;
        }
    }

    /// Writes what was taken.
    async fn write(&self, target: &Target, before: &Budget, after: &Budget, deadline: Instant) -> Result<(), Failure> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let body = Body::Merge(after.claim_patch(before));
        let request = requests(target).patch_subresource("status", &target.name, &parameters, &body);
        self.metrics.claim_writes.inc();
        let written = timeout_at(deadline, send::<PodUnavailableBudget>(&self.client, request)).await;
        let written = written.unwrap_or_else(|_| Err(Failure::Unknown(late())))?;
        self.feed.change(|state| state.assume_budget(Budget::compile(written)));
        Ok(())
    }

    /// The budget as it is; `None` if there is none.
    async fn live(&self, target: &Target, deadline: Instant) -> Result<Option<Arc<Budget>>, String> {
        let request = requests(target).get(&target.name, &GetParams::default());
        match timeout_at(deadline, send::<PodUnavailableBudget>(&self.client, request)).await {
            Ok(Ok(live)) => {
                let live = Budget::compile(live);
                self.feed.change(|state| state.assume_budget(live.clone()));
                Ok(Some(Arc::new(live)))
            }
            Ok(Err(Failure::Outdated(_))) => Ok(None),
            Ok(Err(failure)) => Err(format!("the budget could not be read: {failure}")),
            Err(_) => Err(late()),
        }
    }

    /// Tells of a refusal, beside the answer.
    fn tell(self: Arc<Self>, take: &Take) {
        let (namespace, name) = (take.namespace.to_string(), take.pod.name.to_string());
        let about = Target { kind: Kind::POD, namespace, name, uid: take.pod.uid.to_string() };
        // Without numbers: what changes with every try would be told each time.
        let sentence = format!("budget {:?} does not let it go ({}) at present", take.budget, take.operation.name());
        let event = Event { about, is_warning: true, reason: "PubPreventPodDeletion", note: sentence };
        let tasks = self.tasks.clone();
        tasks.spawn(async move { self.teller.tell(&[event], (self.wall)()).await });
    }
}

fn told(taken: Taken) -> Told {
    match taken {
        Taken::Needless | Taken::Taken => Ok(()),
        Taken::Refused(denial) => Err(denial),
    }
}

/// Somebody else was first, or nobody knows.
fn may_be_tried_again(failure: &Failure) -> bool {
    matches!(failure, Failure::Outdated(_) | Failure::Unknown(_) | Failure::Busy(_))
}

async fn pause(failure: &Failure) {
    let is_conflict = matches!(failure, Failure::Outdated(_));
    sleep(if is_conflict { AFTER_A_CONFLICT.mul_f64(fastrand::f64()) } else { AFTER_TROUBLE }).await;
}

fn undecided(turn: &[Queued], problem: &str) -> Vec<Told> {
    turn.iter().map(|queued| Err(refusal::unsettled(&queued.claim, problem))).collect()
}

fn late() -> String {
    format!("the API server did not answer within {} s", PATIENCE.as_secs())
}

/// The task that settles claims has panicked.
fn lost() -> Decision {
    let denial = Denial::forbidden("what has to be taken for this request could not be taken; see the log");
    Decision { outcome: Outcome::Deny(denial), ..Decision::default() }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;
    use crate::{
        budget::{index::Operation, subject::Subject},
        server::admin::Readiness,
    };

    fn claims() -> Claims {
        let pod = Arc::new(Subject { name: "web-1".into(), ..Subject::default() });
        let (namespace, budget, operation) = ("shop".into(), "web".into(), Operation::Delete);
        let take = Take { namespace, budget, pod, is_certain: true, operation, resize_is_its_own: false, eviction_code: 429 };
        Claims { claims: vec![Claim::Budget(take)], is_dry_run: false, decision: Decision::default() }
    }

    #[tokio::test]
    async fn a_queue_that_nobody_waits_in_is_not_kept() {
        let gone = |_: Request<Body>| async {
            let status = r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}"#;
            Ok::<_, Infallible>(Response::builder().status(404).body(Body::from(status.as_bytes().to_vec())).unwrap())
        };
        let client = Client::new(tower::service_fn(gone), "own");
        let feed = Feed::new(Arc::default(), Readiness::default(), Arc::default(), None);
        let turnstile = Turnstile::new(client, feed, TaskTracker::new(), Arc::new(|| Timestamp::UNIX_EPOCH));
        let turnstile = Arc::new(turnstile);
        let decisions = futures::future::join_all((0..5).map(|_| turnstile.clone().settle(claims()))).await;
        assert!(decisions.iter().all(|decision| matches!(decision.outcome, Outcome::Allow(_))), "{decisions:?}");
        turnstile.tasks.close();
        turnstile.tasks.wait().await;
        assert!(turnstile.queues.lock().is_empty());
    }
}
