use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::{
    admission::{
        review,
        verdict::{Decision, Outcome},
    },
    base::gates::{EvictionCode, Gates},
    state::{State, feed::Namespace},
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn budget(name: &str, spec: &Value, allowed: i32) -> Value {
    json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget",
        "metadata": {"namespace": "shop", "name": name, "uid": name, "generation": 1},
        "spec": spec,
        "status": {"observedGeneration": 1, "desiredAvailable": 2, "currentAvailable": 2 + allowed, "totalReplicas": 3, "unavailableAllowed": allowed}})
}

fn of_web(max: i32) -> Value {
    json!({"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": max})
}

fn state(gates: Gates, budgets: &[Value]) -> State {
    let mut state = State::new(gates);
    for budget in budgets {
        state.apply_budget(serde_json::from_value(budget.clone()).unwrap());
    }
    state
}

fn all_gates() -> Gates {
    Gates { budgets_on_update: true, ..Gates::default() }
}

fn pod(link: Option<&str>) -> Value {
    let annotations: BTreeMap<_, _> = link.map(|link| ("pub.kruise.io/related-pub", link)).into_iter().collect();
    json!({"metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "labels": {"app": "web"}, "annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn asked(state: &State, change: impl FnOnce(&mut Value)) -> Verdict {
    let mut request = json!({"uid": "u", "operation": "DELETE", "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop", "name": "web-1", "oldObject": pod(Some("web")), "options": {}});
    change(&mut request);
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
    validate(&review::read(body.as_bytes()).unwrap(), &state.snapshot(), NOW)
}

/// Which units have to be taken, of which budgets and for what.
fn wanted(verdict: Verdict) -> Vec<(String, Operation)> {
    match verdict {
        Verdict::Decided(Decision { outcome: Outcome::Allow(_), .. }) => Vec::new(),
        Verdict::Claim(claims) => claims
            .claims
            .into_iter()
            .map(|claim| match claim {
                Claim::Budget(take) => (take.budget.to_string(), take.operation),
                other @ Claim::Spread(_) => panic!("{other:?}"),
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn one(name: &str, operation: Operation) -> Vec<(String, Operation)> {
    vec![(name.to_owned(), operation)]
}

fn evicted(request: &mut Value) {
    request["operation"] = json!("CREATE");
    request["subResource"] = json!("eviction");
    request["object"] = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web-1", "namespace": "shop"}});
    request["oldObject"] = Value::Null;
}

fn updated(to: Value) -> impl FnOnce(&mut Value) {
    move |request| {
        request["operation"] = json!("UPDATE");
        request["object"] = to;
    }
}

#[test]
fn the_deletion_of_a_linked_pod_takes_a_unit_of_its_budget() {
    let state = state(Gates::default(), &[budget("web", &of_web(1), 1)]);
    assert_eq!(wanted(asked(&state, |_| ())), one("web", Operation::Delete));
}

#[test]
fn what_is_not_guarded_is_never_held_up() {
    let state = state(Gates::default(), &[budget("web", &of_web(1), 1)]);
    let free: [fn(&mut Value); 9] = [
        |request| request["oldObject"] = pod(None),
        |request| request["oldObject"]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        |request| request["oldObject"]["status"]["conditions"] = json!([]),
        |request| request["oldObject"]["status"]["phase"] = json!("Failed"),
        |request| request["oldObject"]["metadata"]["annotations"]["pub.kruise.io/no-protect"] = json!("true"),
        |request| request["oldObject"]["metadata"]["annotations"]["kubernetes.io/config.mirror"] = json!("x"),
        |request| request["oldObject"] = Value::Null,
        |request| request["subResource"] = json!("status"),
        |request| request["resource"]["resource"] = json!("services"),
    ];
    for (number, change) in free.into_iter().enumerate() {
        assert_eq!(wanted(asked(&state, change)), [], "{number}");
    }
}

#[test]
fn a_namespace_that_goes_holds_nothing_up() {
    let mut state = state(Gates::default(), &[budget("web", &of_web(1), 0)]);
    state.apply_namespace(Namespace { name: "shop".to_owned(), is_terminating: true, ..Namespace::default() });
    assert_eq!(wanted(asked(&state, |_| ())), []);
    state.apply_namespace(Namespace { name: "shop".to_owned(), ..Namespace::default() });
    assert_eq!(wanted(asked(&state, |_| ())), one("web", Operation::Delete), "made anew");
}

#[test]
fn all_budgets_that_select_a_linked_pod_have_a_say_in_the_order_of_their_names() {
    let other = budget("all", &of_web(1), 1);
    let elsewhere = budget("elsewhere", &json!({"selector": {"matchLabels": {"app": "log"}}}), 1);
    let mut going = budget("going", &of_web(1), 1);
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let state = state(Gates::default(), &[budget("web", &of_web(1), 1), other, elsewhere, going]);
    let both = [("all".to_owned(), Operation::Delete), ("web".to_owned(), Operation::Delete)];
    assert_eq!(wanted(asked(&state, |_| ())), both);
    let unlinked = asked(&state, |request| request["oldObject"] = pod(None));
    assert_eq!(wanted(unlinked), [], "the link decides whether it is guarded at all");
    let leaving = asked(&state, |request| request["oldObject"] = pod(Some("going")));
    assert_eq!(wanted(leaving), both, "the one that it is linked to is being deleted");
    let lost = asked(&state, |request| request["oldObject"] = pod(Some("gone")));
    assert_eq!(wanted(lost), one("gone", Operation::Delete), "whether that exists shows when it is read");
}

#[test]
fn an_eviction_of_a_pod_that_is_not_known_to_be_guarded_is_judged_by_what_the_api_server_says() {
    let state = state(Gates::default(), &[budget("web", &of_web(1), 1)]);
    let answered = |answer: Answer| {
        let Verdict::Ask(ask) = asked(&state, evicted) else { panic!("nobody was asked") };
        assert_eq!(ask.questions, [Question::Pod { namespace: "shop".to_owned(), name: "web-1".to_owned() }]);
        ask.settle(vec![answer], &state.snapshot(), NOW)
    };
    assert_eq!(wanted(answered(Answer::Found(pod(Some("web")).to_string()))), one("web", Operation::Evict));
    assert_eq!(wanted(answered(Answer::Found(pod(None).to_string()))), []);
    assert_eq!(wanted(answered(Answer::Absent)), []);
    let denied = |verdict: Verdict| match verdict.unasked(&state.snapshot(), NOW).outcome {
        Outcome::Deny(denial) => (denial.code, denial.retry_after),
        Outcome::Allow(_) => panic!("admitted"),
    };
    assert_eq!(denied(answered(Answer::Unknown("it is away".to_owned()))), (429, Some(1)));
    assert_eq!(denied(answered(Answer::Found("7".to_owned()))), (400, None));
}

#[test]
fn where_there_are_no_budgets_an_eviction_asks_nobody() {
    assert_eq!(wanted(asked(&state(Gates::default(), &[]), evicted)), []);
}

#[test]
fn a_dry_run_is_one_whoever_says_so() {
    let state = state(all_gates(), &[budget("web", &of_web(1), 1)]);
    let is_dry = |change: fn(&mut Value)| match asked(&state, change) {
        Verdict::Claim(claims) => claims.is_dry_run,
        Verdict::Ask(ask) => match ask.settle(vec![Answer::Found(pod(Some("web")).to_string())], &state.snapshot(), NOW) {
            Verdict::Claim(claims) => claims.is_dry_run,
            other => panic!("{other:?}"),
        },
        Verdict::Decided(decision) => panic!("{decision:?}"),
    };
    assert!(!is_dry(|_| ()) && !is_dry(evicted));
    assert!(is_dry(|request| request["dryRun"] = json!(true)));
    assert!(is_dry(|request| request["options"] = json!({"dryRun": ["All"]})));
    assert!(is_dry(|request| {
        evicted(request);
        request["object"]["deleteOptions"] = json!({"dryRun": ["All"]});
    }));
}

#[test]
fn an_update_is_judged_by_the_old_pod_and_by_what_it_changes() {
    let state = state(all_gates(), &[budget("web", &of_web(1), 1)]);
    let with = |change: fn(&mut Value)| {
        let mut new = pod(Some("web"));
        change(&mut new);
        wanted(asked(&state, updated(new)))
    };
    assert_eq!(with(|_| ()), []);
    assert_eq!(with(|new| new["spec"]["containers"][0]["image"] = json!("web:2")), one("web", Operation::Update));
    let more_cpu = |new: &mut Value| new["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}});
    assert_eq!(with(more_cpu), one("web", Operation::Update), "it is of another class then");
    let stripped = with(|new| {
        new["metadata"]["annotations"] = Value::Null;
        new["spec"]["containers"][0]["image"] = json!("web:2");
    });
    assert_eq!(stripped, one("web", Operation::Update), "nobody talks himself out of a budget");
    let mut other = pod(None);
    other["spec"]["containers"][0]["image"] = json!("web:2");
    let linked_by_it = asked(&state, |request| {
        updated(pod(Some("web")))(request);
        request["oldObject"] = other;
    });
    assert_eq!(wanted(linked_by_it), []);
    let status = asked(&state, |request| {
        updated(json!({}))(request);
        request["subResource"] = json!("status");
    });
    assert_eq!(wanted(status), []);
}

#[test]
fn gates_switch_what_is_guarded_against() {
    let budgets = [budget("web", &of_web(1), 1)];
    let mut new = pod(Some("web"));
    new["spec"]["containers"][0]["image"] = json!("web:2");
    assert_eq!(wanted(asked(&state(Gates::default(), &budgets), updated(new))), [], "no updates by default");
    let none = Gates { budgets_on_delete: false, ..Gates::default() };
    assert_eq!(wanted(asked(&state(none, &budgets), |_| ())), []);
}

#[test]
fn with_which_code_evictions_are_refused_can_be_chosen() {
    let gates = Gates::default().refusing_evictions_with(EvictionCode::Forbidden);
    let state = state(gates, &[budget("web", &of_web(1), 0)]);
    let Verdict::Ask(ask) = asked(&state, evicted) else { panic!("nobody was asked") };
    let Verdict::Claim(claims) = ask.settle(vec![Answer::Found(pod(Some("web")).to_string())], &state.snapshot(), NOW) else {
        panic!("no claim")
    };
    assert!(claims.claims.iter().all(|claim| matches!(claim, Claim::Budget(take) if take.eviction_code == 403)));
}

#[test]
fn a_pod_that_cannot_be_read_is_refused_with_where_and_why() {
    let state = state(Gates::default(), &[budget("web", &of_web(1), 1)]);
    let verdict = asked(&state, |request| request["oldObject"]["spec"]["containers"] = json!("many"));
    let Outcome::Deny(denial) = verdict.unasked(&state.snapshot(), NOW).outcome else { panic!("admitted") };
    assert_eq!(denial.code, 400);
    assert!(denial.message.starts_with("spec.containers: invalid type"), "{}", denial.message);
}

/// The decision about the eviction of a pod that is linked to the budget `web`, when everything that it takes was got.
fn marked(state: &State, eviction: &Value) -> Decision {
    let request = json!({"uid": "review-7", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
        "subResource": "eviction", "namespace": "shop", "name": "web-1", "object": eviction, "options": {}});
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
    let snapshot = state.snapshot();
    let mut verdict = mark_eviction(&review::read(body.as_bytes()).unwrap(), &snapshot, NOW);
    loop {
        verdict = match verdict {
            Verdict::Decided(decision) => return decision,
            Verdict::Claim(claims) => return claims.settle(Vec::new(), &snapshot, NOW),
            Verdict::Ask(ask) => ask.settle(vec![Answer::Found(pod(Some("web")).to_string())], &snapshot, NOW),
        };
    }
}

#[test]
fn an_eviction_that_may_pass_is_marked_with_its_review_whatever_it_looked_like() {
    let (guarded, free) = (state(Gates::default(), &[budget("web", &of_web(1), 1)]), State::new(Gates::default()));
    for (metadata, patch) in [
        (
            json!({"metadata": {"name": "web-1", "annotations": {"a": "b"}}}),
            json!([{"op": "add", "path": "/metadata/annotations/outrigger.dev~1judged", "value": "review-7"}]),
        ),
        (
            json!({"metadata": {"name": "web-1"}}),
            json!([{"op": "add", "path": "/metadata/annotations", "value": {"outrigger.dev/judged": "review-7"}}]),
        ),
        (
            json!({"metadata": {"name": "web-1", "annotations": null}}),
            json!([{"op": "add", "path": "/metadata/annotations", "value": {"outrigger.dev/judged": "review-7"}}]),
        ),
        (json!({}), json!([{"op": "add", "path": "/metadata", "value": {"annotations": {"outrigger.dev/judged": "review-7"}}}])),
    ] {
        for state in [&guarded, &free] {
            let Outcome::Allow(edits) = marked(state, &metadata).outcome else { panic!("{metadata} is refused") };
            assert_eq!(serde_json::from_str::<Value>(&edits.to_json_patch()).unwrap(), patch);
        }
    }
}

#[test]
fn an_eviction_that_cannot_be_read_is_refused_and_not_marked() {
    for eviction in [json!({"metadata": 7}), json!({"metadata": {}, "deleteOptions": "soon"})] {
        let Outcome::Deny(denial) = marked(&State::new(Gates::default()), &eviction).outcome else { panic!("{eviction} is admitted") };
        assert_eq!(denial.code, 400, "{}", denial.message);
    }
}

#[test]
fn a_review_without_an_object_is_not_marked_for_there_is_nothing_to_patch() {
    let Outcome::Allow(edits) = marked(&State::new(Gates::default()), &Value::Null).outcome else { panic!("it is refused") };
    assert!(edits.is_empty());
}
