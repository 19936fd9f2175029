use serde_json::{Value, json};

use super::*;
use crate::{
    admission::{ask::Answer, review},
    base::gates::Gates,
    handlers::TABLE,
    protection::kind::ALL,
    state::State,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn request(change: impl FnOnce(&mut Value)) -> String {
    let old = json!({"metadata": {"name": "web", "namespace": "shop", "labels": {"policy.kruise.io/delete-protection": "Always"}}});
    let resource = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    let mut request = json!({"uid": "u", "operation": "DELETE", "resource": resource, "object": null, "oldObject": old});
    change(&mut request);
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string()
}

fn answer(gates: &str, change: impl FnOnce(&mut Value)) -> Verdict {
    let (body, state) = (request(change), State::new(Gates::parse(gates).unwrap()));
    validate(&review::read(body.as_bytes()).unwrap(), &state.snapshot(), NOW)
}

fn decided(verdict: Verdict) -> (Option<Denial>, Vec<String>) {
    let Verdict::Decided(decision) = verdict else { panic!("not decided: {verdict:?}") };
    match decision.outcome {
        Outcome::Allow(edits) => {
            assert!(edits.is_empty());
            (None, decision.warnings)
        }
        Outcome::Deny(denial) => (Some(denial), decision.warnings),
    }
}

fn denial(change: impl FnOnce(&mut Value)) -> Option<Denial> {
    decided(answer("", change)).0
}

#[test]
fn what_is_protected_is_forbidden_in_word_and_number() {
    let denial = denial(|_| ()).unwrap();
    assert_eq!((denial.code, denial.reason, denial.retry_after), (403, "Forbidden", None));
    assert!(denial.message.contains("`kubectl label -n shop deployment web policy.kruise.io/delete-protection-`"), "{}", denial.message);
}

#[test]
fn a_dry_run_is_judged_like_any_other() {
    assert!(denial(|request| request["dryRun"] = json!(true)).is_some());
}

#[test]
fn only_deletions_of_objects_themselves_of_kinds_that_are_known_are_judged() {
    for (member, value) in [
        ("operation", json!("UPDATE")),
        ("operation", json!("CREATE")),
        ("subResource", json!("scale")),
        ("oldObject", json!(null)),
        ("resource", json!({"group": "apps", "version": "v1", "resource": "daemonsets"})),
    ] {
        assert_eq!(denial(|request| request[member] = value.clone()), None, "{member}: {value}");
    }
}

#[test]
fn the_gate_switches_it_off() {
    assert_eq!(decided(answer("ResourcesDeletionProtection=false", |_| ())), (None, vec![]));
    let garbage = |request: &mut Value| request["oldObject"]["metadata"]["labels"] = json!(["Always"]);
    assert_eq!(decided(answer("ResourcesDeletionProtection=false", garbage)), (None, vec![]));
}

#[test]
fn what_cannot_be_read_is_a_bad_request() {
    for (pointer, value, said) in [
        ("/oldObject/metadata/labels", json!(["Always"]), "request.oldObject: metadata.labels: "),
        ("/oldObject", json!("web"), "request.oldObject: .: "),
    ] {
        let denial = denial(|request| *request.pointer_mut(pointer).unwrap() = value).unwrap();
        assert_eq!((denial.code, denial.reason), (400, "BadRequest"));
        assert!(denial.message.starts_with(said), "{}", denial.message);
    }
    let text = denial(|request| {
        request["oldObject"]["metadata"]["labels"] = json!({"policy.kruise.io/delete-protection": "Cascading"});
        request["oldObject"]["spec"] = json!({"replicas": "two"});
    });
    assert_eq!(text.unwrap().message, "request.oldObject: spec.replicas: expected an integer, found \"two\"");
}

#[test]
fn an_open_question_is_put_and_its_answer_decides_and_warnings_stay() {
    let ask = || {
        let verdict = answer("", |request| {
            request["resource"] = json!({"group": "", "version": "v1", "resource": "services"});
            request["oldObject"]["metadata"]["labels"] = json!({"policy.kruise.io/delete-protection": "Cascading"});
            request["oldObject"]["metadata"]["annotations"] = json!({"outrigger.dev/protection-until": "soon"});
        });
        let Verdict::Ask(ask) = verdict else { panic!("{verdict:?}") };
        assert_eq!(ask.questions.len(), 1);
        ask
    };
    let (denial, warnings) = decided(ask().settle(
        vec![Answer::Counted { count: 1, is_all: true }],
        &crate::state::State::default().snapshot(),
        jiff::Timestamp::UNIX_EPOCH,
    ));
    assert!(denial.unwrap().message.contains("ready endpoints 1>0"));
    assert_eq!(warnings.len(), 1);
    let (denial, warnings) = decided(ask().settle(
        vec![Answer::Counted { count: 0, is_all: true }],
        &crate::state::State::default().snapshot(),
        jiff::Timestamp::UNIX_EPOCH,
    ));
    assert_eq!((denial, warnings.len()), (None, 1));
    let (denial, _) = decided(ask().settle(vec![], &crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH));
    assert!(denial.unwrap().message.contains("list endpointslices error: there is no API server to ask; "));
}

#[test]
fn a_value_that_is_none_is_warned_of() {
    let (denial, warnings) = decided(answer("", |request| {
        request["oldObject"]["metadata"]["labels"] = json!({"policy.kruise.io/delete-protection": "always"});
    }));
    assert_eq!((denial, warnings.len()), (None, 1));
}

#[test]
fn every_kind_has_a_hook() {
    for protectable in &ALL {
        let kind = protectable.kind;
        let hooks =
            TABLE.iter().filter(|hook| hook.group == kind.group && hook.resources == [kind.plural] && hook.operations == ["DELETE"]);
        let versions: Vec<_> = hooks.map(|hook| hook.versions.contains(&kind.version)).collect();
        assert_eq!(versions, [true], "{kind:?}");
    }
}
