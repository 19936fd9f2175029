use serde_json::json;

use super::*;
use crate::{admission::review, base::gates::Gates, state::State};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn budget(version: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({"apiVersion": format!("policy.kruise.io/{version}"), "kind": "PodUnavailableBudget", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 1}});
    change(&mut object);
    object
}

fn decided(state: &State, operation: &str, version: &str, object: &Value, old: &Value) -> Decision {
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u", "operation": operation, "namespace": "shop",
        "resource": {"group": "policy.kruise.io", "version": version, "resource": "podunavailablebudgets"}, "object": object, "oldObject": old}})
    .to_string();
    validate(&review::read(body.as_bytes()).unwrap(), &state.snapshot(), NOW)
        .unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH)
}

/// Code and message of a refusal.
fn refused(decision: Decision) -> (u16, String) {
    match decision.outcome {
        Outcome::Deny(denial) => (denial.code, denial.message),
        Outcome::Allow(_) => (200, String::new()),
    }
}

fn created(version: &str, object: &Value) -> (u16, String) {
    refused(decided(&State::default(), "CREATE", version, object, &Value::Null))
}

#[test]
fn a_good_budget_is_admitted_in_both_versions_and_a_bad_one_is_invalid() {
    for version in ["v1alpha1", "v1beta1"] {
        assert_eq!(created(version, &budget(version, |_| {})), (200, String::new()));
        let (code, message) = created(version, &budget(version, |budget| budget["spec"]["maxUnavailable"] = json!(-1)));
        assert_eq!((code, message.as_str()), (422, "spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0"));
    }
}

#[test]
fn what_cannot_be_read_is_a_bad_request() {
    let good = budget("v1beta1", |_| {});
    let of = |version: &str, object: &Value| created(version, object);
    assert_eq!(of("v99", &good), (400, "unsupported version: v99".to_owned()));
    assert_eq!(of("v1beta1", &Value::Null), (400, "request.object: missing".to_owned()));
    let (code, message) = of("v1beta1", &budget("v1beta1", |budget| budget["spec"]["selector"] = json!(7)));
    assert!(code == 400 && message.starts_with("spec.selector: "), "{message}");
    let annotated = budget("v1alpha1", |budget| budget["metadata"]["annotations"] = json!({"kruise.io/pub-protect-operations": "DRAIN"}));
    let said = "v1alpha1 PUB to v1beta1: invalid kruise.io/pub-protect-operations value \"DRAIN\"";
    assert_eq!(of("v1alpha1", &annotated), (400, format!("failed to convert {said}")));
    let update = decided(&State::default(), "UPDATE", "v1alpha1", &budget("v1alpha1", |_| {}), &annotated);
    assert_eq!(refused(update), (400, format!("failed to convert old {said}")));
    let update = decided(&State::default(), "UPDATE", "v1beta1", &good, &Value::Null);
    assert_eq!(refused(update), (400, "request.oldObject: missing".to_owned()));
}

#[test]
fn budgets_of_one_namespace_are_held_against_each_other() {
    let mut state = State::default();
    let of = |namespace: &str| budget("v1beta1", |budget| budget["metadata"]["namespace"] = json!(namespace));
    state.apply_budget(serde_json::from_value(of("shop")).unwrap());
    let second = |namespace: &str| {
        let mut budget = of(namespace);
        budget["metadata"]["name"] = json!("second");
        refused(decided(&state, "CREATE", "v1beta1", &budget, &Value::Null))
    };
    assert_eq!(second("office"), (200, String::new()));
    let (code, message) = second("shop");
    assert!(code == 422 && message.ends_with("is in conflict with other PodUnavailableBudget web"), "{message}");
    // Not with what it is itself.
    assert_eq!(refused(decided(&state, "UPDATE", "v1beta1", &of("shop"), &of("shop"))).0, 200);
}

#[test]
fn a_budget_that_is_going_can_lose_its_finalizers_whatever_it_says() {
    let off = State::new(Gates::parse("PodUnavailableBudgetDeleteGate=false,PodUnavailableBudgetUpdateGate=false").unwrap());
    let going = budget("v1beta1", |budget| {
        budget["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        budget["spec"] = json!({"maxUnavailable": "x"});
    });
    for state in [State::default(), off] {
        assert_eq!(refused(decided(&state, "UPDATE", "v1beta1", &going, &going)), (200, String::new()));
    }
}

#[test]
fn while_nothing_is_guarded_no_budget_is_taken() {
    let off = State::new(Gates::parse("PodUnavailableBudgetDeleteGate=false").unwrap());
    for operation in ["CREATE", "UPDATE", "DELETE"] {
        let good = budget("v1beta1", |_| {});
        assert_eq!(refused(decided(&off, operation, "v1beta1", &good, &good)), (400, OFF.to_owned()));
    }
    let on = State::new(Gates::parse("PodUnavailableBudgetDeleteGate=false,PodUnavailableBudgetUpdateGate=true").unwrap());
    assert_eq!(refused(decided(&on, "CREATE", "v1beta1", &budget("v1beta1", |_| {}), &Value::Null)).0, 200);
}

#[test]
fn a_deletion_is_not_judged() {
    assert_eq!(refused(decided(&State::default(), "DELETE", "v1beta1", &Value::Null, &json!({"spec": 7}))), (200, String::new()));
}
