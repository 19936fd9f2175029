use serde_json::{Value, json};

use super::*;
use crate::{
    base::interned::Interner,
    spread::{picture::Scaled, whitelist::MEMBER},
};

#[test]
fn all_spreads_are_looked_at_again_when_the_whitelist_changes_and_not_when_it_is_told_again() {
    let mut state = State::default();
    state.apply_spread(
        serde_json::from_value(json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread",
        "metadata": {"name": "a", "namespace": "shop"}, "spec": {"subsets": []}}))
        .unwrap(),
    );
    assert_eq!(state.take_touched().len(), 1);
    let data = BTreeMap::from([(MEMBER.to_owned(), r#"{"workloads": [{"Group": "g", "Kind": "K"}]}"#.to_owned())]);
    state.apply_configuration(&data);
    assert!(state.take_touched().len() == 1 && state.snapshot().spread_whitelist.is_target("g", "K"));
    state.apply_configuration(&data);
    assert!(state.take_touched().is_empty());
    state.delete_configuration();
    assert!(state.take_touched().len() == 1 && !state.snapshot().spread_whitelist.is_target("g", "K"));
}

fn applied(state: &mut State, name: &str, created: &str, target: &str, spec: &Value) {
    let (api_version, kind_name) = target.rsplit_once('/').unwrap();
    let (kind, workload) = kind_name.split_once(' ').unwrap();
    let mut spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": created},
        "spec": {"targetRef": {"apiVersion": api_version, "kind": kind, "name": workload}, "subsets": [{"name": "a", "maxReplicas": 3}]}});
    json_patch::merge(&mut spread["spec"], spec);
    state.apply_spread(serde_json::from_value(spread).unwrap());
}

fn workload(state: &mut State, group: &str, kind: &str, name: &str, members: &Value) {
    let mut object = json!({"metadata": {"namespace": "shop", "name": name, "uid": name}, "spec": {}});
    json_patch::merge(&mut object, members);
    let wire = serde_json::from_str(&object.to_string()).unwrap();
    let mut interner = Interner::default();
    match kind {
        "Job" => state.apply_job(Workload::read_job(&wire, &mut interner)),
        _ => state.apply_workload(Workload::read(&wire, [group, "v1", kind], &mut interner)),
    }
}

fn controlled(api_version: &str, kind: &str, name: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": name, "controller": true}])
}

fn observed(state: &mut State, name: &str, owner: &Value, mark: Option<&str>) {
    let mark = mark.map(|spread| json!({"apps.kruise.io/matched-workloadspread": json!({"name": spread, "subset": "a"}).to_string()}));
    let object = json!({"metadata": {"namespace": "shop", "name": name, "uid": name, "resourceVersion": "1", "ownerReferences": owner,
        "annotations": mark, "labels": {"name": name}}});
    let wire = serde_json::from_str(&object.to_string()).unwrap();
    state.observe_pod(crate::state::pods::Observed::read(&wire, &mut Interner::default()));
}

/// The pods of a spread, and those that may be.
fn pods(state: &State, spread: &str) -> [String; 2] {
    let picture = state.snapshot().picture_of_spread("shop", spread).unwrap();
    let names = |pods: &[Arc<Pod>]| pods.iter().map(|pod| &*pod.name).collect::<Vec<_>>().join(" ");
    [names(&picture.pods), names(&picture.candidates)]
}

fn of(pods: &str) -> [String; 2] {
    [pods.to_owned(), String::new()]
}

#[test]
fn the_pods_of_a_spread_are_those_below_its_target() {
    let mut state = State::default();
    applied(&mut state, "s", "2026-01-01T00:00:00Z", "apps/v1/Deployment web", &json!({}));
    workload(&mut state, "apps", "Deployment", "web", &json!({}));
    workload(
        &mut state,
        "apps",
        "ReplicaSet",
        "web-1",
        &json!({"metadata": {"ownerReferences": controlled("apps/v1", "Deployment", "web")}}),
    );
    workload(&mut state, "apps", "ReplicaSet", "other", &json!({}));
    let set = |name| controlled("apps/v1", "ReplicaSet", name);
    observed(&mut state, "p1", &set("web-1"), None);
    observed(&mut state, "p2", &set("web-1"), Some("s"));
    observed(&mut state, "p3", &set("other"), Some("s"));
    observed(&mut state, "p4", &set("unseen"), Some("s"));
    observed(&mut state, "p5", &set("unseen"), None);
    observed(&mut state, "p6", &json!([]), Some("s"));
    assert_eq!(pods(&state, "s"), of("p1 p2 p4"), "what it says of itself counts where its owner is not known");
}

#[test]
fn a_filter_and_an_elder_spread_take_pods_away() {
    let mut state = State::default();
    let job = || controlled("batch/v1", "Job", "sum");
    let only = |name: &str| json!({"targetFilter": {"selector": {"matchLabels": {"name": name}}}});
    applied(&mut state, "young", "2026-01-02T00:00:00Z", "batch/v1/Job sum", &json!({}));
    applied(&mut state, "old", "2026-01-01T00:00:00Z", "batch/v1/Job sum", &only("p1"));
    applied(&mut state, "last", "2026-01-02T00:00:00Z", "batch/v1/Job sum", &json!({}));
    for name in ["p1", "p2"] {
        observed(&mut state, name, &job(), Some("young"));
    }
    assert_eq!(
        [pods(&state, "old"), pods(&state, "last"), pods(&state, "young")],
        [of("p1"), of("p2"), of("")],
        "of equals the name decides"
    );
    state.delete_spread("shop", "last");
    assert_eq!(pods(&state, "young"), of("p2"));
}

