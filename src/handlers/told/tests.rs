use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    admission::{
        ask::Answer,
        reason::Reason,
        review,
        verdict::{Decision, Denial, Outcome},
    },
    base::workload::{Owner, Workload},
    handlers::{Gain, Verdict, delete, guard, pod},
    plan::{Event, Kind},
    spread::claim::Place,
    state::State,
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn set(name: &str, container: &str) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name, "uid": format!("uid-{name}"),
            "annotations": {"kruise.io/sidecarset-hash": "h", "kruise.io/sidecarset-hash-without-image": "h"}},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": container, "image": "i"}]}})
}

fn state(sets: &[Value], spread: Option<Value>) -> State {
    let mut state = State::default();
    for set in sets {
        state.apply_set(serde_json::from_value(set.clone()).unwrap()).unwrap();
    }
    if let Some(spread) = spread {
        state.apply_spread(serde_json::from_value(spread).unwrap());
    }
    state
}

fn spread() -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": "web", "namespace": "shop", "uid": "uid-web"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1"}, "subsets": [{"name": "a", "maxReplicas": 1}]}})
}

fn body(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "uid-rs", "controller": true}]);
    let pod = json!({"metadata": {"generateName": "web-1-", "labels": {"app": "web"}, "ownerReferences": owner},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]}});
    let mut request = json!({"uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop", "object": pod});
    change(&mut request);
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string().into_bytes()
}

fn made(state: &State, change: impl FnOnce(&mut Value)) -> Verdict {
    let body = body(change);
    pod::mutate(&review::read(&body).unwrap(), &state.snapshot(), NOW)
}

fn decided(verdict: Verdict) -> Decision {
    let Verdict::Decided(decision) = verdict else { panic!("{verdict:?}") };
    decision
}

fn told(decision: &Decision) -> Vec<String> {
    let told = |Event { by, about, reason, note, .. }: &Event| {
        format!("{by}: {} {}/{} {}: {reason}: {note}", about.kind.kind, about.namespace, about.name, about.uid)
    };
    decision.events.iter().map(told).collect()
}

#[test]
fn containers_that_meet_are_told_of_the_set_and_of_the_workload() {
    let mut state = state(&[set("log", "main")], None);
    state.apply_workload(workload("apps", "ReplicaSet", "web-1", None));
    let decision = decided(made(&state, |_| ()));
    let taken = "container main takes the place of the pod's own container of that name";
    assert_eq!(
        told(&decision),
        [
            format!("sidecarset-controller: SidecarSet /log uid-log: InjectionConflict: pods of ReplicaSet shop/web-1: {taken}"),
            format!("sidecarset-controller: ReplicaSet shop/web-1 uid-rs: InjectionConflict: SidecarSet log: {taken}"),
        ]
    );
    assert_eq!(decision.warnings, [format!("SidecarSet log: {taken}")]);
    let orphan = decided(made(&state, |request| request["object"]["metadata"]["ownerReferences"] = json!([])));
    assert_eq!(
        told(&orphan),
        [format!("sidecarset-controller: SidecarSet /log uid-log: InjectionConflict: pods of namespace shop: {taken}")]
    );
    assert!(decided(made(&state, |request| request["dryRun"] = json!(true))).events.is_empty());
    assert!(decided(made(&self::state(&[set("log", "log")], None), |_| ())).events.is_empty());
}

/// What is told of containers that meet in a pod of this controller: of whom, and how a set calls the pods.
fn of_conflict(state: &State, [api_version, kind, name]: [&str; 3]) -> (String, Vec<String>) {
    let owner = json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": "uid-owner", "controller": true}]);
    let decision = decided(made(state, |request| request["object"]["metadata"]["ownerReferences"] = owner));
    let (of_set, others): (Vec<Event>, Vec<Event>) = decision.events.into_iter().partition(|event| event.about.kind == Kind::SIDECAR_SET);
    let whose = of_set[0].note.split(": ").next().unwrap().to_owned();
    (whose, others.into_iter().map(|Event { about, .. }| format!("{} {} {}", about.kind.kind, about.name, about.uid)).collect())
}

fn workload(group: &str, kind: &str, name: &str, controller: Option<Owner>) -> Workload {
    let identity = Owner { group: group.into(), kind: kind.into(), name: name.into(), ..Owner::default() };
    Workload { namespace: "shop".into(), identity, controller, ..Workload::default() }
}

#[test]
fn of_conflicts_nothing_is_told_to_what_comes_and_goes() {
    let mut state = state(&[set("log", "main")], None);
    let above = |group: &str, kind: &str, name: &str| {
        let uid = format!("uid-{name}").as_str().into();
        Some(Owner { group: group.into(), kind: kind.into(), name: name.into(), uid, ..Owner::default() })
    };
    state.apply_job(workload("batch", "Job", "report-1", above("batch", "CronJob", "report")));
    state.apply_job(workload("batch", "Job", "report-2", above("batch", "CronJob", "report")));
    state.apply_job(workload("batch", "Job", "step-1", above("flows.example", "Flow", "f")));
    state.apply_workload(workload("apps", "ReplicaSet", "web-1", above("apps", "Deployment", "web")));
    state.apply_workload(workload("apps", "ReplicaSet", "own-1", above("rollouts.example", "Rollout", "own")));
    for (controller, whose, told) in [
        (["batch/v1", "Job", "report-1"], "pods of CronJob shop/report", vec!["CronJob report uid-report"]),
        (["batch/v1", "Job", "report-2"], "pods of CronJob shop/report", vec!["CronJob report uid-report"]),
        (["batch/v1", "Job", "step-1"], "pods of namespace shop", vec![]),
        (["batch/v1", "Job", "not-known"], "pods of namespace shop", vec![]),
        (["apps/v1", "ReplicaSet", "web-1"], "pods of Deployment shop/web", vec!["Deployment web uid-web"]),
        (["apps/v1", "ReplicaSet", "own-1"], "pods of ReplicaSet shop/own-1", vec!["ReplicaSet own-1 uid-owner"]),
        (["apps/v1", "ReplicaSet", "new-1"], "pods of namespace shop", vec![]),
        (["apps/v1", "DaemonSet", "agent"], "pods of DaemonSet shop/agent", vec!["DaemonSet agent uid-owner"]),
    ] {
        assert_eq!(of_conflict(&state, controller), (whose.to_owned(), told.into_iter().map(str::to_owned).collect()));
    }
}

