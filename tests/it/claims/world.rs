//! Budgets behind the scripted API server, and replicas that take from them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use outrigger::{
    admission::verdict::{Decision, Denial, Outcome},
    base::gates::Gates,
    budget::{guard::Take, index::Operation, subject::Subject},
    cluster::{claims::Counter, watch::Feed},
    handlers::{Claim, Claims},
    plan::Event,
    server::{
        admin::Readiness,
        http::{Outside, Settled},
    },
    state::State,
    telemetry::metrics::Metrics,
};
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::api_server::{ApiServer, Asked, Fate};

pub(crate) const WRITE: &str = "PATCH podunavailablebudgets/status";
pub(crate) const READ: &str = "GET podunavailablebudgets";
const BUDGET: &str = "web";
const BEGIN: Timestamp = Timestamp::constant(1_800_000_000, 0);

pub(crate) struct World {
    pub(crate) server: ApiServer,
    /// Whose pictures follow what is stored; empty while the watches are held up.
    watching: Arc<Mutex<Vec<Feed>>>,
    begun: Instant,
}

/// One server process.
pub(crate) struct Replica {
    settled: Settled,
    feed: Feed,
    tasks: TaskTracker,
}

impl World {
    /// One budget, `web`, with so many units.
    pub(crate) fn new(allowed: i32) -> Self {
        let world = Self { server: ApiServer::default(), watching: Arc::default(), begun: Instant::now() };
        let watching = Arc::clone(&world.watching);
        world.server.watch(move |resource, object| {
            if resource == "podunavailablebudgets" {
                watching.lock().iter().for_each(|feed| tell(feed, object));
            }
        });
        world.server.put("podunavailablebudgets", budget(BUDGET, allowed));
        world
    }

    /// A further budget.
    pub(crate) fn and(self, name: &str, allowed: i32) -> Self {
        self.server.put("podunavailablebudgets", budget(name, allowed));
        self
    }

    /// A replica that knows all budgets, and whose requests do well.
    pub(crate) fn replica(&self) -> Replica {
        self.replica_whose_requests(|_| Fate::GOOD)
    }

    /// A replica that knows all budgets, and whose requests fare as `fate` says.
    pub(crate) fn replica_whose_requests(&self, fate: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Replica {
        let begun = self.begun;
        self.replica_with(fate, move || BEGIN + SignedDuration::try_from(begun.elapsed()).unwrap())
    }

    /// A replica with a clock of its own.
    pub(crate) fn replica_with(
        &self,
        fate: impl Fn(&Asked) -> Fate + Send + Sync + 'static,
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Replica {
        let state = Arc::new(RwLock::new(State::new(Gates::default())));
        let feed = Feed::new(state, Readiness::default(), Arc::new(Metrics::new()), None);
        self.server.all("podunavailablebudgets").iter().for_each(|object| tell(&feed, object));
        self.watching.lock().push(feed.clone());
        let tasks = TaskTracker::new();
        let turnstile = Counter::new(self.server.client(fate), feed.clone(), tasks.clone(), Arc::new(wall));
        Replica { settled: turnstile.settled(), feed, tasks }
    }

    /// From now on no watch tells anything.
    pub(crate) fn hold_watches(&self) {
        self.watching.lock().clear();
    }

    /// Somebody changes a budget.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.server.change(&key(name), change);
    }

    /// Somebody deletes a budget.
    pub(crate) fn delete(&self, name: &str) {
        self.server.remove(&key(name));
    }

    /// The stored budget `web`.
    pub(crate) fn stored(&self) -> Stored {
        self.stored_as(BUDGET)
    }

    /// The stored budget of this name.
    pub(crate) fn stored_as(&self, name: &str) -> Stored {
        Stored(self.server.object(&key(name))["status"].clone())
    }

    /// How many requests of this sort were sent.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.server.asked().iter().filter(|asked| asked.is(what)).count()
    }
}

/// The status of a stored budget.
pub(crate) struct Stored(Value);

impl Stored {
    pub(crate) fn allowed(&self) -> i64 {
        self.0["unavailableAllowed"].as_i64().unwrap()
    }

