//! Strategic merge patches.

use outrigger::base::strategic_merge::{PLAIN, POD, merge};
use serde_json::Value;

use super::choices::Choices;

const KEYS: [&str; 20] = [
    "spec",
    "metadata",
    "containers",
    "name",
    "image",
    "env",
    "value",
    "ports",
    "containerPort",
    "tolerations",
    "volumes",
    "labels",
    "finalizers",
    "args",
    "a",
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "resources",
];

/// Takes choices of an object and of a patch.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let plain_keys: Vec<_> = KEYS.iter().copied().filter(|key| !key.starts_with('$')).collect();
    let (target, patch) = (choices.members(&plain_keys, 4), choices.members(&KEYS, 4));
    let has_directives = Value::Object(patch.clone()).to_string().contains('$');
    let mut once = target.clone();
    if merge(&mut once, patch.clone(), POD).is_err() {
        return;
    }
    if !has_directives {
        let mut twice = once.clone();
        if merge(&mut twice, patch.clone(), POD).is_ok() {
            assert_eq!(once, twice, "{target:?} with {patch:?}");
        }
    }
    let mut plain = target.clone();
    if !has_directives && merge(&mut plain, patch.clone(), PLAIN).is_ok() {
        let mut wanted = Value::Object(target);
        json_patch::merge(&mut wanted, &Value::Object(patch));
        assert_eq!(without_nulls(Value::Object(plain)), without_nulls(wanted));
    }
}

/// Of members that are null in lists the two merges think differently.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, without_nulls(value))).collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        plain => plain,
    }
}
