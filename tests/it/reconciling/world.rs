//! A cluster of one set and its pods behind the scripted API server, and the real reconcilers in front of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use outrigger::{
    base::{
        gates::Gates,
        observed::Wire,
        workload::{self, Workload},
    },
    cluster::{apply::Apply, events::Teller, facts::Facts, lease::Term, watch::Feed},
    controllers::{Planner, runner::Runner},
    server::admin::Readiness,
    sidecarset::revision::Revision,
    state::{State, pods::Observed},
    telemetry::metrics::Metrics,
};
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::api_server::{ApiServer, Asked, Fate};

pub(crate) const SET: &str = "sidecarsets//log";
const HASH: &str = "kruise.io/sidecarset-hash";
const HASH_WITHOUT_IMAGE: &str = "kruise.io/sidecarset-hash-without-image";

type Fates = Arc<Mutex<Box<dyn FnMut(&Asked) -> Fate + Send>>>;

/// What a watch has to tell and has not told yet; `None` while it is not held up.
type Held = Arc<Mutex<Option<Vec<Value>>>>;

pub(crate) struct World {
    pub(crate) server: ApiServer,
    pub(crate) state: Arc<RwLock<State>>,
    feed: Feed,
    fates: Fates,
    held: Held,
    /// The pods as they were made.
    first: Mutex<Vec<Value>>,
    /// The most pods that were on their way to a new image at a time.
    most: Arc<Mutex<usize>>,
    leadership: watch::Sender<Option<Term>>,
    term: CancellationToken,
    stop: CancellationToken,
    running: JoinHandle<()>,
    kubelet: JoinHandle<()>,
    /// Whether pods stay on their way.
    is_ill: Arc<AtomicBool>,
}

impl World {
    /// So many pods, injected with the first version of a set, and a leader that has nothing to do. Further members of the set's
    /// spec are merged in.
    pub(crate) async fn new(pods: usize, spec: &Value) -> Self {
        let world = Self::start();
        let mut set = set();
        json_patch::merge(&mut set["spec"], spec);
        world.server.put("sidecarsets", set);
        for number in 0..pods {
            world.server.put("pods", pod(&name(number)));
        }
        *world.first.lock() = world.server.all("pods");
        world.lead();
        world.server.until("the first status", |asked| asked.iter().any(|one| one.is("PATCH sidecarsets/status") && one.is_stored)).await;
        world
    }

    /// The same in the middle of a term: the leader has rolled out version 2, and knows what its pods are.
    pub(crate) async fn known(pods: usize, spec: &Value) -> Self {
        let world = Self::new(pods, spec).await;
        world.publish(2);
        world.is_rolled_out(2).await;
        world.server.forget_asked();
        *world.most.lock() = 0;
        world
    }

