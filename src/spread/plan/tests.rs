use serde_json::json;

use super::*;
use crate::spread::{
    fixtures::{Cluster, Described, ago, now, pod},
    picture::Fit,
};

/// What a plan wants done, in short.
fn shown(plan: &Plan) -> Vec<String> {
    let task = |task: &Task| match &task.action {
        Action::Delete { target, resource_version } => format!("delete {}@{resource_version}", target.name),
        Action::Patch(patch) => {
            assert_eq!((patch.form, patch.body["metadata"]["uid"].as_str()), (Form::Strategic, Some(&*patch.target.uid)));
            format!("{} {}", patch.target.name, patch.body["metadata"]["annotations"])
        }
        other => panic!("{other:?}"),
    };
    assert!(plan.first.is_empty());
    plan.each.iter().map(task).collect()
}

fn told(plan: &Plan) -> Vec<&'static str> {
    plan.events.iter().map(|event| event.reason).collect()
}

/// The status that is written, or null.
fn written(plan: &Plan) -> Value {
    plan.status.as_ref().map_or(Value::Null, |patch| {
        assert_eq!((patch.form, patch.sub_resource, patch.target.kind), (Form::Merge, "status", Kind::SPREAD));
        assert_eq!(patch.body["metadata"], json!({"resourceVersion": "7", "uid": "s"}), "on this version and no other");
        let mut status = patch.body["status"].clone();
        let counted = status.as_object_mut().unwrap().shift_remove("counted");
        assert_eq!(counted, Some(json!(1)), "that it was counted once more");
        status
    })
}

fn made(cluster: Cluster) -> Plan {
    plan(&cluster.picture(), now())
}

fn subset(name: &str, replicas: i32, missing: i32) -> Value {
    json!({"name": name, "replicas": replicas, "missingReplicas": missing})
}

fn running(name: &str, subset: &str, hash: &str) -> Described {
    pod(name).marked(subset).revision(hash).ready(50)
}

#[test]
fn two_revisions_have_their_own_places_and_are_counted_together() {
    // multiVersion of reference §13.2.
    let of = |hash: &'static str| {
        ["a", "a", "a", "b", "b"].into_iter().enumerate().map(move |(n, subset)| running(&format!("{hash}{n}"), subset, hash))
    };
    let plan = made(Cluster::new("a:3 b").current("new").pods(of("new").chain(of("old"))));
    let array = json!([subset("a", 3, 0), subset("b", 2, -1)]);
    let expected = json!({"observedGeneration": 1, "summary": "a 6/3, b 4", "subsetStatuses": [subset("a", 6, 0), subset("b", 4, -1)],
        "versionedSubsetStatuses": {"new": array, "old": array}});
    assert_eq!(written(&plan), expected);
    let costs: BTreeMap<_, _> = shown(&plan).iter().map(|one| (one[..4].to_owned(), one.rsplit(':').next().unwrap().to_owned())).collect();
    for (name, cost) in [("new0", "\"200\"}"), ("new4", "\"100\"}"), ("old0", "\"100\"}"), ("old4", "\"200\"}")] {
        assert_eq!(costs[name], cost);
    }
}

#[test]
fn a_spread_without_pods_has_an_aggregate_and_no_revisions() {
    let plan = made(Cluster::new("a:5 b:5"));
    assert_eq!(
        written(&plan),
        json!({"observedGeneration": 1, "summary": "a 0/5, b 0/5", "subsetStatuses": [subset("a", 0, 5), subset("b", 0, 5)]})
    );
    assert!(plan.each.is_empty() && plan.events.is_empty() && plan.again.is_none());
}

/// The cluster with the status that its own plan writes.
fn settled(cluster: impl Fn() -> Cluster) -> Cluster {
    let status = status_of(&cluster().picture(), now());
    cluster().status(serde_json::to_value(status).unwrap())
}

