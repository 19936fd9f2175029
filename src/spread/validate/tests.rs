use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::spread::whitelist::MEMBER;

fn spread(spec: &Value) -> WorkloadSpread {
    let object = json!({"apiVersion": v1alpha1::V1BETA1, "kind": "WorkloadSpread", "spec": spec,
        "metadata": {"name": "spread", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2}});
    read(&object, false).unwrap()
}

/// A spread of a Deployment with these subsets.
fn of(subsets: &Value) -> WorkloadSpread {
    spread(&json!({"targetRef": target("apps/v1", "Deployment", "web"), "subsets": subsets}))
}

fn target(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name})
}

fn said(new: &WorkloadSpread, old: Option<&WorkloadSpread>) -> Vec<String> {
    validate(new, old, std::iter::empty(), &Whitelist::default()).errors.iter().map(Error::to_string).collect()
}

fn found(new: &WorkloadSpread) -> Vec<String> {
    said(new, None)
}

/// Where something is wrong, without the details.
fn places(new: &WorkloadSpread) -> Vec<String> {
    validate(new, None, std::iter::empty(), &Whitelist::default()).errors.iter().map(|error| error.path.to_string()).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn spreads_of_all_known_kinds_are_good_and_all_others_are_not() {
    for (api_version, kind, is_good) in [
        ("apps/v1", "Deployment", true),
        ("apps/v9", "ReplicaSet", true),
        ("apps/v1", "StatefulSet", true),
        ("apps.kruise.io/v1beta1", "StatefulSet", true),
        ("apps.kruise.io/v1alpha1", "CloneSet", true),
        ("batch/v1", "Job", true),
        ("apps/v1", "CloneSet", false),
        ("v1", "ReplicaSet", false),
        ("apps/v1/x", "Deployment", false),
        ("apps", "Deployment", false),
        ("apps/v1", "DaemonSet", false),
        ("apps/v1", "deployment", false),
    ] {
        let spread = spread(&json!({"targetRef": target(api_version, kind, "web"), "subsets": [{"name": "a"}]}));
        assert_eq!(found(&spread).is_empty(), is_good, "{api_version} {kind}");
    }
}

#[test]
fn targets_are_refused_in_the_words_of_the_reference() {
    let of = |target: Value| found(&spread(&json!({"targetRef": target, "subsets": [{"name": "a"}]})));
    let shown = |api_version: &str, kind: &str, name: &str| {
        format!("spec.targetRef: Invalid value: v1beta1.TargetReference{{APIVersion:{api_version:?}, Kind:{kind:?}, Name:{name:?}}}")
    };
    assert_eq!(of(json!(null)), ["spec.targetRef: Required value: no targetRef defined in WorkloadSpread"]);
    assert_eq!(of(json!({"kind": "Job"})), [format!("{}: empty TargetReference is not valid for WorkloadSpread.", shown("", "Job", ""))]);
    let foreign = of(target("apps/v1", "Job", "a\"b"));
    assert_eq!(foreign, [format!("{}: TargetReference is not valid for Job.", shown("apps/v1", "Job", "a\"b"))]);
    let other = of(target("example.com/v1", "Arena", "east"));
    assert_eq!(other, [format!("{}: TargetReference's GroupKind is not permitted.", shown("example.com/v1", "Arena", "east"))]);
}

#[test]
fn other_kinds_may_be_spread_if_the_owner_of_the_cluster_says_so() {
    let judged = |text: &str, api_version: &str, kind: &str| {
        let whitelist = Whitelist::of(&BTreeMap::from([(MEMBER.to_owned(), text.to_owned())]));
        let spread = spread(&json!({"targetRef": target(api_version, kind, "east"), "subsets": [{"name": "a"}]}));
        validate(&spread, None, std::iter::empty(), &whitelist).errors.iter().map(Error::to_string).collect::<Vec<_>>()
    };
    let list = r#"{"workloads": [{"Group": "example.com", "Kind": "Arena", "subResources": [{"Group": "example.com", "Kind": "Table"}]}]}"#;
    assert_eq!(judged(list, "example.com/v2", "Arena"), NONE);
    assert_eq!(judged(list, "example.com/v1", "Table").len(), 1);
    assert_eq!(judged(list, "a/b/c", "Arena").len(), 1);
    let broken = judged("{,}", "example.com/v1", "Arena");
    assert!(broken.len() == 1 && broken[0].starts_with("spec.targetRef: Internal error: WorkloadSpread_Watch_"), "{broken:?}");
    assert_eq!(judged("{,}", "apps/v1", "Deployment"), NONE);
}

#[test]
fn subsets_have_names_of_their_own() {
    assert_eq!(found(&of(&json!([]))), ["spec.subsets: Required value: subsets number must >= 1 in WorkloadSpread"]);
    assert_eq!(found(&of(&json!([{"name": "Zone A / rack #1"}, {"name": "a"}, {"name": "A"}]))), NONE);
    assert_eq!(
        found(&of(&json!([{"name": ""}, {"name": "a"}, {"name": "a"}, {}, {"name": "a"}]))),
        [
            "spec.subsets[0].name: Invalid value: \"\"",
            "spec.subsets[2].name: Invalid value: \"a\": duplicated subset name a",
            "spec.subsets[3].name: Invalid value: \"\"",
            "spec.subsets[4].name: Invalid value: \"a\": duplicated subset name a",
        ]
    );
}

/// What is said of the subsets with these numbers.
fn caps(kind: &str, caps: &[Value]) -> Vec<String> {
    let subset = |(index, cap): (usize, &Value)| json!({"name": format!("s{index}"), "maxReplicas": cap});
    let subsets: Vec<_> = caps.iter().enumerate().map(subset).collect();
    found(&spread(&json!({"targetRef": target("apps/v1", kind, "web"), "subsets": subsets})))
}

#[test]
fn numbers_and_shares_of_the_whole_are_good() {
    for good in [
        vec![json!(0), json!(1_000_000)],
        vec![json!(null), json!(2), json!(null)],
        vec![json!("0%"), json!("100%")],
        vec![json!("50%"), json!("30%"), json!(null)],
        vec![json!("+50%"), json!(null)],
        vec![json!("%30%"), json!("30"), json!(null)],
    ] {
        assert_eq!(caps("Deployment", &good), NONE, "{good:?}");
    }
}

#[test]
fn numbers_are_of_one_kind_not_negative_and_together_the_whole() {
    let text = |text: &str| format!("intstr.IntOrString{{Type:1, IntVal:0, StrVal:{text:?}}}");
    let number = |number: i32| format!("intstr.IntOrString{{Type:0, IntVal:{number}, StrVal:\"\"}}");
    let (mixed, bad) = ("the maxReplicas type of all subsets must be the same", "maxReplicas is not valid for subset");
    let (more, less) = (
        "the sum of all subset's maxReplicas exceeds 100% is no permitted",
        "maxReplicas sum of all subsets must equal 100% when type is specified as percent",
    );
    for (all, index, value, detail) in [
        (vec![json!(null), json!("70%"), json!(3), json!(-1)], 2, number(3), mixed),
        (vec![json!(2), json!(-5), json!(-6)], 1, number(-5), bad),
        (vec![json!("-1%"), json!(null)], 0, text("-1%"), bad),
        (vec![json!("0.5%"), json!(null)], 0, text("0.5%"), bad),
        (vec![json!(""), json!(null)], 0, text(""), bad),
        (vec![json!("30 %"), json!(null)], 0, text("30 %"), bad),
        (vec![json!("99999999999999999999%")], 0, text("99999999999999999999%"), bad),
        (vec![json!("60%"), json!("40%"), json!("1%"), json!("1%")], 2, text("1%"), more),
        (vec![json!("9223372036854775807%")], 0, text("9223372036854775807%"), more),
        (vec![json!("50%"), json!("30%")], 0, text("50%"), less),
        (vec![json!(null), json!("30%")], 0, "\"null\"".to_owned(), less),
    ] {
        let said = format!("spec.subsets[{index}].maxReplicas: Invalid value: {value}: {detail}");
        assert_eq!(caps("Deployment", &all), [said], "{all:?}");
    }
}

#[test]
fn pods_with_ordinals_are_counted_in_pods() {
    assert_eq!(caps("StatefulSet", &[json!(1), json!(2)]), NONE);
    let said = caps("StatefulSet", &[json!(null), json!("x")]);
    assert_eq!(
        said,
        [
            "spec.subsets[1].maxReplicas: Invalid value: intstr.IntOrString{Type:1, IntVal:0, StrVal:\"x\"}: the maxReplicas type must be Int for StatefulSet"
        ]
    );
}

#[test]
fn a_percentage_that_is_none_is_admitted_with_a_word() {
    let spread = of(&json!([{"name": "a", "maxReplicas": "30"}, {"name": "b", "maxReplicas": "20%"}, {"name": "c"}]));
    let findings = validate(&spread, None, std::iter::empty(), &Whitelist::default());
    assert!(findings.errors.is_empty());
    assert_eq!(findings.warnings, ["spec.subsets[0].maxReplicas: \"30\" is no percentage: the subset takes no pods"]);
}

/// What is said of a term that nodes are required to fit.
fn required(member: &str, of_nodes: &Value) -> Vec<String> {
    found(&of(&json!([{"name": "a", "requiredNodeSelector": {member: of_nodes}}])))
}

#[test]
fn labels_of_required_nodes_are_held_to_the_rules_for_pods() {
    let of = |expressions: Value| required("matchExpressions", &expressions);
    let path = "spec.subsets[0].requiredNodeSelector.matchExpressions[0]";
    assert_eq!(of(json!([])), NONE);
    let good = json!([{"key": "zone", "operator": "In", "values": ["a", ""]}, {"key": "a/gpu", "operator": "DoesNotExist"},
        {"key": "cores", "operator": "Gt", "values": ["many"]}]);
    assert_eq!(of(good), NONE);
    for (expression, said) in [
        (json!({"key": "a", "operator": "NotIn"}), "values: Required value: must be specified when `operator` is 'In' or 'NotIn'"),
        (
            json!({"key": "a", "operator": "Exists", "values": ["b"]}),
            "values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
        (
            json!({"key": "a", "operator": "Lt", "values": ["1", "2"]}),
            "values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
        ),
        (json!({"key": "a", "operator": "Like"}), "operator: Invalid value: \"Like\": not a valid selector operator"),
        (json!({"key": "a", "values": ["b"]}), "operator: Invalid value: \"\": not a valid selector operator"),
    ] {
        assert_eq!(of(json!([expression])), [format!("{path}.{said}")]);
    }
    let begin = |said: &[String], begins: &str| said.iter().all(|said| said.starts_with(&format!("{path}.{begins}")));
    let keys = of(json!([{"key": "", "operator": "Exists"}]));
    assert!(keys.len() == 2 && begin(&keys, "key: Invalid value: \"\": name part must"), "{keys:?}");
    let values = of(json!([{"key": "a", "operator": "In", "values": ["b", "c d"]}]));
    assert!(values.len() == 1 && begin(&values, "values[1]: Invalid value: \"c d\": a valid label must"), "{values:?}");
}

#[test]
fn of_the_fields_of_required_nodes_only_the_name_is_known() {
    let of = |field: Value| required("matchFields", &json!([field]));
    let path = "spec.subsets[0].requiredNodeSelector.matchFields[0]";
    assert_eq!(of(json!({"key": "metadata.name", "operator": "NotIn", "values": ["node-7"]})), NONE);
    let one = "values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
    assert_eq!(of(json!({"key": "metadata.name", "operator": "In"})), [format!("{path}.{one}")]);
    assert_eq!(
        of(json!({"key": "spec.x", "operator": "Exists", "values": ["A b"]})),
        [
            format!("{path}.operator: Invalid value: \"Exists\": not a valid selector operator"),
            format!("{path}.key: Invalid value: \"spec.x\": not a valid field selector key"),
        ]
    );
    let name = of(json!({"key": "metadata.name", "operator": "In", "values": ["A b"]}));
    let begins = format!("{path}.values[0]: Invalid value: \"A b\": a lowercase RFC 1123 subdomain");
    assert!(name.len() == 1 && name[0].starts_with(&begins), "{name:?}");
}

#[test]
fn preferred_terms_need_a_weight_and_may_name_values_that_no_label_has() {
    let of = |terms: Value| found(&of(&json!([{"name": "a", "preferredNodeSelector": terms}])));
    let term =
        |weight: i32| json!({"weight": weight, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a b"]}]}});
    assert_eq!(of(json!([term(1), term(100), {"weight": 5, "preference": {}}])), NONE);
    let path = |index: usize| format!("spec.subsets[0].preferredNodeSelector[{index}]");
    let weight = |index: usize, weight: i32| format!("{}.weight: Invalid value: {weight}: must be in the range 1-100", path(index));
    assert_eq!(of(json!([term(0), term(101), term(-3)])), [weight(0, 0), weight(1, 101), weight(2, -3)]);
    let both = json!([{"weight": 200, "preference": {"matchFields": [{"key": "spec.x", "operator": "In", "values": ["x"]}]}}]);
    let key = format!("{}.preference.matchFields[0].key: Invalid value: \"spec.x\": not a valid field selector key", path(0));
    assert_eq!(of(both), [weight(0, 200), key]);
}

#[test]
fn tolerations_are_held_to_the_rules_for_pods() {
    let of = |toleration: Value| found(&of(&json!([{"name": "a", "tolerations": [toleration]}])));
    for good in [
        json!({"operator": "Exists"}),
        json!({"key": "spot", "value": "yes", "effect": "NoSchedule"}),
        json!({"key": "spot", "operator": "Equal", "effect": "NoExecute", "tolerationSeconds": 60}),
        json!({"key": "spot", "operator": "Exists", "effect": "PreferNoSchedule"}),
    ] {
        assert_eq!(of(good.clone()), NONE, "{good}");
    }
    let no_key = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
    for (toleration, said) in [
        (
            json!({"key": "a", "operator": "Exists", "value": "b"}),
            "operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'".to_owned(),
        ),
        (json!({"operator": "Equal", "value": "b"}), format!("operator: Invalid value: \"Equal\": {no_key}")),
        (json!({"value": "b"}), format!("operator: Invalid value: \"\": {no_key}")),
        (
            json!({"key": "a", "tolerationSeconds": 1}),
            "effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set".to_owned(),
        ),
        (
            json!({"key": "a", "operator": "Lt", "value": "5"}),
            "operator: Unsupported value: \"Lt\": supported values: \"Equal\", \"Exists\"".to_owned(),
        ),
        (
            json!({"key": "a", "effect": "Never"}),
            "effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"".to_owned(),
        ),
    ] {
        assert_eq!(of(toleration), [format!("spec.subsets[0].tolerations[0].{said}")]);
    }
    let value = of(json!({"key": "a", "value": "b c"}));
    assert!(value.len() == 1 && value[0].starts_with("spec.subsets[0].tolerations[0].operator: Invalid value: \"b c\": a valid label"));
    let key = of(json!({"key": "a b", "operator": "Exists"}));
    assert!(key.len() == 1 && key[0].starts_with("spec.subsets[0].tolerations[0].key: Invalid value: \"a b\": name part"));
}

/// What is said of this strategy with so many subsets, of which the last is capped or not.
fn strategy(strategy: &Value, subsets: usize, is_last_capped: bool) -> Vec<String> {
    let mut all: Vec<_> = (0..subsets).map(|index| json!({"name": format!("s{index}"), "maxReplicas": 1})).collect();
    if let Some(last) = all.last_mut().filter(|_| !is_last_capped) {
        last["maxReplicas"] = json!(null);
    }
    found(&spread(&json!({"targetRef": target("apps/v1", "Deployment", "web"), "subsets": all, "scheduleStrategy": strategy})))
}

#[test]
fn the_adaptive_block_needs_its_type_and_a_last_subset_without_a_cap() {
    let adaptive = |kind: &str, seconds: Value| json!({"type": kind, "adaptive": {"rescheduleCriticalSeconds": seconds}});
    for good in [
        json!({}),
        json!({"type": ""}),
        json!({"type": "Fixed"}),
        json!({"type": "Adaptive"}),
        adaptive("Adaptive", json!(30)),
        adaptive("Adaptive", json!(null)),
    ] {
        assert_eq!(strategy(&good, 2, false), NONE);
    }
    assert_eq!(strategy(&json!({"type": "Adaptive"}), 2, true), NONE);
    assert_eq!(strategy(&adaptive("Adaptive", json!(30)), 1, true), NONE);
    let of_type = |value: &str, detail: &str| format!("spec.scheduleStrategy.type: Invalid value: {value}: {detail}");
    let (unknown, unmeant) =
        ("ScheduleStrategy's type is not valid", "the scheduleStrategy's type must be adaptive when using adaptive scheduleStrategy");
    let capped = "the last subset's maxReplicas must be not specified when using adaptive scheduleStrategy";
    assert_eq!(strategy(&json!({"type": "adaptive"}), 2, false), [of_type("\"adaptive\"", unknown)]);
    assert_eq!(strategy(&adaptive("Loose", json!(null)), 2, false), [of_type("\"Loose\"", unknown), of_type("\"null\"", unmeant)]);
    let all = strategy(&adaptive("Fixed", json!(500)), 2, true);
    let seconds = "spec.scheduleStrategy.adaptive.rescheduleCriticalSeconds: Invalid value: 500: rescheduleCriticalSeconds < 0 or rescheduleCriticalSeconds > 295 is not permitted";
    assert_eq!(all, [of_type("500", unmeant), format!("spec.scheduleStrategy.adaptive: Invalid value: 500: {capped}"), seconds.to_owned()]);
}

#[test]
fn a_pod_must_have_been_tried_everywhere_before_the_first_subset_is_tried_again() {
    let of =
        |seconds: i32, subsets| strategy(&json!({"type": "Adaptive", "adaptive": {"rescheduleCriticalSeconds": seconds}}), subsets, false);
    for (subsets, most) in [(1, i32::MAX), (2, 295), (3, 147), (4, 98), (5, 73), (296, 1), (297, 0)] {
        assert_eq!(of(most, subsets), NONE, "{subsets}");
        let below = format!("Invalid value: -1: rescheduleCriticalSeconds < 0 or rescheduleCriticalSeconds > {most} is not permitted");
        assert_eq!(of(-1, subsets), [format!("spec.scheduleStrategy.adaptive.rescheduleCriticalSeconds: {below}")]);
        assert!(most == i32::MAX || of(most + 1, subsets).len() == 1, "{subsets}");
    }
}

#[test]
fn a_filter_may_be_empty_but_not_wrong() {
    let of = |filter: Value| {
        found(&spread(&json!({"targetRef": target("apps/v1", "Deployment", "web"), "targetFilter": filter, "subsets": [{"name": "a"}]})))
    };
    for good in
        [json!({}), json!({"selector": {}, "replicasPathList": ["no.such.path", ""]}), json!({"replicasPathList": ["spec.replicas"]})]
    {
        assert_eq!(of(good), NONE);
    }
    let wrong = of(json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "Near"}]}}));
    let shown = r#"{"selector":{"matchExpressions":[{"key":"tier","operator":"Near"}]}}"#;
    assert_eq!(wrong, [format!("spec.targetFilter: Invalid value: {shown}: \"Near\" is not a valid label selector operator")]);
}

