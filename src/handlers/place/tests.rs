use serde_json::json;

use super::*;
use crate::{
    admission::{review, verdict::Outcome},
    handlers::{Claim, Gain, Verdict, pod::mutate},
    state::State,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn target(kind: &str, name: &str) -> Value {
    let api_version = match kind {
        "Job" => "batch/v1",
        "CloneSet" => "apps.kruise.io/v1beta1",
        "Rollout" => "example.com/v1",
        _ => "apps/v1",
    };
    json!({"apiVersion": api_version, "kind": kind, "name": name})
}

fn spread(name: &str, target: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"targetRef": target, "subsets": [{"name": "a", "maxReplicas": 2}, {"name": "b"}]}});
    change(&mut spread);
    spread
}

/// A cluster with these spreads, and `web-1` of the Deployment `web`.
fn state(spreads: &[Value]) -> State {
    let mut state = State::default();
    for spread in spreads {
        state.apply_spread(serde_json::from_value(spread.clone()).unwrap());
    }
    let mut apply = |kind: &str, object: Value| {
        let wire: Wire = serde_json::from_str(&object.to_string()).unwrap();
        state.apply_workload(crate::base::workload::Workload::read(&wire, ["apps", "v1", kind], &mut Interner::default()));
    };
    apply("Deployment", json!({"metadata": {"namespace": "shop", "name": "web", "uid": "d"}, "spec": {"replicas": 10}}));
    let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true}]);
    apply(
        "ReplicaSet",
        json!({"metadata": {"namespace": "shop", "name": "web-1", "uid": "r", "ownerReferences": owner}, "spec": {"replicas": 10}}),
    );
    state
}

fn new_pod(owner: &Value) -> Value {
    let mut owner = owner.clone();
    owner["controller"] = json!(true);
    owner["uid"] = json!("u");
    json!({"metadata": {"name": "web-1-x", "namespace": "shop", "labels": {"app": "web", "pod-template-hash": "1"}, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]}})
}

fn asked(state: &State, pod: &Value) -> Verdict {
    let request = json!({"uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop", "object": pod, "options": {}});
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
    mutate(&review::read(body.as_bytes()).unwrap(), &state.snapshot(), NOW)
}

