use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::spread::mark::Mark;
use crate::spread::{api::WorkloadSpread, index::Spread};

fn rules(subsets: &Value) -> Arc<Rules> {
    let object = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": "ws"},
        "spec": {"targetRef": {"apiVersion": "batch/v1", "kind": "Job", "name": "sum"}, "subsets": subsets}});
    Arc::clone(&Spread::compile(serde_json::from_value::<WorkloadSpread>(object).unwrap()).rules)
}

fn node(zone: &str, taints: Value) -> Node {
    Node {
        name: "n1".to_owned(),
        labels: BTreeMap::from([("zone".to_owned(), zone.to_owned()), ("cores".to_owned(), "8".to_owned())]),
        taints: serde_json::from_value(taints).unwrap(),
    }
}

/// Where a pod fits: `index:score`.
fn fitting(subsets: &Value, pod: &Value, node: &Node) -> String {
    fits(&rules(subsets), pod, node).iter().map(|fit| format!("{}:{}", fit.subset, fit.score)).collect::<Vec<_>>().join(" ")
}

fn term(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
}

#[test]
fn the_catalogue_of_the_reference() {
    // MatchSubset of reference §13.2, without the point for room.
    let subset = json!({"name": "a", "requiredNodeSelector": term("zone", "In", &["a"]), "tolerations": [{"key": "t", "operator": "Exists"}],
        "preferredNodeSelector": [{"weight": 100, "preference": term("zone", "In", &["a", "b"])}],
        "patch": {"metadata": {"labels": {"place": "a"}, "annotations": {"x": "y"}}}});
    let of = |labels: Value, node: &Node| fitting(&json!([subset]), &json!({"metadata": {"labels": labels}, "spec": {}}), node);
    let tainted = || json!([{"key": "t", "effect": "NoSchedule"}]);
    assert_eq!(of(json!({"place": "a"}), &node("a", tainted())), "0:10010");
    assert_eq!(of(json!({}), &node("a", tainted())), "0:10000", "the patch is not in the pod");
    assert_eq!(of(json!({"place": "a"}), &node("c", tainted())), "", "another node is required");
    assert_eq!(of(json!({"place": "a"}), &node("a", json!([{"key": "u", "effect": "NoSchedule"}]))), "", "a taint is not tolerated");
    let unpreferred = json!({"name": "a", "preferredNodeSelector": [{"weight": 100, "preference": term("zone", "In", &["b"])}],
        "patch": {"metadata": {"labels": {"place": "a"}}}});
    assert_eq!(fitting(&json!([unpreferred]), &json!({"metadata": {"labels": {"place": "a"}}, "spec": {}}), &node("a", json!([]))), "0:10");
}

#[test]
fn only_what_keeps_pods_away_has_to_be_tolerated() {
    let of = |taint: Value, tolerations: Value| {
        !fitting(&json!([{"name": "a"}]), &json!({"spec": {"tolerations": tolerations}}), &node("a", json!([taint]))).is_empty()
    };
    let taint = json!({"key": "k", "value": "v", "effect": "NoExecute"});
    for (tolerations, expected) in [
        (json!([]), false),
        (json!([{"key": "k", "value": "v"}]), true),
        (json!([{"key": "k", "operator": "Equal", "value": "w"}]), false),
        (json!([{"key": "k", "operator": "Exists"}]), true),
        (json!([{"key": "k", "operator": "Exists", "effect": "NoSchedule"}]), false),
        (json!([{"operator": "Exists"}]), true),
        (json!([{"value": "v"}]), false),
        (json!([{"key": "k", "operator": "Odd", "value": "v"}]), false),
        (json!("odd"), false),
    ] {
        assert_eq!(of(taint.clone(), tolerations.clone()), expected, "{tolerations}");
    }
    assert!(of(json!({"key": "k", "effect": "PreferNoSchedule"}), json!([])));
    assert!(of(json!({"key": CORDONED, "effect": "NoSchedule"}), json!([])), "it runs there, however the node is cordoned");
}

