//! Plans of budgets over a picture that was fed as the cluster feeds it. The numbers are those of the reference's own tests.
//! (`pub.md` §12.6)

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::{
    base::{gates::Gates, interned::Interner, observed::Wire, workload},
    budget::{
        picture::Scale,
        plan::{plan, wanted},
    },
    plan::{Action, Plan},
    state::pods::Observed,
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// A namespace with a Deployment `nginx`, its `ReplicaSet`s and a budget.
struct World {
    state: State,
    interner: Interner,
    version: u64,
    scales: BTreeMap<[Arc<str>; 3], Scale>,
}

impl World {
    fn new() -> Self {
        Self { state: State::new(Gates::default()), interner: Interner::default(), version: 0, scales: BTreeMap::new() }
    }

    fn version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn owner(kind: &str, name: &str) -> Value {
        let api_version = if ["Deployment", "ReplicaSet", "StatefulSet"].contains(&kind) { "apps/v1" } else { "example.com/v1" };
        json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": format!("{kind}-{name}"), "controller": true})
    }

    /// A workload of `apps`, with a template whose label `app` is `nginx`.
    fn workload(&mut self, kind: &str, name: &str, replicas: i32, owner: Option<Value>) {
        let object = json!({"metadata": {"namespace": "shop", "name": name, "uid": format!("{kind}-{name}"), "ownerReferences": owner.into_iter().collect::<Vec<_>>()},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": "nginx"}}}}});
        self.put_workload(kind, &object);
    }

    fn put_workload(&mut self, kind: &str, object: &Value) {
        let wire: workload::Wire = serde_json::from_value(object.clone()).unwrap();
        self.state.apply_workload(Workload::read(&wire, ["apps", "v1", kind], &mut self.interner));
    }

    /// The Deployment with this many replicas, and two `ReplicaSet`s.
    fn deployment(&mut self, replicas: i32) {
        self.workload("Deployment", "nginx", replicas, None);
        for name in ["nginx-1", "nginx-2"] {
            self.workload("ReplicaSet", name, 5, Some(Self::owner("Deployment", "nginx")));
        }
    }

    fn ending_deployment(&mut self) {
        let object = json!({"metadata": {"namespace": "shop", "name": "nginx", "uid": "Deployment-nginx", "deletionTimestamp": NOW.to_string()},
            "spec": {"replicas": 10, "template": {"metadata": {"labels": {"app": "nginx"}}}}});
        self.put_workload("Deployment", &object);
    }

    fn pod(&mut self, name: &str, owner: Option<Value>, change: &Value) {
        let mut pod = json!({"metadata": {"namespace": "shop", "name": name, "uid": name, "resourceVersion": self.version(), "labels": {"app": "nginx"},
                "creationTimestamp": (NOW - SignedDuration::from_hours(1)).to_string(), "ownerReferences": owner.into_iter().collect::<Vec<_>>()},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        json_patch::merge(&mut pod, change);
        let wire: Wire = serde_json::from_value(pod).unwrap();
        let pod = Observed::read(&wire, &mut self.interner);
        self.state.observe_pod(pod);
    }

    /// Pods of a `ReplicaSet`, numbered.
    fn pods(&mut self, set: &str, numbers: std::ops::Range<usize>, change: &Value) {
        for number in numbers {
            self.pod(&format!("{set}-{number}"), Some(Self::owner("ReplicaSet", set)), change);
        }
    }

    fn budget(&mut self, spec: &Value, status: &Value) {
        let version = self.version();
        let object = json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "spec": spec, "status": status,
            "metadata": {"namespace": "shop", "name": "nginx", "uid": "b", "generation": 1, "resourceVersion": version}});
        self.state.apply_budget(serde_json::from_value(object).unwrap());
    }

    fn picture(&self) -> Picture {
        Picture { scales: self.scales.clone(), ..self.state.snapshot().picture_of_budget("shop", "nginx").unwrap() }
    }

    fn plan(&self) -> Plan {
        plan(&self.picture(), NOW)
    }

    fn status(&self) -> Value {
        self.plan().status.map(|mut patch| patch.body["status"].take()).unwrap_or_default()
    }

    /// Total, desired, current and allowed.
    fn counts(&self) -> [i64; 4] {
        let status = self.status();
        ["totalReplicas", "desiredAvailable", "currentAvailable", "unavailableAllowed"].map(|name| status[name].as_i64().unwrap())
    }

    /// The condition's status and reason.
    fn condition(&self) -> [String; 2] {
        let condition = self.status()["conditions"][0].clone();
        ["status", "reason"].map(|name| condition[name].as_str().unwrap().to_owned())
    }
}

fn by_selector(more: &Value) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": "nginx"}}});
    json_patch::merge(&mut spec, more);
    spec
}

fn by_target(more: &Value) -> Value {
    let mut spec = json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nginx"}});
    json_patch::merge(&mut spec, more);
    spec
}

fn not_ready() -> Value {
    json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
}

fn terminating() -> Value {
    json!({"metadata": {"deletionTimestamp": NOW.to_string()}})
}

#[test]
fn statuses_are_those_of_the_reference() {
    let most = |text: &str| json!({"maxUnavailable": text});
    for (spec, replicas, [first, second], expected) in [
        (by_selector(&most("30%")), 0, [5, 5], [0, 0, 10, 10]),
        (by_selector(&json!({"maxUnavailable": "30%", "protectTotalReplicas": 15})), 0, [5, 5], [15, 10, 10, 0]),
        (by_target(&most("30%")), 0, [5, 5], [0, 0, 0, 0]),
        (by_target(&json!({"maxUnavailable": "30%", "protectTotalReplicas": 15})), 1, [5, 5], [15, 10, 10, 0]),
        (by_target(&most("30%")), 1, [5, 5], [1, 0, 10, 10]),
        (by_selector(&most("0%")), 10, [5, 5], [10, 10, 10, 0]),
        (by_selector(&most("100%")), 10, [5, 5], [10, 0, 10, 10]),
        (by_selector(&json!({"maxUnavailable": 100})), 10, [5, 5], [10, 0, 10, 10]),
        (by_selector(&json!({"minAvailable": 100})), 10, [5, 0], [10, 100, 5, 0]),
        (by_selector(&json!({"minAvailable": "50%"})), 10, [5, 0], [10, 5, 5, 0]),
        (by_selector(&json!({"minAvailable": "80%"})), 10, [5, 5], [10, 8, 10, 2]),
    ] {
        let mut world = World::new();
        world.deployment(replicas);
        world.pods("nginx-1", 0..first, &json!({}));
        world.pods("nginx-2", 0..second, &json!({}));
        world.budget(&spec, &Value::Null);
        assert_eq!(world.counts(), expected, "{spec} of {replicas}");
    }
}

#[test]
fn pods_that_are_not_ready_or_go_are_not_available() {
    for (spec, is_target) in [(by_selector(&json!({"maxUnavailable": "30%"})), false), (by_target(&json!({"maxUnavailable": "30%"})), true)]
    {
        let mut world = World::new();
        world.deployment(10);
        world.pods("nginx-1", 0..7, &json!({}));
        world.pods("nginx-1", 7..10, &terminating());
        world.budget(&spec, &Value::Null);
        assert_eq!(world.counts(), [10, 7, 7, 0], "{is_target}");
        world.pods("nginx-2", 0..2, &json!({}));
        world.pods("nginx-2", 2..3, &not_ready());
        assert_eq!(world.counts(), [10, 7, 9, 2], "{is_target}");
        // Surplus is not capped.
        world.pods("nginx-1", 7..10, &json!({}));
        assert_eq!(world.counts(), [10, 7, 12, 5], "{is_target}");
    }
}

#[test]
fn a_workload_that_goes_needs_no_pods_unless_the_author_says_so() {
    let mut world = World::new();
    world.deployment(10);
    world.pods("nginx-1", 0..10, &json!({}));
    world.ending_deployment();
    for (spec, expected) in [
        (by_selector(&json!({"maxUnavailable": "30%"})), [0, 0, 10, 10]),
        (by_selector(&json!({"minAvailable": 3})), [0, 0, 10, 10]),
        (by_target(&json!({"maxUnavailable": "30%"})), [0, 0, 0, 0]),
        (by_target(&json!({"minAvailable": 3})), [0, 0, 0, 0]),
        (by_target(&json!({"minAvailable": 3, "protectTotalReplicas": 10})), [10, 3, 10, 7]),
    ] {
        world.budget(&spec, &Value::Null);
        assert_eq!(world.counts(), expected, "{spec}");
    }
    world.state.delete_workload("shop", ["apps", "Deployment"], "nginx");
    world.budget(&by_target(&json!({"minAvailable": 3})), &Value::Null);
    assert_eq!(world.counts(), [0, 0, 0, 0]);
}

/// A hundred pods, ten of which were admitted to go and ten to be changed, so many seconds ago.
fn hundred(ago: [i64; 2], more: &Value) -> World {
    let mut world = World::new();
    world.deployment(100);
    world.pods("nginx-1", 0..100, &json!({}));
    let records = |numbers: std::ops::Range<usize>, ago: i64| -> Value {
        let at = (NOW - SignedDuration::from_secs(ago)).to_string();
        numbers.map(|number| (format!("nginx-1-{number}"), at.clone().into())).collect::<serde_json::Map<_, _>>().into()
    };
    let mut status = json!({"disruptedPods": records(0..5, ago[0]), "unavailablePods": records(10..15, ago[1])});
    json_patch::merge(&mut status["disruptedPods"], &records(5..10, 1));
    json_patch::merge(&mut status["unavailablePods"], &records(15..20, 1));
    world.budget(&by_selector(&json!({"maxUnavailable": "30%"})), &status);
    if more["goes"] == true {
        world.pods("nginx-1", 0..5, &terminating());
    }
    world
}

/// How many of the records are taken away by a plan.
fn dropped(world: &World) -> [usize; 2] {
    let status = world.status();
    ["disruptedPods", "unavailablePods"]
        .map(|name| status[name].as_object().map_or(0, |all| all.values().filter(|at| at.is_null()).count()))
}

#[test]
fn pods_that_were_admitted_to_go_are_not_counted_until_that_is_over() {
    let fresh = hundred([1, 1], &Value::Null);
    assert_eq!((fresh.counts(), dropped(&fresh)), ([100, 70, 80, 10], [0, 0]));
    let mut others = hundred([1, 1], &Value::Null);
    others.pods("nginx-1", 30..35, &not_ready());
    assert_eq!(others.counts(), [100, 70, 75, 5]);
    others.pods("nginx-1", 30..35, &terminating());
    assert_eq!(others.counts(), [100, 70, 75, 5]);
    let mut aged = hundred([1, 11], &json!({"goes": true}));
    assert_eq!((aged.counts(), dropped(&aged)), ([100, 70, 85, 15], [5, 5]));
    aged.pods("nginx-1", 30..35, &terminating());
    assert_eq!(aged.counts(), [100, 70, 80, 10]);
    let stayed = hundred([125, 11], &Value::Null);
    assert_eq!((stayed.counts(), dropped(&stayed)), ([100, 70, 90, 20], [5, 5]));
    let told: Vec<_> = stayed.plan().events.iter().map(|event| (event.reason, event.about.name.clone())).collect();
    assert_eq!(told[..2], [("NotDeleted", "nginx-1-0".to_owned()), ("NotDeleted", "nginx-1-1".to_owned())]);
}

#[test]
fn pods_without_an_owner_count_themselves() {
    let mut world = World::new();
    world.pod("a", None, &json!({}));
    world.pod("b", None, &not_ready());
    world.pod("c", None, &terminating());
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &Value::Null);
    assert_eq!((world.counts(), world.condition()), ([2, 1, 1, 0], ["True", "Enforced"].map(str::to_owned)));
    world.deployment(10);
    assert_eq!(world.counts(), [12, 11, 1, 0], "a Deployment that has no pods yet counts as well");
}

#[test]
fn several_workloads_are_added_up_each_once() {
    let mut world = World::new();
    world.deployment(4);
    world.workload("StatefulSet", "db", 3, None);
    world.pods("nginx-1", 0..2, &json!({}));
    world.pods("nginx-2", 0..2, &json!({}));
    world.pod("db-0", Some(World::owner("StatefulSet", "db")), &json!({}));
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &Value::Null);
    assert_eq!(world.counts(), [7, 6, 5, 0]);
    // A ReplicaSet of its own.
    world.workload("ReplicaSet", "free", 2, None);
    assert_eq!(world.counts(), [9, 8, 5, 0]);
    // One whose Deployment is gone is collected with its pods.
    world.state.delete_workload("shop", ["apps", "Deployment"], "nginx");
    assert_eq!(world.counts(), [5, 4, 5, 1]);
}