/// The decision about a pod whose claim gave this.
fn placed(gain: Gain, change: impl FnOnce(&mut Value)) -> Decision {
    let state = state(&[set("log", "log")], Some(spread()));
    let mut verdict = made(&state, change);
    while let Verdict::Ask(ask) = verdict {
        let owner = json!({"metadata": {"name": "web-1", "namespace": "shop", "uid": "uid-rs"}});
        verdict = ask.settle(vec![Answer::Found(owner.to_string())], &state.snapshot(), NOW);
    }
    let Verdict::Claim(claims) = verdict else { panic!("{verdict:?}") };
    claims.settle(vec![gain], &state.snapshot(), NOW)
}

#[test]
fn a_spread_is_told_of_pods_that_it_has_no_place_for() {
    let full = placed(Gain::Place(None), |_| ());
    assert_eq!(
        told(&full),
        [
            "workloadspread-controller: WorkloadSpread shop/web uid-web: NoPlace: a new pod was given no place: all subsets are full or closed, \
          and it goes wherever it fits"
        ]
    );
    assert_eq!(full.grounds(), Reason::NoPlace);
    let unsettled = placed(Gain::Unsettled("it hangs".to_owned()), |_| ());
    assert_eq!(
        told(&unsettled),
        [
            "workloadspread-controller: WorkloadSpread shop/web uid-web: PlaceUnsettled: a pod goes without its place being counted, for nobody \
          could tell: it hangs"
        ]
    );
    assert_eq!(unsettled.grounds(), Reason::PlaceUnknown);
    assert!(placed(Gain::Place(None), |request| request["dryRun"] = json!(true)).events.is_empty());
    let placed = placed(Gain::Place(Some(Place { subset: "a".into(), uid: "x".into() })), |_| ());
    assert!(placed.events.is_empty());
    assert_eq!((placed.grounds(), placed.note.as_str()), (Reason::SidecarsAndPlace, "subset web/a sidecarsets log"));
}

#[test]
fn why_a_pod_is_as_it_is_stands_in_a_word() {
    let state = state(&[set("log", "log")], None);
    let of = |change: fn(&mut Value)| decided(made(&state, change)).grounds();
    assert_eq!(of(|_| ()), Reason::Sidecars);
    assert_eq!(of(|request| request["object"]["metadata"]["labels"] = json!({})), Reason::NoMatch);
    assert_eq!(of(|request| request["object"]["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"})), Reason::StaticPod);
    assert_eq!(of(|request| request["object"]["metadata"] = json!(7)), Reason::Unreadable);
    assert_eq!(of(|request| request["operation"] = json!("UPDATE")), Reason::NoMatch);
    let mut lost = set("lost", "log");
    lost["spec"]["injectionStrategy"] = json!({"revision": {"revisionName": "gone"}});
    let decision = decided(made(&self::state(&[lost], None), |_| ()));
    assert_eq!((decision.grounds(), decision.grounds().word()), (Reason::Revision, "revision"));
}

/// The decision of a handler whose question nobody answers.
fn unanswered(verdict: Verdict, state: &State) -> Decision {
    let Verdict::Ask(ask) = verdict else { panic!("{verdict:?}") };
    decided(ask.settle(vec![Answer::Unknown("it hangs".to_owned())], &state.snapshot(), NOW))
}

#[test]
fn a_question_that_stays_open_is_told_of_the_object_unless_nothing_was_meant() {
    let budget = json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget",
        "metadata": {"namespace": "shop", "name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 1}});
    let mut state = State::default();
    state.apply_budget(serde_json::from_value(budget).unwrap());
    let evict = |dry: bool| {
        let body = body(|request| {
            request["subResource"] = json!("eviction");
            request["name"] = json!("web-1-x");
            request["dryRun"] = json!(dry);
            request["object"] = json!({});
        });
        unanswered(guard::validate(&review::read(&body).unwrap(), &state.snapshot(), NOW), &state)
    };
    let decision = evict(false);
    assert!(matches!(&decision.outcome, Outcome::Deny(Denial { grounds: Reason::Unanswered, .. })));
    assert_eq!(
        told(&decision),
        [
            "pub-controller: Pod shop/web-1-x : QuestionUnanswered: a request was refused, for nobody could tell whether it may pass: it hangs"
        ]
    );
    assert!(evict(true).events.is_empty());

    let namespace = json!({"metadata": {"name": "shop", "uid": "uid-shop", "labels": {"policy.kruise.io/delete-protection": "Cascading"}}});
    let body = body(|request| {
        request["operation"] = json!("DELETE");
        request["resource"]["resource"] = json!("namespaces");
        request["name"] = json!("shop");
        request["oldObject"] = namespace;
    });
    let decision = unanswered(delete::validate(&review::read(&body).unwrap(), &state.snapshot(), NOW), &state);
    assert_eq!(decision.grounds(), Reason::Unanswered);
    let told = told(&decision);
    assert!(told.len() == 1 && told[0].starts_with("protection-controller: Namespace /shop uid-shop: QuestionUnanswered: "), "{told:?}");
}