#[test]
fn what_is_so_already_is_not_written() {
    let cluster =
        || Cluster::new("a:5 b").adaptive(30).pods([running("p0", "a", "7"), running("p1", "b", "7")].map(|pod| pod.costing("200")));
    let plan = made(settled(cluster));
    assert_eq!(
        (written(&plan), shown(&plan)),
        (Value::Null, vec!["p1 {\"controller.kubernetes.io/pod-deletion-cost\":\"100\"}".to_owned()])
    );
}

#[test]
fn only_what_has_changed_is_written_and_what_is_gone_is_null() {
    let known = json!([subset("a", 1, 4)]);
    let status = json!({"observedGeneration": 1, "summary": "a 1/5", "subsetStatuses": [subset("a", 1, 4)],
        "versionedSubsetStatuses": {"7": known, "6": known, "5": [{"name": "a", "replicas": 0, "missingReplicas": 4,
            "creatingPods": {"x": ago(5).to_string()}}]}});
    let plan =
        made(Cluster::new("a:5").status(status).pods([running("p0", "a", "7").costing("100"), running("p1", "a", "7").costing("100")]));
    let expected = json!({"summary": "a 2/5", "subsetStatuses": [subset("a", 2, 3)],
        "versionedSubsetStatuses": {"7": [subset("a", 2, 3)], "6": null}});
    assert_eq!(written(&plan), expected, "that of 5 waits for a pod");
    assert_eq!(plan.again, Some(SignedDuration::from_millis(25_001)));
}

#[test]
fn a_revision_that_only_has_pods_outside_has_an_array() {
    let plan = made(Cluster::new("a:5").pods([running("p0", "gone", "7")]));
    let status = written(&plan);
    assert_eq!(status["versionedSubsetStatuses"], json!({"7": [subset("a", 0, 5)]}));
    assert_eq!((status["summary"].as_str(), told(&plan)), (Some("a 0/5, elsewhere 1"), vec!["PodsWithoutSubset"]));
}

#[test]
fn nothing_is_done_about_a_spread_that_is_being_deleted() {
    let deleted = Cluster::new("a:5").with("/metadata", "deletionTimestamp", json!(ago(1).to_string())).pods([running("p0", "a", "7")]);
    let plan = made(deleted);
    assert!(plan.is_done() && plan.events.is_empty() && plan.again.is_none());
}

#[test]
fn a_spread_that_cannot_be_used_says_so_and_keeps_what_is_noted() {
    let noted = json!([{"name": "a", "replicas": 0, "missingReplicas": 4, "creatingPods": {"x": ago(99).to_string()}}]);
    let plan = made(Cluster::new("a:5").noted("7", noted).with(
        "/spec",
        "targetRef",
        json!({"apiVersion": "a/b/c", "kind": "Job", "name": "sum"}),
    ));
    let status = written(&plan);
    assert_eq!(status["summary"], json!("spec.targetRef: names no workload"));
    assert!(status.get("versionedSubsetStatuses").is_none() && told(&plan) == ["InvalidSpec"] && plan.each.is_empty());
}

#[test]
fn a_problem_is_told_and_stops_nothing() {
    let plan =
        made(Cluster::new("a:50%").problem("spec.targetFilter.replicasPathList: \"x\": there is no x").pods([running("p0", "a", "7")]));
    assert_eq!(written(&plan)["summary"], json!("a 1/0; spec.targetFilter.replicasPathList: \"x\": there is no x"));
    assert_eq!((told(&plan), plan.each.len()), (vec!["InvalidSpec"], 1));
}

#[test]
fn what_did_not_happen_is_told() {
    let noted =
        |at: &str| json!([{"name": "a", "replicas": 0, "missingReplicas": 0, "creatingPods": {"x": at}, "deletingPods": {"p0": at}}]);
    let plan = made(Cluster::new("a:5").noted("7", noted(&ago(50).to_string())).pods([running("p0", "a", "7")]));
    assert_eq!(told(&plan), ["CreatePodFailed", "DeletePodFailed"]);
    let counted =
        tally(&Cluster::new("a:5").noted("7", noted(&ago(50).to_string())).pods([pod("p1").revision("7").on("n")]).picture(), now());
    assert_eq!(counted, Tally { lapsed: 1, astray: 1 });
}

