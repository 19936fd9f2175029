use serde_json::{Value, json};

use super::*;
use crate::admission::claim::{Waiting, fold};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn spread(subsets: &Value, arrays: &Value) -> Spread {
    let object = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": "ws", "namespace": "shop"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "subsets": subsets},
        "status": {"versionedSubsetStatuses": arrays}});
    Spread::compile(serde_json::from_value(object).unwrap())
}

fn two() -> Value {
    json!([{"name": "a", "maxReplicas": 2}, {"name": "b"}])
}

fn take(want: Want) -> Take {
    Take { namespace: "shop".into(), spread: "ws".into(), revision: "1".into(), total: None, want }
}

fn named(name: &str) -> Take {
    take(Want::Place(Newcomer { name: name.into(), id: format!("id-of-{name}").into(), ..Newcomer::default() }))
}

fn nameless(id: &str, noted_as: &str) -> Take {
    take(Want::Place(Newcomer { id: id.into(), noted_as: noted_as.into(), ..Newcomer::default() }))
}

fn returned(pod: &str, subset: &str) -> Take {
    take(Want::Return { pod: pod.into(), uid: "".into(), subset: subset.into(), counted: 0 })
}

#[expect(clippy::unnecessary_wraps, reason = "as claims give it")]
fn place(subset: &str, uid: &str) -> Option<Place> {
    Some(Place { subset: subset.into(), uid: uid.into() })
}

/// The counters of a revision: `name:missing(creating/deleting)`.
fn books(spread: &Spread, revision: &str) -> String {
    let keys = |notes: &std::collections::BTreeMap<String, Timestamp>| notes.keys().cloned().collect::<Vec<_>>().join("+");
    let of = |subset: &SubsetStatus| {
        format!("{}:{}({}/{})", subset.name, subset.missing_replicas, keys(&subset.creating_pods), keys(&subset.deleting_pods))
    };
    spread.status.versioned_subset_statuses.get(revision).into_iter().flatten().map(of).collect::<Vec<_>>().join(" ")
}

#[test]
fn pods_fill_the_first_subset_and_then_the_next() {
    let mut spread = spread(&two(), &json!({}));
    let gains: Vec<_> = ["x", "y", "z"].map(|name| named(name).take(&mut spread, NOW)).into();
    let want = [Taken::Taken(place("a", "")), Taken::Taken(place("a", "")), Taken::Needless(place("b", ""))];
    assert_eq!(gains, want);
    assert_eq!(books(&spread, "1"), "a:0(x+y/) b:-1(/)");
}

#[test]
fn a_pod_without_a_name_is_noted_under_its_own_id_and_found_again_by_it() {
    let mut spread = spread(&two(), &json!({}));
    assert_eq!(nameless("i1", "").take(&mut spread, NOW), Taken::Taken(place("a", "i1")));
    assert_eq!(nameless("i1", "").take(&mut spread, NOW), Taken::Held(place("a", "i1")), "the review itself came twice");
    assert_eq!(nameless("i2", "i1").take(&mut spread, NOW), Taken::Held(place("a", "i1")), "the pod came twice");
    assert_eq!(nameless("i3", "i0").take(&mut spread, NOW), Taken::Taken(place("a", "i3")), "what it says was never noted");
    assert_eq!(books(&spread, "1"), "a:0(i1+i3/) b:-1(/)");
}