#[test]
fn a_custom_target_is_found_through_what_its_pods_belong_to_or_else_its_scale() {
    let mut world = World::new();
    world.workload("ReplicaSet", "shop-1", 2, Some(World::owner("Rollout", "shop")));
    world.pod("a", Some(World::owner("ReplicaSet", "shop-1")), &json!({}));
    world.pod("b", None, &json!({}));
    let target = json!({"targetRef": {"apiVersion": "example.com/v1", "kind": "Rollout", "name": "shop"}, "maxUnavailable": 0});
    world.budget(&target, &Value::Null);
    let asked: Vec<_> = wanted(&world.picture()).iter().map(|owner| owner.kind.to_string()).collect();
    assert_eq!(asked, ["Rollout"]);
    let rollout: workload::Wire = serde_json::from_value(
        json!({"metadata": {"name": "shop", "uid": "Rollout-shop"}, "spec": {"replicas": 2}, "status": {"selector": "app=nginx"}}),
    )
    .unwrap();
    let rollout = Workload::read_scaled(&rollout, ["example.com", "v1", "Rollout"], &mut Interner::default()).unwrap();
    let key = wanted(&world.picture())[0].coordinates();
    world.scales.insert(key.clone(), Scale::Found(Arc::new(rollout)));
    assert_eq!(world.counts(), [2, 2, 1, 0]);
    assert_eq!(world.plan().again, Some(SignedDuration::from_secs(30)));
    world.state.delete_pod("shop", "a");
    world.state.delete_workload("shop", ["apps", "ReplicaSet"], "shop-1");
    assert_eq!(world.counts(), [2, 2, 1, 0], "the other pod is selected by the scale");
    for (scale, expected, condition) in [
        (Scale::Missing, [0, 0, 0, 0], ["True", "TargetGone"]),
        (Scale::UnknownKind, [0, 0, 0, 0], ["False", "UnknownKind"]),
        (Scale::NoScale, [0, 0, 0, 0], ["False", "NoScale"]),
        (Scale::Forbidden, [0, 0, 0, 0], ["False", "ScaleForbidden"]),
    ] {
        world.scales.insert(key.clone(), scale);
        assert_eq!((world.counts(), world.condition()), (expected, condition.map(str::to_owned)));
    }
    world.pod("b", None, &json!({"metadata": {"annotations": {"pub.kruise.io/related-pub": "nginx"}}}));
    assert_eq!(world.counts(), [1, 1, 1, 0], "what is linked stays guarded");
}

