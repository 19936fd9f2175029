//! The index of names against a walk over all sets.

use proptest::{prelude::*, sample::select as pick};
use serde_json::json;

use super::*;
use crate::sidecarset::{
    index::{Entry, SetIndex},
    revision::Revisions,
};

fn set() -> impl Strategy<Value = Value> {
    let name = || pick(&["a", "b", "c"][..]);
    let container = name().prop_map(|name| json!({"name": name, "image": "i"}));
    let volume = (name(), any::<bool>())
        .prop_map(|(name, memory)| if memory { json!({"name": name, "emptyDir": {"medium": "Memory"}}) } else { json!({"name": name}) });
    let patch = (name(), pick(&["Retain", "Overwrite", "MergePatchJson"][..]))
        .prop_map(|(key, policy)| json!({"annotations": {key: "{}"}, "patchPolicy": policy}));
    let labels = proptest::collection::btree_map(pick(&["app", "tier"][..]), pick(&["x", "y"][..]), 0..2);
    let namespaces = pick(vec![json!(null), json!({"matchLabels": {"team": "x"}}), json!({"matchLabels": {"team": "y"}})]);
    let base = proptest::option::of(0..6u8);
    let lists = (
        proptest::collection::vec(container.clone(), 0..2),
        proptest::collection::vec(container, 0..2),
        proptest::collection::vec(volume, 0..2),
        proptest::collection::vec(patch, 0..2),
    );
    (0..6u8, lists, labels, namespaces, base).prop_map(|(number, (init, regular, volumes, patches), labels, namespaces, base)| {
        let mut annotations = json!({});
        if let Some(base) = base {
            annotations = json!({"apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": format!("s{base}")});
        }
        json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": format!("s{number}"), "annotations": annotations},
            "spec": {"selector": {"matchLabels": labels}, "namespaceSelector": namespaces, "initContainers": init, "containers": regular,
                "volumes": volumes, "patchPodMetadata": patches}})
    })
}

fn entry(set: &Value) -> Entry {
    Entry::compile(serde_json::from_value(set.clone()).unwrap(), &Revisions::default()).unwrap()
}

/// Compares with every set, name by name.
fn walked(party: Party<'_>, all: &[Entry]) -> Vec<Conflict> {
    let mut found = Vec::new();
    for ((part, name), mark) in party.names.filed() {
        let clashes = |other: &&Entry| {
            party.meets(&other.party())
                && other.names.filed().any(|(key, theirs)| key == (part, name.clone()) && mark.clashes_with(&theirs))
        };
        if let Some(other) = all.iter().filter(clashes).max_by_key(|other| &other.name) {
            found.push(Conflict { part, name, other: other.name.clone() });
        }
    }
    found
}

proptest! {
    #[test]
    fn the_index_finds_the_conflicts_that_a_walk_finds(steps in proptest::collection::vec((set(), any::<bool>()), 0..24), new in set()) {
        let mut index = SetIndex::default();
        let mut all: BTreeMap<String, Value> = BTreeMap::new();
        for (set, is_there) in &steps {
            let name = set["metadata"]["name"].as_str().unwrap().to_owned();
            if *is_there {
                index.insert(entry(set));
                all.insert(name, set.clone());
            } else {
                index.remove(&name);
                all.remove(&name);
            }
        }
        let all: Vec<_> = all.values().map(entry).collect();
        let new = entry(&new);
        prop_assert_eq!(index.conflicts(new.party()), walked(new.party(), &all));
        for entry in &all {
            index.remove(&entry.name);
        }
        prop_assert!(index.is_empty());
    }
}

fn simple(name: &str, spec: &Value) -> Value {
    let mut set = json!({"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet"});
    set["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    set
}

#[test]
fn a_volume_that_all_sets_define_alike_is_not_looked_at() {
    let mut index = NameIndex::default();
    let entries: Vec<_> = (0..100).map(|number| entry(&simple(&format!("s{number}"), &json!({"volumes": [{"name": "tmp"}]})))).collect();
    for entry in &entries {
        index.insert(&entry.name, &entry.names);
    }
    let new = entry(&simple("new", &json!({"volumes": [{"name": "tmp"}]})));
    assert_eq!(index.conflicts(new.party(), |name| panic!("{name} was looked at")), []);
}

#[test]
fn a_base_and_its_canary_may_share_everything_but_two_canaries_may_not() {
    let content = json!({"containers": [{"name": "mesh", "image": "i"}]});
    let canary = |name: &str| {
        let mut set = simple(name, &content);
        set["metadata"]["annotations"] = json!({"apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": "base"});
        entry(&set)
    };
    let mut index = SetIndex::default();
    index.insert(entry(&simple("base", &content)));
    assert_eq!(index.conflicts(canary("canary").party()), []);
    index.insert(canary("canary"));
    assert_eq!(index.conflicts(entry(&simple("base", &content)).party()), []);
    let conflict = Conflict { part: Part::Container, name: "mesh".to_owned(), other: "canary".to_owned() };
    assert_eq!(index.conflicts(canary("canary-2").party()), [conflict]);
}
