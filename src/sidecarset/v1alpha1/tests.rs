use proptest::prelude::*;

use super::{super::recorded, *};

fn object(version: &str, metadata: &Value, spec: &Value) -> Value {
    json!({"apiVersion": version, "kind": "SidecarSet", "metadata": metadata, "spec": spec, "status": {"matchedPods": 1}, "extra": [1]})
}

#[test]
fn the_older_version_becomes_the_present_one() {
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": "n"}});
    for (metadata, spec, want_metadata, want_spec) in [
        (json!({"name": "a"}), json!({"x": 1, "namespaceSelector": {}}), json!({"name": "a"}), json!({"x": 1, "namespaceSelector": {}})),
        (
            json!({}),
            json!({"namespace": "n", "namespaceSelector": {"matchLabels": {"a": "b"}}}),
            json!({}),
            json!({"namespaceSelector": selector}),
        ),
        (json!({}), json!({"namespace": "", "customVersion": "unknown here"}), json!({}), json!({})),
        (json!({"labels": {CUSTOM_VERSION: "v", "a": "b"}}), json!({}), json!({"labels": {"a": "b"}}), json!({"customVersion": "v"})),
        (json!({"labels": {CUSTOM_VERSION: "v"}}), json!(null), json!({}), json!({"customVersion": "v"})),
        (json!({"labels": {CUSTOM_VERSION: ""}}), json!({}), json!({}), json!({})),
    ] {
        let mut converted = object(V1ALPHA1, &metadata, &spec);
        to_v1beta1(&mut converted).unwrap();
        assert_eq!(converted, object(V1BETA1, &want_metadata, &want_spec));
    }
}

#[test]
fn the_present_version_becomes_the_older_one() {
    for (metadata, spec, want_metadata, want_spec) in [
        (json!({"name": "a"}), json!({"x": 1, "namespaceSelector": {}}), json!({"name": "a"}), json!({"x": 1, "namespaceSelector": {}})),
        (json!({}), json!({"customVersion": "v", "namespace": "unknown here"}), json!({"labels": {CUSTOM_VERSION: "v"}}), json!({})),
        (
            json!({"labels": {CUSTOM_VERSION: "old"}}),
            json!({"customVersion": "new"}),
            json!({"labels": {CUSTOM_VERSION: "new"}}),
            json!({}),
        ),
        (json!({"labels": {CUSTOM_VERSION: "old"}}), json!({"customVersion": ""}), json!({"labels": {CUSTOM_VERSION: "old"}}), json!({})),
        (json!({"labels": null}), json!({"customVersion": "v"}), json!({"labels": {CUSTOM_VERSION: "v"}}), json!({})),
    ] {
        let mut converted = object(V1BETA1, &metadata, &spec);
        from_v1beta1(&mut converted).unwrap();
        assert_eq!(converted, object(V1ALPHA1, &want_metadata, &want_spec));
    }
}

#[test]
fn an_object_that_is_no_older_set_stays_as_it_is() {
    let named = json!({"name": "a"});
    for (value, want) in [
        (json!([]), r#"SidecarSet "": the object: must be an object"#),
        (
            object(V1BETA1, &named, &json!({})),
            r#"SidecarSet "a": apiVersion: must be apps.kruise.io/v1alpha1 to be converted, is "apps.kruise.io/v1beta1""#,
        ),
        (json!({"apiVersion": V1ALPHA1, "kind": "Pod"}), r#"SidecarSet "": kind: must be SidecarSet to be converted, is "Pod""#),
        (object(V1ALPHA1, &named, &json!([])), r#"SidecarSet "a": spec: must be an object"#),
        (object(V1ALPHA1, &named, &json!({"containers": "a"})), r#"SidecarSet "a": spec.containers: must be a list"#),
        (object(V1ALPHA1, &named, &json!({"namespace": ["a"]})), r#"SidecarSet "a": spec.namespace: must be a string"#),
        (object(V1ALPHA1, &json!({"name": "a", "labels": 1}), &json!({})), r#"SidecarSet "a": metadata.labels: must be an object"#),
        (
            object(V1ALPHA1, &json!({"name": "a", "labels": {CUSTOM_VERSION: 1}}), &json!({})),
            r#"SidecarSet "a": metadata.labels[apps.kruise.io/sidecarset-custom-version]: must be a string"#,
        ),
    ] {
        let mut converted = value.clone();
        assert_eq!(to_v1beta1(&mut converted).unwrap_err().to_string(), want);
        assert_eq!(converted, value);
    }
}

#[test]
fn recorded_conversions_come_out_as_recorded() {
    let (_, case) = recorded::cases("sidecarset", "set-convert-direct").remove(0);
    for review in case["convert"].as_array().unwrap() {
        for (index, object) in review["objects"].as_array().unwrap().iter().enumerate() {
            let mut converted = object.clone();
            let outcome = convert(&mut converted, review["to"].as_str().unwrap());
            let note = review["note"].as_str().unwrap();
            if review["result"]["status"] == "Success" {
                assert_eq!(interesting(&converted), interesting(&review["converted"][index]), "{note}");
            } else {
                assert!(outcome.is_err(), "{note}");
                assert_eq!(&converted, object, "{note}");
            }
        }
    }
}

/// What conversion is about; the rest of a recorded object shows how Go writes one.
fn interesting(object: &Value) -> [Value; 5] {
    ["/apiVersion", "/metadata/labels", "/spec/namespace", "/spec/namespaceSelector", "/spec/customVersion"]
        .map(|pointer| object.pointer(pointer).cloned().unwrap_or_default())
}

#[test]
fn stored_sets_read_in_both_versions_as_recorded() {
    for (name, case) in recorded::cases("sidecarset", "set-convert-") {
        let steps = case["steps"].as_array().cloned().unwrap_or_default();
        for step in steps {
            let read = step["read"].as_array().unwrap();
            let of = |version: &str| read.iter().find(|object| object["apiVersion"] == version).unwrap().clone();
            let mut converted = of(V1BETA1);
            from_v1beta1(&mut converted).unwrap();
            assert_eq!(converted, of(V1ALPHA1), "{name}");
        }
    }
}

proptest! {
    #[test]
    fn there_and_back_nothing_is_lost(version in "[a-z]{0,3}", label in proptest::option::of("[a-z]{0,3}"), name in "[a-c]{1,3}", extra in -3..3i64) {
        let mut labels = json!({"a": "b"});
        if let Some(label) = label {
            labels[CUSTOM_VERSION] = Value::from(label);
        }
        let spec = json!({"customVersion": version, "namespaceSelector": {"matchLabels": {"n": name}}, "extra": extra, "containers": [{"color": extra}]});
        let mut there = object(V1BETA1, &json!({"labels": labels}), &spec);
        from_v1beta1(&mut there).unwrap();
        let mut back = there.clone();
        to_v1beta1(&mut back).unwrap();
        let effective = if version.is_empty() { labels[CUSTOM_VERSION].as_str().unwrap_or_default().to_owned() } else { version };
        let mut want_spec = spec;
        want_spec["customVersion"] = Value::from(effective.clone());
        if effective.is_empty() {
            want_spec.as_object_mut().unwrap().shift_remove("customVersion");
        }
        prop_assert_eq!(&back, &object(V1BETA1, &json!({"labels": {"a": "b"}}), &want_spec));
        let mut again = back;
        from_v1beta1(&mut again).unwrap();
        if !effective.is_empty() {
            prop_assert_eq!(again, there);
        }
    }
}
