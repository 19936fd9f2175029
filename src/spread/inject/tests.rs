use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::admission::edits::Annotations;

fn mark() -> Mark {
    Mark { spread: "ws".into(), subset: "a".into(), uid: "".into() }
}

const WRITTEN: &str = r#"{"name":"ws","subset":"a"}"#;

fn subset(rest: Value) -> Subset {
    let subset: Subset = serde_json::from_value(rest).unwrap();
    Subset { name: "a".to_owned(), ..subset }
}

fn edits_of(pod: &Value) -> Edits {
    Edits::of(if pod["metadata"]["annotations"].is_object() { Annotations::Present } else { Annotations::Absent })
}

/// What the API server makes of the edits.
fn applied(edits: &Edits, pod: &Value) -> Value {
    let mut pod = pod.clone();
    let patch: json_patch::Patch = serde_json::from_str(&edits.to_json_patch()).unwrap();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

/// The pod as its place makes it, which is what the edits make of it.
fn injected(pod: &Value, subset: &Subset) -> Value {
    let mut edits = edits_of(pod);
    let after = inject(pod, subset, &mark(), &mut edits).unwrap();
    assert_eq!(applied(&edits, pod), after);
    after
}

fn patched(pod: &Value, patch: Value) -> Value {
    injected(pod, &Subset { name: "a".to_owned(), patch: Some(patch), ..Subset::default() })
}

fn refused(pod: &Value, rest: Value) -> String {
    let mut edits = edits_of(pod);
    let error = inject(pod, &subset(rest), &mark(), &mut edits).unwrap_err();
    assert!(edits.is_empty());
    error.to_string()
}

fn pod(spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "web-1"}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}});
    let Value::Object(spec) = spec else { panic!("{spec} is no spec") };
    pod["spec"].as_object_mut().unwrap().extend(spec);
    pod
}

#[test]
fn a_subset_that_asks_for_nothing_leaves_an_empty_affinity_and_the_mark() {
    let mut edits = Edits::of(Annotations::Absent);
    inject(&pod(json!({})), &subset(json!({})), &mark(), &mut edits).unwrap();
    let want = json!([
        {"op": "add", "path": "/spec/affinity", "value": {"nodeAffinity": {}}},
        {"op": "add", "path": "/metadata/annotations", "value": {MATCHED: WRITTEN}},
    ]);
    assert_eq!(serde_json::from_str::<Value>(&edits.to_json_patch()).unwrap(), want);
}