/// Of what spread a place is wanted, and under which revision.
fn wanted(verdict: Verdict) -> Option<(String, String)> {
    match verdict {
        Verdict::Decided(decision) => {
            assert!(matches!(decision.outcome, Outcome::Allow(edits) if edits.is_empty()));
            None
        }
        Verdict::Claim(claims) => match &claims.claims[..] {
            [Claim::Spread(take)] => Some((take.spread.to_string(), take.revision.to_string())),
            other => panic!("{other:?}"),
        },
        Verdict::Ask(ask) => panic!("{ask:?}"),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as it is compared")]
fn some(spread: &str, revision: &str) -> Option<(String, String)> {
    Some((spread.to_owned(), revision.to_owned()))
}

#[test]
fn a_pod_belongs_to_its_owner_and_to_what_stands_above_that() {
    let of = |target: Value| wanted(asked(&state(&[spread("ws", &target, |_| ())]), &new_pod(&self::target("ReplicaSet", "web-1"))));
    assert_eq!(of(target("Deployment", "web")), some("ws", "1"));
    assert_eq!(of(target("ReplicaSet", "web-1")), some("ws", "1"));
    for other in [target("ReplicaSet", "web"), target("Deployment", "web-1"), target("Job", "web-1"), target("StatefulSet", "web")] {
        assert_eq!(of(other), None);
    }
}

#[test]
fn pods_without_a_controller_or_of_kinds_that_nobody_spreads_are_left_alone() {
    let state = state(&[spread("ws", &target("Deployment", "web"), |_| ())]);
    let mut orphan = new_pod(&target("ReplicaSet", "web-1"));
    orphan["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    assert_eq!(wanted(asked(&state, &orphan)), None);
    assert_eq!(wanted(asked(&state, &new_pod(&target("DaemonSet", "web")))), None);
    let mut over = new_pod(&target("ReplicaSet", "web-1"));
    over["status"] = json!({"phase": "Succeeded"});
    assert_eq!(wanted(asked(&state, &over)), None);
}

#[test]
fn of_several_spreads_the_eldest_has_a_pod_and_filters_keep_them_apart() {
    let young = spread("a", &target("Deployment", "web"), |spread| spread["metadata"]["creationTimestamp"] = json!("2026-06-01T00:00:00Z"));
    let old = spread("b", &target("ReplicaSet", "web-1"), |_| ());
    let pod = new_pod(&target("ReplicaSet", "web-1"));
    assert_eq!(wanted(asked(&state(&[young.clone(), old.clone()]), &pod)), some("b", "1"));
    let filtered = |selector: Value| {
        let mut old = old.clone();
        old["spec"]["targetFilter"] = json!({"selector": selector});
        wanted(asked(&state(&[young.clone(), old]), &pod))
    };
    assert_eq!(filtered(json!({"matchLabels": {"app": "log"}})), some("a", "1"));
    assert_eq!(filtered(json!(null)), some("b", "1"), "a filter without a selector filters nothing");
    let mut leaving = old.clone();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-06-01T00:00:00Z");
    assert_eq!(wanted(asked(&state(&[young, leaving]), &pod)), some("a", "1"));
}

#[test]
fn an_owner_that_is_not_known_is_asked_for_before_a_pod_is_refused() {
    let state = state(&[spread("ws", &target("Deployment", "web"), |_| ())]);
    let answered = |answer: Answer| {
        let Verdict::Ask(ask) = asked(&state, &new_pod(&target("ReplicaSet", "web-2"))) else { panic!("nobody was asked") };
        let (group, kind) = ("apps".to_owned(), "ReplicaSet".to_owned());
        assert_eq!(ask.questions, [Question::Object { group, kind, namespace: "shop".to_owned(), name: "web-2".to_owned() }]);
        ask.settle(vec![answer], &state.snapshot(), NOW)
    };
    let above = |name: &str| {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "d", "controller": true}]);
        Answer::Found(json!({"metadata": {"name": "web-2", "ownerReferences": owner}}).to_string())
    };
    assert_eq!(wanted(answered(above("web"))), some("ws", "1"));
    let Verdict::Decided(gone) = answered(Answer::Absent) else { panic!("not decided") };
    let Outcome::Deny(denial) = gone.outcome else { panic!("admitted") };
    assert_eq!((denial.code, denial.message.as_str()), (403, "ReplicaSet.apps \"web-2\" not found"));
    let Verdict::Decided(away) = answered(Answer::Unknown("it is away".to_owned())) else { panic!("not decided") };
    assert!(matches!(away.outcome, Outcome::Allow(_)));
    assert_eq!(away.warnings, ["the pod was given no place of a WorkloadSpread: ReplicaSet \"web-2\": it is away"]);
}

#[test]
fn nobody_is_asked_about_owners_that_cannot_lead_to_a_target() {
    let state = state(&[spread("ws", &target("Job", "sum"), |_| ())]);
    for (kind, name) in [("ReplicaSet", "gone"), ("Job", "other"), ("StatefulSet", "gone")] {
        assert_eq!(wanted(asked(&state, &new_pod(&target(kind, name)))), None, "{kind}");
    }
    assert_eq!(wanted(asked(&state, &new_pod(&target("Job", "sum")))), some("ws", "versionIgnored"), "the target itself need not be there");
}

