use std::collections::HashMap;

use serde_json::json;

use super::{super::recorded, *};

fn set(spec: &Value) -> SidecarSet {
    let metadata = json!({"name": "s", "annotations": {"mine": "1", "kruise.io/sidecarset-hash": "now"}});
    serde_json::from_value(json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": metadata, "spec": spec}))
        .unwrap()
}

fn revision(data: Value) -> Revision {
    Revision { data, ..Revision::from_object(&json!({"metadata": {"name": "r"}})).unwrap() }
}

#[test]
fn a_revision_is_read_with_its_marks() {
    let object = json!({
        "metadata": {
            "name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-11-22T13:30:27Z",
            "labels": {"kruise.io/sidecarset-name": "s", "apps.kruise.io/sidecarset-custom-version": ""},
            "annotations": {"kruise.io/sidecarset-hash": "h", "kruise.io/sidecarset-hash-without-image": ""},
            "ownerReferences": [{"uid": "x"}, {"uid": "y", "controller": false}, {"uid": "o", "controller": true}],
        },
        "revision": 3, "data": {"spec": {}},
    });
    let read = Revision::from_object(&object).unwrap();
    let want = Revision {
        name: "r".to_owned(),
        namespace: Some("n".to_owned()),
        uid: Some("u".to_owned()),
        resource_version: Some("7".to_owned()),
        owner_uid: Some("o".to_owned()),
        set_name: Some("s".to_owned()),
        custom_version: Some(String::new()),
        hash: Some("h".to_owned()),
        hash_without_image: None,
        number: 3,
        created: Some("2026-11-22T13:30:27Z".parse().unwrap()),
        data: json!({"spec": {}}),
        fingerprint: Fingerprint::of(&json!({"spec": {}})),
    };
    assert_eq!(read, want);
}

#[test]
fn what_is_no_revision_is_refused() {
    for (object, want) in [
        (json!({}), r#"ControllerRevision "": metadata.name must be a name"#),
        (json!({"metadata": {"name": "r"}, "revision": "x"}), r#"ControllerRevision "r": revision must be a whole number"#),
        (
            json!({"metadata": {"name": "r", "creationTimestamp": "soon"}}),
            r#"ControllerRevision "r": metadata.creationTimestamp must be a time"#,
        ),
    ] {
        assert_eq!(Revision::from_object(&object).unwrap_err().to_string(), want);
    }
}

#[test]
fn a_recorded_spec_replaces_the_present_one_and_metadata_stays() {
    let current = set(
        &json!({"selector": {"matchLabels": {"a": "b"}}, "customVersion": "2", "containers": [{"name": "new"}], "volumes": [{"name": "v"}]}),
    );
    let data =
        json!({"spec": {"$patch": "replace", "containers": [{"name": "old", "color": "blue"}], "initContainers": null, "volumes": null}});
    let restored = restore(&current, &revision(data)).unwrap();
    let want = set(&json!({"containers": [{"name": "old", "color": "blue"}]})).spec;
    assert_eq!(restored.spec, want);
    assert_eq!(restored.status.unwrap().latest_revision.as_deref(), Some("r"));
    let annotations = restored.metadata.annotations.unwrap();
    assert_eq!((annotations["mine"].as_str(), annotations[keys::HASH].as_str()), ("1", hash::hash(&want).as_str()));
}

#[test]
fn a_spec_without_the_directive_is_merged_list_by_list() {
    let env = json!([{"name": "A", "value": "1"}, {"name": "B"}]);
    let container = json!({"name": "a", "image": "2", "env": env, "ports": [{"containerPort": 80, "name": "x"}], "volumeMounts": [{"mountPath": "/m", "name": "v"}], "args": ["1"]});
    let current = set(
        &json!({"containers": [container], "volumes": [{"name": "v", "emptyDir": {}}], "imagePullSecrets": [{"name": "p"}], "customVersion": "2"}),
    );
    let patched = json!({"name": "a", "image": "1", "env": [{"name": "A", "value": "0"}, {"name": "B", "$patch": "delete"}],
        "ports": [{"containerPort": 80, "name": "y"}], "volumeMounts": [{"mountPath": "/n", "name": "v"}], "volumeDevices": [{"devicePath": "/d"}], "args": ["2"]});
    let data = json!({"spec": {"containers": [patched], "volumes": [{"name": "w"}], "imagePullSecrets": null, "customVersion": null}});
    let want = json!({"name": "a", "image": "1", "env": [{"name": "A", "value": "0"}], "ports": [{"containerPort": 80, "name": "y"}],
        "volumeMounts": [{"mountPath": "/n", "name": "v"}, {"mountPath": "/m", "name": "v"}], "args": ["2"], "volumeDevices": [{"devicePath": "/d"}]});
    let want = set(&json!({"containers": [want], "volumes": [{"name": "w"}, {"name": "v", "emptyDir": {}}]}));
    assert_eq!(restore(&current, &revision(data)).unwrap().spec, want.spec);
}

#[test]
fn a_revision_that_makes_no_set_is_refused() {
    for (data, want) in [
        (Value::Null, "ControllerRevision \"r\": data must be an object"),
        (json!({"spec": {"containers": [{}]}}), "ControllerRevision \"r\" cannot be merged into its set: an item of the list containers"),
        (json!({"spec": {"$patch": "replace", "containers": "a"}}), "ControllerRevision \"r\" does not make a SidecarSet: "),
    ] {
        let error = restore(&set(&json!({"containers": []})), &revision(data)).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
}

#[test]
fn recorded_pods_show_the_recorded_hashes() {
    let mut compared = 0;
    for (name, case) in recorded::cases("inject", "ss-inject-rev-") {
        let mut revisions = Revisions::default();
        let mut sets = HashMap::new();
        for object in case["state"].as_array().unwrap() {
            match object["kind"].as_str().unwrap() {
                "ControllerRevision" => drop(revisions.insert(Revision::from_object(object).unwrap())),
                "SidecarSet" => {
                    let set: SidecarSet = serde_json::from_value(object.clone()).unwrap();
                    sets.insert(set.metadata.name.clone().unwrap(), set);
                }
                _ => {}
            }
        }
        for request in case["requests"].as_array().unwrap() {
            let annotations = &request["want"]["object"]["metadata"]["annotations"];
            compared += compare(&name, annotations, &sets, &revisions);
        }
    }
    assert!(compared >= 8, "only {compared} were compared");
}

/// How many entries of a pod's hash annotations came of revisions, after a look at each of them.
fn compare(case: &str, annotations: &Value, sets: &HashMap<String, SidecarSet>, revisions: &Revisions) -> usize {
    let read =
        |key: &str| -> Map<String, Value> { annotations[key].as_str().map(|text| serde_json::from_str(text).unwrap()).unwrap_or_default() };
    let (with, without) = (read(keys::HASH), read(keys::HASH_WITHOUT_IMAGE));
    let mut compared = 0;
    for (name, entry) in with {
        let current = &sets[&name];
        let wanted = current.spec.injection_strategy.revision.as_ref();
        let version = |version: &String| revisions.newest_of(&name, version);
        let found = wanted.and_then(|wanted| {
            wanted.revision_name.as_ref().map_or_else(|| wanted.custom_version.as_ref().and_then(version), |name| revisions.by_name(name))
        });
        let Some(revision) = found.filter(|revision| entry["controllerRevision"] == revision.name.as_str()) else { continue };
        let restored = restore(current, revision).unwrap();
        let annotations = restored.metadata.annotations.unwrap();
        assert_eq!(entry["hash"], annotations[keys::HASH], "{case}");
        assert_eq!(without[&name]["hash"], annotations[keys::HASH_WITHOUT_IMAGE], "{case}");
        compared += 1;
    }
    compared
}
