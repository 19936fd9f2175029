use proptest::prelude::*;
use serde_json::json;

use super::*;

const ITEM: Shape = Shape { lists: &[KeyedList { name: "env", key: "name", item: PLAIN }], sets: &["tags"], objects: &[] };
const SPEC: Shape = Shape { lists: &[KeyedList { name: "containers", key: "name", item: &ITEM }], sets: &["tags"], objects: &[] };
const ROOT: Shape = Shape { lists: &[], sets: &[], objects: &[("spec", &SPEC)] };

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
        {"name": "c", "env": [{"name": "G"}]}, {"name": "a", "image": "2", "args": ["y"], "env": [{"name": "E", "value": "2"}, {"name": "F"}]}, {"name": "b"}]}});
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
fn what_both_have_keeps_its_place_and_what_only_the_patch_has_comes_before_the_rest() {
    for (had, patch, want) in [
        ("web proxy log", "log web meter", "proxy log web meter"),
        ("MODE HOME", "ZONE MODE", "ZONE MODE HOME"),
        ("a b", "b", "a b"),
        ("a b c d", "d b", "a c d b"),
        ("a b c", "x", "x a b c"),
        ("a b c", "c x", "a b c x"),
        ("a b c", "x b y", "x a b y c"),
        ("", "b a", "b a"),
        ("b a", "", "b a"),
    ] {
        let names = |text: &str| text.split_whitespace().map(|name| json!({"name": name})).collect::<Vec<_>>();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (target, changes) = (json!({"spec": {"containers": names(had)}}), json!({"spec": {"containers": names(patch)}}));
        assert_eq!(merged(target, changes), Ok(json!({"spec": {"containers": names(want)}})), "{had} + {patch}");
        let (target, changes) = (json!({"spec": {"tags": words(had)}}), json!({"spec": {"tags": words(patch)}}));
        assert_eq!(merged(target, changes), Ok(json!({"spec": {"tags": words(want)}})), "{had} + {patch}");
    }
}

