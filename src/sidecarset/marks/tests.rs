use serde_json::json;

use super::*;

fn marks(annotations: serde_json::Value) -> Marks {
    let mut object = json!({"metadata": {}});
    object["metadata"]["annotations"] = annotations;
    let wire: Wire = serde_json::from_value(object).unwrap();
    Marks::read(&wire, &mut Interner::default())
}

const NOTES: &str = r#"{"log":{"updateTimestamp":"2026-01-02T03:04:05Z","hash":"h1","sidecarSetName":"log","sidecarList":["a","b"],"controllerRevision":"log-1"},"mesh":{"updateTimestamp":null,"hash":"h2","sidecarSetName":"mesh","sidecarList":[]}}"#;
const STATE: &str =
    r#"{"log":{"revision":"h1","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":{"a":{"imageID":"x@sha256:1"},"b":{}}}}"#;

#[test]
fn notes_and_states_are_written_as_they_were_read() {
    let marks = marks(json!({HASH: NOTES, IN_PLACE_STATE: STATE, INJECTED_LIST: "log,mesh"}));
    assert_eq!(write_notes(marks.notes.iter()), NOTES);
    let Some(States::Read(states)) = &marks.states else { panic!("{:?}", marks.states) };
    assert_eq!(write_states(states.iter()), STATE);
    assert_eq!((marks.hash("log"), marks.hash("mesh"), marks.hash("other")), ("h1", "h2", ""));
    assert_eq!(&*marks.sets, ["log".into(), "mesh".into()]);
}

#[test]
fn the_old_form_of_the_notes_is_read() {
    let marks = marks(json!({HASH: r#"{"log":"h1"}"#, HASH_WITHOUT_IMAGE: r#"{"log":"w1"}"#}));
    assert_eq!((marks.hash("log"), marks.hash_without_image("log"), marks.is_without_image_old), ("h1", "w1", true));
}

#[test]
fn what_cannot_be_read_counts_as_absent_but_for_the_state() {
    let marks = marks(json!({HASH: "{", HASH_WITHOUT_IMAGE: "7", IN_PLACE_STATE: "[", WORKING_HOT_UPGRADE: "null"}));
    assert_eq!((marks.hash("log"), marks.hash_without_image("log")), ("", ""));
    assert_eq!(marks.states, Some(States::Unreadable));
    assert_eq!(self::marks(json!({IN_PLACE_STATE: r#"{"log":null}"#})).states, Some(States::Read(Box::default())));
}

#[test]
fn the_working_twin_is_the_second_unless_the_pod_says_the_first() {
    let marks = marks(json!({WORKING_HOT_UPGRADE: r#"{"mesh":"mesh-1"}"#}));
    assert_eq!(marks.twins("mesh"), ["mesh-1", "mesh-2"]);
    assert_eq!(marks.twins("log"), ["log-2", "log-1"]);
}

#[test]
fn versions_of_twins_are_found() {
    let marks = marks(
        json!({"version.sidecarset.kruise.io/mesh-1": "7", "versionalt.sidecarset.kruise.io/mesh-1": "5", "versions.example.com/x": "1"}),
    );
    assert_eq!(marks.version("version.sidecarset.kruise.io/mesh-1"), "7");
    assert_eq!(marks.version("versionalt.sidecarset.kruise.io/mesh-1"), "5");
    assert_eq!(marks.versions.len(), 2);
}