#[test]
fn findings_come_in_the_order_of_the_reference() {
    let subsets = json!([
        {"name": "", "requiredNodeSelector": {"matchFields": [{"key": "x", "operator": "In", "values": ["x"]}]},
            "preferredNodeSelector": [{"weight": 0, "preference": {}}], "tolerations": [{}], "maxReplicas": 1},
        {"name": "a", "maxReplicas": "1%"}, {"name": "a"}]);
    let spread =
        spread(&json!({"subsets": subsets, "scheduleStrategy": {"type": "x"}, "targetFilter": {"selector": {"matchLabels": {"": ""}}}}));
    let first = "spec.subsets[0]";
    let wanted = [
        "spec.targetRef".to_owned(),
        format!("{first}.name"),
        format!("{first}.requiredNodeSelector.matchFields[0].key"),
        format!("{first}.preferredNodeSelector[0].weight"),
        format!("{first}.tolerations[0].operator"),
        "spec.subsets[1].maxReplicas".to_owned(),
        "spec.scheduleStrategy.type".to_owned(),
        "spec.targetFilter".to_owned(),
    ];
    assert_eq!(places(&spread), wanted);
}

fn other(name: &str, target: &Value) -> Spread {
    let object = json!({"apiVersion": v1alpha1::V1BETA1, "kind": "WorkloadSpread", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"targetRef": target, "subsets": [{"name": "a"}]}});
    Spread::compile(serde_json::from_value(object).unwrap())
}

