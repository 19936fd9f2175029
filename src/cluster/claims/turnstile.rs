//! Where claims wait for their turn.
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
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::task::TaskTracker;

use crate::{
    admission::{
        claim::{Claim, Taken, Waiting, fold},
        verdict::Denial,
    },
    cluster::{
        apply::{Failure, MANAGER, requests, send},
        watch::{Feed, older},
    },
    plan::{Kind, Target},
    state::{Snapshot, State},
    telemetry::metrics::ClaimMetrics,
};

/// An object that claims take from.
pub trait Purse: Clone + PartialEq + Send + Sync + 'static {
    /// The object as the API server has it.
    type Stored: DeserializeOwned + Send;
    /// Its kind.
    const KIND: Kind;
    /// What it is called in a sentence.
    const CALLED: &'static str;

    /// Reads it.
    fn compile(stored: Self::Stored) -> Self;
    /// As it stands in the picture.
    fn known(snapshot: &Snapshot<'_>, namespace: &str, name: &str) -> Option<Arc<Self>>;
    /// Puts it into the picture, as an answer to a request of ours.
    fn assume(self, state: &mut State);
    /// What makes the stored object `before` into this one, and is refused if it has changed meanwhile.
    fn claim_patch(&self, before: &Self) -> Value;
    /// With what else is known at this moment, for claims to look at.
    fn informed(self: Arc<Self>, _: &Snapshot<'_>, _: Timestamp) -> Arc<Self> {
        self
    }
    /// Whether there is anything to be remembered.
    fn has_news(&self) -> bool {
        false
    }
    /// Remembers what claims got of it without its being written, if anybody wants to know.
    fn remember(&self, _: &mut State, _: Timestamp) {}
}

/// A claim that can wait.
pub trait Queueable: Claim<Object: Purse, Gain: Send> + Send + Sync + 'static {
    /// Namespace and name of its object.
    fn key(&self) -> Key;
    /// What it gives if its object does not exist.
    fn without(&self) -> Self::Gain;
    /// How long a turn may take. A claim may have to wait for the turn before its own, and its hook has to answer after that.
    const PATIENCE: Duration;
}

/// Namespace and name of an object.
pub type Key = (Arc<str>, Arc<str>);

/// Why a claim came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// There is nothing left to be taken.
    Refused(Denial),
    /// What the claim was made from does not hold any more.
    Stale,
    /// Nobody can tell.
    Unsettled {
        /// Why.
        problem: String,
        /// Whether it may be otherwise in a moment.
        will_pass: bool,
    },
}

/// How long others are waited for before a turn begins. Those who were answered a moment ago ask next, and a write for each would keep
/// all of them waiting, and meet those of other replicas. As long as some come, more are waited for.
const GATHERING: Duration = Duration::from_millis(5);
/// How often more are waited for at most.
const GATHERINGS: u32 = 4;
/// At most how long is paused when another replica was first. Who looks again at once meets the next one.
const AFTER_A_CONFLICT: Duration = Duration::from_millis(20);
/// How long is paused when the API server has no time.
const AFTER_TROUBLE: Duration = Duration::from_millis(100);

type Told<C> = Result<<C as Claim>::Gain, Trouble>;
type Queues<C> = HashMap<Key, Vec<Queued<C>>>;

/// A claim in its queue.
struct Queued<C: Claim> {
    claim: C,
    is_trial: bool,
    since: Instant,
    tell: oneshot::Sender<Told<C>>,
}

/// Where claims of one kind wait for their turn.
pub struct Turnstile<C: Queueable> {
    client: Client,
    feed: Feed,
    tasks: TaskTracker,
    metrics: ClaimMetrics,
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// By namespace and name. A queue is there as long as a task serves it.
    queues: Mutex<Queues<C>>,
}

impl<C: Queueable> Turnstile<C> {
    /// Takes through this client, from the objects of this picture first. The client must send each request once.
    pub fn new(client: Client, feed: Feed, tasks: TaskTracker, wall: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        let metrics = feed.metrics.claims(C::Object::CALLED);
        Self { client, feed, tasks, metrics, wall, queues: Mutex::default() }
    }

    /// Whether nobody waits, and nobody is served.
    pub fn is_empty(&self) -> bool {
        self.queues.lock().is_empty()
    }

