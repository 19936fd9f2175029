use super::*;

fn pod() -> Value {
    json!({"metadata": {"name": "web-1", "labels": {"app": "web", "tier": "spot"}, "annotations": {"a": "b"}, "finalizers": ["x"]}, "spec": {
        "priorityClassName": "low", "priority": 7,
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
        "containers": [
            {"name": "web", "image": "web:1", "env": [{"name": "A"}, {"name": "B", "value": "2"}], "resources": {"limits": {"cpu": "500m"}}},
            {"name": "log", "image": "log:1"}]}})
}

#[test]
fn a_patch_is_reflected_if_it_would_change_nothing_but_annotations() {
    for patch in [
        json!({}),
        json!({"metadata": {"labels": {"tier": "spot", "color": null}, "annotations": {"a": "c", "d": "e"}}}),
        json!({"spec": {"containers": [{"name": "web", "env": [{"name": "B", "value": "2"}]}]}}),
        // What the API server writes otherwise, or not at all.
        json!({"spec": {"containers": [{"name": "web", "resources": {"limits": {"cpu": "0.5"}}, "speed": "high"}]}, "extra": 1}),
        json!({"spec": {"containers": [{"name": "web", "env": [{"name": "A", "value": ""}], "args": []}]}}),
        json!({"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1024Mi"}}]}}),
        json!({"spec": {"priorityClassName": "low"}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["y"], "finalizers": ["x"]}}),
        json!({"spec": {"containers": [{"name": "gone", "$patch": "delete"}]}}),
    ] {
        assert!(is_reflected(&pod(), &patch), "{patch}");
    }
    for patch in [
        json!({"metadata": {"labels": {"tier": "firm"}}}),
        json!({"metadata": {"labels": {"tier": null}}}),
        json!({"spec": {"containers": [{"name": "web", "env": [{"name": "A", "value": "1"}]}]}}),
        json!({"spec": {"containers": [{"name": "web", "resources": {"limits": {"cpu": "501m"}}}]}}),
        json!({"spec": {"containers": [{"name": "other", "image": "x"}]}}),
        json!({"spec": {"priorityClassName": "high"}}),
        json!({"spec": {"priority": 8}}),
        json!({"spec": {"tolerations": [{"operator": "Exists"}]}}),
        // Patches that do not fit.
        json!({"spec": {"containers": [{"image": "x"}]}}),
        json!({"spec": {"hostNetwork": "yes"}}),
        json!([]),
        json!("x"),
    ] {
        assert!(!is_reflected(&pod(), &patch), "{patch}");
    }
    for odd in [json!(null), json!([]), json!({}), json!({"metadata": 1, "spec": {}}), json!({"metadata": {}, "spec": {"containers": 1}})] {
        assert!(!is_reflected(&odd, &json!({"metadata": {"labels": {"a": "b"}}})), "{odd}");
    }
}

#[test]
fn a_running_pod_gets_metadata_only() {
    let mark = Mark { spread: "ws".into(), subset: "a".into(), uid: "".into() };
    let written = r#"{"name":"ws","subset":"a"}"#;
    let of = |patch: Value, leaves_metadata| {
        let subset = Subset { name: "a".to_owned(), patch: Some(patch), ..Subset::default() };
        metadata_patch(&subset, leaves_metadata, &mark)
    };
    let patch =
        json!({"metadata": {"labels": {"tier": "spot"}, "annotations": {"price": "low", MATCHED: "mine"}}, "spec": {"nodeName": "x"}});
    let bare = json!({"metadata": {"annotations": {MATCHED: written}}});
    let whole = json!({"metadata": {"labels": {"tier": "spot"}, "annotations": {"price": "low", MATCHED: written}}});
    assert_eq!([of(patch.clone(), false), of(patch, true)], [whole, bare.clone()]);
    assert_eq!(metadata_patch(&Subset::default(), false, &mark), bare);
    for odd in [json!({}), json!({"metadata": null}), json!({"metadata": {"annotations": "x"}}), json!("x")] {
        assert_eq!(of(odd.clone(), false), bare, "{odd}");
    }
    let emptied = of(json!({"metadata": {"annotations": null, "labels": null}}), false);
    assert_eq!(emptied, json!({"metadata": {"labels": null, "annotations": {"$patch": "replace", MATCHED: written}}}));
}

#[test]
fn what_a_running_pod_gets_is_what_a_new_one_gets() {
    let mark = Mark { spread: "ws".into(), subset: "a".into(), uid: "".into() };
    for metadata in [
        json!({"labels": {"tier": null, "more": "1"}, "annotations": {"a": null, "c": "d"}}),
        json!({"annotations": null}),
        json!({"finalizers": ["y"]}),
        json!({"$deleteFromPrimitiveList/finalizers": ["x"]}),
    ] {
        let subset = Subset { name: "a".to_owned(), patch: Some(json!({ "metadata": metadata })), ..Subset::default() };
        let mut edits = crate::admission::edits::Edits::default();
        let new = super::super::inject(&pod(), &subset, &mark, &mut edits).unwrap();
        let (Value::Object(mut running), Value::Object(patch)) = (pod(), metadata_patch(&subset, false, &mark)) else { unreachable!() };
        crate::base::strategic_merge::merge(&mut running, patch, crate::base::strategic_merge::POD).unwrap();
        assert_eq!(running["metadata"], new["metadata"], "{metadata}");
    }
}
