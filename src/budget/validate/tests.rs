use serde_json::json;

use super::*;
use crate::{base::field::sentence, budget::api::PodUnavailableBudget};

fn budget(spec: &Value) -> Value {
    json!({"apiVersion": v1alpha1::V1BETA1, "kind": "PodUnavailableBudget", "metadata": {"name": "mine", "namespace": "shop"}, "spec": spec})
}

fn annotated(version: &str, key: &str, text: &str, spec: &Value) -> Value {
    let mut budget = budget(spec);
    budget["apiVersion"] = json!(version);
    budget["metadata"]["annotations"] = json!({key: text});
    budget
}

fn written(object: &Value) -> Written {
    read(object, object["apiVersion"] == v1alpha1::V1ALPHA1).unwrap()
}

/// The sentence that refuses a budget, empty if none does.
fn refusal(new: &Value, old: Option<&Value>, others: &[Budget]) -> String {
    sentence(&validate(&written(new), old.map(written).as_ref(), others.iter()).errors)
}

fn of_spec(spec: &Value) -> String {
    refusal(&budget(spec), None, &[])
}

fn good() -> Value {
    json!({"selector": {"matchLabels": {"app": "shop"}}, "maxUnavailable": 1})
}

/// A good spec with some members replaced, or taken away by null.
fn with(members: &Value) -> Value {
    let mut spec = good();
    spec.as_object_mut().unwrap().extend(members.as_object().cloned().unwrap());
    spec.as_object_mut().unwrap().retain(|_, member| !member.is_null());
    spec
}

fn stored(name: &str, spec: &Value) -> Budget {
    let mut object = budget(spec);
    object["metadata"]["name"] = json!(name);
    Budget::compile(serde_json::from_value::<PodUnavailableBudget>(object).unwrap())
}

#[test]
fn a_budget_says_which_pods_in_one_of_two_ways() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
    assert_eq!(of_spec(&good()), "");
    assert_eq!(of_spec(&with(&json!({"selector": null, "targetRef": target}))), "");
    let (neither, both) = (with(&json!({"selector": null})), with(&json!({"targetRef": {}})));
    assert_eq!(of_spec(&neither), "spec.selector, targetRef: Required value: no selector or targetRef defined in PodUnavailableBudget");
    assert_eq!(of_spec(&both), "spec.selector, targetRef: Required value: selector and targetRef are mutually exclusive");
}

#[test]
fn a_target_is_named_in_full() {
    for (target, said) in [
        (json!({}), "spec.targetRef: Invalid value: {}: empty targetRef is not valid for PodUnavailableBudget"),
        (
            json!({"apiVersion": "a/b/c", "kind": "K", "name": "n"}),
            "spec.targetRef: Invalid value: {\"apiVersion\":\"a/b/c\",\"kind\":\"K\",\"name\":\"n\"}: unexpected GroupVersion string: a/b/c",
        ),
        (
            json!({"apiVersion": "a/b/c", "name": "n"}),
            "[spec.targetRef: Invalid value: {\"apiVersion\":\"a/b/c\",\"name\":\"n\"}: empty targetRef is not valid for PodUnavailableBudget, spec.targetRef: Invalid value: {\"apiVersion\":\"a/b/c\",\"name\":\"n\"}: unexpected GroupVersion string: a/b/c]",
        ),
        (json!({"apiVersion": "v1", "kind": "ReplicationController", "name": "n"}), ""),
    ] {
        assert_eq!(of_spec(&with(&json!({"selector": null, "targetRef": target}))), said);
    }
}

#[test]
fn a_selector_selects_something_and_can_be_compiled() {
    let empty = json!({"matchLabels": {}, "matchExpressions": []});
    let said =
        "spec.selector: Invalid value: {\"matchExpressions\":[],\"matchLabels\":{}}: empty selector is not valid for PodUnavailableBudget.";
    assert_eq!(of_spec(&with(&json!({"selector": empty}))), said);
    let odd = json!({"matchExpressions": [{"key": "app", "operator": "Is"}]});
    let said = "[spec.selector.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator, spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Is\"}]}]";
    assert_eq!(of_spec(&with(&json!({"selector": odd}))), said);
}

