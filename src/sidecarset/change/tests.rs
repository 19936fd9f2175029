//! What is written to a pod, byte for byte.

use serde_json::json;

use super::*;
use crate::sidecarset::{
    fixtures::{cold, merge, pod, rollout, set},
    upgrade::upgrade,
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 7);
const TIME: &str = "2027-01-15T08:00:00Z";

/// The body of the request that updates a pod.
fn body(pod: &crate::sidecarset::fixtures::Fixture, rollout: Rollout) -> Value {
    match upgrade(&pod.member(), &Arc::new(rollout), "log-2", NOW) {
        Action::Patch(patch) => {
            let target = Target { kind: Kind::POD, namespace: "shop".to_owned(), name: "web-1".to_owned(), uid: "uid-web-1".to_owned() };
            assert_eq!((&patch.target, patch.sub_resource, patch.form), (&target, "", Form::Strategic));
            patch.body
        }
        Action::Compose { body, .. } => {
            let annotations = serde_json::from_value(pod.0["metadata"]["annotations"].clone()).unwrap();
            (body.0)(&annotations).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

fn note(set: &Rollout) -> String {
    format!(
        r#"{{"updateTimestamp":"{TIME}","hash":"{}","sidecarSetName":"{}","sidecarList":["log"],"controllerRevision":"log-2"}}"#,
        set.hash, set.name
    )
}

#[test]
fn an_update_is_one_request_that_changes_the_image_and_says_why() {
    let (old, new) = (rollout("log", cold("log:v1")), rollout("log", cold("log:v2")));
    let pod = pod("web-1").injected(&old);
    let expected = json!({
        "metadata": {"resourceVersion": "7", "annotations": {
            HASH: format!(r#"{{"log":{}}}"#, note(&new)),
            IN_PLACE_STATE: format!(r#"{{"log":{{"revision":"{}","updateTimestamp":"{TIME}","lastContainerStatuses":{{"log":{{"imageID":"id-of-log:v1"}}}}}}}}"#, new.hash)}},
        "spec": {"containers": [{"name": "log", "image": "log:v2"}]}});
    assert_eq!(body(&pod, new), expected);
}

#[test]
fn what_other_sets_have_noted_stays_as_it_is() {
    let new = rollout("log", cold("log:v2"));
    let mesh = r#"{"updateTimestamp":"2026-01-02T03:04:05Z","hash":"m1","sidecarSetName":"mesh","sidecarList":["a","b"],"controllerRevision":"mesh-1"}"#;
    let state = r#"{"revision":"m1","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":{"a":{"imageID":"1"},"b":{}}}"#;
    let pod = pod("web-1")
        .injected(&rollout("log", cold("log:v1")))
        .annotated(HASH, &format!(r#"{{"log":{},"mesh":{mesh}}}"#, note(&new)))
        .annotated(IN_PLACE_STATE, &format!(r#"{{"mesh":{state}}}"#));
    let annotations = body(&pod, rollout("log", cold("log:v2")))["metadata"]["annotations"].clone();
    assert_eq!(annotations[HASH], format!(r#"{{"log":{},"mesh":{mesh}}}"#, note(&new)));
    let own = format!(
        r#"{{"revision":"{}","updateTimestamp":"{TIME}","lastContainerStatuses":{{"log":{{"imageID":"id-of-log:v1"}}}}}}"#,
        new.hash
    );
    assert_eq!(annotations[IN_PLACE_STATE], format!(r#"{{"log":{own},"mesh":{state}}}"#));
    assert_eq!(annotations.get(HASH_WITHOUT_IMAGE), None);
}

/// The states after an update of a pod with this state before.
fn states(state: &str, pod: crate::sidecarset::fixtures::Fixture) -> Value {
    let body = body(&pod.annotated(IN_PLACE_STATE, state), rollout("log", cold("log:v2")));
    serde_json::from_str(body["metadata"]["annotations"][IN_PLACE_STATE].as_str().unwrap()).unwrap()
}

/// B8 of the reference, which keeps revision and time of the first update for ever.
#[test]
fn what_ran_before_is_kept_but_for_the_containers_that_change_now() {
    let pod = || pod("web-1").injected(&rollout("log", cold("log:v1")));
    let hash = rollout("log", cold("log:v2")).hash;
    let own = |images: Value| json!({"log": {"revision": hash, "updateTimestamp": TIME, "lastContainerStatuses": images}});
    let earlier = r#"{"log":{"revision":"r0","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":{"log":{"imageID":"id-0"},"gone":{"imageID":"id-1"}}}}"#;
    assert_eq!(states(earlier, pod()), own(json!({"gone": {"imageID": "id-1"}, "log": {"imageID": "id-of-log:v1"}})));
    assert_eq!(states("no JSON", pod()), own(json!({"log": {"imageID": "id-of-log:v1"}})));
    // Nothing has run so far.
    assert_eq!(states("{}", pod().pending()), own(json!({"log": {}})));
    // The image is there already; that the set was updated is noted all the same.
    assert_eq!(states("{}", pod().wants("log", "log:v2")), own(json!({})));
}

/// `UpdatePodSidecarSetHash` of the reference.
#[test]
fn notes_of_any_form_become_notes_of_the_present_form() {
    let new = rollout("log", cold("log:v2"));
    let old = pod("web-1").injected(&rollout("log", cold("log:v1")));
    let legacy =
        old.clone().annotated(HASH, r#"{"log":"aaa","mesh":"m1"}"#).annotated(HASH_WITHOUT_IMAGE, r#"{"log":"without-aaa","mesh":"m0"}"#);
    let garbage = old.annotated(HASH, "garbage").annotated(HASH_WITHOUT_IMAGE, "garbage");
    let after = body(&legacy, rollout("log", cold("log:v2")))["metadata"]["annotations"].clone();
    let kept = r#""mesh":{"updateTimestamp":null,"hash":"m1","sidecarSetName":"mesh","sidecarList":null}"#;
    assert_eq!(after[HASH], format!(r#"{{"log":{},{kept}}}"#, note(&new)));
    let without = |set: &str, hash: &str| {
        format!(r#""{set}":{{"updateTimestamp":"{TIME}","hash":"{hash}","sidecarSetName":"{set}","sidecarList":null}}"#)
    };
    assert_eq!(after[HASH_WITHOUT_IMAGE], format!("{{{},{}}}", without("log", "without-aaa"), without("mesh", "m0")));
    let after = body(&garbage, rollout("log", cold("log:v2")))["metadata"]["annotations"].clone();
    assert_eq!((after[HASH].as_str(), after.get(HASH_WITHOUT_IMAGE)), (Some(format!(r#"{{"log":{}}}"#, note(&new)).as_str()), None));
}

#[test]
fn native_sidecars_are_updated_where_the_set_asks_for_it_and_always_listed() {
    let native = |image: &str, asks: bool| {
        let mut object = set("log", &cold("log:v1"));
        object["spec"]["initContainers"] =
            json!([{"name": "dns", "image": image, "restartPolicy": "Always"}, {"name": "setup", "image": image}]);
        if asks {
            merge(&mut object["metadata"], &json!({"annotations": {"outrigger.kruise.io/update-native-sidecars": "true"}}));
        }
        crate::sidecarset::fixtures::compiled(&object)
    };
    let pod = pod("web-1").injected(&native("dns:1", true));
    let asked = body(&pod, native("dns:2", true));
    assert_eq!(asked["spec"], json!({"initContainers": [{"name": "dns", "image": "dns:2"}]}));
    assert!(asked["metadata"]["annotations"][IN_PLACE_STATE].as_str().unwrap().contains(r#"{"dns":{"imageID":"id-of-dns:1"}}"#));
    let not_asked = body(&pod, native("dns:2", false));
    assert_eq!(not_asked.get("spec"), None);
    for body in [asked, not_asked] {
        assert!(body["metadata"]["annotations"][HASH].as_str().unwrap().contains(r#""sidecarList":["dns","log"]"#));
    }
}

#[test]
fn annotations_that_the_set_patches_go_along_with_the_image() {
    let spec = |patches: Value| {
        let mut spec = cold("log:v2");
        spec["patchPodMetadata"] = patches;
        rollout("log", spec)
    };
    let pod =
        pod("web-1").injected(&rollout("log", cold("log:v1"))).annotated("a", "old").annotated("b", "old").annotated("c", r#"{"x":1}"#);
    let patches = json!([{"patchPolicy": "Retain", "annotations": {"a": "new", "d": "new"}}, {"patchPolicy": "Overwrite", "annotations": {"b": "new"}},
        {"patchPolicy": "MergePatchJson", "annotations": {"c": r#"{"w":2}"#}}]);
    let after = body(&pod, spec(patches));
    let annotations = &after["metadata"]["annotations"];
    assert_eq!(
        [annotations.get("a"), annotations.get("b"), annotations.get("c"), annotations.get("d")],
        [None, Some(&json!("new")), Some(&json!(r#"{"w":2,"x":1}"#)), Some(&json!("new"))]
    );
    assert_eq!((&after["spec"]["containers"][0]["image"], &after["metadata"]["resourceVersion"]), (&json!("log:v2"), &json!("7")));

    let unmergeable = spec(json!([{"patchPolicy": "MergePatchJson", "annotations": {"a": "{}"}}]));
    let Action::Compose { body, resource_version, .. } = upgrade(&pod.member(), &Arc::new(unmergeable), "log-2", NOW) else { panic!() };
    let present = serde_json::from_value(pod.0["metadata"]["annotations"].clone()).unwrap();
    assert_eq!(((body.0)(&present), resource_version.as_str()), (Err("annotation a: Invalid JSON Document".to_owned()), "7"));
}