#[test]
fn other_members_of_affinity_and_annotations_are_not_touched() {
    let mut pod = pod(json!({"affinity": {"podAffinity": {"x": 1}}}));
    pod["metadata"]["annotations"] = json!({"note": "keep", MATCHED: r#"{"name":"old","subset":"x"}"#});
    let mut edits = Edits::default();
    inject(&pod, &subset(json!({"preferredNodeSelector": [{"weight": 1, "preference": {}}]})), &mark(), &mut edits).unwrap();
    let want = json!([
        {"op": "add", "path": "/spec/affinity/nodeAffinity", "value": {nodes::PREFERRED: [{"weight": 1, "preference": {}}]}},
        {"op": "add", "path": "/metadata/annotations/apps.kruise.io~1matched-workloadspread", "value": WRITTEN},
    ]);
    assert_eq!(serde_json::from_str::<Value>(&edits.to_json_patch()).unwrap(), want);
}

#[test]
fn tolerations_and_preferred_terms_come_behind_those_of_the_pod_doubles_included() {
    let (spot, any) = (json!({"key": "spot", "operator": "Exists"}), json!({"operator": "Exists"}));
    let term = |weight: i32| json!({"weight": weight, "preference": {"matchExpressions": [{"key": "ssd", "operator": "Exists"}]}});
    let subset = subset(json!({"tolerations": [{"key": "spot", "operator": "Exists", "value": ""}, {"key": "b", "tolerationSeconds": 60}],
        "preferredNodeSelector": [term(1), term(2)]}));
    let affinity = json!({"nodeAffinity": {nodes::PREFERRED: [term(1)]}});
    let after = injected(&pod(json!({"tolerations": [spot, any], "affinity": affinity})), &subset);
    assert_eq!(after["spec"]["tolerations"], json!([spot, any, spot, {"key": "b", "tolerationSeconds": 60}]));
    assert_eq!(after["spec"]["affinity"], json!({"nodeAffinity": {nodes::PREFERRED: [term(1), term(1), term(2)]}}));
    for none in [json!({}), json!({"tolerations": null, "affinity": null}), json!({"affinity": {"nodeAffinity": null}})] {
        let after = injected(&pod(none), &subset);
        assert_eq!(after["spec"]["tolerations"], json!([spot, {"key": "b", "tolerationSeconds": 60}]));
        assert_eq!(after["spec"]["affinity"], json!({"nodeAffinity": {nodes::PREFERRED: [term(1), term(2)]}}));
    }
}

#[test]
fn the_required_term_narrows_every_term_or_is_the_only_one() {
    let zone = json!({"key": "zone", "operator": "In", "values": ["a"]});
    let node = json!({"key": "metadata.name", "operator": "NotIn", "values": ["n"]});
    let cores = json!({"key": "cores", "operator": "Exists"});
    let of = |terms: Value| json!({"affinity": {"nodeAffinity": {nodes::REQUIRED: {"nodeSelectorTerms": terms}}}});
    for (term, had, want) in [
        (json!({"matchExpressions": [zone]}), json!([]), json!([{"matchExpressions": [zone]}])),
        (json!({"matchExpressions": [zone]}), json!(null), json!([{"matchExpressions": [zone]}])),
        (json!({}), json!([{"matchFields": [node]}]), json!([{"matchFields": [node]}])),
        (json!({}), json!([]), json!([{}])),
        (
            json!({"matchExpressions": [zone], "matchFields": [node]}),
            json!([{"matchExpressions": [cores]}, {"matchFields": [node]}, {}]),
            json!([
                {"matchExpressions": [cores, zone], "matchFields": [node]},
                {"matchFields": [node, node], "matchExpressions": [zone]},
                {"matchExpressions": [zone], "matchFields": [node]}
            ]),
        ),
    ] {
        let after = injected(&pod(of(had.clone())), &subset(json!({"requiredNodeSelector": term})));
        assert_eq!(after["spec"]["affinity"], of(want)["affinity"], "{term} into {had}");
    }
}

#[test]
fn the_patch_comes_after_the_subsets_own_members_and_may_replace_them() {
    let rest = |patch: Value| json!({"patch": {"spec": patch}, "tolerations": [{"key": "spot"}], "requiredNodeSelector": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}});
    let own = json!([{"key": "own"}]);
    let after = injected(&pod(json!({"tolerations": [{"key": "mine"}]})), &subset(rest(json!({"tolerations": own}))));
    assert_eq!(after["spec"]["tolerations"], own);
    let terms = json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "Exists"}]}]});
    let after = injected(&pod(json!({})), &subset(rest(json!({"affinity": {"nodeAffinity": {nodes::REQUIRED: terms}}}))));
    assert_eq!(after["spec"]["affinity"]["nodeAffinity"][nodes::REQUIRED], terms);
    let after = injected(&pod(json!({})), &subset(rest(json!({"affinity": null, "tolerations": null}))));
    assert_eq!(after["spec"], pod(json!({}))["spec"]);
}

