use super::*;
use crate::{
    admission::{ask::Cause, review},
    state::State,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn set(version: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({"apiVersion": format!("apps.kruise.io/{version}"), "kind": "SidecarSet", "metadata": {"name": "log"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "log", "image": "log:1"}]}});
    change(&mut object);
    object
}

fn body(operation: &str, object: &Value, old: &Value) -> String {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u", "operation": operation,
        "resource": {"group": "apps.kruise.io", "version": "v1beta1", "resource": "sidecarsets"}, "object": object, "oldObject": old}})
    .to_string()
}

fn answer(hook: crate::handlers::Handler, operation: &str, object: &Value, old: &Value) -> Verdict {
    hook(&review::read(body(operation, object, old).as_bytes()).unwrap(), &State::default().snapshot(), NOW)
}

/// The object as the hook that changes it leaves it.
fn filled(object: &Value) -> Value {
    let decision =
        answer(mutate, "CREATE", object, &Value::Null).unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH);
    let Outcome::Allow(edits) = decision.outcome else { panic!("refused: {decision:?}") };
    let mut object = object.clone();
    let patch: json_patch::Patch = serde_json::from_str(&edits.to_json_patch()).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}

fn asked(operation: &str, object: &Value, old: &Value) -> Option<Ask> {
    match answer(validate, operation, object, old) {
        Verdict::Ask(ask) => Some(ask),
        Verdict::Decided(decision) => {
            assert!(matches!(decision.outcome, Outcome::Allow(_)), "{decision:?}");
            None
        }
        claim @ Verdict::Claim(_) => panic!("{claim:?}"),
    }
}

fn refusal(decision: &Decision) -> (u16, &str) {
    let Outcome::Deny(denial) = &decision.outcome else { panic!("admitted: {decision:?}") };
    (denial.code, &denial.message)
}

#[test]
fn a_set_is_filled_in_and_hashed_and_keeps_what_no_one_knows() {
    for version in ["v1alpha1", "v1beta1"] {
        let object = set(version, |set| {
            set["metadata"]["managedFields"] = json!([{"manager": "m"}]);
            set["spec"]["containers"][0]["newer"] = json!({"deep": [1]});
            set["newest"] = json!(1);
        });
        let after = filled(&object);
        let kept = [&after["metadata"]["managedFields"], &after["spec"]["containers"][0]["newer"], &after["newest"]];
        assert_eq!(kept, [&json!([{"manager": "m"}]), &json!({"deep": [1]}), &json!(1)]);
        assert_eq!(after["spec"]["revisionHistoryLimit"], 10);
        assert!(after["metadata"]["annotations"]["kruise.io/sidecarset-hash"].is_string());
        let again =
            answer(mutate, "UPDATE", &after, &after).unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH);
        assert!(matches!(again.outcome, Outcome::Allow(edits) if edits.is_empty()));
    }
}

#[test]
fn what_is_no_write_of_a_set_is_left_alone() {
    let nonsense = json!({"apiVersion": "none"});
    for hook in [mutate, validate] {
        for operation in ["DELETE", "CONNECT"] {
            let decision = answer(hook, operation, &nonsense, &Value::Null)
                .unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH);
            assert!(matches!(decision.outcome, Outcome::Allow(edits) if edits.is_empty()));
        }
    }
}

#[test]
fn what_cannot_be_read_is_a_bad_request_that_says_where() {
    let wrong = set("v1beta1", |set| set["spec"]["containers"][0]["ports"] = json!([{"containerPort": "80"}]));
    let elsewhere = set("v2", |_| ());
    for hook in [mutate, validate] {
        let of = |object: &Value| {
            let decision = answer(hook, "CREATE", object, &Value::Null)
                .unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH);
            let (code, message) = refusal(&decision);
            assert_eq!(code, 400);
            message.to_owned()
        };
        assert_eq!(of(&wrong), "spec.containers[0].ports[0].containerPort: must be a whole number of 32 bits");
        assert_eq!(of(&elsewhere), "apiVersion: \"apps.kruise.io/v2\" is no version of SidecarSet");
        assert_eq!(of(&Value::Null), "request.object: missing");
    }
    let good = filled(&set("v1beta1", |_| ()));
    let without_old =
        answer(validate, "UPDATE", &good, &Value::Null).unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(refusal(&without_old), (400, "request.oldObject: missing"));
}