    /// The pods that are recorded.
    pub(crate) fn recorded(&self) -> BTreeSet<String> {
        self.0["disruptedPods"].as_object().into_iter().flat_map(|records| records.keys().cloned()).collect()
    }
}

impl Replica {
    /// The same as a server that only watches.
    pub(crate) fn watching(self) -> Self {
        let outside = Outside { settled: Some(self.settled), ..Outside::default() }.watching();
        Self { settled: outside.settled.unwrap(), ..self }
    }

    /// Asks for the eviction of a pod; it is under way when this returns, whether or not what is returned is awaited.
    pub(crate) fn evict(&self, pod: &str) -> impl Future<Output = Result<(), Denial>> + Send + use<> {
        self.evict_from(&[BUDGET], pod)
    }

    /// The same of a pod that counts for these budgets.
    pub(crate) fn evict_from(&self, budgets: &[&str], pod: &str) -> impl Future<Output = Result<(), Denial>> + Send + use<> {
        outcome((self.settled)(claims(budgets, pod, false)))
    }

    /// Asks whether the pod could be evicted.
    pub(crate) fn try_eviction(&self, pod: &str) -> impl Future<Output = Result<(), Denial>> + Send + use<> {
        outcome((self.settled)(claims(&[BUDGET], pod, true)))
    }

    /// What is told when the eviction of a pod is asked for: of which object, by whom, and why.
    pub(crate) async fn told_of(&self, pod: &str, is_dry_run: bool) -> Vec<String> {
        let decision = (self.settled)(claims(&[BUDGET], pod, is_dry_run)).await;
        let told = |event: Event| {
            let about = event.about;
            format!("{} {} {}: {}: {}", about.kind.kind, about.name, about.uid, event.by, event.reason)
        };
        decision.events.into_iter().map(told).collect()
    }

    /// What this replica thinks that the budget allows.
    pub(crate) fn known_allowed(&self) -> i32 {
        self.feed.state.read().snapshot().budgets.get("shop", BUDGET).unwrap().status.unavailable_allowed
    }

    /// Waits until all that was begun is ended.
    pub(crate) async fn at_rest(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

/// From the moment at which something is asked for to its answer.
pub(crate) async fn timed<T>(future: impl Future<Output = T>) -> (Duration, T) {
    let begun = Instant::now();
    let result = future.await;
    (begun.elapsed(), result)
}

async fn outcome(settled: impl Future<Output = Decision>) -> Result<(), Denial> {
    match settled.await.outcome {
        Outcome::Allow(_) => Ok(()),
        Outcome::Deny(denial) => Err(denial),
    }
}

fn claims(budgets: &[&str], pod: &str, is_dry_run: bool) -> Claims {
    let namespace: Arc<str> = "shop".into();
    let subject =
        Subject { namespace: Arc::clone(&namespace), name: pod.into(), uid: pod.into(), is_available: true, ..Subject::default() };
    let subject = Arc::new(subject);
    let take = |budget: &&str| {
        let (namespace, pod) = (Arc::clone(&namespace), Arc::clone(&subject));
        let take = Take {
            namespace,
            budget: (*budget).into(),
            pod,
            is_certain: true,
            operation: Operation::Evict,
            resize_is_its_own: false,
            eviction_code: 429,
        };
        Claim::Budget(take)
    };
    Claims::to_pass(budgets.iter().map(take).collect(), is_dry_run)
}

fn tell(feed: &Feed, budget: &Value) {
    let budget = serde_json::from_value(budget.clone()).unwrap();
    feed.change(|state| state.apply_budget(budget));
}

fn key(budget: &str) -> String {
    format!("podunavailablebudgets/shop/{budget}")
}

/// A budget of three hundred pods that was counted.
pub(crate) fn budget(name: &str, allowed: i32) -> Value {
    json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget",
        "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": allowed},
        "status": {"observedGeneration": 1, "totalReplicas": 300, "currentAvailable": 300, "desiredAvailable": 300 - allowed,
            "unavailableAllowed": allowed}})
}
