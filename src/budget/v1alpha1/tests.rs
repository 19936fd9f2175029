use proptest::{prelude::*, sample::subsequence};
use serde_json::{Value, json};

use super::*;
use crate::budget::{api::PodUnavailableBudget, index::Budget};

fn object(version: &str, metadata: &Value, spec: &Value) -> Value {
    json!({"apiVersion": version, "kind": "PodUnavailableBudget", "metadata": metadata, "spec": spec, "status": {"unavailableAllowed": 1, "newer": [1]}})
}

fn annotated(annotations: &Value) -> Value {
    json!({"name": "a", "annotations": annotations})
}

#[test]
fn the_older_version_becomes_the_present_one() {
    let plain = json!({"name": "a"});
    for (metadata, spec, want_metadata, want_spec) in [
        (plain.clone(), json!({"minAvailable": 1, "x": 1}), plain.clone(), json!({"minAvailable": 1, "x": 1})),
        (
            annotated(&json!({PROTECT_OPERATIONS: " DELETE ,EVICT,,EVICT", PROTECT_TOTAL: "+007", "keep": "me"})),
            json!({"minAvailable": 1}),
            annotated(&json!({"keep": "me"})),
            json!({"minAvailable": 1, "protectOperations": ["DELETE", "EVICT", "EVICT"], "protectTotalReplicas": 7}),
        ),
        (annotated(&json!({PROTECT_TOTAL: "3"})), json!(null), plain.clone(), json!({"protectTotalReplicas": 3})),
        // What the older version does not have means nothing in it.
        (plain.clone(), json!({"protectOperations": ["DELETE"], "protectTotalReplicas": 3, "ignoredPodSelector": {}}), plain, json!({})),
    ] {
        let mut converted = object(V1ALPHA1, &metadata, &spec);
        to_v1beta1(&mut converted).unwrap();
        assert_eq!(converted, object(V1BETA1, &want_metadata, &want_spec));
    }
}

