//! Sets and pods for the tests of this room.

use serde_json::{Value, json};

use super::{api::SidecarSet, marks::Marks, member::Member, rollout::Rollout};
use crate::base::{interned::Interner, observed::Wire};

/// A pod as the API server has it.
pub(super) fn member(object: Value) -> Member {
    let wire: Wire = serde_json::from_value(object).unwrap();
    let mut interner = Interner::default();
    Member { pod: wire.observe(&mut interner), marks: Marks::read(&wire, &mut interner) }
}

/// A set with this spec; it selects `app=web` unless the spec says otherwise.
#[expect(clippy::needless_pass_by_value, reason = "so that calls stay short")]
pub(super) fn rollout(name: &str, spec: Value) -> Rollout {
    let mut set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name, "uid": format!("uid-{name}"), "generation": 1, "resourceVersion": "100"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}}});
    for (member, value) in spec.as_object().unwrap() {
        set["spec"][member] = value.clone();
    }
    let set: SidecarSet = serde_json::from_value(set).unwrap();
    Rollout::compile(set).unwrap()
}