fn stuck(name: &str, subset: &str) -> Described {
    pod(name).marked(subset).unschedulable().aged(60)
}

fn closed(since: i64) -> Value {
    json!([{"type": "Schedulable", "status": "False", "reason": "PodUnschedulable", "message": "", "lastTransitionTime": ago(since).to_string()}])
}

fn open(since: i64) -> Value {
    json!([{"type": "Schedulable", "status": "True", "reason": "Sufficient", "message": "", "lastTransitionTime": ago(since).to_string()}])
}

fn judged(name: &str, replicas: i32, missing: i32, conditions: &Value) -> Value {
    json!({"name": name, "replicas": replicas, "missingReplicas": missing, "conditions": conditions})
}

#[test]
fn a_subset_is_closed_first_and_its_pods_are_moved_on_when_that_is_stored() {
    // Reschedule 3 of reference §13.2.
    let cluster = || Cluster::new("a:5 b").adaptive(5).pods([stuck("p0", "a"), stuck("p1", "a"), stuck("p2", "b")]);
    let plan = made(cluster());
    let array = json!([judged("a", 2, 3, &closed(0)), judged("b", 1, -1, &open(0))]);
    let status = written(&plan);
    assert_eq!((&status["subsetStatuses"], &status["versionedSubsetStatuses"]["versionIgnored"]), (&array, &array));
    assert_eq!((status["summary"].as_str(), told(&plan), shown(&plan)), (Some("a 2/5 (closed), b 1"), vec!["PodUnschedulable"], vec![]));
    let plan = made(settled(cluster));
    assert_eq!((written(&plan), shown(&plan)), (Value::Null, vec!["delete p0@1".to_owned(), "delete p1@1".to_owned()]));
    assert_eq!(told(&plan), ["PodsMoved"]);
}

#[test]
fn nothing_is_moved_on_that_would_come_back() {
    let cluster = || Cluster::new("a:5 b").adaptive(5).pods([stuck("p0", "a")]);
    let array = |conditions: Value| json!([judged("a", 1, 4, &conditions), judged("b", 0, -1, &open(0))]);
    for (all, of_revision) in [(closed(9), open(9)), (open(9), closed(9)), (closed(9), json!([]))] {
        let status = json!({"subsetStatuses": array(all), "versionedSubsetStatuses": {"versionIgnored": array(of_revision)}});
        assert!(
            shown(&made(cluster().status(status))).is_empty(),
            "a pod of the revision, or of a stateful set, would be sent there again"
        );
    }
}

#[test]
fn only_so_many_pods_are_moved_on_at_a_time() {
    let cluster = || Cluster::new("a b").adaptive(5).pods((0..30).map(|number| stuck(&format!("p{number:02}"), "a")));
    let plan = made(settled(cluster));
    assert_eq!((plan.each.len(), plan.again), (MOVES, Some(SignedDuration::ZERO)));
}

#[test]
fn a_closed_subset_is_remembered_without_pods_and_for_new_revisions() {
    // B39.
    let status = |since| {
        let array = json!([judged("a", 0, 5, &closed(since)), judged("b", 0, -1, &open(99))]);
        json!({"subsetStatuses": array, "versionedSubsetStatuses": {"old": array}})
    };
    let of = |since| {
        let picture = Cluster::new("a:5 b").adaptive(5).status(status(since)).pods([running("p0", "b", "new")]).picture();
        let status = status_of(&picture, now());
        let is_closed = |name: &str| status.versioned_subset_statuses.get(name).map(|array| is_closed(&array[0]));
        (is_closed("old"), is_closed("new"))
    };
    assert_eq!(of(240), (Some(true), Some(true)));
    assert_eq!(of(301), (None, Some(false)));
    let plan = made(Cluster::new("a:5 b").adaptive(5).status(status(240)));
    assert_eq!(plan.again, Some(SignedDuration::from_millis(60_001)));
}