#[test]
fn a_noted_name_leads_back_to_its_subset_whatever_has_become_of_that() {
    let closed =
        json!([{"type": "Schedulable", "status": "False", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let array = json!([{"name": "a", "replicas": 0, "missingReplicas": 5}, {"name": "b", "replicas": 0, "missingReplicas": 0, "conditions": closed,
        "creatingPods": {"x": "2020-01-01T00:00:00Z"}, "deletingPods": {"y": "2020-01-01T00:00:00Z"}}]);
    let mut spread = spread(&two(), &json!({"1": array}));
    let before = spread.clone();
    for name in ["x", "y"] {
        assert_eq!(named(name).take(&mut spread, NOW), Taken::Needless(place("b", "")));
    }
    assert_eq!(spread, before);
}

#[test]
fn full_and_closed_subsets_are_passed_over_and_then_there_is_none() {
    let closed =
        json!([{"type": "Schedulable", "status": "False", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let array = json!([{"name": "a", "replicas": 0, "missingReplicas": 2, "conditions": closed}, {"name": "b", "replicas": 0, "missingReplicas": 1}]);
    let mut spread = spread(&two(), &json!({"1": array}));
    assert_eq!(named("x").take(&mut spread, NOW), Taken::Taken(place("b", "")));
    let before = spread.clone();
    assert_eq!(named("y").take(&mut spread, NOW), Taken::Needless(None));
    assert_eq!(spread, before, "nothing is noted of a pod that got nothing");
}

#[test]
fn revisions_have_arrays_of_their_own_and_percentages_are_of_all_pods() {
    let mut spread =
        spread(&json!([{"name": "a", "maxReplicas": "30%"}, {"name": "b"}]), &json!({"1": [{"name": "a", "missingReplicas": 0}]}));
    let of_second = Take { revision: "2".into(), total: Some(5), ..named("x") };
    assert_eq!(of_second.take(&mut spread, NOW), Taken::Taken(place("a", "")));
    assert_eq!((books(&spread, "1"), books(&spread, "2")), ("a:0(/)".to_owned(), "a:1(x/) b:-1(/)".to_owned()));
}

#[test]
fn a_pod_that_a_patch_does_not_fit_takes_no_place() {
    let mut spread = spread(&two(), &json!({}));
    let before = spread.clone();
    let denial = Denial::forbidden("no");
    let Want::Place(newcomer) = named("x").want else { unreachable!() };
    let misfit = |subset: &str| take(Want::Place(Newcomer { misfits: vec![(subset.into(), denial.clone())], ..newcomer.clone() }));
    assert_eq!(misfit("a").take(&mut spread, NOW), Taken::Refused(denial.clone()));
    assert_eq!(spread, before);
    assert_eq!(misfit("b").take(&mut spread, NOW), Taken::Taken(place("a", "")));
}

#[test]
fn a_spread_that_is_being_deleted_places_nobody_but_counts_who_goes() {
    let mut spread = spread(&two(), &json!({"1": [{"name": "a", "replicas": 2, "missingReplicas": 0}]}));
    spread.is_terminating = true;
    assert_eq!(named("x").take(&mut spread, NOW), Taken::Needless(None));
    assert_eq!(returned("y", "a").take(&mut spread, NOW), Taken::Taken(None));
    assert_eq!(books(&spread, "1"), "a:1(/y)");
}

#[test]
fn a_place_is_given_back_once_and_at_once() {
    let mut spread =
        spread(&two(), &json!({"1": [{"name": "a", "replicas": 2, "missingReplicas": 0}, {"name": "b", "missingReplicas": -1}]}));
    assert_eq!(named("new").take(&mut spread.clone(), NOW), Taken::Needless(place("b", "")));
    assert_eq!(returned("x", "a").take(&mut spread, NOW), Taken::Taken(None));
    assert_eq!(returned("x", "a").take(&mut spread, NOW), Taken::Held(None));
    assert_eq!(named("new").take(&mut spread, NOW), Taken::Taken(place("a", "")));
    for nothing in [returned("y", "b"), returned("y", "gone")] {
        assert_eq!(nothing.take(&mut spread, NOW), Taken::Needless(None));
    }
    assert_eq!(books(&spread, "1"), "a:0(new/x) b:-1(/)");
}

#[test]
fn what_more_pods_than_there_may_be_give_back_is_no_room() {
    let overfull = json!({"1": [{"name": "a", "replicas": 4, "missingReplicas": 0}]});
    let mut spread = spread(&json!([{"name": "a", "maxReplicas": 2}]), &overfull);
    for (pod, missing) in [("w", 0), ("x", 0), ("y", 1), ("z", 2)] {
        assert_eq!(returned(pod, "a").take(&mut spread, NOW), Taken::Taken(None));
        assert_eq!(spread.status.versioned_subset_statuses["1"][0].missing_replicas, missing, "{pod}");
    }
}

#[test]
fn times_are_noted_in_whole_seconds() {
    let mut spread = spread(&two(), &json!({}));
    let now = Timestamp::from_millisecond(1_999).unwrap();
    let _ = named("x").take(&mut spread, now);
    let noted = spread.status.versioned_subset_statuses["1"][0].creating_pods["x"];
    assert_eq!(noted.subsec_nanosecond(), 0);
}

#[test]
fn all_that_wait_are_folded_into_one_write_and_none_is_over_the_limit() {
    let mut spread = spread(&json!([{"name": "a", "maxReplicas": 10}, {"name": "b", "maxReplicas": 5}]), &json!({}));
    let claims: Vec<_> = (0..40).map(|number| nameless(&format!("i{number}"), "")).collect();
    let waiting = claims.iter().map(|claim| Waiting { claim, is_trial: false });
    let taken = fold(&mut spread, waiting, NOW);
    let count = |name: &str| taken.iter().filter(|taken| matches!(taken, Taken::Taken(Some(place)) if &*place.subset == name)).count();
    assert_eq!((count("a"), count("b")), (10, 5));
    assert_eq!(taken.iter().filter(|taken| **taken == Taken::Needless(None)).count(), 25);
}

#[test]
fn who_was_left_out_of_the_count_meanwhile_gives_nothing_back() {
    let mut spread = spread(&two(), &json!({"1": [{"name": "a", "replicas": 1, "missingReplicas": 1}]}));
    spread.status.counted = 1;
    let before = spread.clone();
    assert_eq!(returned("x", "a").take(&mut spread, NOW), Taken::Stale);
    assert_eq!(spread, before);
}

#[test]
fn of_a_workload_that_has_grown_a_percentage_is_more_before_it_is_counted_anew() {
    let counted = json!({"1": [{"name": "a", "replicas": 3, "missingReplicas": 0, "creatingPods": {"y": "2026-01-01T00:00:00Z"}},
        {"name": "b", "replicas": 7, "missingReplicas": 0}]});
    let mut spread = spread(&json!([{"name": "a", "maxReplicas": "30%"}, {"name": "b", "maxReplicas": "70%"}]), &counted);
    let of_twenty = |name: &str| Take { total: Some(20), ..named(name) };
    let gains: Vec<_> = ["u", "v", "w"].map(|name| of_twenty(name).take(&mut spread, NOW)).into();
    assert_eq!(gains, [Taken::Taken(place("a", "")), Taken::Taken(place("a", "")), Taken::Taken(place("b", ""))]);
    assert_eq!(books(&spread, "1"), "a:0(u+v+y/) b:6(w/)");
    let of_ten = Take { total: Some(10), ..named("x") };
    assert_eq!(of_ten.take(&mut spread, NOW), Taken::Taken(place("b", "")), "what was counted holds");
}
