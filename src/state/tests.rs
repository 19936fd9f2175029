use serde_json::{Value, json};

use super::*;
use crate::sidecarset::revision::Revision;

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
