//! The index against a walk over all sets.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select as pick};
use serde_json::{Value, json};

use super::*;
use crate::{
    base::{pod::Meta, reasons::Reason},
    sidecarset::select,
};

const KEYS: [&str; 3] = ["app", "tier", "zone"];
const VALUES: [&str; 3] = ["a", "b", "long-value"];
const NAMESPACES: [&str; 3] = ["shop", "bank", "default"];

struct NoTally;
impl select::Tally for NoTally {
    fn next(&self, _: &str) -> u64 {
        0
    }
}

fn selector() -> impl Strategy<Value = Value> {
    let label = (pick(&KEYS[..]), pick(&VALUES[..]));
    let expression =
        (pick(&KEYS[..]), pick(&["In", "NotIn", "Exists", "DoesNotExist"][..]), proptest::collection::vec(pick(&VALUES[..]), 1..3))
            .prop_map(|(key, operator, values)| {
                let values = if operator.ends_with("In") { values } else { vec![] };
                json!({"key": key, "operator": operator, "values": values})
            });
    (proptest::collection::vec(label, 0..3), proptest::collection::vec(expression, 0..3)).prop_map(|(labels, expressions)| {
        let labels: BTreeMap<_, _> = labels.into_iter().collect();
        json!({"matchLabels": labels, "matchExpressions": expressions})
    })
}

fn namespace_selector() -> impl Strategy<Value = Value> {
    let by_name = pick(&NAMESPACES[..]);
    prop_oneof![
        Just(Value::Null),
        by_name.clone().prop_map(|name| json!({"matchLabels": {"kubernetes.io/metadata.name": name, "team": "x"}})),
        proptest::collection::vec(by_name, 1..3)
            .prop_map(|names| json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}]})),
        Just(json!({"matchLabels": {"team": "x"}})),
    ]
}

fn entry(name: &str, selector: &Value, namespaces: &Value) -> Entry {
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name}, "spec": {"selector": selector, "namespaceSelector": namespaces}});
    Entry::compile(serde_json::from_value(set).unwrap(), &Revisions::default()).unwrap()
}

fn names<'e>(pod: &Meta<'_>, namespace: &str, entries: impl Iterator<Item = &'e Entry>) -> Vec<String> {
    let labels = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), namespace.to_owned()), ("team".to_owned(), "x".to_owned())]);
    let selected = select::select(pod, entries, Some(&labels), &NoTally, &mut ()).unwrap();
    selected.iter().map(|one| one.set.name.clone()).collect()
}

proptest! {
    #[test]
    fn the_index_finds_what_a_walk_over_all_sets_finds(
        sets in proptest::collection::vec((0..8u8, selector(), namespace_selector(), any::<bool>()), 0..24),
        labels in proptest::collection::btree_map(pick(&KEYS[..]), pick(&VALUES[..]), 0..3),
        namespace in pick(&NAMESPACES[..]),
    ) {
        let mut index = SetIndex::default();
        for (number, selector, namespaces, is_there) in &sets {
            let name = format!("set-{number}");
            if *is_there {
                index.insert(entry(&name, selector, namespaces));
            } else {
                index.remove(&name);
            }
        }
        let object = json!({"metadata": {"labels": labels}}).to_string();
        let pod = Meta::read(serde_json::from_str(&object).unwrap()).unwrap().unwrap();
        let all = index.all(namespace);
        prop_assert_eq!(all.len(), index.len());
        let walked = names(&pod, namespace, all.into_iter().map(|entry| &**entry));
        prop_assert_eq!(names(&pod, namespace, select::candidates(&pod, namespace, &index)), walked);
    }
}

#[test]
fn removing_every_set_leaves_nothing_behind() {
    let mut index = SetIndex::default();
    for number in 0..4 {
        let namespaces = if number % 2 == 0 { json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}}) } else { Value::Null };
        index.insert(entry(&format!("s{number}"), &json!({"matchLabels": {"app": number.to_string()}}), &namespaces));
    }
    for number in 0..4 {
        assert!(index.remove(&format!("s{number}")));
    }
    assert!(index.is_empty() && index.by_namespace.is_empty() && index.cluster_wide.is_empty() && index.names.is_empty());
}

#[test]
fn a_pod_looks_only_at_the_sets_of_its_labels() {
    let mut index = SetIndex::default();
    for number in 0..1000 {
        index.insert(entry(&format!("s{number}"), &json!({"matchLabels": {"app": format!("app-{number}"), "env": "prod"}}), &Value::Null));
    }
    let object = r#"{"metadata":{"labels":{"app":"app-7","env":"prod"}}}"#;
    let pod = Meta::read(serde_json::from_str(object).unwrap()).unwrap().unwrap();
    assert_eq!(index.candidates("shop", &pod.labels).len(), 1);
}