#[test]
fn a_workload_has_one_spread() {
    let deployment = |version: &str, name: &str| target(&format!("apps/{version}"), "Deployment", name);
    let others = [other("a", &deployment("v1", "api")), other("b", &deployment("v1", "web")), other("c", &deployment("v1", "web"))];
    let judged = |target: Value| {
        let spread = spread(&json!({"targetRef": target, "subsets": [{"name": "a"}]}));
        validate(&spread, None, others.iter(), &Whitelist::default()).errors.iter().map(Error::to_string).collect::<Vec<_>>()
    };
    let shown = r#"v1beta1.TargetReference{APIVersion:"apps/v1beta2", Kind:"Deployment", Name:"web"}"#;
    let said = format!("spec.targetRef: Invalid value: {shown}: ws.spec.targetRef is in conflict with other WorkloadSpread b");
    assert_eq!(judged(deployment("v1beta2", "web")), [said]);
    for good in [deployment("v1", "web2"), target("apps/v1", "ReplicaSet", "web"), target("apps.kruise.io/v1alpha1", "CloneSet", "api")] {
        assert_eq!(judged(good), NONE);
    }
    let own = [other("spread", &deployment("v1", "web"))];
    let spread = of(&json!([{"name": "a"}]));
    assert!(validate(&spread, None, own.iter(), &Whitelist::default()).errors.is_empty(), "a spread is in nobody's way but its own");
}