    /// So many available pods of a `ReplicaSet` that should have as many, a budget that selects them, and a leader. Nobody counted yet.
    pub(crate) fn of_budget(pods: usize, spec: &Value) -> Self {
        let world = Self::start();
        let object = json!({"metadata": {"namespace": "shop", "name": "web", "uid": "uid-web"}, "spec": {"replicas": pods}});
        let wire: workload::Wire = serde_json::from_value(object).unwrap();
        let set = Workload::read(&wire, ["apps", "v1", "ReplicaSet"], &mut world.feed.interner.lock());
        world.feed.change(|state| state.apply_workload(set));
        for number in 0..pods {
            let mut pod = pod(&name(number));
            let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "uid-web", "controller": true}]);
            pod["metadata"]["ownerReferences"] = owner;
            pod["metadata"]["annotations"] = json!({});
            world.server.put("pods", pod);
        }
        let mut budget = json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget",
            "metadata": {"namespace": "shop", "name": "web", "uid": "uid-budget", "generation": 1},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}});
        json_patch::merge(&mut budget["spec"], spec);
        world.server.put("podunavailablebudgets", budget);
        world
    }

    /// A spread of pods that a `CloneSet` or a Job makes. Nobody counted yet.
    pub(crate) fn of_spread(spec: &Value) -> Self {
        let world = Self::start();
        let mut spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread",
            "metadata": {"namespace": "shop", "name": "web", "uid": "uid-spread", "generation": 1},
            "spec": {"targetRef": {"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet", "name": "web"}}});
        json_patch::merge(&mut spread["spec"], spec);
        world.server.put("workloadspreads", spread);
        world
    }

    /// A pod is gone, as the watch tells.
    pub(crate) fn gone(&self, name: &str) {
        self.server.remove(&format!("pods/shop/{name}"));
        self.feed.change(|state| state.delete_pod("shop", name));
    }

    fn start() -> Self {
        let (server, fates): (_, Fates) = (ApiServer::default(), Arc::new(Mutex::new(Box::new(|_| Fate::GOOD))));
        let state = Arc::new(RwLock::new(State::new(Gates::default())));
        let (touched, incoming) = mpsc::unbounded_channel();
        let metrics = Arc::new(Metrics::new());
        let feed = Feed::new(state.clone(), Readiness::default(), metrics.clone(), Some(touched));
        let (held, most) = (Held::default(), Arc::<Mutex<usize>>::default());
        server.watch(watches(&feed, &held, &most));
        let fare = Arc::clone(&fates);
        let client = server.client(move |asked| fare.lock()(asked));
        let begun = Instant::now();
        let wall = move || Timestamp::constant(1_800_000_000, 0) + SignedDuration::try_from(begun.elapsed()).unwrap();
        let planner =
            Planner { state: state.clone(), facts: Facts::new(client.clone()), own_namespace: "own".to_owned(), wall: Arc::new(wall) };
        let runner =
            Runner { planner, apply: Apply::new(client.clone(), feed.clone()), teller: Teller::new(client, metrics.clone()), metrics };
        let (leadership, led) = watch::channel(None);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let running = tasks.spawn(runner.run(led, incoming, || true, stop.clone()));
        let is_ill = Arc::<AtomicBool>::default();
        let kubelet = tasks.spawn(kubelet(server.clone(), Arc::clone(&is_ill)));
        Self {
            server,
            state,
            feed,
            fates,
            held,
            first: Mutex::default(),
            most,
            leadership,
            term: CancellationToken::new(),
            stop,
            running,
            kubelet,
            is_ill,
        }
    }

    pub(crate) fn lead(&self) {
        self.leadership.send_replace(Some(Term::without_election(&self.term)));
    }

    /// The term ends.
    pub(crate) fn depose(&self) {
        self.term.cancel();
        self.leadership.send_replace(None);
    }

    /// A new term begins.
    pub(crate) fn elect(&mut self) {
        self.term = CancellationToken::new();
        self.lead();
    }

    /// From now on requests end like this.
    pub(crate) fn fares(&self, fate: impl FnMut(&Asked) -> Fate + Send + 'static) {
        *self.fates.lock() = Box::new(fate);
    }

    /// From now on all is well.
    pub(crate) fn calm(&self) {
        self.fares(|_| Fate::GOOD);
    }

    /// From now on the watch of pods tells nothing.
    pub(crate) fn hold_watch(&self) {
        self.held.lock().get_or_insert_default();
    }

    /// The watch of pods tells what it has held up.
    pub(crate) fn release_watch(&self) {
        for object in self.held.lock().take().unwrap_or_default() {
            observe(&self.feed, &object);
        }
    }

    /// A new image of the set's sidecar.
    pub(crate) fn publish(&self, version: u32) {
        self.server.change(SET, |set| {
            set["spec"]["containers"][0]["image"] = format!("mesh:{version}").into();
            set["metadata"]["annotations"][HASH] = format!("hash-{version}").into();
            set["metadata"]["generation"] = (set["metadata"]["generation"].as_i64().unwrap() + 1).into();
        });
    }

    /// The watch of sets tells of this, whatever is stored.
    pub(crate) fn tell_of_set(&self, set: &Value) {
        let set = serde_json::from_value(set.clone()).unwrap();
        self.feed.change(|state| state.apply_set(set)).unwrap();
    }

    /// The set is deleted, as its watch tells.
    pub(crate) fn forget_set(&self) {
        self.feed.change(|state| state.delete_set("log"));
    }

    /// Something happens that the set has to be looked at for, and that changes nothing.
    pub(crate) fn touch_set(&self) {
        self.server.change(SET, |set| {
            let touched = set["metadata"]["annotations"]["touched"].as_str().map_or(0, str::len);
            set["metadata"]["annotations"]["touched"] = "x".repeat((touched + 1) % 2).into();
        });
    }

    /// From now on pods stay on their way to a new image, or go on.
    pub(crate) fn kubelet_is_ill(&self, is_ill: bool) {
        self.is_ill.store(is_ill, Ordering::Relaxed);
    }

    /// A pod is ready, or not any more.
    pub(crate) fn flap(&self, number: usize, is_ready: bool) {
        let status = if is_ready { "True" } else { "False" };
        self.server.change(&key_of(number), |pod| pod["status"]["conditions"][0]["status"] = status.into());
    }

    /// What is known of pods is what they were in the beginning, as for a replica whose watch is far behind.
    pub(crate) fn forget_answers(&self) {
        self.feed.change(|state| state.observe_all_pods(Vec::new()));
        for (number, first) in self.first.lock().iter().enumerate() {
            assert_eq!(first["metadata"]["name"], json!(name(number)));
            observe(&self.feed, first);
        }
    }

    /// Somebody who has nothing to do with sets annotates a pod.
    pub(crate) fn annotate(&self, number: usize, key: &str, value: &str) {
        self.server.change(&key_of(number), |pod| pod["metadata"]["annotations"][key] = value.into());
    }

    /// Waits until all pods have this version, and the status says so.
    pub(crate) async fn is_rolled_out(&self, version: u32) {
        let server = self.server.clone();
        let is_done = move |_: &[Asked]| {
            let status = &server.object(SET)["status"];
            let count = server.all("pods").len();
            let all = json!(count);
            let is_seen = status["observedGeneration"] == server.object(SET)["metadata"]["generation"];
            is_seen
                && status["updatedReadyPods"] == all
                && status["readyPods"] == all
                && server.all("pods").iter().all(|pod| has(pod, version))
        };
        self.server.until("the rollout's end", is_done).await;
    }

    /// How often each pod was changed by the reconcilers, by name.
    pub(crate) fn changes(&self) -> BTreeMap<String, usize> {
        let mut changes = BTreeMap::new();
        for asked in self.server.asked().into_iter().filter(|asked| asked.is("PATCH pods") && asked.is_stored) {
            *changes.entry(asked.name).or_default() += 1;
        }
        changes
    }

    /// The most pods that were on their way at a time.
    pub(crate) fn most_in_flight(&self) -> usize {
        *self.most.lock()
    }

    /// Asserts that so many pods were changed, each once.
    pub(crate) fn each_was_changed_once(&self, pods: usize) {
        let changes = self.changes();
        assert!(changes.len() == pods && changes.values().all(|count| *count == 1), "{changes:?}");
    }

    /// What was asked of this sort.
    pub(crate) fn asked(&self, what: &str) -> Vec<Asked> {
        self.server.asked().into_iter().filter(|asked| asked.is(what)).collect()
    }

    /// Nothing happens for a while but what the reconcilers do by themselves.
    pub(crate) async fn idle(&self, duration: Duration) {
        sleep(duration).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        self.running.abort();
        self.kubelet.abort();
    }
}

