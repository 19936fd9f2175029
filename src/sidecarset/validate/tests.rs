//! Rules that the recorded cases do not pin down, or that we answer otherwise. The recorded ones are judged in
//! `tests/it/conformance/sets.rs`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sidecarset::{
    index::Entry,
    recorded,
    revision::Revision,
    whitelist::{MEMBER, Whitelist},
};

#[derive(Default)]
struct Cluster {
    sets: SetIndex,
    revisions: Revisions,
    whitelist: Whitelist,
    gates: Gates,
}

impl World for Cluster {
    fn sets(&self) -> &SetIndex {
        &self.sets
    }
    fn revisions(&self) -> &Revisions {
        &self.revisions
    }
    fn whitelist(&self) -> &Whitelist {
        &self.whitelist
    }
    fn gates(&self) -> &Gates {
        &self.gates
    }
}

impl Cluster {
    fn with(mut self, set: &Value) -> Self {
        self.sets.insert(Entry::compile(read(set).unwrap(), &self.revisions).unwrap());
        self
    }

    fn allowing(whitelist: &str) -> Self {
        let whitelist = Whitelist::of(&BTreeMap::from([(MEMBER.to_owned(), whitelist.to_owned())]));
        Self { whitelist, ..Self::default() }
    }
}

/// A good set, defaulted, with members of the spec put in.
fn set(name: &str, spec: &Value) -> Value {
    let mut object = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "c", "image": "i:1"}]}});
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    default::defaulted(&object).unwrap()
}

fn annotated(mut set: Value, key: &str, value: &str) -> Value {
    set["metadata"]["annotations"][key] = json!(value);
    set
}

fn refusal(set: &Value, cluster: &Cluster) -> String {
    field::sentence(&validate(set, None, cluster).unwrap().errors)
}

fn warnings(set: &Value, cluster: &Cluster) -> Vec<String> {
    let findings = validate(set, None, cluster).unwrap();
    assert_eq!(findings.errors, []);
    findings.warnings
}

#[test]
fn an_ordinary_set_is_admitted_without_a_word() {
    assert_eq!(validate(&set("s", &json!({})), None, &Cluster::default()).unwrap(), Findings::default());
}

#[test]
fn native_sidecars_are_updated_only_where_an_annotation_asks_for_it() {
    let native = set("s", &json!({"initContainers": [{"name": "n", "image": "i", "restartPolicy": "Always"}]}));
    let refused = "spec.updateStrategy: Required value: The initContainer in-place upgrade is not currently supported.";
    assert_eq!(refusal(&native, &Cluster::default()), refused);
    for (value, want) in [("true", ""), ("True", refused), ("", refused)] {
        assert_eq!(refusal(&annotated(native.clone(), keys::UPDATE_NATIVE, value), &Cluster::default()), want, "{value:?}");
    }
}

#[test]
fn an_init_container_may_be_called_as_it_likes_where_there_are_no_containers() {
    let set =
        set("s", &json!({"containers": [], "initContainers": [{"name": "test", "image": "i"}, {"name": "placeholder", "image": "i"}]}));
    assert_eq!(refusal(&set, &Cluster::default()), "");
}

#[test]
fn a_startup_probe_as_people_write_it_is_good() {
    let probed = json!({"containers": [{"name": "c", "image": "i", "startupProbe": {"httpGet": {"port": 80}}}]});
    assert_eq!(refusal(&set("s", &probed), &Cluster::default()), "");
}

#[test]
fn a_source_without_a_field_is_refused_and_does_not_break_anything() {
    let container = json!({"name": "c", "image": "i", "transferEnv": [{"sourceContainerNameFrom": {}, "envName": "A"}]});
    let message = refusal(&set("s", &json!({"containers": [container]})), &Cluster::default());
    assert_eq!(message, "spec[0].transferEnv.fieldRef: Required value: it says where the name of the source container is");
}

#[test]
fn a_base_can_be_updated_while_its_canary_has_the_same_container() {
    let canary = annotated(set("canary", &json!({"updateStrategy": {"type": "NotUpdate"}})), keys::CANARY, "true");
    let canary = annotated(canary, keys::CANARY_BASE, "base");
    let base = set("base", &json!({}));
    let cluster = Cluster::default().with(&base).with(&canary);
    assert_eq!(validate(&base, Some(&base), &cluster).unwrap().errors, []);
    assert_eq!(refusal(&canary, &cluster), "");
    let other = refusal(&set("other", &json!({})), &cluster);
    assert_eq!(other, "spec.containers: Invalid value: \"c\": container c already exist in canary");
}

#[test]
fn canaries_of_each_other_are_refused_and_nothing_more() {
    let canary_of = |name: &str, base: &str| {
        let set = annotated(set(name, &json!({"updateStrategy": {"type": "NotUpdate"}})), keys::CANARY, "true");
        annotated(set, keys::CANARY_BASE, base)
    };
    let cluster = Cluster::default().with(&canary_of("a", "b")).with(&canary_of("b", "a"));
    let (a, message) = (canary_of("a", "b"), "base sidecarSet cannot be canary");
    let findings = validate(&a, Some(&a), &cluster).unwrap();
    assert!(field::sentence(&findings.errors).ends_with(message), "{findings:?}");
}