    /// Waits for the claim's turn.
    pub async fn pass(self: Arc<Self>, claim: C, is_trial: bool) -> Told<C> {
        let (key, since) = (claim.key(), Instant::now());
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut queues = self.queues.lock();
            let is_first = !queues.contains_key(&key);
            queues.entry(key.clone()).or_default().push(Queued { claim, is_trial, since, tell });
            is_first
        };
        if is_first {
            self.tasks.spawn(self.clone().serve(key));
        }
        let waiting = self.metrics.begin();
        let told = told.await.unwrap_or_else(|_| Err(passing("the server is stopping")));
        drop(waiting);
        self.metrics.ended(outcome(&told), since.elapsed());
        told
    }

    /// Serves a queue until it is empty.
    async fn serve(self: Arc<Self>, key: Key) {
        loop {
            self.gather(&key).await;
            let Some(mut turn) = self.next(&key) else { return };
            // Whatever becomes of this turn, the next one has to come.
            let served = AssertUnwindSafe(self.turn(&key, &mut turn)).catch_unwind().await;
            let results = served.unwrap_or_else(|_| {
                self.feed.metrics.panicked("claims");
                tracing::error!(namespace = %key.0, name = %key.1, kind = C::Object::KIND.kind, "taking from an object panicked");
                let problem = "the server has failed; see its log".to_owned();
                undecided(&turn, &Doubt { problem, will_pass: false })
            });
            for (queued, result) in turn.into_iter().zip(results) {
                // Whoever asked may have hung up.
                let _ = queued.tell.send(result);
            }
        }
    }

    /// Waits as long as more come, but not for long.
    async fn gather(&self, key: &Key) {
        let mut before = self.waiting(key);
        for _ in 0..GATHERINGS {
            sleep(GATHERING).await;
            let now = self.waiting(key);
            if now == before {
                return;
            }
            before = now;
        }
    }

    fn waiting(&self, key: &Key) -> usize {
        self.queues.lock().get(key).map_or(0, Vec::len)
    }

    /// All that wait in a queue; where nobody waits, it is given up. Nothing is taken for those whose hook has no time left.
    fn next(&self, key: &Key) -> Option<Vec<Queued<C>>> {
        let mut queues = self.queues.lock();
        let turn = queues.get_mut(key).map(std::mem::take).unwrap_or_default();
        if turn.is_empty() {
            queues.remove(key);
            return None;
        }
        drop(queues);
        let (late, turn): (Vec<_>, Vec<_>) = turn.into_iter().partition(|queued| queued.since.elapsed() > C::PATIENCE);
        for queued in late {
            // Whoever asked may have hung up.
            let _ = queued.tell.send(Err(passing("too many wait for it")));
        }
        Some(turn)
    }

    /// Those who came since the turn began.
    fn latecomers(&self, key: &Key) -> Vec<Queued<C>> {
        self.queues.lock().get_mut(key).map(std::mem::take).unwrap_or_default()
    }

    /// What becomes of those whose turn it is. If it takes more than one attempt, those who came meanwhile go along.
    async fn turn(&self, key: &Key, turn: &mut Vec<Queued<C>>) -> Vec<Told<C>> {
        let (begun, (namespace, name)) = (Instant::now(), key);
        let deadline = begun + C::PATIENCE;
        let kind = self.feed.as_served(C::Object::KIND);
        let target = Target { kind, namespace: namespace.to_string(), name: name.to_string(), uid: String::new() };
        let mut known = C::Object::known(&self.feed.state.read().snapshot(), namespace, name);
        let mut is_live = false;
        loop {
            if let Some(before) = known.take().map(|known| known.informed(&self.feed.state.read().snapshot(), (self.wall)())) {
                if begun.elapsed() < C::PATIENCE / 2 {
                    turn.append(&mut self.latecomers(key));
                }
                let mut after = C::Object::clone(&before);
                let waiting = turn.iter().map(|queued| Waiting { claim: &queued.claim, is_trial: queued.is_trial });
                let taken = fold(&mut after, waiting, (self.wall)());
                self.metrics.folded(taken.len());
                let is_held = taken.iter().all(|taken| matches!(taken, Taken::Held(_)));
                if after != *before {
                    match self.write(&target, &before, &after, deadline).await {
                        Ok(()) => return self.given(&after, taken),
                        Err(failure) if Instant::now() < deadline && may_be_tried_again(&failure) => pause(&failure).await,
                        Err(failure) => return undecided(turn, &could_not("written", C::Object::CALLED, &failure)),
                    }
                } else if is_live || is_held {
                    return self.given(&after, taken);
                }
            } else if is_live {
                return turn.iter().map(|queued| Ok(queued.claim.without())).collect();
            }
            match self.live(&target, deadline).await {
                Ok(live) => known = live,
                Err(problem) => return undecided(turn, &problem),
            }
            is_live = true;
        }
    }

    /// What became of claims, now that the object is stored as it is.
    fn given(&self, object: &C::Object, taken: Vec<Taken<C::Gain>>) -> Vec<Told<C>> {
        if object.has_news() {
            object.remember(&mut self.feed.state.write(), (self.wall)());
        }
        taken.into_iter().map(told).collect()
    }

    /// Writes what was taken.
    async fn write(&self, target: &Target, before: &C::Object, after: &C::Object, deadline: Instant) -> Result<(), Failure> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let body = Body::Merge(after.claim_patch(before));
        let request = requests(target).patch_subresource("status", &target.name, &parameters, &body);
        self.metrics.writes.inc();
        let written = timeout_at(deadline, send::<<C::Object as Purse>::Stored>(&self.client, request)).await;
        let written = written.unwrap_or_else(|_| Err(Failure::Unknown(late::<C>())));
        if matches!(written, Err(Failure::Outdated(_))) {
            self.metrics.conflicts.inc();
        }
        let written = C::Object::compile(written?);
        self.feed.change(|state| written.assume(state));
        Ok(())
    }

    /// The object as it is; `None` if there is none.
    async fn live(&self, target: &Target, deadline: Instant) -> Result<Option<Arc<C::Object>>, Doubt> {
        let request = requests(target).get(&target.name, &GetParams::default());
        let read = async {
            if target.kind == C::Object::KIND { send(&self.client, request).await } else { older::read(&self.client, request).await }
        };
        match timeout_at(deadline, read).await {
            Ok(Ok(live)) => {
                let live: <C::Object as Purse>::Stored = live;
                let live = C::Object::compile(live);
                self.feed.change(|state| live.clone().assume(state));
                Ok(Some(Arc::new(live)))
            }
            Ok(Err(Failure::Outdated(_))) => Ok(None),
            Ok(Err(failure)) => Err(could_not("read", C::Object::CALLED, &failure)),
            Err(_) => Err(Doubt { problem: late::<C>(), will_pass: true }),
        }
    }
}