#[test]
fn a_budget_says_how_many_in_one_of_two_ways() {
    let neither = "spec.maxUnavailable, minAvailable: Required value: no maxUnavailable or minAvailable defined in PodUnavailableBudget";
    let both = "spec.maxUnavailable, minAvailable: Required value: maxUnavailable and minAvailable are mutually exclusive";
    let percent = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
    for (members, said) in [
        (json!({"maxUnavailable": null}), neither.to_owned()),
        (json!({"maxUnavailable": -1, "minAvailable": "x"}), both.to_owned()),
        (json!({"maxUnavailable": 0}), String::new()),
        (json!({"maxUnavailable": "100%"}), String::new()),
        (json!({"maxUnavailable": -1}), "spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0".to_owned()),
        (json!({"maxUnavailable": "7"}), format!("spec.maxUnavailable: Invalid value: \"7\": {percent}")),
        (json!({"maxUnavailable": "101%"}), "spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%".to_owned()),
        (
            json!({"maxUnavailable": null, "minAvailable": "99999999999999999999%"}),
            "spec.minAvailable: Invalid value: \"99999999999999999999%\": must not be greater than 100%".to_owned(),
        ),
    ] {
        assert_eq!(of_spec(&with(&members)), said);
    }
}

#[test]
fn operations_and_ignored_pods_have_their_rules() {
    let supported = "supported values: \"DELETE\", \"UPDATE\", \"EVICT\", \"RESIZE\"";
    assert_eq!(of_spec(&with(&json!({"protectOperations": ["EVICT", "EVICT", "RESIZE"]}))), "");
    let said = format!("spec.protectOperations[1]: Unsupported value: \"delete\": {supported}");
    assert_eq!(of_spec(&with(&json!({"protectOperations": ["DELETE", "delete"]}))), said);
    let said = "spec.ignoredPodSelector: Invalid value: {}: empty ignoredPodSelector is not valid for PodUnavailableBudget";
    assert_eq!(of_spec(&with(&json!({"ignoredPodSelector": {}}))), said);
    let ignored = json!({"matchExpressions": [{"key": "a", "operator": "In"}]});
    let said = "spec.ignoredPodSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'";
    assert_eq!(of_spec(&with(&json!({"ignoredPodSelector": ignored}))), said);
}

#[test]
fn the_total_in_the_annotation_is_a_number_and_that_of_the_spec() {
    let refused = |text: &str, detail: &str| format!("metadata.annotations[{PROTECT_TOTAL}]: Invalid value: \"{text}\": {detail}");
    let (no_number, other) = ("must be a valid int32", "must match spec.protectTotalReplicas when both are set");
    for (text, spec, want) in [
        ("12", good(), String::new()),
        ("12", with(&json!({"protectTotalReplicas": 12})), String::new()),
        ("", good(), refused("", no_number)),
        ("2147483648", good(), refused("2147483648", no_number)),
        ("13", with(&json!({"protectTotalReplicas": 12})), refused("13", other)),
        ("012", with(&json!({"protectTotalReplicas": 12})), refused("012", other)),
    ] {
        assert_eq!(refusal(&annotated(v1alpha1::V1BETA1, PROTECT_TOTAL, text, &spec), None, &[]), want);
    }
}

#[test]
fn in_the_older_version_the_total_is_at_least_one_unless_it_was_there_before() {
    let older = |text: &str| annotated(v1alpha1::V1ALPHA1, PROTECT_TOTAL, text, &good());
    assert_eq!(refusal(&older("06"), None, &[]), "");
    let said = format!("metadata.annotations[{PROTECT_TOTAL}]: Invalid value: \"-3\": must be greater than or equal to 1");
    assert_eq!(refusal(&older("-3"), None, &[]), said);
    assert_eq!(refusal(&older("-3"), Some(&older("4")), &[]), said);
    assert_eq!(refusal(&older("-3"), Some(&older("-3")), &[]), "");
}