#[test]
fn with_the_gate_off_nothing_is_placed_and_nothing_given_back() {
    let mut state = State::new(crate::base::gates::Gates::parse("WorkloadSpread=false").unwrap());
    state.apply_spread(serde_json::from_value(spread("ws", &target("Job", "sum"), |_| ())).unwrap());
    let mut pod = new_pod(&target("Job", "sum"));
    assert_eq!(wanted(asked(&state, &pod)), None);
    pod["metadata"]["annotations"] = json!({MATCHED: r#"{"name":"ws","subset":"a"}"#});
    let wire: crate::base::observed::Wire = serde_json::from_str(&pod.to_string()).unwrap();
    assert_eq!(returned(&wire, "shop", &state.snapshot()), None);
}

#[test]
fn what_it_gets_is_put_into_the_pod_and_told() {
    let state = state(&[spread("ws", &target("Deployment", "web"), |_| ())]);
    let settled = |pod: &Value, gain: Gain| {
        let Verdict::Claim(claims) = asked(&state, pod) else { panic!("no claim") };
        let decision = claims.settle(vec![gain], &state.snapshot(), NOW);
        let Outcome::Allow(edits) = decision.outcome else { panic!("denied") };
        let mut after = pod.clone();
        json_patch::patch(&mut after, &serde_json::from_str::<json_patch::Patch>(&edits.to_json_patch()).unwrap()).unwrap();
        (after["metadata"]["annotations"][MATCHED].clone(), decision.warnings, decision.note)
    };
    let mut pod = new_pod(&target("ReplicaSet", "web-1"));
    let place = |subset: &str| Gain::Place(Some(Place { subset: subset.into(), uid: "7".into() }));
    let mark = json!(r#"{"name":"ws","subset":"a","uid":"7"}"#);
    assert_eq!(settled(&pod, place("a")), (mark, vec![], "subset ws/a".to_owned()));
    assert_eq!(settled(&pod, place("gone")).0, Value::Null, "the subset is not there any more");
    pod["metadata"]["annotations"] = json!({MATCHED: "old"});
    assert_eq!(settled(&pod, Gain::Place(None)).0, Value::Null, "it has no place, so it says nothing of one");
    let unsettled = settled(&pod, Gain::Unsettled("it is away".to_owned()));
    assert_eq!(unsettled.1, ["WorkloadSpread \"ws\" gave the pod no place: it is away"]);
}

#[test]
fn a_pod_that_comes_by_again_is_known_by_what_it_says() {
    let state = state(&[spread("ws", &target("Deployment", "web"), |_| ())]);
    let mut pod = new_pod(&target("ReplicaSet", "web-1"));
    let newcomer = |pod: &Value| {
        let Verdict::Claim(claims) = asked(&state, pod) else { return None };
        let [Claim::Spread(Take { want: Want::Place(newcomer), .. })] = &claims.claims[..] else { panic!("{claims:?}") };
        Some(newcomer.noted_as.to_string())
    };
    for (said, noted_as) in [(r#"{"name":"ws","subset":"a","uid":"7"}"#, "7"), (r#"{"name":"other","subset":"a","uid":"7"}"#, "")] {
        pod["metadata"]["annotations"] = json!({MATCHED: said});
        assert_eq!(newcomer(&pod).as_deref(), Some(noted_as));
    }
    // In a subset without a limit nothing is noted: the pod is as its place makes it, or it is not.
    pod["metadata"]["annotations"] = json!({MATCHED: r#"{"name":"ws","subset":"b"}"#});
    assert_eq!(newcomer(&pod).as_deref(), Some(""), "it was copied from somewhere");
    pod["spec"]["affinity"] = json!({"nodeAffinity": {}});
    assert_eq!(newcomer(&pod), None);
}

#[test]
fn what_goes_gives_back_its_place_in_the_counters_of_its_revision() {
    let state = state(&[spread("ws", &target("Deployment", "web"), |_| ())]);
    let of = |change: fn(&mut Value)| {
        let mut pod = new_pod(&target("ReplicaSet", "web-1"));
        pod["metadata"]["annotations"] = json!({MATCHED: r#"{"Name":"ws","subset":"a"}"#});
        change(&mut pod);
        let wire: crate::base::observed::Wire = serde_json::from_str(&pod.to_string()).unwrap();
        returned(&wire, "shop", &state.snapshot()).map(|take| (take.revision.to_string(), take.want))
    };
    assert_eq!(of(|_| ()), Some(("1".to_owned(), Want::Return { pod: "web-1-x".into(), uid: "".into(), subset: "a".into(), counted: 0 })));
    assert_eq!(of(|pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z")), None);
    assert_eq!(of(|pod| pod["status"] = json!({"phase": "Failed"})), None);
    assert_eq!(of(|pod| pod["metadata"]["ownerReferences"] = json!([])), None);
    assert_eq!(of(|pod| pod["metadata"]["annotations"] = json!({})), None);
}
