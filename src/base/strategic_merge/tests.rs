use proptest::prelude::*;
use serde_json::json;

use super::*;

const ITEM: Shape = Shape { lists: &[KeyedList { name: "env", key: "name", item: PLAIN }], objects: &[] };
const SPEC: Shape = Shape { lists: &[KeyedList { name: "containers", key: "name", item: &ITEM }], objects: &[] };
const ROOT: Shape = Shape { lists: &[], objects: &[("spec", &SPEC)] };

fn merged(target: Value, patch: Value) -> Result<Value, MergeError> {
    let (Value::Object(mut target), Value::Object(patch)) = (target, patch) else { unreachable!("both are objects") };
    merge(&mut target, patch, &ROOT).map(|()| Value::Object(target))
}

#[test]
fn objects_merge_as_in_a_merge_patch() {
    for (target, patch, want) in [
        (
            json!({"a": 1, "b": {"c": 2, "d": 3}}),
            json!({"b": {"c": null, "e": 4}, "f": {"g": null, "h": 1}}),
            json!({"a": 1, "b": {"d": 3, "e": 4}, "f": {"h": 1}}),
        ),
        (json!({"a": [1, 2], "b": "x"}), json!({"a": [3], "b": {"c": 1}, "z": null}), json!({"a": [3], "b": {"c": 1}})),
    ] {
        assert_eq!(merged(target, patch), Ok(want));
    }
}

#[test]
fn keyed_lists_merge_item_by_item_at_every_depth() {
    let target = json!({"spec": {"containers": [{"name": "a", "image": "1", "args": ["x"], "env": [{"name": "E", "value": "1"}, {"name": "F"}]}, {"name": "b"}]}});
    let patch = json!({"spec": {"containers": [{"name": "c", "env": [{"name": "G", "value": null}]}, {"name": "a", "image": "2", "args": ["y"], "env": [{"name": "E", "value": "2"}]}]}});
    let want = json!({"spec": {"containers": [
        {"name": "a", "image": "2", "args": ["y"], "env": [{"name": "E", "value": "2"}, {"name": "F"}]}, {"name": "b"}, {"name": "c", "env": [{"name": "G"}]}]}});
    assert_eq!(merged(target, patch), Ok(want));
}

#[test]
fn directives_replace_delete_and_retain() {
    let target = || json!({"spec": {"x": 1, "containers": [{"name": "a", "image": "1"}, {"name": "b"}]}});
    for (patch, want) in [
        (json!({"spec": {"$patch": "replace", "containers": null}}), json!({"spec": {"containers": null}})),
        (json!({"spec": {"$patch": "delete"}}), json!({"spec": {}})),
        (json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}), json!({"spec": {"x": 1, "containers": [{"name": "b"}]}})),
        (json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}), json!({"spec": {"x": 1, "containers": [{"name": "c"}]}})),
        (json!({"spec": {"containers": [{"name": "a", "$patch": "replace"}]}}), json!({"spec": {"x": 1, "containers": []}})),
        (json!({"spec": {"$retainKeys": ["x"], "x": 2}}), json!({"spec": {"x": 2}})),
    ] {
        assert_eq!(merged(target(), patch), Ok(want));
    }
}

#[test]
fn what_cannot_be_merged_is_said() {
    let target = || json!({"spec": {"containers": []}});
    for (patch, want) in [
        (json!({"spec": {"containers": [{"image": "1"}]}}), "an item of the list containers does not contain the declared merge key name"),
        (json!({"spec": {"containers": ["a"]}}), "an item of the list containers does not contain the declared merge key name"),
        (json!({"spec": {"$patch": "drop"}}), "unknown directive $patch: \"drop\" in a strategic merge patch"),
        (json!({"spec": {"$setElementOrder/containers": []}}), "unknown directive $setElementOrder/containers in a strategic merge patch"),
    ] {
        assert_eq!(merged(target(), patch).map_err(|error| error.to_string()), Err(want.to_owned()));
    }
}

proptest! {
    #[test]
    fn merging_twice_is_merging_once(names in proptest::collection::vec("[a-c]", 0..5), patched in proptest::collection::vec(("[a-e]", 0..3), 0..5)) {
        let containers: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": "0"})).collect();
        let patches: Vec<Value> = patched.iter().map(|(name, image)| json!({"name": name, "image": image})).collect();
        let patch = json!({"spec": {"containers": patches}});
        let once = merged(json!({"spec": {"containers": containers}}), patch.clone()).unwrap();
        prop_assert_eq!(merged(once.clone(), patch).unwrap(), once);
    }
}