#[test]
fn an_owner_of_which_nothing_can_be_learnt_makes_its_pods_count_themselves() {
    let mut world = World::new();
    world.pod("a", Some(World::owner("DaemonThing", "x")), &json!({}));
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &Value::Null);
    let key = wanted(&world.picture())[0].coordinates();
    world.scales.insert(key.clone(), Scale::NoScale);
    assert_eq!((world.counts(), world.condition()), ([1, 0, 1, 1], ["False", "NoScale"].map(str::to_owned)));
    world.budget(&by_selector(&json!({"minAvailable": 1})), &Value::Null);
    assert_eq!((world.counts(), world.condition()), ([1, 1, 1, 0], ["True", "Enforced"].map(str::to_owned)), "a number holds");
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &json!({"totalReplicas": 5}));
    world.scales.insert(key, Scale::Unanswered("timeout".to_owned()));
    assert_eq!(world.counts(), [5, 4, 1, 0], "as before");
    assert_eq!(world.plan().again, Some(SignedDuration::from_secs(3)));
}

#[test]
fn a_status_is_written_on_the_version_that_it_was_made_from_and_once() {
    let mut world = World::new();
    world.deployment(2);
    world.pods("nginx-1", 0..2, &json!({}));
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &Value::Null);
    let patch = world.plan().status.unwrap();
    assert_eq!(patch.body["metadata"], json!({"resourceVersion": world.version.to_string()}));
    assert_eq!((patch.sub_resource, &*patch.target.name), ("status", "nginx"));
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &patch.body["status"]);
    assert_eq!(world.plan().status, None);
    // A change of the spec is answered, whatever it changes.
    let mut newer = serde_json::to_value(&patch.body["status"]).unwrap();
    newer["observedGeneration"] = 0.into();
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &newer);
    assert_eq!(world.status()["observedGeneration"], json!(1));
}

