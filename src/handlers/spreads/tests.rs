use serde_json::json;

use super::*;
use crate::{
    admission::{ask::Cause, review},
    base::gates::Gates,
    state::State,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn spread(version: &str, change: impl FnOnce(&mut Value)) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let mut object = json!({"apiVersion": format!("apps.kruise.io/{version}"), "kind": "WorkloadSpread",
        "metadata": {"name": "spread", "namespace": "shop", "resourceVersion": "1"}, "spec": {"targetRef": target, "subsets": [{"name": "a"}]}});
    change(&mut object);
    object
}

fn patched() -> Value {
    spread("v1beta1", |spread| spread["spec"]["subsets"][0]["patch"] = json!({"spec": {"nodeSelector": {"disk": "ssd"}}}))
}

fn judged(state: &State, operation: &str, version: &str, object: &Value, old: &Value) -> Verdict {
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u", "operation": operation, "namespace": "shop",
        "resource": {"group": "apps.kruise.io", "version": version, "resource": "workloadspreads"}, "object": object, "oldObject": old}})
    .to_string();
    validate(&review::read(body.as_bytes()).unwrap(), &state.snapshot(), NOW)
}

fn created(version: &str, object: &Value) -> (u16, String) {
    refused(judged(&State::default(), "CREATE", version, object, &Value::Null))
}

/// Code and message of a refusal where there is nobody to ask.
fn refused(verdict: Verdict) -> (u16, String) {
    match verdict.unasked(&State::default().snapshot(), NOW).outcome {
        Outcome::Deny(denial) => (denial.code, denial.message),
        Outcome::Allow(_) => (200, String::new()),
    }
}

fn admitted() -> (u16, String) {
    (200, String::new())
}

/// The questions of a verdict, and what becomes of it with these answers.
fn answered(verdict: Verdict, answers: Vec<Answer>) -> (Vec<Question>, Verdict) {
    let Verdict::Ask(ask) = verdict else { panic!("{verdict:?}") };
    let questions = ask.questions.clone();
    (questions, ask.settle(answers, &State::default().snapshot(), NOW))
}

fn workload() -> Answer {
    let template = json!({"spec": {"containers": [{"name": "web", "image": "example/web:1"}]}});
    Answer::Found(json!({"spec": {"template": template}}).to_string())
}

