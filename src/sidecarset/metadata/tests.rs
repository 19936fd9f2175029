use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{super::recorded, *};

fn patch(policy: Option<&str>, annotations: &[(&str, &str)]) -> PodMetadataPatch {
    PodMetadataPatch {
        annotations: annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        patch_policy: policy.map(str::to_owned),
    }
}

fn patched_in(pod: &[(&str, &'static str)], patches: &[PodMetadataPatch]) -> Vec<(String, String)> {
    let found = patched(patches, |key| pod.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)).unwrap();
    found.into_iter().map(|(key, value)| (key.to_owned(), value.into_owned())).collect()
}

#[test]
fn each_policy_changes_what_it_may() {
    for (policy, old, want) in [
        (None, None, Some("new")),
        (None, Some(""), None),
        (Some("Retain"), None, Some("new")),
        (Some("Retain"), Some("old"), None),
        (Some("Overwrite"), Some("old"), Some("new")),
        (Some("Overwrite"), Some("new"), None),
        (Some("MergePatchJson"), None, Some("new")),
        (Some("MergePatchJson"), Some(""), Some("new")),
        (Some("MergePatchJson"), Some("new"), None),
        (Some("overwrite"), None, None),
    ] {
        let pod: Vec<_> = old.into_iter().map(|old| ("k", old)).collect();
        let want: Vec<_> = want.into_iter().map(|value| ("k".to_owned(), value.to_owned())).collect();
        assert_eq!(patched_in(&pod, &[patch(policy, &[("k", "new")])]), want, "{policy:?} {old:?}");
    }
}

#[test]
fn later_patches_see_what_earlier_ones_set() {
    let patches = [
        patch(Some("Overwrite"), &[("b", r#"{"x":1}"#), ("a", "1")]),
        patch(Some("Retain"), &[("a", "2"), ("c", "3")]),
        patch(Some("MergePatchJson"), &[("b", r#"{"y":2}"#)]),
        patch(Some("Overwrite"), &[("d", "changed")]),
        patch(Some("Overwrite"), &[("d", "as it was")]),
    ];
    let want = [("a", "1"), ("b", r#"{"x":1,"y":2}"#), ("c", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(patched_in(&[("d", "as it was")], &patches), want);
}

#[test]
fn merged_texts_are_those_of_the_reference() {
    for (old, patch, want) in [
        (r#"{"b":1,"a":{"z":1,"y":2}}"#, r#"{"c":3}"#, Some(r#"{"a":{"z":1,"y":2},"b":1,"c":3}"#)),
        (r#"{"a":{"z":1, "y":2}}"#, r#"{"a":{"x":3}}"#, Some(r#"{"a":{"x":3,"y":2,"z":1}}"#)),
        (r#"{"a":{}}"#, r#"{"a":[{"n": null, "b":1, "a":2}]}"#, Some(r#"{"a":[{"n":null,"b":1,"a":2}]}"#)),
        (r#"{"a":1}"#, r#"{"a":[{"n": null, "b":1, "a":2}, null]}"#, Some(r#"{"a":[{"a":2,"b":1},null]}"#)),
        (r#"{"a":null}"#, r#"{"a":{"n":null}}"#, Some(r#"{"a":{}}"#)),
        ("5", r#"{"b":1,"a":null}"#, Some(r#"{"b":1}"#)),
        (r#"{"a":1}"#, r#"[{"b":2,"a":null},null]"#, Some(r#"[{"b":2},null]"#)),
        (r#"{"a":1,"a":2}"#, r#"{"b":"\u003c<"}"#, Some(r#"{"a":2,"b":"\u003c\u003c"}"#)),
        (r#"{"\u0061 <":1}"#, r#"{"b":1.50}"#, Some(r#"{"a \u003c":1,"b":1.50}"#)),
        (r#"{"a":1.0}"#, r#"{"a":1.00}"#, Some(r#"{"a":1.00}"#)),
    ] {
        assert_eq!(merged(old, patch).unwrap().as_deref(), want, "{old} with {patch}");
    }
}

#[test]
fn what_says_the_same_already_keeps_its_text() {
    for (old, patch) in [
        (r#"{ "b": 1, "a": {"d": "<", "c": [1]} }"#, r#"{"a":{"c":[1]},"gone":null}"#),
        (r#"{"b":1,"a":2}"#, "{}"),
        (r#"{"a":"\u003c"}"#, r#"{"a":"<"}"#),
        (r#"{"z": null, "a": [ {"y":1, "x":2} ]}"#, r#"{"a":[{"x":2,"y":1}]}"#),
        ("no JSON, but the patch itself", "no JSON, but the patch itself"),
        (r#"{"z": 1, "n": null}"#, r#"{"z": 1, "n": null}"#),
    ] {
        assert_eq!(merged(old, patch), Ok(None), "{old} with {patch}");
    }
}

#[test]
fn what_is_no_json_is_refused_with_the_words_of_the_reference() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for (old, patch, want) in [
        ("plain text", r#"{"a":1}"#, Unmergeable::Document),
        ("null", r#"{"a":1}"#, Unmergeable::Document),
        ("", r#"{"a":1}"#, Unmergeable::Document),
        (r#"{"a":1}x"#, r#"{"a":1}"#, Unmergeable::Document),
        (deep.as_str(), r#"{"a":1}"#, Unmergeable::Document),
        ("{}", deep.as_str(), Unmergeable::Patch),
        ("{}", "3", Unmergeable::Patch),
        ("[]", "null", Unmergeable::Patch),
        ("{}", "{'a':1}", Unmergeable::Patch),
    ] {
        assert_eq!(merged(old, patch), Err(want), "{old} with {patch}");
    }
    let patches = [patch(Some("MergePatchJson"), &[("k", "{}")])];
    let error = patched(&patches, |_| Some("plain text")).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.key.as_str()), ("Invalid JSON Document", "k"));
}

#[test]
fn recorded_pods_get_the_recorded_annotations() {
    for (name, case) in recorded::cases("inject", "ss-inject-meta-") {
        let sets = case["state"].as_array().unwrap().iter().filter(|object| object["kind"] == "SidecarSet");
        let patches: Vec<Vec<PodMetadataPatch>> =
            sets.map(|set| serde_json::from_value(set["spec"]["patchPodMetadata"].clone()).unwrap()).collect();
        for (index, request) in case["requests"].as_array().unwrap().iter().enumerate() {
            let mut pod = ours(&request["request"]["object"]);
            let outcome = patches.iter().try_for_each(|patches| {
                let before = pod.clone();
                let changed = patched(patches, |key| before.get(key).map(String::as_str))?;
                pod.extend(changed.into_iter().map(|(key, value)| (key.to_owned(), value.into_owned())));
                Ok::<_, MetadataError>(())
            });
            match outcome {
                Ok(()) => assert_eq!(pod, ours(&request["want"]["object"]), "{name}, request {index}"),
                Err(error) => assert_eq!(request["want"]["message"], error.to_string(), "{name}, request {index}"),
            }
        }
    }
}

/// The annotations of a recorded pod, but for those that tell what was injected.
fn ours(pod: &Value) -> BTreeMap<String, String> {
    let annotations: Option<BTreeMap<String, String>> = serde_json::from_value(pod["metadata"]["annotations"].clone()).unwrap();
    annotations.unwrap_or_default().into_iter().filter(|(key, _)| !key.starts_with("kruise.io/")).collect()
}

/// RFC 7396, with what the reference does differently about nulls.
fn model(old: &Value, patch: &Value) -> Value {
    let (Value::Object(old), Value::Object(patch)) = (old, patch) else { return pruned(patch) };
    let mut merged = old.clone();
    for (key, patch) in patch {
        match (merged.get(key), patch) {
            (_, Value::Null) => {
                merged.shift_remove(key);
            }
            (None | Some(Value::Null), patch) => {
                merged.insert(key.clone(), pruned(patch));
            }
            (Some(Value::Object(_)), patch) if !patch.is_object() => {
                merged.insert(key.clone(), patch.clone());
            }
            (Some(old), patch) => {
                let new = model(old, patch);
                merged.insert(key.clone(), new);
            }
        }
    }
    Value::Object(merged)
}

fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.iter().filter(|(_, member)| !member.is_null()).map(|(key, member)| (key.clone(), pruned(member))).collect(),
        ),
        Value::Array(items) => items.iter().map(pruned).collect(),
        scalar => scalar.clone(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3i64).prop_map(Value::from),
        "[a<\"\\\\é]{0,3}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[a-c<]", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn merging_says_what_the_model_says(old in any_json(), patch in any_json()) {
        let (old_text, patch_text) = (serde_json::to_string_pretty(&old).unwrap(), patch.to_string());
        match merged(&old_text, &patch_text) {
            Err(_) => prop_assert!(old.is_null() || !(patch.is_object() || patch.is_array())),
            Ok(None) => prop_assert!(old_text == patch_text || model(&old, &patch) == old),
            Ok(Some(text)) => {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), model(&old, &patch));
                prop_assert_ne!(serde_json::from_str::<Value>(&text).unwrap(), old);
            }
        }
    }

    #[test]
    fn merging_a_patch_without_nulls_again_changes_nothing(old in any_json(), patch in any_json()) {
        let patch = json!({"p": pruned(&patch)}).to_string();
        if let Ok(Some(text)) = merged(&json!({"p": old}).to_string(), &patch) {
            prop_assert_eq!(merged(&text, &patch), Ok(None));
        }
    }

    #[test]
    fn texts_are_read_exactly_where_serde_reads_them(text in "[\\[\\]{}:,\"0-9.eE+\\- truefalsn\\\\u]{0,12}|\\PC*") {
        prop_assert_eq!(Json::parse(&text).is_some(), serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn strings_are_read_as_serde_reads_them(text in any::<String>()) {
        let quoted = serde_json::to_string(&text).unwrap();
        let object = format!("{{{quoted}:1}}");
        let Some(Json::Object(_, members)) = Json::parse(&object) else { return Err(TestCaseError::fail(object)) };
        prop_assert!(members.contains_key(text.as_str()));
    }
}