/// The pods that a plan links, and to what.
fn linked(world: &World) -> Vec<String> {
    let show = |action: &Action| {
        let Action::Patch(patch) = action else { panic!("{action:?}") };
        let annotations = &patch.body["metadata"]["annotations"];
        assert_eq!(annotations["pub.kruise.io/related-pub"], annotations["kruise.io/related-pub"]);
        assert_eq!(patch.body["metadata"]["uid"], json!(patch.target.name));
        format!("{} {}", patch.target.name, annotations["pub.kruise.io/related-pub"].as_str().unwrap())
    };
    world.plan().each.iter().map(|task| show(&task.action)).collect()
}

#[test]
fn pods_are_linked_that_are_linked_to_nobody_or_to_nobody_who_lives() {
    let mut world = World::new();
    let note = |key: &str, budget: &str| json!({"metadata": {"annotations": {key: budget}}});
    world.pod("a", None, &json!({}));
    world.pod("b", None, &note("kruise.io/related-pub", "nginx"));
    world.pod("c", None, &note("pub.kruise.io/related-pub", "gone"));
    world.pod("d", None, &note("pub.kruise.io/related-pub", "other"));
    world.pod("e", None, &note("pub.kruise.io/related-pub", "nginx"));
    world.pod("f", None, &terminating());
    world.pod("g", None, &note("kruise.io/related-pub", "other"));
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &Value::Null);
    let other = |deleted: Value| -> PodUnavailableBudget {
        serde_json::from_value(json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "spec": {},
            "metadata": {"namespace": "shop", "name": "other", "resourceVersion": "100", "deletionTimestamp": deleted}}))
        .unwrap()
    };
    world.state.apply_budget(other(Value::Null));
    assert_eq!(linked(&world), ["a nginx", "b nginx", "c nginx"]);
    world.state.take_touched();
    world.state.delete_budget("shop", "other");
    assert!(world.state.take_touched().contains(&key(&"shop".into(), &"nginx".into())), "its pods are ours now");
    world.state.apply_budget(other(json!(NOW.to_string())));
    assert_eq!(linked(&world), ["a nginx", "b nginx", "c nginx", "d nginx", "g nginx"]);
}