#[test]
fn a_quantity_that_is_none_is_refused_as_kubernetes_does_and_the_warning_says_where() {
    let wrong = set("v1beta1", |set| set["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "lots"}}));
    let decision =
        answer(mutate, "CREATE", &wrong, &Value::Null).unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH);
    assert!(refusal(&decision).1.starts_with("quantities must match the regular expression '^"));
    assert_eq!(decision.warnings, ["spec.containers[0].resources.limits[cpu]: must be a quantity, such as 100m or 1Gi"]);
}

#[test]
fn a_set_that_breaks_our_own_rules_is_refused_without_asking_anyone() {
    let bad = filled(&set("v1beta1", |set| set["spec"]["selector"] = json!({})));
    let Verdict::Decided(decision) = answer(validate, "CREATE", &bad, &Value::Null) else { panic!("asks") };
    let (code, message) = refusal(&decision);
    assert_eq!(code, 422);
    assert!(message.starts_with("spec.selector: Invalid value: "), "{message}");
}

#[test]
fn the_api_server_is_asked_about_new_containers_and_volumes_and_about_nothing_else() {
    let old = filled(&set("v1beta1", |_| ()));
    let changed = |pointer: &str, value: Value| {
        let mut new = old.clone();
        *new.pointer_mut(pointer).unwrap() = value;
        new
    };
    assert!(asked("CREATE", &old, &Value::Null).is_some());
    assert!(asked("UPDATE", &changed("/spec/containers/0/image", json!("log:2")), &old).is_some());
    let mut with_volume = old.clone();
    with_volume["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    assert!(asked("UPDATE", &with_volume, &old).is_some());
    assert!(asked("UPDATE", &old, &old).is_none());
    assert!(asked("UPDATE", &changed("/spec/updateStrategy/partition", json!("50%")), &old).is_none());
}

#[test]
fn the_pod_that_is_asked_about_is_none_of_our_own_hooks_business() {
    for version in ["v1alpha1", "v1beta1"] {
        let ask = asked("CREATE", &filled(&set(version, |_| ())), &Value::Null).unwrap();
        let Some(Question::DryRunPod(pod)) = ask.questions.into_iter().next() else { panic!("another question") };
        assert_eq!(pod["metadata"]["labels"], json!({"outrigger.kruise.io/inject": "disabled"}));
        assert_eq!(pod["spec"]["containers"][0]["image"], "log:1");
    }
}

#[test]
fn the_answer_decides() {
    let ask = || asked("CREATE", &filled(&set("v1beta1", |_| ())), &Value::Null).unwrap();
    let good = ask()
        .settle(vec![Answer::Good], &crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH)
        .unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH);
    assert!(matches!(good.outcome, Outcome::Allow(_)) && good.warnings.is_empty());

    let cause = |field: &str, message: &str| Cause { field: field.to_owned(), message: message.to_owned() };
    let causes = vec![cause("spec.containers[0].env[0].name", "Required value"), cause("metadata.name", "Required value")];
    let bad = ask()
        .settle(vec![Answer::Invalid(causes)], &crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH)
        .unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(refusal(&bad), (422, "spec.containers[0].env[0].name: Required value"));

    let unknown = ask()
        .settle(vec![Answer::Unknown("it is away".to_owned())], &crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH)
        .unasked(&crate::state::State::default().snapshot(), jiff::Timestamp::UNIX_EPOCH);
    assert!(matches!(unknown.outcome, Outcome::Allow(_)));
    assert_eq!(unknown.warnings, ["the finer rules of containers and volumes were not checked: it is away"]);
}