/// Feeds what is stored to the picture, as watches do.
fn watches(feed: &Feed, held: &Held, most: &Arc<Mutex<usize>>) -> impl FnMut(&str, &Value) + Send + 'static {
    let (feed, held, most) = (feed.clone(), Arc::clone(held), Arc::clone(most));
    let mut in_flight: BTreeMap<String, bool> = BTreeMap::new();
    move |resource, object| match resource {
        "sidecarsets" => {
            let set = serde_json::from_value(object.clone()).unwrap();
            feed.change(|state| state.apply_set(set)).unwrap();
        }
        "workloadspreads" => {
            let spread = serde_json::from_value(object.clone()).unwrap();
            feed.change(|state| state.apply_spread(spread));
        }
        "podunavailablebudgets" => {
            let budget = serde_json::from_value(object.clone()).unwrap();
            feed.change(|state| state.apply_budget(budget));
        }
        "controllerrevisions" => feed.change(|state| state.apply_revision(Revision::from_object(object).unwrap())),
        "pods" => {
            in_flight.insert(object["metadata"]["name"].to_string(), !is_settled(object));
            let count = in_flight.values().filter(|is_in_flight| **is_in_flight).count();
            let mut most = most.lock();
            *most = count.max(*most);
            match &mut *held.lock() {
                Some(held) => held.push(object.clone()),
                None => observe(&feed, object),
            }
        }
        _ => {}
    }
}