#[test]
fn a_pod_that_another_budget_goes_before_for_is_left_to_that_one() {
    let mut world = World::new();
    world.pod("a", None, &json!({}));
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &Value::Null);
    let earlier = json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "spec": by_selector(&json!({})),
        "metadata": {"namespace": "shop", "name": "earlier", "resourceVersion": "100"}});
    world.state.apply_budget(serde_json::from_value(earlier).unwrap());
    assert!(linked(&world).is_empty());
}

#[test]
fn nothing_is_written_about_a_budget_that_is_being_deleted() {
    let mut world = World::new();
    world.pod("a", None, &json!({}));
    let object = json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "spec": by_selector(&json!({})),
        "metadata": {"namespace": "shop", "name": "nginx", "deletionTimestamp": NOW.to_string()}});
    world.state.apply_budget(serde_json::from_value(object).unwrap());
    let plan = world.plan();
    assert!(plan.is_done() && plan.events.is_empty());
}

/// Which budgets a change makes work for.
fn touched(world: &mut World) -> Vec<String> {
    world.state.take_touched().into_iter().map(|key| format!("{key:?}")).collect()
}

#[test]
fn a_change_of_a_pod_makes_work_for_those_who_count_it_before_and_after() {
    let mut world = World::new();
    world.deployment(1);
    world.pods("nginx-1", 0..1, &json!({}));
    world.budget(&by_selector(&json!({"maxUnavailable": 1})), &Value::Null);
    touched(&mut world);
    world.pods("nginx-1", 0..1, &json!({}));
    assert!(touched(&mut world).is_empty(), "nothing has changed that counts");
    world.pods("nginx-1", 0..1, &not_ready());
    assert_eq!(touched(&mut world).len(), 1);
    world.pods("nginx-1", 0..1, &json!({"metadata": {"labels": {"app": "other"}}}));
    assert_eq!(touched(&mut world).len(), 1, "it has left");
    world.pods("nginx-1", 0..1, &terminating());
    assert_eq!(touched(&mut world).len(), 1, "it comes back, and goes");
    world.pods("nginx-1", 0..1, &json!({"metadata": {"labels": {"app": "other"}, "annotations": {"pub.kruise.io/related-pub": "nginx"}}}));
    touched(&mut world);
    world.state.delete_pod("shop", "nginx-1-0");
    assert_eq!(touched(&mut world).len(), 1, "it was linked");
    world.pod("stranger", None, &json!({"metadata": {"labels": {"app": "other"}}}));
    assert!(touched(&mut world).is_empty());
}