fn decided(verdict: Verdict) -> Decision {
    match verdict {
        Verdict::Decided(decision) => decision,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_spread_is_admitted_in_both_versions_and_a_bad_one_is_a_bad_request() {
    for version in ["v1alpha1", "v1beta1"] {
        assert_eq!(created(version, &spread(version, |_| {})), admitted());
        let refusal = created(version, &spread(version, |spread| spread["spec"]["subsets"] = json!([])));
        assert_eq!(refusal, (400, "spec.subsets: Required value: subsets number must >= 1 in WorkloadSpread".to_owned()));
    }
}

#[test]
fn members_are_those_of_the_version_that_was_written() {
    let weightless = json!([{"weight": 0, "preference": {}}]);
    let of = |version: &str, member: &str| {
        created(version, &spread(version, |spread| spread["spec"]["subsets"][0][member] = weightless.clone())).0
    };
    assert_eq!([of("v1beta1", "preferredNodeSelector"), of("v1alpha1", "preferredNodeSelectorTerms")], [400, 400]);
    assert_eq!([of("v1alpha1", "preferredNodeSelector"), of("v1beta1", "preferredNodeSelectorTerms")], [200, 200]);
}

#[test]
fn what_cannot_be_read_is_a_bad_request() {
    let good = spread("v1beta1", |_| {});
    assert_eq!(created("v99", &good), (400, "unsupported version: v99".to_owned()));
    assert_eq!(created("v1beta1", &Value::Null), (400, "request.object: missing".to_owned()));
    let (code, message) = created("v1beta1", &spread("v1beta1", |spread| spread["spec"]["subsets"] = json!("all")));
    assert!(code == 400 && message.starts_with("spec.subsets: "), "{message}");
    let update = judged(&State::default(), "UPDATE", "v1beta1", &good, &Value::Null);
    assert_eq!(refused(update), (400, "request.oldObject: missing".to_owned()));
}

#[test]
fn while_nothing_is_spread_no_spread_is_written_but_one_that_goes_may_go() {
    let off = State::new(Gates { spreads: false, ..Gates::default() });
    let good = spread("v1beta1", |_| {});
    assert_eq!(refused(judged(&off, "CREATE", "v1beta1", &good, &Value::Null)), (403, OFF.to_owned()));
    for state in [off, State::default()] {
        let going = spread("v1beta1", |spread| {
            spread["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            spread["spec"]["subsets"] = json!([]);
        });
        assert_eq!(refused(judged(&state, "UPDATE", "v1beta1", &going, &good)), admitted());
        assert_eq!(refused(judged(&state, "DELETE", "v1beta1", &Value::Null, &good)), admitted());
    }
}

#[test]
fn a_workload_of_another_spread_is_taken() {
    let mut state = State::default();
    state.apply_spread(serde_json::from_value(spread("v1beta1", |spread| spread["metadata"]["name"] = json!("first"))).unwrap());
    let (code, message) = refused(judged(&state, "CREATE", "v1beta1", &spread("v1beta1", |_| {}), &Value::Null));
    assert!(code == 400 && message.ends_with("ws.spec.targetRef is in conflict with other WorkloadSpread first"), "{message}");
    let elsewhere = spread("v1beta1", |spread| spread["metadata"]["namespace"] = json!("else"));
    assert_eq!(refused(judged(&state, "CREATE", "v1beta1", &elsewhere, &Value::Null)), admitted());
}

#[test]
fn patches_are_judged_by_the_workload_and_then_by_the_api_server() {
    let verdict = judged(&State::default(), "CREATE", "v1beta1", &patched(), &Value::Null);
    let (questions, verdict) = answered(verdict, vec![workload()]);
    let [group, kind, namespace, name] = ["apps", "Deployment", "shop", "web"].map(str::to_owned);
    assert_eq!(questions, [Question::Object { group, kind, namespace, name }]);
    let cause = Cause { field: "spec.containers[0].image".to_owned(), message: "Required value".to_owned() };
    let (questions, verdict) = answered(verdict, vec![Answer::Invalid(vec![cause])]);
    let [Question::DryRunPod(pod)] = questions.as_slice() else { panic!("{questions:?}") };
    assert_eq!(pod["metadata"]["labels"], json!({OPT_OUT_LABEL: OPT_OUT_VALUE}));
    assert_eq!(pod["spec"]["nodeSelector"], json!({"disk": "ssd"}));
    assert_eq!(refused(verdict), (400, "spec.subsets[0].patch.containers[0].image: Required value".to_owned()));
}

#[test]
fn a_patch_that_the_api_server_has_nothing_against_is_admitted_in_silence_and_one_that_nobody_judged_with_a_word() {
    let asked = |found: Answer| answered(judged(&State::default(), "CREATE", "v1beta1", &patched(), &Value::Null), vec![found]).1;
    let good = decided(answered(asked(workload()), vec![Answer::Good]).1);
    assert!(matches!(good.outcome, Outcome::Allow(_)) && good.warnings.is_empty(), "{good:?}");
    let absent = decided(asked(Answer::Absent));
    assert!(matches!(absent.outcome, Outcome::Allow(_)) && absent.warnings.is_empty(), "{absent:?}");
    for unknown in [asked(Answer::nobody()), answered(asked(workload()), vec![Answer::nobody()]).1] {
        let unknown = decided(unknown);
        assert!(matches!(unknown.outcome, Outcome::Allow(_)));
        assert_eq!(unknown.warnings, ["what the patches make of the workload's pods was not checked: there is no API server to ask"]);
    }
}

#[test]
fn a_patch_that_cannot_be_merged_is_refused_without_another_question() {
    let broken =
        spread("v1beta1", |spread| spread["spec"]["subsets"][0]["patch"] = json!({"spec": {"containers": [{"image": "example/web:2"}]}}));
    let (_, verdict) = answered(judged(&State::default(), "CREATE", "v1beta1", &broken, &Value::Null), vec![workload()]);
    let (code, message) = refused(Verdict::Decided(decided(verdict)));
    assert!(
        code == 400 && message.starts_with("spec.subsets[0].patch: Invalid value: ") && message.contains("failed to merge patch"),
        "{message}"
    );
}

#[test]
fn nobody_is_asked_about_patches_that_were_there_before_or_about_a_spread_that_is_refused_anyway() {
    let (old, state) = (patched(), State::default());
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"team": "x"});
    assert!(matches!(judged(&state, "UPDATE", "v1beta1", &labelled, &old), Verdict::Decided(_)));
    let mut renamed = labelled.clone();
    renamed["spec"]["subsets"][0]["name"] = json!("b");
    assert!(matches!(judged(&state, "UPDATE", "v1beta1", &renamed, &old), Verdict::Ask(_)));
    renamed["spec"]["targetRef"]["name"] = json!("other");
    assert!(matches!(judged(&state, "UPDATE", "v1beta1", &renamed, &old), Verdict::Decided(_)));
}