#[test]
fn metadata_is_patched_key_by_key_and_the_mark_cannot_be() {
    let mut before = pod(json!({}));
    before["metadata"] =
        json!({"labels": {"color": "red", "team": "x", "app": "web"}, "annotations": {"owner": "y", "other": "z"}, "finalizers": ["f"]});
    let patch = json!({"metadata": {"labels": {"color": "blue", "team": null, "none": null}, "annotations": {MATCHED: "mine", "owner": null, "price": "low"}, "finalizers": ["g"]}});
    let mut edits = Edits::default();
    inject(&before, &subset(json!({ "patch": patch })), &mark(), &mut edits).unwrap();
    let Value::Array(mut operations) = serde_json::from_str::<Value>(&edits.to_json_patch()).unwrap() else { panic!("{edits:?}") };
    operations.sort_by_key(|operation| operation["path"].to_string());
    let want = json!([
        {"op": "add", "path": "/metadata/annotations/apps.kruise.io~1matched-workloadspread", "value": WRITTEN},
        {"op": "remove", "path": "/metadata/annotations/owner"},
        {"op": "add", "path": "/metadata/annotations/price", "value": "low"},
        {"op": "add", "path": "/metadata/finalizers", "value": ["g", "f"]},
        {"op": "add", "path": "/metadata/labels/color", "value": "blue"},
        {"op": "remove", "path": "/metadata/labels/team"},
        {"op": "add", "path": "/spec/affinity", "value": {"nodeAffinity": {}}},
    ]);
    assert_eq!(Value::Array(operations), want);
    for (metadata, labels) in [
        (json!({"labels": {"a": "1", "b": null}}), json!({"a": "1"})),
        (json!({"labels": null}), json!(null)),
        (json!({"labels": {"$patch": "replace", "a": "1"}}), json!({"a": "1"})),
    ] {
        for bare in [json!({"name": "web"}), json!({"labels": null, "annotations": null}), before["metadata"].clone()] {
            let of = json!({"metadata": bare, "spec": {"containers": []}});
            let after = patched(&of, json!({ "metadata": metadata }));
            let others = bare["labels"].as_object().filter(|_| metadata["labels"].get("b").is_some()).cloned();
            let want = match others {
                Some(mut others) => {
                    others.extend(labels.as_object().unwrap().clone());
                    Value::Object(others)
                }
                None => labels.clone(),
            };
            assert_eq!(after["metadata"]["labels"], want, "{metadata} into {bare}");
        }
    }
    let after = patched(&before, json!({"metadata": {"annotations": null, "labels": {MATCHED: "x"}}}));
    assert_eq!(after["metadata"]["annotations"], json!({MATCHED: WRITTEN}));
}

#[test]
fn what_the_patch_says_of_all_is_done_to_all() {
    let mut before = pod(json!({"nodeSelector": {"disk": "ssd"}, "hostNetwork": true}));
    before["future"] = json!(1);
    let after = patched(&before, json!({"spec": {"$patch": "replace", "containers": [{"name": "only"}]}}));
    assert_eq!(after["spec"], json!({"containers": [{"name": "only"}]}));
    let after = patched(&before, json!({"spec": {"$retainKeys": ["containers", "dnsPolicy"], "dnsPolicy": "None"}}));
    assert_eq!(after["spec"], json!({"containers": [{"name": "web", "image": "web:1"}], "dnsPolicy": "None"}));
    let after = patched(&before, json!({"$patch": "replace", "metadata": {"name": "x"}, "spec": {}}));
    assert_eq!(after, json!({"metadata": {"name": "x", "annotations": {MATCHED: WRITTEN}}, "spec": {}}));
    let after = patched(
        &before,
        json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "web"}], "containers": [{"name": "b"}]}, "future": null}),
    );
    assert_eq!(after["spec"]["containers"], json!([{"name": "b"}, {"name": "web", "image": "web:1"}]));
    assert_eq!((after.get("future"), &after["spec"]["hostNetwork"]), (None, &json!(true)));
}

#[test]
fn another_priority_class_takes_the_number_with_it() {
    for (had, patch, want) in [
        (json!({"priority": 0}), json!({"priorityClassName": "high"}), [json!("high"), json!(null)]),
        (json!({"priority": 7, "priorityClassName": "low"}), json!({"priorityClassName": "high"}), [json!("high"), json!(null)]),
        (
            json!({"priority": 7, "priorityClassName": "low"}),
            json!({"priorityClassName": "high", "priority": 9}),
            [json!("high"), json!(null)],
        ),
        (json!({"priority": 7, "priorityClassName": "low"}), json!({"priorityClassName": null}), [json!(null), json!(null)]),
        (json!({"priority": 7, "priorityClassName": "low"}), json!({"priorityClassName": "low"}), [json!("low"), json!(7)]),
        (json!({"priority": 7, "priorityClassName": "low"}), json!({}), [json!("low"), json!(7)]),
        (json!({"priority": 7}), json!({"priority": 9}), [json!(null), json!(9)]),
    ] {
        let mut before = pod(had);
        before["spec"]["preemptionPolicy"] = json!("Never");
        let after = patched(&before, json!({ "spec": patch }));
        assert_eq!([&after["spec"]["priorityClassName"], &after["spec"]["priority"]], [&want[0], &want[1]], "{patch}");
        assert_eq!(after["spec"]["preemptionPolicy"], "Never");
    }
}