fn computed(cpu: &str, memory: &str) -> Value {
    let limits = json!({"cpu": cpu, "memory": memory});
    let policy = json!({"targetContainersMode": "sum", "targetContainersNameRegex": ".*", "resourcesExpr": {"limits": limits}});
    set("s", &json!({"containers": [{"name": "c", "image": "i", "resourcesPolicy": policy}]}))
}

#[test]
fn an_expression_is_good_if_it_is_good_for_some_pod() {
    let none: [String; 0] = [];
    assert_eq!(warnings(&computed("cpu-2", "memory-100Mi"), &Cluster::default()), none);
    for bad in ["-1", "0-cpu", "cpu-cpu-1", "cpu-max(cpu,2)-1m"] {
        let message = refusal(&computed(bad, "memory"), &Cluster::default());
        assert!(message.contains("spec[0].resourcesPolicy.resourcesExpr.limits.cpu: Invalid value"), "{bad}: {message}");
    }
}

#[test]
fn an_expression_that_no_pod_can_use_is_admitted_with_a_warning() {
    let path = "spec.containers[0].resourcesPolicy.resourcesExpr.limits";
    assert_eq!(
        warnings(&computed("cpu*cpu", "5core"), &Cluster::default()),
        [
            format!("{path}.cpu: \"cpu*cpu\" has a value for plain numbers only: pods that get this sidecar may be refused"),
            format!("{path}.memory: \"5core\" is no number and counts as 0"),
        ]
    );
}

#[test]
fn what_cannot_work_but_was_always_admitted_is_admitted_with_a_warning() {
    let container = |member: Value| {
        let mut container = json!({"name": "c", "image": "i"});
        container.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        json!({"containers": [container]})
    };
    for (spec, path) in [
        (container(json!({"upgradeStrategy": {"upgradeType": "Hot"}})), "spec.containers[0].upgradeStrategy.upgradeType: \"Hot\""),
        (container(json!({"upgradeStrategy": {"upgradeType": "HotUpgrade"}})), "spec.containers[0].upgradeStrategy.hotUpgradeEmptyImage: "),
        (container(json!({"shareVolumeDevicePolicy": {"type": "yes"}})), "spec.containers[0].shareVolumeDevicePolicy.type: \"yes\""),
        (
            json!({"initContainers": [{"name": "i", "image": "i", "podInjectPolicy": "First"}]}),
            "spec.initContainers[0].podInjectPolicy: \"First\"",
        ),
        (json!({"updateStrategy": {"type": "Rolling"}}), "spec.updateStrategy.type: \"Rolling\""),
        (json!({"customVersion": "a b"}), "spec.customVersion: \"a b\""),
        (json!({"revisionHistoryLimit": -1}), "spec.revisionHistoryLimit: -1"),
        (json!({"imagePullSecrets": [{}]}), "spec.imagePullSecrets: "),
        (json!({"patchPodMetadata": [{"annotations": {"a": "b"}, "patchPolicy": "Add"}]}), "spec.patchPodMetadata[0].patchPolicy: \"Add\""),
        (
            json!({"patchPodMetadata": [{"annotations": {"a": "{"}, "patchPolicy": "MergePatchJson"}]}),
            "spec.patchPodMetadata[0].annotations[a]: ",
        ),
    ] {
        let cluster = Cluster { gates: Gates { patch_any_annotation: true, ..Gates::default() }, ..Cluster::default() };
        let said = warnings(&set("s", &spec), &cluster);
        assert!(matches!(said.as_slice(), [one] if one.starts_with(path)), "{spec}: {said:?}");
    }
}

#[test]
fn the_revision_of_another_set_is_admitted_with_a_warning() {
    let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {},
        "metadata": {"name": "r", "namespace": "kruise-system", "labels": {"kruise.io/sidecarset-name": "other"}}});
    let mut cluster = Cluster::default();
    cluster.revisions.insert(Revision::from_object(&revision).unwrap());
    let named = json!({"injectionStrategy": {"revision": {"revisionName": "r"}}});
    assert_eq!(
        warnings(&set("s", &named), &cluster),
        ["spec.injectionStrategy.revision: ControllerRevision r was not recorded for this set"]
    );
    assert!(warnings(&set("other", &named), &cluster).is_empty());
    let partial = json!({"updateStrategy": {"type": "NotUpdate", "partition": "half"},
        "injectionStrategy": {"revision": {"revisionName": "r", "policy": "Partial"}}});
    let said = warnings(&set("other", &partial), &cluster);
    assert!(matches!(said.as_slice(), [one] if one.starts_with("spec.updateStrategy.partition: \"half\"")), "{said:?}");
}

