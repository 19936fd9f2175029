use serde_json::{Value, json};

use super::*;
use crate::{
    admission::claim::{Claim, Taken},
    base::{interned::Interner, observed::Wire},
    spread::claim::{Newcomer, Place, Take, Want},
    state::pods::Observed,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A Deployment of five, three of whose places are in the first subset; two pods are noted there, and the second one is lost.
fn state(notes: &Value) -> State {
    let mut state = State::default();
    state.apply_spread(serde_json::from_value(spread(notes)).unwrap());
    let set = json!({"metadata": {"name": "web-1", "namespace": "shop", "uid": "set", "resourceVersion": "1", "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web", "controller": true}]},
        "spec": {"replicas": 5, "template": {"metadata": {"labels": {"pod-template-hash": "1"}}}}});
    let wire = serde_json::from_value(set).unwrap();
    state.apply_workload(crate::base::workload::Workload::read(&wire, ["apps", "v1", "ReplicaSet"], &mut Interner::default()));
    state
}

fn spread(notes: &Value) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread",
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "subsets": [{"name": "a", "maxReplicas": 3}, {"name": "b"}]},
        "status": {"versionedSubsetStatuses": {"1": [{"name": "a", "replicas": 0, "missingReplicas": 1, "creatingPods": notes},
            {"name": "b", "replicas": 0, "missingReplicas": -1}]}}})
}

fn arrives(state: &mut State, name: &str, subset: &str, uid: &str) {
    let mark = json!({"name": "web", "subset": subset, "uid": uid}).to_string();
    let pod = json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
        "labels": {"pod-template-hash": "1"}, "annotations": {"apps.kruise.io/matched-workloadspread": mark}, "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "set", "controller": true}]}});
    let wire: Wire = serde_json::from_value(pod).unwrap();
    state.observe_pod(Observed::read(&wire, &mut Interner::default()));
}

fn crew(state: &State, now: Timestamp) -> Option<Crew> {
    let snapshot = state.snapshot();
    snapshot.crews(snapshot.spreads.get("shop", "web").unwrap(), now).0.get("1").copied()
}

#[test]
fn pods_are_coming_that_are_noted_or_sent_and_were_not_seen() {
    let mut state = state(&json!({"x": at(0).to_string(), "y": at(0).to_string()}));
    let counted = Crew { wanted: 5, noted: 2, ..Crew::default() };
    assert_eq!(crew(&state, at(1)), Some(counted));
    arrives(&mut state, "web-1-a", "a", "x");
    assert_eq!(crew(&state, at(1)), Some(Crew { here: 1, noted: 1, ..counted }));
    let mut sent = Spread::clone(state.snapshot().spreads.get("shop", "web").unwrap());
    sent.crews.add(&"1".into(), false);
    sent.crews.add(&"1".into(), false);
    state.note_sent(&sent, at(1));
    assert_eq!(crew(&state, at(1)), Some(Crew { here: 1, noted: 1, sent: 2, ..counted }));
    arrives(&mut state, "web-1-b", "b", "");
    assert_eq!(crew(&state, at(1)), Some(Crew { here: 2, noted: 1, sent: 1, ..counted }));
    // The place of a note that has lapsed is given back by the reconciler, who may be late, but is not waited for for ever.
    assert!(crew(&state, at(31)).is_some() && crew(&state, at(46)).is_none());
}

#[test]
fn nothing_is_said_of_pods_whose_replica_set_is_not_known_or_that_nobody_notes() {
    let state = state(&json!({}));
    assert_eq!(crew(&state, at(1)), None);
    let mut state = self::state(&json!({"x": at(0).to_string()}));
    state.delete_workload("shop", ["apps", "ReplicaSet"], "web-1");
    assert_eq!(crew(&state, at(1)), None);
}

/// Two servers have died with a place each; all others of five pods are there but two, which come now.
#[test]
fn who_comes_for_a_pod_that_was_lost_waits_for_its_place() {
    let mut state = state(&json!({"x": at(0).to_string(), "y": at(0).to_string()}));
    arrives(&mut state, "web-1-a", "a", "elsewhere");
    let take = |id: &str| {
        let newcomer = Newcomer { id: id.into(), ..Newcomer::default() };
        Take { namespace: "shop".into(), spread: "web".into(), revision: "1".into(), total: None, want: Want::Place(newcomer) }
    };
    let mut known = Spread::clone(state.snapshot().spreads.get("shop", "web").unwrap());
    known.crews = state.snapshot().crews(&known, at(1));
    let place = |taken: Taken<Option<Place>>| match taken {
        Taken::Taken(place) | Taken::Needless(place) | Taken::Held(place) => place.map(|place| place.subset.to_string()),
        other => Some(format!("{other:?}")),
    };
    assert_eq!(place(take("1").take(&mut known, at(1))).as_deref(), Some("a"));
    assert_eq!(place(take("2").take(&mut known, at(1))).as_deref(), Some("b"));
    let third = place(take("3").take(&mut known, at(1))).unwrap();
    assert_eq!(third, "Stale", "it is looked again, and refused if that does not help");
    assert_eq!(place(take("1").take(&mut known, at(1))).as_deref(), Some("a"), "who has a place has it");
    // The notes have lapsed, and the reconciler has said so.
    known.crews = Crews::default();
    known.status.versioned_subset_statuses.get_mut("1").unwrap()[0].missing_replicas = 2;
    assert_eq!(place(take("3").take(&mut known, at(31))).as_deref(), Some("a"));
}