#[test]
fn a_subset_that_opens_again_is_told() {
    // Reschedule 4 and 5 of reference §13.2.
    let of = |since| {
        let array = json!([judged("a", 0, 5, &closed(since)), judged("b", 0, -1, &open(99))]);
        made(Cluster::new("a:5 b").adaptive(5).status(json!({"subsetStatuses": array, "versionedSubsetStatuses": {"7": array}})))
    };
    assert_eq!((told(&of(240)), told(&of(600))), (vec![], vec!["RecoverSchedulable"]));
    assert_eq!(written(&of(600))["versionedSubsetStatuses"], json!({"7": null}));
}

#[test]
fn a_pod_that_was_there_before_is_counted_and_then_marked() {
    let fit = |subset| vec![Fit { subset, score: 0 }];
    let pods = || ["p0", "p1"].map(|name| pod(name).on("n"));
    let cluster = || Cluster::new("a:1 b").pods(pods()).fits("p0", fit(0)).fits("p1", fit(0));
    let plan = made(cluster());
    assert_eq!(shown(&plan), [""; 0], "others may take these places until they are counted");
    assert_eq!(written(&plan)["subsetStatuses"], json!([subset("a", 2, 0), subset("b", 0, -1)]));
    let counted = made(cluster().status(written(&plan).clone()));
    let mark = |name: &str| format!("{name} {}", json!({"apps.kruise.io/matched-workloadspread": r#"{"name":"spread","subset":"a"}"#}));
    assert_eq!(shown(&counted), [mark("p0"), mark("p1")]);
}

#[test]
fn strangers_are_those_that_run_and_were_not_looked_at() {
    let pods = [pod("p0").on("n"), pod("p1"), pod("p2").marked("a").on("n"), pod("p3").on("n"), pod("p4").on("n").phase("Succeeded")];
    let picture = Cluster::new("a").pods(pods).fits("p3", vec![]).picture();
    assert_eq!(strangers(&picture).map(|pod| &*pod.name).collect::<Vec<_>>(), ["p0"]);
}

#[test]
fn the_pods_have_to_be_listed_before_a_note_is_dropped() {
    let noted = json!([{"name": "a", "replicas": 0, "missingReplicas": 0, "creatingPods": {"x": ago(40).to_string()}}]);
    let of = |listed| needs_list(&Cluster::new("a:5").listed(listed).noted("7", noted.clone()).picture(), now());
    assert_eq!([of(None), of(Some(20)), of(Some(9))], [true, true, false]);
    assert!(needs_list(&Cluster::new("a:5").listed(None).picture(), now()), "not all pods are known");
}

#[test]
fn costs_wait_while_pods_come_and_the_status_does_not() {
    let coming = |seconds: i64| Cluster::new("a:5").pods([running("p0", "a", "7").aged(seconds)]);
    let plan = made(coming(1));
    assert!(plan.each.is_empty() && plan.status.is_some() && plan.again == Some(SignedDuration::from_secs(1)));
    assert_eq!(made(coming(2)).each.len(), 1);
    let many = (0..250).map(|number| running(&format!("p{number}"), "a", "7"));
    let plan = made(Cluster::new("a").pods(many));
    assert_eq!((plan.each.len(), plan.again), (COSTS, Some(SignedDuration::ZERO)));
}

#[test]
fn a_line_says_it_all() {
    let of = |cluster: Cluster| status_of(&cluster.picture(), now()).summary.unwrap_or_default();
    assert_eq!(of(Cluster::new("")), "");
    assert_eq!(
        of(Cluster::new("zone-a:10 zone-b:30% rest").total(10).pods([running("p0", "rest", "7")])),
        "zone-a 0/10, zone-b 0/3, rest 1"
    );
    assert_eq!(of(Cluster::new("a").pods([pod("p0").marked("a").terminating(), pod("p1").terminating()])), "a 0");
}
