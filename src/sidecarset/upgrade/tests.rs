//! Hot upgrades: which twin is changed, and when the other goes.

use serde_json::{Value, json};

use super::*;
use crate::{
    plan::Patch,
    sidecarset::{
        fixtures::{Fixture, hot, pod, rollout},
        keys::IN_PLACE_STATE,
    },
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn working(pod: Fixture, twin: u8) -> Fixture {
    pod.annotated(WORKING_HOT_UPGRADE, &format!(r#"{{"mesh":"mesh-{twin}"}}"#))
}

/// A pod at rest: the first twin runs v1.
fn steady() -> Fixture {
    pod("web-1").injected(&rollout("mesh", hot("mesh:v1")))
}

/// The second twin is to run `image` and does so, beside the first that runs v1.
fn begun(image: &str) -> Fixture {
    let state = r#"{"mesh":{"revision":"x","updateTimestamp":null,"lastContainerStatuses":{"mesh-2":{"imageID":"id-of-empty:1"}}}}"#;
    let noted = rollout("mesh", hot(image));
    let pod =
        steady().wants("mesh-2", image).runs("mesh-2", image).versions("mesh", ["1", "50", "50", "1"]).annotated(IN_PLACE_STATE, state);
    working(pod, 2).noted(&noted, &noted.hash, &noted.hash_without_image)
}

fn after(pod: &Fixture, action: &Action) -> ([String; 2], [String; 4], String) {
    let after = pod.after(action, 8).unwrap();
    let images = ["mesh-1", "mesh-2"].map(|name| after.image_of(name).to_owned());
    (images, after.versions_of("mesh").map(str::to_owned), after.annotation(WORKING_HOT_UPGRADE).unwrap().to_owned())
}

fn expected(images: [&str; 2], versions: [&str; 4], working: u8) -> ([String; 2], [String; 4], String) {
    (images.map(str::to_owned), versions.map(str::to_owned), format!(r#"{{"mesh":"mesh-{working}"}}"#))
}

/// The set's version is 100, as the fixtures have it.
#[test]
fn the_twin_that_does_not_serve_gets_the_new_image() {
    let second =
        working(steady().wants("mesh-1", "empty:1").runs("mesh-1", "empty:1").wants("mesh-2", "mesh:v1").runs("mesh-2", "mesh:v1"), 2)
            .versions("mesh", ["0", "50", "50", "0"]);
    for (case, pod, expected) in [
        ("the second is empty", steady(), expected(["mesh:v1", "mesh:v3"], ["1", "100", "100", "1"], 2)),
        ("the first is empty", second, expected(["mesh:v3", "mesh:v1"], ["100", "50", "50", "100"], 1)),
        ("the newcomer failed", begun("mesh:bad").down("mesh-2"), expected(["mesh:v1", "mesh:v3"], ["1", "100", "100", "1"], 2)),
        (
            "the newcomer is up, the other is not",
            begun("mesh:v2").down("mesh-1"),
            expected(["mesh:v3", "mesh:v2"], ["100", "50", "50", "100"], 1),
        ),
        ("both are up", begun("mesh:v2"), expected(["mesh:v3", "mesh:v2"], ["100", "50", "50", "100"], 1)),
        ("none is up", begun("mesh:v2").down("mesh-1").down("mesh-2"), expected(["mesh:v3", "mesh:v2"], ["100", "50", "50", "100"], 1)),
        (
            "the newcomer is ready, but still with what it ran before",
            begun("mesh:v2").runs("mesh-2", "empty:1"),
            expected(["mesh:v1", "mesh:v3"], ["1", "100", "100", "1"], 2),
        ),
    ] {
        let action = upgrade(&pod.member(), &Arc::new(rollout("mesh", hot("mesh:v3"))), "r", NOW);
        assert_eq!(after(&pod, &action), expected, "{case}");
    }
}

/// B1 of the reference: the pod is never ready again.
#[test]
fn back_to_the_image_that_still_serves_the_newcomer_goes() {
    let pod = begun("mesh:bad").down("mesh-2");
    let action = upgrade(&pod.member(), &Arc::new(rollout("mesh", hot("mesh:v1"))), "r", NOW);
    assert_eq!(after(&pod, &action), expected(["mesh:v1", "empty:1"], ["1", "0", "0", "1"], 1));
    let changed = pod.after(&action, 8).unwrap();
    assert!(changed.annotation(IN_PLACE_STATE).unwrap().contains(r#""mesh-2":{"imageID":"id-of-mesh:bad"}"#));
    let done = changed.started();
    assert!(done.member().is_available(&rollout("mesh", hot("mesh:v1"))));
}

#[test]
fn a_pod_whose_serving_twin_has_the_image_already_is_only_noted() {
    let pod = steady();
    let action = upgrade(&pod.member(), &Arc::new(rollout("mesh", hot("mesh:v1"))), "r", NOW);
    assert_eq!(after(&pod, &action), expected(["mesh:v1", "empty:1"], ["1", "0", "0", "1"], 1));
    let Action::Patch(Patch { body, .. }) = action else { panic!() };
    assert_eq!(body.get("spec"), None);
    let mut keys: Vec<_> = body["metadata"]["annotations"].as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-inplace-update-state"]);
}

#[test]
fn a_hot_upgrade_ends_when_the_newcomer_has_taken_over() {
    let set = || rollout("mesh", hot("mesh:v2"));
    for (case, pod, ends) in [
        ("at rest", steady(), false),
        ("begun, not started", begun("mesh:v2").runs("mesh-2", "empty:1"), false),
        ("started, not ready", begun("mesh:v2").down("mesh-2"), false),
        ("up", begun("mesh:v2"), true),
        ("the one that goes is down", begun("mesh:v2").down("mesh-1"), true),
        ("the application is down", begun("mesh:v2").down("main"), false),
        ("a newer revision came meanwhile", begun("mesh:v2").noted(&set(), "other", "other"), true),
        ("another empty image, at rest", steady().wants("mesh-2", "empty:0").noted(&set(), "other", "other"), false),
    ] {
        assert_eq!(reset(&pod.member(), &set(), NOW).is_some(), ends, "{case}");
    }
}

#[test]
fn the_end_of_a_hot_upgrade_changes_one_image_and_two_versions() {
    let set = rollout("mesh", hot("mesh:v2"));
    let Some(Action::Patch(Patch { body, .. })) = reset(&begun("mesh:v2").member(), &set, NOW) else { panic!() };
    let state = format!(
        r#"{{"mesh":{{"revision":"{}","updateTimestamp":"2027-01-15T08:00:00Z","lastContainerStatuses":{{"mesh-1":{{"imageID":"id-of-mesh:v1"}},"mesh-2":{{"imageID":"id-of-empty:1"}}}}}}}}"#,
        set.hash
    );
    let annotations = json!({IN_PLACE_STATE: state, format!("{VERSION_PREFIX}mesh-1"): "0", format!("{VERSION_ALT_PREFIX}mesh-2"): "0"});
    assert_eq!(
        body,
        json!({"metadata": {"resourceVersion": "7", "annotations": annotations}, "spec": {"containers": [{"name": "mesh-1", "image": "empty:1"}]}})
    );
}

/// Two hot sidecars: one that has not been upgraded does not keep the other from its end.
#[test]
fn all_twins_that_are_left_go_together() {
    let spec = |image: &str, other: &str| {
        let mut spec = hot(image);
        let mut second: Value = hot(other)["containers"][0].clone();
        second["name"] = "dns".into();
        spec["containers"].as_array_mut().unwrap().push(second);
        rollout("mesh", spec)
    };
    let set = Arc::new(spec("mesh:v2", "dns:v2"));
    let pod = pod("web-1").injected(&spec("mesh:v1", "dns:v1"));
    let pod = pod.after(&upgrade(&pod.member(), &set, "r", NOW), 8).unwrap();
    assert_eq!(["mesh-2", "dns-2"].map(|name| pod.image_of(name)), ["mesh:v2", "dns:v2"]);
    let half = pod.start("mesh-2");
    assert!(reset(&half.member(), &set, NOW).is_none());
    let whole = half.start("dns-2");
    let done = whole.after(&reset(&whole.member(), &set, NOW).unwrap(), 9).unwrap();
    assert_eq!(["mesh-1", "mesh-2", "dns-1", "dns-2"].map(|name| done.image_of(name)), ["empty:1", "mesh:v2", "empty:1", "dns:v2"]);
}