#[test]
fn the_present_version_becomes_the_older_one() {
    let ignored = json!({"matchLabels": {"a": "b"}});
    for (metadata, spec, want_metadata, want_spec) in [
        (json!({}), json!({"minAvailable": 1}), json!({}), json!({"minAvailable": 1})),
        (
            json!({"annotations": {"keep": "me"}}),
            json!({"protectOperations": ["DELETE", "RESIZE"], "protectTotalReplicas": 9, "ignoredPodSelector": ignored}),
            json!({"annotations": {"keep": "me", PROTECT_OPERATIONS: "DELETE,RESIZE", PROTECT_TOTAL: "9",
                NEWER_FIELDS: r#"{"ignoredPodSelector":{"matchLabels":{"a":"b"}}}"#}}),
            json!({}),
        ),
        // The field goes before the annotation, and so it is what the older version shows.
        (
            json!({"annotations": {PROTECT_OPERATIONS: "UPDATE"}}),
            json!({"protectOperations": ["EVICT"]}),
            json!({"annotations": {PROTECT_OPERATIONS: "EVICT"}}),
            json!({}),
        ),
    ] {
        let mut converted = object(V1BETA1, &metadata, &spec);
        from_v1beta1(&mut converted).unwrap();
        assert_eq!(converted, object(V1ALPHA1, &want_metadata, &want_spec));
    }
}

/// Stored by the reference, which never converted it.
#[test]
fn an_annotation_that_stands_in_for_a_member_is_in_force_in_both_versions() {
    let mut budget = object(V1BETA1, &annotated(&json!({PROTECT_OPERATIONS: "EVICT", PROTECT_TOTAL: "4"})), &json!({"minAvailable": 1}));
    let before = rules(&budget);
    from_v1beta1(&mut budget).unwrap();
    assert_eq!(budget["metadata"]["annotations"], json!({PROTECT_OPERATIONS: "EVICT", PROTECT_TOTAL: "4"}));
    to_v1beta1(&mut budget).unwrap();
    assert_eq!(budget["spec"], json!({"minAvailable": 1, "protectOperations": ["EVICT"], "protectTotalReplicas": 4}));
    assert_eq!(rules(&budget), before);
}

#[test]
fn a_member_that_is_taken_away_does_not_come_back_from_an_old_annotation() {
    let mut budget = object(V1ALPHA1, &annotated(&json!({PROTECT_OPERATIONS: "EVICT"})), &json!({"minAvailable": 1}));
    to_v1beta1(&mut budget).unwrap();
    budget["spec"].as_object_mut().unwrap().shift_remove("protectOperations");
    assert_eq!(rules(&budget).operations, [Operation::Delete, Operation::Update, Operation::Evict]);
    from_v1beta1(&mut budget).unwrap();
    assert_eq!(budget["metadata"].get("annotations"), None);
}

#[test]
fn an_annotation_that_cannot_be_understood_stays_and_is_a_problem_where_it_is_written() {
    for (key, text, problem_of_it) in [
        (PROTECT_OPERATIONS, "DELETE,DRAIN", Some("invalid kruise.io/pub-protect-operations value \"DRAIN\"")),
        (PROTECT_OPERATIONS, " , ", None),
        (PROTECT_TOTAL, "six", Some("failed to parse pub.kruise.io/protect-total-replicas: \"six\" is not a whole number of 32 bits")),
        (
            PROTECT_TOTAL,
            "2147483648",
            Some("failed to parse pub.kruise.io/protect-total-replicas: \"2147483648\" is not a whole number of 32 bits"),
        ),
        (PROTECT_TOTAL, "", None),
        // The schema would not take it.
        (PROTECT_TOTAL, "-3", None),
        (NEWER_FIELDS, "{", Some("failed to parse outrigger.dev/v1beta1-fields: must be members of the spec of v1beta1, as JSON")),
        (
            NEWER_FIELDS,
            r#"{"ignoredPodSelector": 7}"#,
            Some("failed to parse outrigger.dev/v1beta1-fields: must be members of the spec of v1beta1, as JSON"),
        ),
    ] {
        let older = object(V1ALPHA1, &annotated(&json!({key: text})), &json!({"minAvailable": 1}));
        assert_eq!(problem(&older).as_deref(), problem_of_it, "{text}");
        let mut converted = older.clone();
        to_v1beta1(&mut converted).unwrap();
        assert_eq!(converted, object(V1BETA1, &older["metadata"], &older["spec"]), "{text}");
        from_v1beta1(&mut converted).unwrap();
        assert_eq!(converted, older, "{text}");
    }
}

#[test]
fn what_is_kept_for_the_present_version_does_not_replace_what_the_older_one_has() {
    let kept = r#"{"minAvailable": 9, "protectOperations": ["UPDATE"], "protectTotalReplicas": 9}"#;
    let annotations = json!({NEWER_FIELDS: kept, PROTECT_OPERATIONS: "DELETE"});
    let mut converted = object(V1ALPHA1, &annotated(&annotations), &json!({"minAvailable": 1}));
    to_v1beta1(&mut converted).unwrap();
    let spec = json!({"minAvailable": 1, "protectOperations": ["DELETE"], "protectTotalReplicas": 9});
    assert_eq!(converted, object(V1BETA1, &json!({"name": "a"}), &spec));
}

#[test]
fn an_object_that_is_no_budget_of_the_version_stays_as_it_is() {
    let named = json!({"namespace": "shop", "name": "a"});
    for (value, want) in [
        (json!([]), r#"PodUnavailableBudget "": the object: must be an object"#),
        (
            object(V1BETA1, &named, &json!({})),
            r#"PodUnavailableBudget "shop/a": apiVersion: must be policy.kruise.io/v1alpha1 to be converted, is "policy.kruise.io/v1beta1""#,
        ),
        (
            json!({"apiVersion": V1ALPHA1, "kind": "Pod"}),
            r#"PodUnavailableBudget "": kind: must be PodUnavailableBudget to be converted, is "Pod""#,
        ),
        (object(V1ALPHA1, &named, &json!([])), r#"PodUnavailableBudget "shop/a": spec: must be an object"#),
        (object(V1ALPHA1, &annotated(&json!([])), &json!({})), r#"PodUnavailableBudget "a": metadata.annotations: must be an object"#),
        (
            object(V1ALPHA1, &annotated(&json!({"x": 1})), &json!({})),
            r#"PodUnavailableBudget "a": metadata.annotations[x]: must be a string"#,
        ),
    ] {
        let mut converted = value.clone();
        assert_eq!(convert(&mut converted, V1BETA1).unwrap_err().to_string(), want);
        assert_eq!(converted, value);
    }
    let mut good = object(V1ALPHA1, &named, &json!({}));
    let want =
        r#"PodUnavailableBudget "shop/a": desiredAPIVersion: must be policy.kruise.io/v1beta1 or policy.kruise.io/v1alpha1, is "v1""#;
    assert_eq!(convert(&mut good, "v1").unwrap_err().to_string(), want);
}

/// What the budget means.
fn rules(budget: &Value) -> crate::budget::index::Rules {
    let budget: PodUnavailableBudget = serde_json::from_value(budget.clone()).unwrap();
    (*Budget::compile(budget).rules).clone()
}

fn spec() -> impl Strategy<Value = Value> {
    let operations = proptest::option::of(subsequence(vec!["DELETE", "UPDATE", "EVICT", "RESIZE"], 0..4));
    let ignored = proptest::option::of(Just(json!({"matchExpressions": [{"key": "debug", "operator": "Exists"}]})));
    (operations, proptest::option::of(0..20i32), ignored, proptest::option::of(-3..3i64)).prop_map(|(operations, total, ignored, newer)| {
        let mut spec = json!({"targetRef": {"kind": "Deployment", "name": "a", "newer": 1}, "minAvailable": "50%"});
        for (name, value) in [
            ("protectOperations", operations.map(|all| json!(all))),
            ("protectTotalReplicas", total.map(|total| json!(total))),
            ("ignoredPodSelector", ignored),
            ("newerStill", newer.map(|newer| json!({"deep": [newer]}))),
        ] {
            if let Some(value) = value {
                spec[name] = value;
            }
        }
        spec
    })
}

fn text(texts: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(proptest::sample::select(texts))
}

proptest! {
    #[test]
    fn to_the_older_version_and_back_is_the_identity(spec in spec(), has_annotation in any::<bool>()) {
        let metadata = if has_annotation { annotated(&json!({"keep": "me"})) } else { json!({"name": "a"}) };
        let stored = object(V1BETA1, &metadata, &spec);
        let mut there = stored.clone();
        from_v1beta1(&mut there).unwrap();
        for name in ["protectOperations", "protectTotalReplicas", "ignoredPodSelector", "newerStill"] {
            prop_assert_eq!(there["spec"].get(name), None);
        }
        prop_assert_eq!(problem(&there), None);
        let mut back = there.clone();
        to_v1beta1(&mut back).unwrap();
        prop_assert_eq!(&back, &stored);
        let mut again = back;
        from_v1beta1(&mut again).unwrap();
        prop_assert_eq!(again, there);
    }

    /// The annotations lose their blanks and zeros; whatever else they say stays.
    #[test]
    fn to_the_present_version_and_back_an_older_budget_means_the_same(
        operations in text(&["DELETE", " EVICT , UPDATE,", "EVICT,EVICT", "DRAIN", "DELETE,DRAIN", ",", ""]),
        total in text(&["5", "+05", "0", "-3", "six", "99999999999", ""]),
    ) {
        let mut annotations = json!({"keep": "me"});
        for (key, text) in [(PROTECT_OPERATIONS, operations), (PROTECT_TOTAL, total)] {
            if let Some(text) = text {
                annotations[key] = json!(text);
            }
        }
        let older = object(V1ALPHA1, &annotated(&annotations), &json!({"minAvailable": 1}));
        let mut there = older.clone();
        to_v1beta1(&mut there).unwrap();
        let mut back = there.clone();
        from_v1beta1(&mut back).unwrap();
        prop_assert_eq!(rules(&back), rules(&older));
        prop_assert_eq!(rules(&there), rules(&older));
        let mut again = back.clone();
        to_v1beta1(&mut again).unwrap();
        prop_assert_eq!(again, there);
    }
}