/// What became of a claim, in a word for who counts.
const fn outcome<G>(told: &Result<G, Trouble>) -> &'static str {
    match told {
        Ok(_) => "given",
        Err(Trouble::Refused(_)) => "refused",
        Err(Trouble::Stale) => "stale",
        Err(Trouble::Unsettled { .. }) => "unsettled",
    }
}

fn told<G>(taken: Taken<G>) -> Result<G, Trouble> {
    match taken {
        Taken::Needless(gain) | Taken::Held(gain) | Taken::Taken(gain) => Ok(gain),
        Taken::Stale => Err(Trouble::Stale),
        Taken::Refused(denial) => Err(Trouble::Refused(denial)),
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

/// Why nobody can tell.
struct Doubt {
    problem: String,
    will_pass: bool,
}

fn could_not(what: &str, called: &str, failure: &Failure) -> Doubt {
    let will_pass = !matches!(failure, Failure::Refused(_) | Failure::Invalid(_));
    Doubt { problem: format!("the {called} could not be {what}: {failure}"), will_pass }
}

fn undecided<C: Queueable>(turn: &[Queued<C>], Doubt { problem, will_pass }: &Doubt) -> Vec<Told<C>> {
    turn.iter().map(|_| Err(Trouble::Unsettled { problem: problem.clone(), will_pass: *will_pass })).collect()
}

fn passing(problem: &str) -> Trouble {
    Trouble::Unsettled { problem: problem.to_owned(), will_pass: true }
}

fn late<C: Queueable>() -> String {
    format!("the API server did not answer within {} s", C::PATIENCE.as_secs_f32())
}