#[test]
fn without_a_whitelist_the_gate_decides_and_with_one_the_whitelist() {
    let patched = set("s", &json!({"patchPodMetadata": [{"annotations": {"mesh/on": "1"}}]}));
    let gated = |cluster: Cluster| Cluster { gates: Gates { patch_any_annotation: true, ..Gates::default() }, ..cluster };
    let rules = |rules: &str| Cluster::allowing(&format!("{{\"rules\":{rules}}}"));
    let other_sets = r#"[{"selector":{"matchLabels":{"team":"x"}},"allowedAnnotationKeyExprs":["mesh"]}]"#;
    let refused = "spec.patchPodMetadata: Required value: ";
    for (cluster, want) in [
        (Cluster::default(), "SidecarSet patch metadata whitelist not found"),
        (gated(Cluster::default()), ""),
        (rules(other_sets), "sidecarSet patch metadata annotation is not allowed"),
        (gated(rules(other_sets)), ""),
        (rules(r#"[{"allowedAnnotationKeyExprs":["sh/o"]}]"#), ""),
        (gated(rules(r#"[{"allowedAnnotationKeyExprs":["^on"]}]"#)), "sidecarSet patch metadata annotation(mesh/on) is not allowed"),
        (gated(rules(r#"[{"allowedAnnotationKeyExprs":["("]}]"#)), "error parsing regexp: missing closing ): `(`"),
        (
            gated(rules(r#"[{"selector":{"matchExpressions":[{"key":"a","operator":"Is"}]}}]"#)),
            "matchExpressions[0].operator: expected In, NotIn, Exists or DoesNotExist, found `Is`",
        ),
    ] {
        let message = refusal(&patched, &cluster);
        assert_eq!(message.strip_prefix(refused).unwrap_or(&message), want);
    }
    let broken = refusal(&patched, &Cluster::allowing("{"));
    assert!(broken.starts_with(&format!("{refused}kruise-configuration: {MEMBER}: ")), "{broken}");
}

#[test]
fn an_object_that_cannot_be_read_is_no_set_in_either_place() {
    let good = set("s", &json!({}));
    for bad in [json!(null), json!({}), json!({"apiVersion": "apps.kruise.io/v1", "kind": "SidecarSet"}), {
        let mut bad = good.clone();
        bad["spec"]["containers"][0]["image"] = json!(7);
        bad
    }] {
        assert!(validate(&bad, None, &Cluster::default()).is_err(), "{bad}");
        assert!(validate(&good, Some(&bad), &Cluster::default()).is_err(), "{bad}");
    }
}

#[test]
fn a_mount_names_its_volume_and_a_volume_its_source() {
    let bad = json!({"volumes": [{"name": "a", "futureSource": {}}, {"name": "b", "emptyDir": {}, "newer": {}}],
        "containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "x", "mountPath": "/x"}]}]});
    assert_eq!(
        refusal(&set("s", &bad), &Cluster::default()),
        "[spec.volumes[1].newer: Forbidden: may not specify more than 1 volume type, \
         spec.containers[0].volumeMounts[1].name: Not found: \"x\"]"
    );
}

/// All places in a value, as pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, member)| (key.replace('~', "~0").replace('/', "~1"), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in inner {
        places(value, &format!("{at}/{name}"), found);
    }
}

/// Recorded objects with much in them.
fn rich() -> Vec<Value> {
    let cases =
        ["set-errors-", "set-valid-", "set-hash-every", "set-resources-", "set-priority-", "set-volume-details", "set-canary-update"];
    let cases = cases.into_iter().flat_map(|prefix| recorded::cases("sidecarset", prefix));
    let requests = cases.flat_map(|(_, case)| case["requests"].as_array().cloned().unwrap_or_default());
    requests.map(|request| request["request"]["object"].clone()).filter(Value::is_object).collect()
}

fn junk() -> impl Strategy<Value = Value> {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("\u{0}é\"%"),
        json!("-5%"),
        json!([]),
        json!({}),
        json!([null]),
        json!({"a": null}),
        json!("x".repeat(300)),
        json!({"matchExpressions": [{"operator": "In"}]}),
        json!([{"name": "c"}, {"name": "c"}]),
        json!("(((((((((("),
        json!({"fieldRef": {}}),
        json!("metadata.labels['']"),
        json!("99999999999999999999"),
    ];
    proptest::sample::select(values.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_object_breaks_the_judge(
        (which, old) in (any::<proptest::sample::Index>(), any::<proptest::sample::Index>()),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), junk()), 0..4),
        is_update in any::<bool>(),
    ) {
        static RICH: std::sync::LazyLock<Vec<Value>> = std::sync::LazyLock::new(rich);
        let mut object = which.get(&RICH).clone();
        for (place, value) in changes {
            let mut all = Vec::new();
            places(&object, "", &mut all);
            let place: &String = place.get(&all);
            *object.pointer_mut(place).unwrap() = value;
        }
        let old = Some(old.get(&RICH)).filter(|_| is_update);
        let cluster = Cluster::default();
        if let Ok(findings) = validate(&object, old, &cluster) {
            prop_assert!(findings.errors.is_empty() || findings.warnings.is_empty());
            prop_assert!(findings.errors.iter().all(|error| !error.to_string().is_empty()));
            let set = read(&object).unwrap();
            prop_assert!(stand_in_pod(&set, "n")["spec"]["containers"].as_array().is_some_and(|containers| !containers.is_empty()));
        }
    }
}