fn observe(feed: &Feed, pod: &Value) {
    let wire: Wire = serde_json::from_value(pod.clone()).unwrap();
    let pod = Observed::read(&wire, &mut feed.interner.lock());
    feed.change(|state| state.observe_pod(pod));
}

/// Brings pods to what their specs say, each half second.
async fn kubelet(server: ApiServer, is_ill: Arc<AtomicBool>) {
    loop {
        sleep(Duration::from_millis(500)).await;
        let is_to_do = |pod: &Value| !is_ill.load(Ordering::Relaxed) && !is_settled(pod);
        for pod in server.all("pods").into_iter().filter(is_to_do) {
            let key = format!("pods/shop/{}", pod["metadata"]["name"].as_str().unwrap());
            server.change(&key, |pod| {
                let image = pod["spec"]["containers"][1]["image"].clone();
                pod["status"]["containerStatuses"][1]["imageID"] = format!("id-of-{}", image.as_str().unwrap()).into();
                pod["status"]["containerStatuses"][1]["image"] = image;
            });
        }
    }
}

fn is_settled(pod: &Value) -> bool {
    pod["spec"]["containers"][1]["image"] == pod["status"]["containerStatuses"][1]["image"]
}

fn has(pod: &Value, version: u32) -> bool {
    pod["spec"]["containers"][1]["image"] == format!("mesh:{version}")
}

/// The name of a pod by its number.
pub(crate) fn name(number: usize) -> String {
    format!("web-{number:03}")
}

/// Where a pod is stored.
pub(crate) fn key_of(number: usize) -> String {
    format!("pods/shop/{}", name(number))
}

pub(crate) fn set() -> Value {
    let annotations = json!({HASH: "hash-1", HASH_WITHOUT_IMAGE: "same"});
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": "log", "uid": "uid-log", "generation": 1, "annotations": annotations},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "mesh", "image": "mesh:1"}],
            "updateStrategy": {"type": "RollingUpdate", "maxUnavailable": "100%"}}})
}

pub(crate) fn pod(name: &str) -> Value {
    let note = |hash: &str| json!({"log": {"updateTimestamp": "2026-01-02T03:04:05Z", "hash": hash, "sidecarSetName": "log", "sidecarList": ["mesh"]}});
    let status = |name: &str, image: &str| json!({"name": name, "image": image, "imageID": format!("id-of-{image}"), "ready": true});
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{name}"), "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"app": "web"},
            "annotations": {"kruise.io/sidecarset-injected-list": "log", HASH: note("hash-1").to_string(), HASH_WITHOUT_IMAGE: note("same").to_string()}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "main:1"}, {"name": "mesh", "image": "mesh:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [status("main", "main:1"), status("mesh", "mesh:1")]}})
}