#[test]
fn amounts_are_written_as_kubernetes_writes_them() {
    let container = json!({"name": "web", "resources": {"limits": {"cpu": 2, "memory": "1024Mi", "gpu": "1"}, "requests": {"cpu": 0.5}}});
    let volumes = json!([{"name": "v", "emptyDir": {"sizeLimit": 1024}}, {"name": "w", "csi": {"driver": "d", "volumeAttributes": {"sizeLimit": "as it is"}}}]);
    let after = patched(&pod(json!({})), json!({"spec": {"containers": [container], "volumes": volumes, "overhead": {"cpu": "0.25"}}}));
    let resources = json!({"limits": {"cpu": "2", "memory": "1Gi", "gpu": "1"}, "requests": {"cpu": "500m"}});
    assert_eq!(after["spec"]["containers"][0]["resources"], resources);
    assert_eq!(after["spec"]["volumes"][0]["emptyDir"]["sizeLimit"], "1024");
    assert_eq!(after["spec"]["volumes"][1]["csi"]["volumeAttributes"]["sizeLimit"], "as it is");
    assert_eq!(after["spec"]["overhead"]["cpu"], "250m");
}

#[test]
fn a_patch_that_makes_no_pod_is_refused_with_the_field_and_what_is_expected() {
    let spec = |patch: Value| json!({"patch": {"spec": patch}});
    for (rest, want) in [
        (
            spec(json!({"terminationGracePeriodSeconds": "long"})),
            "spec.terminationGracePeriodSeconds: invalid type: string \"long\", expected i64",
        ),
        (json!({"patch": {"metadata": {"labels": {"count": 7}}}}), "metadata.labels.count: invalid type: integer `7`, expected a string"),
        (json!({"patch": {"metadata": {"annotations": {"x": {}}}}}), "metadata.annotations.x: invalid type: map, expected a string"),
        (
            spec(json!({"containers": [{"name": "web", "env": [{"name": "A", "value": 1}]}]})),
            "spec.containers[0].env[0].value: invalid type: integer `1`, expected a string",
        ),
        (
            spec(json!({"containers": [{"name": "web", "resources": {"limits": {"cpu": "much"}}}]})),
            "spec.containers[0].resources.limits.cpu: quantities must match",
        ),
        (
            spec(json!({"containers": [{"name": "web", "resources": {"limits": {"cpu": {}}}}]})),
            "spec.containers[0].resources.limits.cpu: invalid type: map",
        ),
        (
            spec(json!({"containers": [{"image": "web:2"}]})),
            "an item of the list containers does not contain the declared merge key name: {\"image\":\"web:2\"}",
        ),
        (json!({"patch": {"spec": "x"}}), "spec: expected an object"),
        (json!({"patch": {"metadata": null}}), "metadata: expected an object"),
        (json!({"patch": "x"}), "expected an object, found \"x\""),
        (json!({"patch": {"$patch": "drop"}}), "unknown directive $patch"),
    ] {
        let said = refused(&pod(json!({})), rest.clone());
        assert!(said.starts_with(&format!("subset \"a\": patch: {want}")), "{rest}: {said}");
    }
}