#[test]
fn an_update_guards_the_same_pods_as_before() {
    let said = "spec.selector, targetRef: Required value: selector and targetRef cannot be modified";
    let old = budget(&good());
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
    for (members, want) in [
        (json!({"maxUnavailable": null, "minAvailable": "40%", "protectOperations": ["EVICT"]}), ""),
        (json!({"selector": {"matchLabels": {"app": "till"}}}), said),
        (json!({"selector": {"matchLabels": {"app": "shop"}, "matchExpressions": []}}), said),
        (json!({"selector": null, "targetRef": target}), said),
    ] {
        assert_eq!(refusal(&budget(&with(&members)), Some(&old), &[]), want, "{members}");
    }
}

#[test]
fn budgets_that_select_alike_are_in_conflict_and_the_first_by_name_is_named() {
    let named = |name: &str| json!({"selector": null, "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}});
    let others = [
        stored("a", &with(&named("shop"))),
        stored("b", &good()),
        stored("c", &with(&json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}))),
        stored("mine", &with(&named("till"))),
    ];
    let of = |spec: &Value| refusal(&budget(spec), None, &others);
    let shown = "{\"matchLabels\":{\"app\":\"shop\"}}";
    assert_eq!(
        of(&good()),
        format!("spec.selector: Invalid value: {shown}: pub.spec.selector is in conflict with other PodUnavailableBudget b")
    );
    assert_eq!(of(&with(&json!({"selector": {"matchLabels": {"app": "shop", "tier": "web"}}}))), "");
    let shown = "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"shop\"}";
    let said = "pub.spec.targetReference is in conflict with other PodUnavailableBudget a";
    assert_eq!(of(&with(&named("shop"))), format!("spec.targetReference: Invalid value: {shown}: {said}"));
    // Not with itself, whatever it was before.
    assert_eq!(of(&with(&named("till"))), "");
    let of_other_group = json!({"selector": null, "targetRef": {"apiVersion": "apps.kruise.io/v1", "kind": "Deployment", "name": "shop"}});
    assert_eq!(of(&with(&of_other_group)), "");
}

#[test]
fn annotations_without_effect_are_admitted_with_a_warning() {
    let warnings = |object: &Value| validate(&written(object), None, [].iter()).warnings;
    assert_eq!(warnings(&budget(&good())), [""; 0]);
    let of = |key: &str, text: &str, spec: &Value| warnings(&annotated(v1alpha1::V1BETA1, key, text, spec));
    let said = "metadata.annotations[kruise.io/pub-protect-operations]: \"RESTART\" is no operation, and protects nothing";
    assert_eq!(of(PROTECT_OPERATIONS, "DELETE, RESTART", &good()), [said]);
    let said = "metadata.annotations[kruise.io/pub-protect-operations]: has no effect beside spec.protectOperations";
    assert_eq!(of(PROTECT_OPERATIONS, "DELETE", &with(&json!({"protectOperations": ["EVICT"]}))), [said]);
    let said = "metadata.annotations[pub.kruise.io/protect-total-replicas]: is no number of pods, and has no effect";
    assert_eq!(of(PROTECT_TOTAL, "0", &good()), [said]);
}

#[test]
fn an_object_that_cannot_be_read_says_where() {
    let wrong = |object: &Value| read(object, object["apiVersion"] == v1alpha1::V1ALPHA1).unwrap_err().to_string();
    assert!(wrong(&budget(&json!({"selector": 7}))).starts_with("spec.selector: invalid type"));
    assert_eq!(wrong(&json!({"apiVersion": "v1"})), "apiVersion: expected policy.kruise.io/v1beta1, found \"v1\"");
    let mut older = budget(&good());
    older["apiVersion"] = json!(v1alpha1::V1ALPHA1);
    older["spec"] = json!([]);
    assert_eq!(wrong(&older), "spec: must be an object");
    // No spec is one in which nothing is said.
    assert!(refusal(&budget(&Value::Null), None, &[]).contains("no selector or targetRef defined"));
}