#[test]
fn a_spread_stays_with_its_workload() {
    let of = |target: Value| spread(&json!({"targetRef": target, "subsets": [{"name": "a"}]}));
    let old = of(target("apps/v1", "StatefulSet", "db"));
    assert_eq!(said(&of(target("apps/v1beta2", "StatefulSet", "db")), Some(&old)), NONE);
    let change = "change TargetReference is not permitted for WorkloadSpread";
    for moved in [
        target("apps/v1", "StatefulSet", "db2"),
        target("apps/v1", "Deployment", "db"),
        target("apps.kruise.io/v1beta1", "StatefulSet", "db"),
    ] {
        let said = said(&of(moved), Some(&old));
        assert!(
            said.len() == 1 && said[0].starts_with("spec.targetRef: Invalid value: v1beta1.Target") && said[0].ends_with(change),
            "{said:?}"
        );
    }
    assert_eq!(said(&of(json!(null)), Some(&old)), ["spec.targetRef: Required value: no targetRef defined in WorkloadSpread"]);
    let foreign = said(&of(target("example.com/v1", "StatefulSet", "db")), Some(&old));
    assert!(foreign.len() == 2 && foreign[1].ends_with(change), "{foreign:?}");
}

#[test]
fn what_was_there_before_is_not_judged_again() {
    let rivals = [other("rival", &target("apps/v1", "Deployment", "web"))];
    let old = of(&json!([{"name": "a", "maxReplicas": -1}]));
    let judged = |new: &WorkloadSpread| validate(new, Some(&old), rivals.iter(), &Whitelist::default()).errors.len();
    let mut new = old.clone();
    new.metadata.labels = Some(BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    assert_eq!((judged(&new), says_something_new(&new, Some(&old))), (0, false));
    new.spec.subsets[0].name = "b".to_owned();
    assert_eq!((judged(&new), says_something_new(&new, Some(&old)), says_something_new(&new, None)), (2, true, true));
}

#[test]
fn metadata_keep_who_the_spread_is() {
    let old = of(&json!([{"name": "a"}]));
    let judged = |change: fn(&mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta)| {
        let mut new = old.clone();
        change(&mut new.metadata);
        said(&new, Some(&old))
    };
    assert_eq!(judged(|meta| meta.finalizers = Some(vec!["example.com/hold".to_owned()])), NONE);
    assert_eq!(
        judged(|meta| meta.resource_version = None),
        ["metadata.resourceVersion: Invalid value: \"\": must be specified for an update"]
    );
    assert_eq!(judged(|meta| meta.generation = Some(1)), ["metadata.generation: Invalid value: 1: must not be decremented"]);
    assert_eq!(judged(|meta| meta.name = Some("b".to_owned())), ["metadata.name: Invalid value: \"b\": field is immutable"]);
    assert_eq!(judged(|meta| meta.namespace = None), ["metadata.namespace: Invalid value: \"\": field is immutable"]);
    assert_eq!(judged(|meta| meta.uid = Some("v".to_owned())), ["metadata.uid: Invalid value: \"v\": field is immutable"]);
    let time =
        judged(|meta| meta.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH)));
    assert_eq!(time, ["metadata.creationTimestamp: Invalid value: \"1970-01-01T00:00:00Z\": field is immutable"]);
    let labels = judged(|meta| meta.labels = Some(BTreeMap::from([("a b".to_owned(), "c d".to_owned())])));
    assert!(labels.len() == 2 && labels.iter().all(|said| said.starts_with("metadata.labels: Invalid value: ")), "{labels:?}");
    let annotations =
        judged(|meta| meta.annotations = Some(BTreeMap::from([("a b".to_owned(), "c d".to_owned()), ("A.b/c".to_owned(), String::new())])));
    assert!(
        annotations.len() == 1 && annotations[0].starts_with("metadata.annotations: Invalid value: \"a b\": name part"),
        "{annotations:?}"
    );
}