#[test]
fn a_change_of_a_workload_makes_work_for_those_who_name_or_select_it() {
    for (spec, is_touched) in [
        (by_selector(&json!({})), true),
        (by_target(&json!({})), true),
        (json!({"selector": {"matchLabels": {"app": "other"}}}), false),
        (json!({"targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "nginx"}}), false),
    ] {
        let mut world = World::new();
        world.deployment(1);
        world.budget(&spec, &Value::Null);
        touched(&mut world);
        world.deployment(1);
        assert!(touched(&mut world).is_empty(), "{spec}: nothing has changed");
        world.deployment(2);
        assert_eq!(touched(&mut world).len(), usize::from(is_touched), "{spec}");
        world.workload("ReplicaSet", "nginx-1", 6, Some(World::owner("Deployment", "nginx")));
        assert_eq!(touched(&mut world).len(), usize::from(is_touched), "{spec}");
    }
}

#[test]
fn without_the_gates_no_pod_is_kept() {
    let mut world = World::new();
    world.state = State::new(Gates { budgets_on_delete: false, ..Gates::default() });
    world.pod("a", None, &json!({}));
    world.state.observe_all_pods(Vec::new());
    assert!(world.state.snapshot().subjects.is_empty());
}

/// A pod of a made-up world: whether it is ready, goes, is linked, and what the status records of it and how long ago.
type Made = (bool, bool, bool, u8, i64);

fn made(pods: &[Made], spec: &Value, replicas: i32) -> World {
    let mut world = World::new();
    world.deployment(replicas);
    let (mut disrupted, mut unavailable) = (serde_json::Map::new(), serde_json::Map::new());
    for (number, (is_ready, goes, is_linked, record, ago)) in pods.iter().enumerate() {
        let mut change = if *is_ready { json!({}) } else { not_ready() };
        if *goes {
            json_patch::merge(&mut change, &terminating());
        }
        if *is_linked {
            json_patch::merge(&mut change, &json!({"metadata": {"annotations": {"pub.kruise.io/related-pub": "nginx"}}}));
        }
        world.pods("nginx-1", number..number + 1, &change);
        let at = (NOW - SignedDuration::from_secs(*ago)).to_string();
        match record {
            1 => drop(disrupted.insert(format!("nginx-1-{number}"), at.into())),
            2 => drop(unavailable.insert(format!("nginx-1-{number}"), at.into())),
            _ => {}
        }
    }
    world.budget(spec, &json!({"disruptedPods": disrupted, "unavailablePods": unavailable}));
    world
}

/// Writes the status of a plan, as the API server would.
fn write(world: &mut World, spec: &Value, plan: &Plan) {
    let Some(patch) = &plan.status else { return };
    let mut object = json!({"status": serde_json::to_value(&world.picture().budget.status).unwrap()});
    json_patch::merge(&mut object["status"], &patch.body["status"]);
    world.budget(spec, &object["status"]);
}

proptest::proptest! {
    #[test]
    fn a_plan_is_made_once_adds_up_and_keeps_nothing_for_longer_than_it_may(
        pods in proptest::collection::vec((proptest::bool::ANY, proptest::bool::weighted(0.2), proptest::bool::ANY, 0..4u8, 0..40i64), 0..12),
        replicas in 0..12i32,
        amount in 0..12i32,
        shape in 0..4u8,
    ) {
        let need = match shape {
            0 => json!({"maxUnavailable": amount}),
            1 => json!({"minAvailable": amount}),
            2 => json!({"maxUnavailable": format!("{}%", amount * 8)}),
            _ => json!({"minAvailable": format!("{}%", amount * 8)}),
        };
        for spec in [by_selector(&need), by_target(&need)] {
            let mut world = made(&pods, &spec, replicas);
            let first = world.plan();
            write(&mut world, &spec, &first);
            let status = world.picture().budget.status.clone();
            proptest::prop_assert_eq!(status.unavailable_allowed, (status.current_available - status.desired_available).max(0));
            let recorded = status.disrupted_pods.len() + status.unavailable_pods.len();
            let available = pods.iter().filter(|(is_ready, goes, ..)| *is_ready && !goes).count();
            proptest::prop_assert!(usize::try_from(status.current_available).unwrap() <= available);
            proptest::prop_assert_eq!(&world.plan().status, &None, "a second plan");
            proptest::prop_assert!(recorded == 0 || first.again.is_some_and(|again| again <= SignedDuration::from_secs(21)));
            let later = plan(&world.picture(), NOW + SignedDuration::from_secs(21));
            write(&mut world, &spec, &later);
            let status = &world.picture().budget.status;
            proptest::prop_assert!(status.disrupted_pods.is_empty() && status.unavailable_pods.is_empty());
        }
    }
}