#[test]
fn what_the_pod_requires_itself_is_required_too() {
    let subsets = json!([{"name": "a", "requiredNodeSelector": term("zone", "In", &["a"])}]);
    let of = |terms: Value| {
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        !fitting(&subsets, &json!({"spec": {"affinity": affinity}}), &node("a", json!([]))).is_empty()
    };
    assert!(of(json!([])) && of(json!([{}])), "nothing of its own");
    assert!(of(json!([term("cores", "In", &["8"])])) && !of(json!([term("cores", "In", &["4"])])));
    assert!(of(json!([term("cores", "In", &["4"]), term("cores", "Exists", &[])])), "one of them is enough");
}

#[test]
fn nodes_are_selected_as_kubernetes_does() {
    let of = |term: Value| is_matched(&serde_json::from_value(term).unwrap(), &node("a", json!([])));
    for (operator, values, expected) in [
        ("In", vec!["8", "9"], true),
        ("In", vec![], false),
        ("NotIn", vec!["8"], false),
        ("NotIn", vec!["9"], true),
        ("Exists", vec![], true),
        ("DoesNotExist", vec![], false),
        ("Gt", vec!["7"], true),
        ("Gt", vec!["8"], false),
        ("Lt", vec!["9"], true),
        ("Lt", vec!["9", "10"], false),
        ("Gt", vec!["x"], false),
        ("Odd", vec!["8"], false),
    ] {
        assert_eq!(of(term("cores", operator, &values)), expected, "{operator} {values:?}");
    }
    assert!(of(term("none", "NotIn", &["8"])) && of(term("none", "DoesNotExist", &[])) && !of(term("none", "Exists", &[])));
    assert!(of(json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]})));
    assert!(!of(json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]})));
    assert!(!of(json!({})) && !of(json!({"matchExpressions": []})), "what asks for nothing means none");
}

#[test]
fn preferences_add_up() {
    let preferred = |zone: &str, weight: i32| json!({"weight": weight, "preference": term("zone", "In", &[zone])});
    let subsets =
        json!([{"name": "a", "preferredNodeSelector": [preferred("a", 3), preferred("a", 4), preferred("b", 50)]}, {"name": "b"}]);
    assert_eq!(fitting(&subsets, &json!({}), &node("a", json!([]))), "0:700 1:0");
}

#[test]
fn a_patch_is_in_a_pod_if_it_would_change_nothing() {
    let pod = json!({"metadata": {"name": "p", "labels": {"a": "1"}}, "spec": {"containers": [{"name": "main", "image": "i"}, {"name": "mesh"}]}});
    for (patch, expected) in [
        (json!({"metadata": {"labels": {"a": "1"}}}), true),
        (json!({"metadata": {"annotations": {"a": "1"}}}), true),
        (json!({"spec": {"containers": [{"name": "main", "image": "i"}]}}), true),
        (json!({"spec": {"containers": [{"name": "main", "image": "j"}]}}), false),
        (json!({"metadata": {"labels": {"b": "1"}}}), false),
        (json!({"spec": {"containers": [{"image": "i"}]}}), false),
        (json!({}), true),
    ] {
        assert_eq!(is_reflected(&pod, &patch), expected, "{patch}");
    }
}

#[test]
fn a_pod_is_taken_in_with_the_metadata_of_the_patch() {
    let subset = |patch: Value| serde_json::from_value::<Subset>(json!({"name": "a", "patch": patch})).unwrap();
    let mark = Mark { spread: "ws".into(), subset: "a".into(), uid: "".into() };
    let of = |patch: Value, leaves| metadata_patch(&subset(patch), leaves, &mark)["metadata"].clone();
    let marked = json!({"annotations": {"apps.kruise.io/matched-workloadspread": r#"{"name":"ws","subset":"a"}"#}});
    let patch = || json!({"metadata": {"labels": {"place": "a"}, "annotations": {"x": "y"}}, "spec": {"priorityClassName": "p"}});
    let mut whole = marked.clone();
    whole["labels"] = json!({"place": "a"});
    whole["annotations"]["x"] = "y".into();
    assert_eq!(of(patch(), false), whole);
    for (patch, leaves) in
        [(patch(), true), (json!({"spec": {}}), false), (json!(null), false), (json!({"metadata": {"annotations": 7}}), false)]
    {
        assert_eq!(of(patch, leaves), marked);
    }
}