#[test]
fn pods_of_other_kinds_are_found_through_their_owners_or_may_be_meant() {
    let mut state = State::default();
    applied(&mut state, "s", "2026-01-01T00:00:00Z", "example.com/v1/Flow f", &json!({}));
    workload(&mut state, "batch", "Job", "one", &json!({"metadata": {"ownerReferences": controlled("example.com/v1", "Flow", "f")}}));
    observed(&mut state, "p1", &controlled("batch/v1", "Job", "one"), None);
    observed(&mut state, "p2", &controlled("example.com/v2", "Flow", "f"), None);
    observed(&mut state, "p3", &controlled("example.com/v1", "Step", "f"), None);
    observed(&mut state, "p4", &controlled("example.com/v1", "Step", "f"), Some("s"));
    assert_eq!(pods(&state, "s"), ["p1 p2 p4".to_owned(), "p3".to_owned()]);
    let picture = state.snapshot().picture_of_spread("shop", "s").unwrap();
    let selector = |text| Scaled { total: 3, selector: crate::base::selector::Selector::parse(text).ok() };
    assert_eq!(picture.clone().selecting(&selector("name=p3")).pods.len(), 4);
    assert_eq!(picture.selecting(&selector("name=p4")).pods.len(), 3);
}

#[test]
fn how_many_there_should_be_is_known_of_what_is_mirrored() {
    let mut state = State::default();
    let total = |state: &State| state.snapshot().total_of(state.spreads.get("shop", "s").unwrap());
    applied(&mut state, "s", "2026-01-01T00:00:00Z", "batch/v1/Job sum", &json!({}));
    assert_eq!(total(&state), None, "it may not have come through yet");
    workload(&mut state, "batch", "Job", "sum", &json!({"spec": {"parallelism": 5, "replicas": 7}}));
    assert_eq!(total(&state), Some(5));
    applied(&mut state, "s", "2026-01-01T00:00:00Z", "batch/v1/Job sum", &json!({"targetFilter": {"replicasPathList": ["spec.size"]}}));
    assert_eq!(total(&state), None, "it stands elsewhere");
    let snapshot = state.snapshot();
    let (number, errors) = snapshot.wanted_in(state.spreads.get("shop", "s").unwrap(), &json!({"spec": {"size": 4, "parallelism": 5}}));
    assert_eq!((number, errors.len()), (4, 0));
}

#[test]
fn the_whitelist_says_where_a_kind_has_its_number() {
    let mut state = State::default();
    let list = r#"{"workloads": [{"Group": "example.com", "Kind": "Flow", "ReplicasPath": "spec.size"}]}"#;
    state.apply_configuration(&BTreeMap::from([(MEMBER.to_owned(), list.to_owned())]));
    applied(&mut state, "s", "2026-01-01T00:00:00Z", "example.com/v1/Flow f", &json!({}));
    assert_eq!(state.snapshot().total_in(state.spreads.get("shop", "s").unwrap(), &json!({"spec": {"size": 4, "replicas": 5}})), 4);
}

#[test]
fn the_current_revision_is_that_of_the_newest_set_of_the_target() {
    let mut state = State::default();
    let current = |state: &State| state.snapshot().picture_of_spread("shop", "s").unwrap().current.map(|hash| hash.to_string());
    let set = |state: &mut State, name: &str, revision: &str, owner: Value| {
        let hash = json!({"pod-template-hash": name});
        let metadata = json!({"annotations": {"deployment.kubernetes.io/revision": revision}, "ownerReferences": owner});
        workload(state, "apps", "ReplicaSet", name, &json!({"metadata": metadata, "spec": {"template": {"metadata": {"labels": hash}}}}));
    };
    applied(&mut state, "s", "2026-01-01T00:00:00Z", "apps/v1/Deployment web", &json!({}));
    assert_eq!(current(&state), None);
    let web = || controlled("apps/v1", "Deployment", "web");
    set(&mut state, "one", "2", web());
    set(&mut state, "two", "10", web());
    set(&mut state, "of-another", "11", controlled("apps/v1", "Deployment", "api"));
    assert_eq!(current(&state), Some("two".to_owned()));
    set(&mut state, "one", "12", web());
    assert_eq!(current(&state), Some("one".to_owned()), "rolled back");
    applied(&mut state, "s", "2026-01-01T00:00:00Z", "apps/v1/ReplicaSet two", &json!({}));
    assert_eq!(current(&state), Some("two".to_owned()));
    workload(&mut state, "apps", "ReplicaSet", "two", &json!({}));
    assert_eq!(current(&state), Some(NO_REVISION.to_owned()), "its pods have no hash either (B5)");
}

#[test]
fn pods_that_are_gone_are_looked_at_only_if_they_are_noted() {
    let mut state = State::default();
    applied(&mut state, "s", "2026-01-01T00:00:00Z", "batch/v1/Job sum", &json!({}));
    for name in ["p1", "p2"] {
        observed(&mut state, name, &controlled("batch/v1", "Job", "sum"), Some("s"));
        state.delete_pod("shop", name);
    }
    let departed = |state: &State| state.snapshot().picture_of_spread("shop", "s").unwrap().departed.len();
    assert_eq!(departed(&state), 0);
    let mut spread = Spread::clone(state.spreads.get("shop", "s").unwrap());
    let noted = json!([{"name": "a", "replicas": 0, "missingReplicas": 2, "creatingPods": {"p2": "2026-01-01T00:00:00Z"}}]);
    spread.status.versioned_subset_statuses.insert("7".to_owned(), serde_json::from_value(noted).unwrap());
    state.replace_spread(spread);
    assert_eq!(departed(&state), 1);
}
