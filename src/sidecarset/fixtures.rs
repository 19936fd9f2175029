//! Sets, pods and whole clusters for the tests of this room.

mod cluster;
mod pods;

use serde_json::{Value, json};

pub(super) use self::{
    cluster::{Cluster, Round},
    pods::{Fixture, pod},
};
use super::{api::SidecarSet, marks::Marks, member::Member, rollout::Rollout};
use crate::base::{interned::Interner, observed::Wire};

/// A pod as the API server has it.
pub(super) fn member(object: Value) -> Member {
    let wire: Wire = serde_json::from_value(object).unwrap();
    let mut interner = Interner::default();
    Member { pod: wire.observe(&mut interner), marks: Marks::read(&wire, &mut interner) }
}

/// A set with this spec; it selects `app=web` unless the spec says otherwise.
pub(super) fn rollout(name: &str, spec: Value) -> Rollout {
    let mut object = set(name, &json!({}));
    let Value::Object(members) = spec else { panic!("{spec} is no spec") };
    for (member, value) in members {
        object["spec"][member] = value;
    }
    compiled(&object)
}

/// The set as an object, without the hashes that its compilation adds.
pub(super) fn set(name: &str, spec: &Value) -> Value {
    let mut set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name, "uid": format!("uid-{name}"), "generation": 1, "resourceVersion": "100"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}}});
    merge(&mut set["spec"], spec);
    set
}

pub(super) fn compiled(set: &Value) -> Rollout {
    let set: SidecarSet = serde_json::from_value(set.clone()).unwrap();
    Rollout::compile(set).unwrap()
}

/// Puts the members of one object into another, each as a whole.
pub(super) fn merge(object: &mut Value, members: &Value) {
    for (member, value) in members.as_object().unwrap() {
        object[member] = value.clone();
    }
}

/// The spec of a set with one sidecar, `log`, that is restarted with its new image.
pub(super) fn cold(image: &str) -> Value {
    json!({"containers": [{"name": "log", "image": image}]})
}

/// The spec of a set with one sidecar, `mesh`, whose new image comes up in a twin.
pub(super) fn hot(image: &str) -> Value {
    json!({"containers": [{"name": "mesh", "image": image, "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"}}]})
}

/// A spec with this update strategy.
pub(super) fn with(spec: Value, strategy: &Value) -> Value {
    let mut spec = spec;
    spec["updateStrategy"] = strategy.clone();
    spec
}