#[test]
fn what_does_not_fit_the_type_is_named_with_its_field() {
    let read = |version: &str, spec: Value, is_older| {
        let object = json!({"apiVersion": version, "kind": "WorkloadSpread", "metadata": {"name": "a"}, "spec": spec});
        read(&object, is_older).map(|spread| spread.spec).map_err(|error| error.to_string())
    };
    let (older, present) = (v1alpha1::V1ALPHA1, v1alpha1::V1BETA1);
    assert!(read(present, json!({"subsets": "all"}), false).unwrap_err().starts_with("spec.subsets: "));
    assert!(
        read(present, json!({"subsets": [{"name": "a", "maxReplicas": true}]}), false)
            .unwrap_err()
            .starts_with("spec.subsets[0].maxReplicas: ")
    );
    assert_eq!(
        read(older, json!({}), false).unwrap_err(),
        "apiVersion: expected apps.kruise.io/v1beta1, found \"apps.kruise.io/v1alpha1\""
    );
    assert!(read(present, json!({}), true).unwrap_err().starts_with("apiVersion: must be apps.kruise.io/v1alpha1"));
    assert_eq!(read(present, json!(null), false).unwrap(), crate::spread::api::WorkloadSpreadSpec::default());
    let term = json!({"matchFields": []});
    let subset = read(older, json!({"subsets": [{"name": "a", "requiredNodeSelectorTerm": term}]}), true).unwrap().subsets.remove(0);
    assert!(subset.required_node_selector.is_some());
}