#[test]
fn an_order_that_the_patch_states_is_kept() {
    let target = || json!({"spec": {"tags": ["p", "q", "r"], "containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}});
    for (patch, containers, tags) in [
        (json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}), "b c a", "p q r"),
        (
            json!({"$setElementOrder/containers": [{"name": "x"}, {"name": "c"}, {"name": "a"}], "containers": [{"name": "x"}]}),
            "x b c a",
            "p q r",
        ),
        (
            json!({"containers": [{"$patch": "delete", "name": "b"}], "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}),
            "c a",
            "p q r",
        ),
        (json!({"$setElementOrder/tags": ["r", "s", "p"], "tags": ["s"], "$setElementOrder/nothing": ["x"]}), "a b c", "q r s p"),
    ] {
        let Ok(got) = merged(target(), json!({"spec": patch.clone()})) else { panic!("{patch}") };
        let got_names: Vec<_> = got["spec"]["containers"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(got_names.join(" "), containers, "{patch}");
        assert_eq!(got["spec"]["tags"], json!(tags.split(' ').collect::<Vec<_>>()), "{patch}");
        assert!(got["spec"].get("nothing").is_none(), "{patch}");
    }
}

#[test]
fn primitives_are_deleted_from_any_list_and_united_only_where_it_is_said() {
    let target = || json!({"spec": {"tags": ["a", "b"], "args": ["a", "b", "a"]}});
    for (patch, tags, args) in [
        (json!({"$deleteFromPrimitiveList/tags": ["a", "x"], "$deleteFromPrimitiveList/none": ["a"]}), "b", "a b a"),
        (json!({"$deleteFromPrimitiveList/args": ["a"]}), "a b", "b"),
        (json!({"tags": ["c"], "args": ["c"]}), "c a b", "c"),
    ] {
        let [tags, args] = [tags, args].map(|text| text.split(' ').collect::<Vec<_>>());
        assert_eq!(merged(target(), json!({"spec": patch})), Ok(json!({"spec": {"tags": tags, "args": args}})));
    }
}

#[test]
fn what_was_not_there_is_taken_over_without_directives_whatever_its_keys() {
    for (patch, want) in [
        (
            json!({"spec": {"containers": [{"image": "1"}, {"image": "1"}]}}),
            json!({"spec": {"containers": [{"image": "1"}, {"image": "1"}]}}),
        ),
        (
            json!({"spec": {"$retainKeys": ["containers"], "$setElementOrder/tags": ["a"], "$deleteFromPrimitiveList/tags": ["a"],
                "containers": [{"$patch": "delete", "name": "a"}, {"$patch": "merge", "name": "b", "env": [{"$patch": "replace"}, {"name": "E", "value": null}]}]}}),
            json!({"spec": {"containers": [{"name": "b", "env": [{"name": "E"}]}]}}),
        ),
    ] {
        assert_eq!(merged(json!({}), patch), Ok(want));
    }
}

#[test]
fn of_two_items_with_one_key_the_one_that_is_as_the_patch_says_is_meant() {
    let twins = json!([{"name": "a", "protocol": "TCP"}, {"name": "a", "protocol": "UDP"}]);
    let once = merged(json!({"spec": {}}), json!({"spec": {"containers": twins}})).unwrap();
    assert_eq!(merged(once.clone(), once.clone()).unwrap(), once);
    let other = json!({"spec": {"containers": [{"name": "a", "protocol": "SCTP"}]}});
    let want = json!({"spec": {"containers": [{"name": "a", "protocol": "SCTP"}, {"name": "a", "protocol": "UDP"}]}});
    assert_eq!(merged(once, other), Ok(want));
}

#[test]
fn what_cannot_be_merged_is_said() {
    let target = || json!({"spec": {"containers": []}});
    for (patch, want) in [
        (
            json!({"containers": [{"image": "1"}]}),
            r#"an item of the list containers does not contain the declared merge key name: {"image":"1"}"#,
        ),
        (json!({"containers": ["a"]}), r#"an item of the list containers does not contain the declared merge key name: "a""#),
        (json!({"containers": [{"$patch": "delete"}]}), "an item of the list containers does not contain the declared merge key name: {}"),
        (json!({"$patch": "drop"}), "unknown directive $patch: \"drop\" in a strategic merge patch"),
        (json!({"new": {"deep": [{"$patch": 1}]}}), "unknown directive $patch: 1 in a strategic merge patch"),
        (json!({"new": {"$merge": 1}}), "unknown directive $merge in a strategic merge patch"),
        (json!({"$merge": []}), "unknown directive $merge in a strategic merge patch"),
        (json!({"$setElementOrder/containers": {}}), "$setElementOrder/containers: expected a list, found {}"),
        (json!({"$deleteFromPrimitiveList/tags": "a"}), "$deleteFromPrimitiveList/tags: expected a list, found \"a\""),
        (json!({"$retainKeys": "a"}), "$retainKeys: expected a list, found \"a\""),
    ] {
        assert_eq!(merged(target(), json!({"spec": patch})).map_err(|error| error.to_string()), Err(want.to_owned()));
    }
}

#[test]
fn a_key_of_a_patch_is_about_a_member_or_about_all() {
    for (key, want) in [
        ("spec", Some("spec")),
        ("$setElementOrder/containers", Some("containers")),
        ("$deleteFromPrimitiveList/finalizers", Some("finalizers")),
        ("$patch", None),
        ("$retainKeys", None),
    ] {
        assert_eq!(subject(key), want);
    }
}

#[test]
fn a_pods_lists_are_merged_by_their_keys() {
    for (at, key) in [
        ("/metadata/ownerReferences", "uid"),
        ("/spec/containers", "name"),
        ("/spec/initContainers", "name"),
        ("/spec/ephemeralContainers", "name"),
        ("/spec/volumes", "name"),
        ("/spec/imagePullSecrets", "name"),
        ("/spec/schedulingGates", "name"),
        ("/spec/resourceClaims", "name"),
        ("/spec/hostAliases", "ip"),
        ("/spec/topologySpreadConstraints", "topologyKey"),
        ("/spec/initContainers/env", "name"),
        ("/spec/containers/ports", "containerPort"),
        ("/spec/containers/volumeMounts", "mountPath"),
        ("/spec/ephemeralContainers/volumeDevices", "devicePath"),
        ("/spec/volumes/ephemeral/volumeClaimTemplate/metadata/ownerReferences", "uid"),
        ("/status/conditions", "type"),
        ("/status/podIPs", "ip"),
    ] {
        let with = |item: Value| {
            at.rsplit('/').filter(|name| !name.is_empty()).fold((item, true), |(inner, is_last), name| {
                let is_list = !is_last && matches!(name, "containers" | "initContainers" | "ephemeralContainers" | "volumes");
                // Whatever stands around it has keys, too.
                let mut inner = inner;
                if is_list {
                    inner["name"] = json!("x");
                }
                let value = if is_list || is_last { json!([inner]) } else { inner };
                (json!({ name: value }), false)
            })
        };
        let (one, two) = (with(json!({key: 1, "old": 1})).0, with(json!({key: 1, "new": 2})).0);
        let Value::Object(mut pod) = one else { unreachable!("a pod") };
        let Value::Object(patch) = two else { unreachable!("a patch") };
        merge(&mut pod, patch, POD).unwrap();
        assert_eq!(Value::Object(pod), with(json!({key: 1, "old": 1, "new": 2})).0, "{at}");
    }
}

/// Lists as objects have them; a key may come twice.
fn lists() -> impl Strategy<Value = Value> {
    let item = ("[a-e]", proptest::option::of(0..3), proptest::collection::vec("[x-z]", 0..3));
    proptest::collection::vec(item, 0..6).prop_map(|items| {
        let item = |(name, image, tags): (String, Option<i32>, Vec<String>)| json!({"name": name, "image": image, "tags": tags});
        items.into_iter().map(item).collect()
    })
}

/// Lists as patches have them.
fn patches() -> impl Strategy<Value = Value> {
    lists().prop_map(|list| {
        let mut seen = std::collections::BTreeSet::new();
        list.as_array().unwrap().iter().filter(|item| seen.insert(item["name"].to_string())).cloned().collect()
    })
}

proptest! {
    #[test]
    fn merging_twice_is_merging_once(had in proptest::option::of(lists()), patched in patches(), order in proptest::option::of(lists())) {
        let mut patch = json!({"spec": {"containers": patched}});
        if let Some(order) = order {
            patch["spec"]["$setElementOrder/containers"] = order;
        }
        let target = had.map_or_else(|| json!({}), |had| json!({"spec": {"containers": had}}));
        let once = merged(target, patch.clone()).unwrap();
        prop_assert_eq!(merged(once.clone(), patch).unwrap(), once);
    }

    #[test]
    fn nothing_is_lost_and_nothing_comes_from_nowhere(had in lists(), patched in lists()) {
        let names = |list: &Value| list.as_array().unwrap().iter().map(|item| item["name"].to_string()).collect::<std::collections::BTreeSet<_>>();
        let got = merged(json!({"spec": {"containers": had}}), json!({"spec": {"containers": patched}})).unwrap();
        prop_assert_eq!(names(&got["spec"]["containers"]), &names(&had) | &names(&patched));
    }
}