#[test]
fn a_pod_that_is_none_is_refused_with_the_field() {
    let all = json!({"tolerations": [{}], "preferredNodeSelector": [{"weight": 1, "preference": {}}],
        "requiredNodeSelector": {"matchFields": [{"key": "a", "operator": "Exists"}]}});
    let required = |terms: Value| json!({"affinity": {"nodeAffinity": {nodes::REQUIRED: {"nodeSelectorTerms": terms}}}});
    for (pod, want) in [
        (json!(null), "metadata: expected an object"),
        (json!({"metadata": {}, "spec": []}), "spec: expected an object"),
        (json!({"spec": {}}), "metadata: expected an object"),
        (json!({"metadata": {"annotations": 1}, "spec": {}}), "metadata.annotations: expected an object"),
        (pod(json!({"tolerations": {}})), "spec.tolerations: expected a list"),
        (pod(json!({"affinity": 1})), "spec.affinity: expected an object"),
        (pod(json!({"affinity": {"nodeAffinity": []}})), "spec.affinity.nodeAffinity: expected an object"),
        (pod(json!({"affinity": {"nodeAffinity": {nodes::PREFERRED: 1}}})), "spec.affinity.nodeAffinity.preferredDuring"),
        (pod(json!({"affinity": {"nodeAffinity": {nodes::REQUIRED: 1}}})), "spec.affinity.nodeAffinity.requiredDuring"),
        (pod(required(json!(1))), "spec.affinity.nodeAffinity.requiredDuring"),
        (pod(required(json!([1]))), "spec.affinity.nodeAffinity: a required term: expected an object"),
        (pod(required(json!([{"matchFields": 1}]))), "spec.affinity.nodeAffinity: the requirements of a term: expected a list"),
    ] {
        let said = refused(&pod, all.clone());
        assert!(said.starts_with(&format!("pod: {want}")), "{pod}: {said}");
    }
}

#[test]
fn a_pod_without_a_place_keeps_no_mark() {
    let mut marked = pod(json!({}));
    marked["metadata"]["annotations"] = json!({"a": "b", MATCHED: WRITTEN});
    let mut edits = Edits::default();
    let after = unplace(&marked, &mut edits);
    assert_eq!(after["metadata"]["annotations"], json!({"a": "b"}));
    assert_eq!(applied(&edits, &marked), after);
    for none in [pod(json!({})), json!(null), json!({"metadata": {"annotations": MATCHED}})] {
        let mut edits = Edits::default();
        assert_eq!(unplace(&none, &mut edits), none);
        assert!(edits.is_empty());
    }
}

#[test]
fn a_second_call_is_recognised_also_when_the_api_server_wrote_the_pod_its_own_way() {
    let subset = subset(json!({
        "tolerations": [{"key": "spot", "value": ""}],
        "requiredNodeSelector": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]},
        "patch": {"extra": 1, "spec": {"containers": [{"name": "web", "speed": "high", "env": [{"name": "A", "value": ""}],
            "ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}], "resources": {"limits": {"cpu": 0.5}}}]}},
    }));
    let before = pod(json!({"priority": 0}));
    assert!(!is_injected(&before, &subset, &mark()));
    let mut after = injected(&before, &subset);
    assert!(is_injected(&after, &subset, &mark()));
    after.as_object_mut().unwrap().shift_remove("extra");
    let container = &mut after["spec"]["containers"][0];
    container.as_object_mut().unwrap().shift_remove("speed");
    container["env"] = json!([{"name": "A"}]);
    container["terminationMessagePath"] = json!("/dev/termination-log");
    assert!(is_injected(&after, &subset, &mark()));
    assert!(!is_injected(&after, &subset, &Mark { uid: "1".into(), ..mark() }), "another mark");
    assert!(!is_injected(&after, &subset, &Mark { subset: "b".into(), ..mark() }), "another subset");
    after["spec"]["tolerations"] = json!([]);
    assert!(!is_injected(&after, &subset, &mark()));
    assert!(!is_injected(&json!(null), &subset, &mark()));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (0..9i32).prop_map(Value::from),
        "[a-c$/~]{0,3}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let key = prop_oneof![
            "[a-c~/]{1,2}",
            proptest::sample::select(vec![
                "name",
                "containers",
                "labels",
                "annotations",
                "finalizers",
                "limits",
                "$patch",
                "$retainKeys",
                "$setElementOrder/containers"
            ])
            .prop_map(str::to_owned)
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map(key, inner, 0..3).prop_map(|members| Value::Object(members.into_iter().collect()))
        ]
    })
}

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    proptest::option::of(value)
}

