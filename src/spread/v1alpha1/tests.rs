use proptest::{prelude::*, sample::subsequence};
use serde_json::{Value, json};

use super::*;
use crate::spread::{api::WorkloadSpread, index::Spread};

#[expect(clippy::needless_pass_by_value, reason = "the arguments are made for the call")]
fn object(version: &str, spec: Value, status: Value) -> Value {
    json!({"apiVersion": version, "kind": "WorkloadSpread", "metadata": {"name": "a", "namespace": "shop", "labels": {"x": "y"}}, "spec": spec, "status": status})
}

/// A spread in both versions.
fn both(spec: Value, status: Value) -> [Value; 2] {
    let text = json!([spec, status]).to_string();
    let older = RENAMED.iter().fold(text, |text, (older, newer)| text.replace(&format!("\"{newer}\""), &format!("\"{older}\"")));
    let older: Vec<Value> = serde_json::from_str(&older).unwrap();
    [object(V1ALPHA1, older[0].clone(), older[1].clone()), object(V1BETA1, spec, status)]
}

fn term(zone: &str) -> Value {
    json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]})
}

fn condition(reason: &str) -> Value {
    json!({"type": "Schedulable", "status": "False", "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

#[test]
fn members_are_renamed_both_ways_and_keep_their_places() {
    let subsets = json!([
        {"name": "a", "requiredNodeSelector": term("a"), "maxReplicas": "30%", "patch": {"spec": {"requiredNodeSelectorTerm": 1}}, "newer": [1]},
        {"preferredNodeSelector": [{"weight": 1, "preference": term("b")}], "name": "b", "tolerations": []},
        {"name": "c", "requiredNodeSelector": null},
    ]);
    let spec = json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "subsets": subsets});
    let status = json!({"observedGeneration": 3, "subsetStatuses": [{"name": "a", "conditions": [condition("Full")]}]});
    // The patch is no subset: its member keeps its name.
    let [mut older, newer] = both(spec, status);
    older["spec"]["subsets"][0]["patch"] = newer["spec"]["subsets"][0]["patch"].clone();
    let (mut up, mut down) = (older.clone(), newer.clone());
    to_v1beta1(&mut up).unwrap();
    from_v1beta1(&mut down).unwrap();
    assert_eq!((up.to_string(), down.to_string()), (newer.to_string(), older.to_string()));
}

#[test]
fn names_of_the_other_version_mean_nothing() {
    let subset = |version, members: Value| object(version, json!({"subsets": [members]}), json!({}));
    let mut older = subset(V1ALPHA1, json!({"name": "a", "requiredNodeSelector": term("a"), "preferredNodeSelector": []}));
    to_v1beta1(&mut older).unwrap();
    assert_eq!(older, subset(V1BETA1, json!({"name": "a"})));
    let mut newer = subset(V1BETA1, json!({"requiredNodeSelectorTerm": term("a"), "requiredNodeSelector": term("b")}));
    from_v1beta1(&mut newer).unwrap();
    assert_eq!(newer, subset(V1ALPHA1, json!({"requiredNodeSelectorTerm": term("b")})));
}

#[test]
fn conditions_get_what_the_present_version_must_have_and_lose_what_the_older_one_does_not_know() {
    let bare = json!({"type": "Schedulable", "status": "True", "lastTransitionTime": null});
    let status = |conditions: &[Value]| json!({"subsetStatuses": [{"name": "a", "conditions": conditions}], "versionedSubsetStatuses": {"r": [{"name": "a", "conditions": conditions}], "s": [], "t": null}});
    let mut older = object(V1ALPHA1, json!({}), status(&[condition(""), condition("Full"), bare]));
    to_v1beta1(&mut older).unwrap();
    let filled =
        json!({"type": "Schedulable", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z", "reason": "Unknown", "message": ""});
    assert_eq!(older["status"], status(&[condition("Unknown"), condition("Full"), filled]));
    let mut observed = condition("");
    observed["observedGeneration"] = json!(7);
    let mut newer = object(V1BETA1, json!({}), status(&[observed]));
    from_v1beta1(&mut newer).unwrap();
    assert_eq!(newer["status"], status(&[condition("")]));
}

#[test]
fn what_is_missing_stays_missing() {
    for (spec, status) in [
        (json!(null), json!(null)),
        (json!({}), json!({})),
        (json!({"targetRef": null, "subsets": null}), json!({"subsetStatuses": null, "versionedSubsetStatuses": null})),
        (json!({"subsets": [null, 7]}), json!({"subsetStatuses": [null, {"name": "a", "conditions": null}]})),
    ] {
        let [older, newer] = both(spec, status);
        let (mut up, mut down) = (older.clone(), newer.clone());
        to_v1beta1(&mut up).unwrap();
        from_v1beta1(&mut down).unwrap();
        assert_eq!((up, down), (newer, older));
    }
}

#[test]
fn what_is_no_spread_of_the_version_is_refused_and_stays() {
    let good = object(V1ALPHA1, json!({}), json!({}));
    let with = |member: &str, value: Value| {
        let mut object = good.clone();
        object[member] = value;
        object
    };
    for (object, desired, said) in [
        (
            good.clone(),
            "apps.kruise.io/v1",
            r#"WorkloadSpread "shop/a": desiredAPIVersion: must be apps.kruise.io/v1beta1 or apps.kruise.io/v1alpha1, is "apps.kruise.io/v1""#,
        ),
        (
            good.clone(),
            V1ALPHA1,
            r#"WorkloadSpread "shop/a": apiVersion: must be apps.kruise.io/v1beta1 to be converted, is "apps.kruise.io/v1alpha1""#,
        ),
        (with("kind", json!("Spread")), V1BETA1, r#"WorkloadSpread "shop/a": kind: must be WorkloadSpread to be converted, is "Spread""#),
        (with("spec", json!({"subsets": {}})), V1BETA1, r#"WorkloadSpread "shop/a": spec.subsets: must be a list"#),
        (with("status", json!("")), V1BETA1, r#"WorkloadSpread "shop/a": status: must be an object"#),
        (json!([]), V1BETA1, r#"WorkloadSpread "": the object: must be an object"#),
    ] {
        let mut converted = object.clone();
        assert_eq!(convert(&mut converted, desired).unwrap_err().to_string(), said);
        assert_eq!(converted, object);
    }
}

/// Any members of a subset, under the names of the present version.
fn subset() -> impl Strategy<Value = Value> {
    let all = vec![
        ("requiredNodeSelector", term("a")),
        ("preferredNodeSelector", json!([{"weight": 5, "preference": term("b")}])),
        ("tolerations", json!([{"operator": "Exists"}])),
        ("maxReplicas", json!("40%")),
        ("patch", json!({"metadata": {"labels": {"a": "b"}}})),
        ("newer", json!({"member": true})),
    ];
    subsequence(all, 0..=6)
        .prop_shuffle()
        .prop_map(|members| json!(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>()))
}

proptest! {
    #[test]
    fn there_and_back_nothing_is_lost_and_both_mean_the_same(subsets in prop::collection::vec(subset(), 0..5)) {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let before = object(V1BETA1, json!({"targetRef": target, "subsets": subsets}), json!({"subsetStatuses": [{"name": "a", "conditions": [condition("Full")]}]}));
        let mut object = before.clone();
        from_v1beta1(&mut object).unwrap();
        prop_assert!(!object["spec"].to_string().contains("NodeSelector\""));
        to_v1beta1(&mut object).unwrap();
        prop_assert_eq!(object.to_string(), before.to_string());
        let rules = |object: Value| Spread::compile(serde_json::from_value::<WorkloadSpread>(object).unwrap()).rules;
        prop_assert_eq!(rules(object), rules(before));
    }
}
