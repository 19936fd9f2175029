use serde_json::{Value, json};

use super::*;
use crate::sidecarset::{api::SidecarSet, revision::Revision};

fn revision(name: &str, version: &str) -> Revision {
    let labels = json!({"kruise.io/sidecarset-name": "s", "apps.kruise.io/sidecarset-custom-version": version});
    let data = json!({"spec": {"$patch": "replace", "containers": [{"name": "then"}]}});
    Revision::from_object(&json!({"metadata": {"name": name, "labels": labels}, "data": data})).unwrap()
}

fn asking(asked: &Value) -> State {
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "injectionStrategy": {"revision": asked}});
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "s"}, "spec": spec});
    let mut state = State::default();
    state.apply_set(serde_json::from_value(set).unwrap()).unwrap();
    state
}

fn has_content(state: &State) -> bool {
    matches!(state.sets.all("any").as_slice(), [entry] if entry.pinned.as_ref().is_some_and(Result::is_ok))
}

#[test]
fn a_set_follows_the_revision_that_it_names_as_that_comes_changes_and_goes() {
    for asked in [json!({"revisionName": "r"}), json!({"customVersion": "v"})] {
        let mut state = asking(&asked);
        let is_by_name = asked.get("revisionName").is_some();
        assert!(!has_content(&state), "{asked}");
        state.apply_revision(revision("r", "v"));
        assert!(has_content(&state), "{asked}");
        // The version was taken from it.
        state.apply_revision(revision("r", "w"));
        assert_eq!(has_content(&state), is_by_name, "{asked}");
        state.reset_revisions(vec![revision("r", "v")]);
        assert!(has_content(&state), "{asked}");
        state.delete_revision("r");
        assert!(!has_content(&state), "{asked}");
    }
}

fn version_of_set(uid: &str, version: &str, image: &str) -> SidecarSet {
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "containers": [{"name": "log", "image": image}]});
    let metadata = json!({"name": "s", "uid": uid, "resourceVersion": version});
    serde_json::from_value(json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": metadata, "spec": spec}))
        .unwrap()
}

fn image(state: &State) -> Option<String> {
    state.rollouts.get("s").map(|rollout| rollout.sidecars[0].image.clone())
}

/// The answer to a status write came after the watch had told of a changed image; the rollout of that image never began.
#[test]
fn an_answer_that_comes_late_does_not_undo_a_change_of_the_set() {
    let mut state = State::default();
    state.apply_set(version_of_set("u", "9", "log:1")).unwrap();
    state.apply_set(version_of_set("u", "11", "log:2")).unwrap();
    state.assume_set(version_of_set("u", "10", "log:1")).unwrap();
    assert_eq!(image(&state).as_deref(), Some("log:2"));
    state.assume_set(version_of_set("u", "12", "log:3")).unwrap();
    assert_eq!(image(&state).as_deref(), Some("log:3"));
    state.apply_set(version_of_set("u", "11", "log:2")).unwrap();
    assert_eq!(image(&state).as_deref(), Some("log:3"), "an event that is older than the answer");
    // Made anew under the same name, or gone.
    state.apply_set(version_of_set("v", "13", "log:4")).unwrap();
    state.assume_set(version_of_set("u", "14", "log:1")).unwrap();
    assert_eq!(image(&state).as_deref(), Some("log:4"));
    state.delete_set("s");
    state.assume_set(version_of_set("v", "15", "log:1")).unwrap();
    assert_eq!(image(&state), None);
}

#[test]
fn an_answer_that_comes_late_does_not_undo_a_change_of_a_revision() {
    let of = |version: &str, custom: &str| Revision { resource_version: Some(version.to_owned()), ..revision("r", custom) };
    let mut state = State::default();
    state.assume_revision(of("9", "made"));
    state.apply_revision(of("11", "renamed"));
    state.assume_revision(of("10", "made"));
    let custom = |state: &State| state.revisions.by_name("r").into_iter().find_map(|revision| revision.custom_version.clone());
    assert_eq!(custom(&state).as_deref(), Some("renamed"));
    state.assume_revision(of("12", "again"));
    assert_eq!(custom(&state).as_deref(), Some("again"));
}