fn object(members: Vec<(&str, Option<Value>)>) -> Value {
    members.into_iter().filter_map(|(name, member)| Some((name.to_owned(), member?))).collect::<Map<_, _>>().into()
}

fn words() -> impl Strategy<Value = Value> {
    proptest::collection::vec("[a-d]", 0..3).prop_map(Value::from)
}

fn pairs() -> impl Strategy<Value = Value> {
    proptest::collection::hash_map("[a-c]/?~?", "[x-z]", 0..3)
        .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k, Value::from(v))).collect())
}

fn tolerations() -> impl Strategy<Value = Value> {
    proptest::collection::vec(maybe("[a-b]".prop_map(Value::from)).prop_map(|key| object(vec![("key", key)])), 0..3).prop_map(Value::from)
}

fn requirements() -> impl Strategy<Value = Value> {
    let one = "[a-b]".prop_map(|key| json!({"key": key, "operator": "Exists"}));
    proptest::collection::vec(one, 0..3).prop_map(Value::from)
}

fn term() -> impl Strategy<Value = Value> {
    (maybe(requirements()), maybe(requirements()))
        .prop_map(|(expressions, fields)| object(vec![("matchExpressions", expressions), ("matchFields", fields)]))
}

fn preferred() -> impl Strategy<Value = Value> {
    proptest::collection::vec((1..3i32, term()).prop_map(|(weight, term)| json!({"weight": weight, "preference": term})), 0..3)
        .prop_map(Value::from)
}

fn affinity() -> impl Strategy<Value = Value> {
    let terms = proptest::collection::vec(term(), 0..3).prop_map(|terms| json!({"nodeSelectorTerms": terms}));
    let node = (maybe(preferred()), maybe(terms))
        .prop_map(|(preferred, required)| object(vec![(nodes::PREFERRED, preferred), (nodes::REQUIRED, required)]));
    (maybe(node), maybe(Just(json!({"x": 1})))).prop_map(|(node, pod)| object(vec![("nodeAffinity", node), ("podAffinity", pod)]))
}

fn containers() -> impl Strategy<Value = Value> {
    let variable = ("[A-C]", maybe("[x-z]?".prop_map(Value::from)))
        .prop_map(|(name, value)| object(vec![("name", Some(name.into())), ("value", value)]));
    let port = (1..3i32, maybe(proptest::sample::select(vec!["TCP", "UDP"]).prop_map(Value::from)))
        .prop_map(|(port, protocol)| object(vec![("containerPort", Some(port.into())), ("protocol", protocol)]));
    let limit = (1..5i32).prop_map(|cpu| json!({"limits": {"cpu": cpu}}));
    let one = (
        "[a-d]",
        maybe(proptest::collection::vec(variable, 0..3).prop_map(Value::from)),
        maybe(proptest::collection::vec(port, 0..3).prop_map(Value::from)),
        maybe(words()),
        maybe(limit),
    );
    let one = one.prop_map(|(name, env, ports, args, resources)| {
        object(vec![("name", Some(name.into())), ("env", env), ("ports", ports), ("args", args), ("resources", resources)])
    });
    proptest::collection::vec(one, 0..4).prop_map(|containers| {
        let mut seen = std::collections::BTreeSet::new();
        containers.into_iter().filter(|one| seen.insert(one["name"].to_string())).map(once_each).collect()
    })
}

/// Containers and variables have a name each; ports may come for two protocols.
fn once_each(mut container: Value) -> Value {
    let mut seen = std::collections::BTreeSet::new();
    if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
        env.retain(|variable| seen.insert(variable["name"].to_string()));
    }
    container
}

/// Members of a spec, as pods and patches have them.
fn spec() -> impl Strategy<Value = Value> {
    let class = proptest::sample::select(vec!["low", "high"]).prop_map(Value::from);
    (maybe(containers()), maybe(tolerations()), maybe(affinity()), maybe(pairs()), maybe(class), maybe((0..3i32).prop_map(Value::from)))
        .prop_map(|(containers, tolerations, affinity, selector, class, priority)| {
            object(vec![
                ("containers", containers),
                ("tolerations", tolerations),
                ("affinity", affinity),
                ("nodeSelector", selector),
                ("priorityClassName", class),
                ("priority", priority),
            ])
        })
}