#[test]
fn why_a_set_does_not_apply_is_said() {
    let mut index = SetIndex::default();
    index.insert(entry("by-label", &json!({"matchLabels": {"tier": "web"}}), &Value::Null));
    index.insert(entry("by-namespace", &json!({"matchLabels": {"tier": "db"}}), &json!({"matchLabels": {"mesh": "on"}})));
    index.insert(entry("by-nothing", &json!({}), &Value::Null));
    let object = r#"{"metadata":{"labels":{"tier":"db"}}}"#;
    let pod = Meta::read(serde_json::from_str(object).unwrap()).unwrap().unwrap();
    let mut reasons: Vec<Reason> = Vec::new();
    let labels = BTreeMap::from([("mesh".to_owned(), "off".to_owned())]);
    select::select(&pod, index.all("shop").into_iter().map(|entry| &**entry), Some(&labels), &NoTally, &mut reasons).unwrap();
    let said: Vec<_> = reasons.iter().map(|reason| format!("{}: {}", reason.subject, reason.text)).collect();
    assert_eq!(
        said,
        [
            "by-label: spec.selector: needs tier=web, pod has tier=db",
            "by-namespace: spec.namespaceSelector: needs mesh=on, namespace has mesh=off",
            "by-nothing: spec.selector: absent or empty, so it selects no pod",
        ]
    );
}

/// A set that asks for a revision: by its name, by a custom version, or for none.
fn asking(name: &str, asks: &Value, revisions: &Revisions) -> Entry {
    let spec = json!({"selector": {"matchLabels": {"app": "a"}}, "injectionStrategy": {"revision": asks}, "containers": [{"name": "now"}]});
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name}, "spec": spec});
    Entry::compile(serde_json::from_value(set).unwrap(), revisions).unwrap()
}

fn recording(name: &str, set: &str, version: &str, number: i64) -> Revision {
    let labels = json!({"kruise.io/sidecarset-name": set, "apps.kruise.io/sidecarset-custom-version": version});
    let data = json!({"spec": {"$patch": "replace", "containers": [{"name": format!("{name}-{number}")}]}});
    Revision::from_object(&json!({"metadata": {"name": name, "labels": labels}, "revision": number, "data": data})).unwrap()
}

fn asks() -> impl Strategy<Value = Value> {
    let (name, version) = (0..4u8, 0..2u8);
    prop_oneof![
        Just(Value::Null),
        name.clone().prop_map(|name| json!({"revisionName": format!("r{name}")})),
        version.clone().prop_map(|version| json!({"customVersion": format!("v{version}")})),
        (name, version).prop_map(|(name, version)| json!({"revisionName": format!("r{name}"), "customVersion": format!("v{version}")})),
    ]
}

fn pinned(index: &SetIndex) -> Vec<(String, String)> {
    index.by_name.values().map(|entry| (entry.name.clone(), format!("{:?}", entry.pinned))).collect()
}

proptest! {
    #[test]
    fn looking_at_the_sets_that_may_be_meant_is_as_good_as_compiling_all(
        sets in proptest::collection::vec(asks(), 1..5),
        steps in proptest::collection::vec((0..4u8, 0..4u8, 0..2u8, 0..4i64, any::<bool>()), 1..20),
    ) {
        let mut revisions = Revisions::default();
        let mut index = SetIndex::default();
        for (number, asks) in sets.iter().enumerate() {
            index.insert(asking(&format!("s{number}"), asks, &revisions));
        }
        for (name, set, version, number, comes) in steps {
            let name = format!("r{name}");
            if comes {
                let before = revisions.insert(recording(&name, &format!("s{set}"), &format!("v{version}"), number));
                let changed: Vec<_> = before.into_iter().chain(revisions.by_name(&name).cloned()).collect();
                index.repin(changed.iter().map(AsRef::as_ref), &revisions);
            } else {
                let gone = revisions.remove(&name);
                index.repin(gone.as_deref(), &revisions);
            }
            let mut compiled = SetIndex::default();
            for (number, asks) in sets.iter().enumerate() {
                compiled.insert(asking(&format!("s{number}"), asks, &revisions));
            }
            prop_assert_eq!(pinned(&index), pinned(&compiled));
            prop_assert_eq!(&index.by_revision, &compiled.by_revision);
        }
    }
}

#[test]
fn a_revision_that_changes_concerns_only_the_sets_that_can_name_it() {
    let mut revisions = Revisions::default();
    let mut index = SetIndex::default();
    for (name, asks) in [
        ("named", json!({"revisionName": "r"})),
        ("versioned", json!({"customVersion": "v"})),
        ("other-name", json!({"revisionName": "s"})),
        ("other-version", json!({"customVersion": "w"})),
        ("none", Value::Null),
    ] {
        index.insert(asking(name, &asks, &revisions));
    }
    let touched = |index: &mut SetIndex, revisions: &Revisions, changed: &Revision| -> Vec<String> {
        let before = index.by_name.clone();
        index.repin([changed], revisions);
        index.by_name.values().filter(|entry| !Arc::ptr_eq(entry, &before[&entry.name])).map(|entry| entry.name.clone()).collect()
    };
    for (set, version, want) in [
        ("versioned", "v", vec!["named", "versioned"]),
        ("versioned", "w", vec!["named"]),
        ("other-version", "w", vec!["named", "other-version"]),
        ("none", "v", vec!["named"]),
    ] {
        let recorded = recording("r", set, version, 1);
        revisions.insert(recorded.clone());
        assert_eq!(touched(&mut index, &revisions, &recorded), want, "{set} {version}");
    }
    for name in ["named", "versioned", "other-name", "other-version", "none"] {
        index.remove(name);
    }
    assert!(index.by_revision.is_empty());
}