fn metadata() -> impl Strategy<Value = Value> {
    (maybe(pairs()), maybe(pairs()), maybe(words())).prop_map(|(labels, annotations, finalizers)| {
        object(vec![("labels", labels), ("annotations", annotations), ("finalizers", finalizers)])
    })
}

fn pods() -> impl Strategy<Value = Value> {
    (metadata(), spec()).prop_map(|(metadata, spec)| json!({"metadata": metadata, "spec": spec, "future": [1.5, {"a": null}]}))
}

/// Some members are taken away, replaced or ordered instead.
fn patches() -> impl Strategy<Value = Value> {
    let turned =
        proptest::collection::vec((proptest::sample::select(vec!["metadata", "spec"]), any::<proptest::sample::Index>(), 0..4u8), 0..3);
    (maybe(metadata()), maybe(spec()), turned).prop_map(|(metadata, spec, turned)| {
        let mut patch = object(vec![("metadata", metadata), ("spec", spec)]);
        for (part, index, how) in turned {
            let Some(part) = patch.get_mut(part).and_then(Value::as_object_mut).filter(|part| !part.is_empty()) else { continue };
            let name = part.keys().nth(index.index(part.len())).unwrap().clone();
            if name.starts_with('$') {
                continue;
            }
            match (how, part.get_mut(&name)) {
                (0, Some(member)) => *member = Value::Null,
                (1, Some(Value::Object(member))) => drop(member.insert("$patch".to_owned(), json!("replace"))),
                (1, Some(Value::Array(items))) if name == "containers" => items.push(json!({"$patch": "delete", "name": "a"})),
                (2, Some(Value::Array(items))) if name == "containers" => items.push(json!({"$patch": "replace"})),
                (3, Some(Value::Array(items))) => {
                    let order = items.iter().rev().cloned().collect::<Vec<_>>();
                    part.insert(format!("$setElementOrder/{name}"), order.into());
                }
                _ => {}
            }
        }
        patch
    })
}

fn subsets() -> impl Strategy<Value = Subset> {
    (tolerations(), preferred(), maybe(term()), maybe(patches())).prop_map(|(tolerations, preferred, term, patch)| {
        subset(object(vec![
            ("tolerations", Some(tolerations)),
            ("preferredNodeSelector", Some(preferred)),
            ("requiredNodeSelector", term),
            ("patch", patch),
        ]))
    })
}

proptest! {
    #[test]
    fn the_edits_make_the_pod_and_once_more_changes_nothing(pod in pods(), subset in subsets()) {
        let after = injected(&pod, &subset);
        prop_assert_eq!(&after["metadata"]["annotations"][MATCHED], WRITTEN);
        prop_assert_eq!(&after["future"], &pod["future"]);
        prop_assert!(is_injected(&after, &subset, &mark()));
        let mut edits = edits_of(&after);
        prop_assert_eq!(&inject(&after, &subset, &mark(), &mut edits).unwrap(), &after);
        prop_assert!(edits.is_empty(), "{}", edits.to_json_patch());
    }

    #[test]
    fn nothing_odd_does_harm(pod in pods(), member in proptest::sample::select(vec!["", "/spec", "/spec/containers", "/spec/affinity", "/metadata", "/metadata/labels"]),
        odd in any_json(), patch in any_json(), spec in any_json(), metadata in any_json()) {
        let mut pod = pod;
        if let Some(place) = pod.pointer_mut(member) {
            *place = odd;
        }
        for patch in [patch, json!({"spec": spec, "metadata": metadata})] {
            let subset = subset(json!({"patch": patch}));
            let mut edits = edits_of(&pod);
            if let Ok(after) = inject(&pod, &subset, &mark(), &mut edits) {
                prop_assert_eq!(applied(&edits, &pod), after);
            }
            is_injected(&pod, &subset, &mark());
            is_reflected(&pod, &patch);
            metadata_patch(&subset, false, &mark());
            unplace(&pod, &mut Edits::default());
        }
    }
}
