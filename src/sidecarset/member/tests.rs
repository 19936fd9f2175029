//! Facts about pods, case by case.

use serde_json::{Value, json};

use super::*;
use crate::sidecarset::{
    fixtures::{Fixture, cold, hot, pod, rollout},
    keys::{IN_PLACE_STATE, INJECTED_LIST, WORKING_HOT_UPGRADE},
};

/// The sidecar `log`, restarted with its image, and `mesh`, which has a twin.
fn both(tag: &str) -> Rollout {
    let [mut spec, mesh] = [cold(&format!("log:{tag}")), hot(&format!("mesh:{tag}"))];
    spec["containers"].as_array_mut().unwrap().extend(mesh["containers"].as_array().unwrap().clone());
    rollout("set", spec)
}

/// What ran before an update of `set`: containers and the IDs of their images.
fn before(containers: &[(&str, &str)]) -> String {
    let images: serde_json::Map<String, Value> = containers.iter().map(|(name, id)| ((*name).to_owned(), json!({"imageID": id}))).collect();
    json!({"set": {"revision": "x", "updateTimestamp": null, "lastContainerStatuses": images}}).to_string()
}

/// `IsSidecarContainerUpdateCompleted` of the reference.
#[test]
fn an_update_is_complete_when_the_kubelet_reports_another_image() {
    let set = both("v1");
    let steady = pod("web-1").injected(&set);
    let first = before(&[("log", "id-of-log:v1")]);
    let second = before(&[("log", "id-of-log:v1"), ("mesh-2", "id-of-empty:1")]);
    let third = before(&[("log", "id-of-log:v1"), ("mesh-1", "id-of-mesh:v1"), ("mesh-2", "id-of-empty:1")]);
    let cold_wanted = steady.clone().wants("log", "log:v2").annotated(IN_PLACE_STATE, &first);
    let cold_done = cold_wanted.clone().runs("log", "log:v2");
    let hot_wanted = cold_done.clone().wants("mesh-2", "mesh:v2").annotated(IN_PLACE_STATE, &second);
    let hot_reset = hot_wanted.clone().runs("mesh-2", "mesh:v2").wants("mesh-1", "empty:1").annotated(IN_PLACE_STATE, &third);
    let hot_done = hot_reset.clone().runs("mesh-1", "empty:1");
    for (case, pod, expected) in [
        ("never updated", &steady, true),
        ("wanted", &cold_wanted, false),
        ("done", &cold_done, true),
        ("the twin wanted", &hot_wanted, false),
        ("the twin done, the other reset", &hot_reset, false),
        ("all done", &hot_done, true),
    ] {
        assert_eq!(pod.member().is_all_consistent(&set), expected, "{case}");
    }
    assert!(hot_reset.member().is_consistent(&set, ["log", "mesh-2"]), "only those that are asked about");
}

/// A container that wants this, of which the kubelet reports that, updated when its image had the ID `id-before`, or never.
fn reported(wanted: &str, reported: (&str, &str), is_updated: bool) -> Fixture {
    let pod = pod("web-1").injected(&rollout("set", cold("log:v1"))).wants("log", wanted).reports("log", reported.0, reported.1);
    if is_updated { pod.annotated(IN_PLACE_STATE, &before(&[("log", "id-before")])) } else { pod }
}

/// B9 and B10 of the reference: it compares names as they are written.
#[test]
fn what_runs_is_told_by_id_by_name_and_by_digest() {
    let (wanted, other) = (format!("sha256:{}", "a".repeat(64)), format!("sha256:{}", "b".repeat(64)));
    let pinned = format!("log@{wanted}");
    for (image, (name, id), is_updated, expected) in [
        ("log:v2", ("log:v1", "id-before"), true, false),
        ("log:v2", ("log:v1", "id-after"), true, true),
        ("log:v2", ("log:v2", "id-before"), true, true),
        // The same image by another tag, as the runtime writes it out.
        ("log:v2", ("docker.io/library/log:v2", "id-before"), true, true),
        ("log", ("docker.io/library/log:latest", "id-before"), true, true),
        ("registry.example/log:v2", ("docker.io/library/log:v2", "id-before"), true, false),
        // Never updated: whatever runs is what the pod was made with.
        ("log:v2", ("sha256:abc", "id-before"), false, true),
        // Pinned: the digest alone says it, by whatever name it was pulled.
        (&pinned, ("log:v1", &format!("docker.io/library/log@{wanted}")), false, true),
        (&pinned, ("log:v1", &format!("docker-pullable://registry.example/log@{wanted}")), true, true),
        (&pinned, (&pinned, &format!("docker.io/library/log@{other}")), true, false),
        (&pinned, (&pinned, &format!("docker.io/library/log@{other}")), false, false),
        (&format!("log:v2@{wanted}"), ("log:v2", &format!("log@{wanted}")), true, true),
        // A runtime that reports no digest.
        (&pinned, ("log:v1", "id-before"), true, false),
        (&pinned, ("log:v1", "id-after"), true, true),
    ] {
        let set = rollout("set", cold(image));
        assert_eq!(reported(image, (name, id), is_updated).member().is_all_consistent(&set), expected, "{image}: {name} {id} {is_updated}");
    }
}

#[test]
fn a_pod_that_the_kubelet_says_too_little_of_is_not_consistent() {
    let set = rollout("set", cold("log:v1"));
    let mut pod = pod("web-1").injected(&set);
    assert!(pod.member().is_all_consistent(&set));
    pod.0["status"]["containerStatuses"].as_array_mut().unwrap().remove(0);
    assert!(!pod.member().is_all_consistent(&set));
    // It blocks what comes next only as long as a sidecar is ready.
    assert!(!pod.member().is_settled(&set) && pod.down("log").member().is_settled(&set));
    assert!(!crate::sidecarset::fixtures::pod("web-1").injected(&set).pending().member().is_all_consistent(&set));
}

#[test]
fn a_state_that_cannot_be_read_leaves_nothing_known() {
    let set = rollout("set", cold("log:v1"));
    let steady = pod("web-1").injected(&set);
    for (state, expected) in
        [("{", false), ("[]", false), ("{}", true), (r#"{"set":null}"#, true), (r#"{"set":{"lastContainerStatuses":null}}"#, true)]
    {
        assert_eq!(steady.clone().annotated(IN_PLACE_STATE, state).member().is_all_consistent(&set), expected, "{state}");
    }
}

#[test]
fn a_sidecar_that_is_not_ready_never_waits_for_an_earlier_change() {
    let set = rollout("set", cold("log:v2"));
    let changing = reported("log:v2", ("log:v1", "id-before"), true);
    assert!(!changing.member().is_settled(&set));
    assert!(changing.clone().down("log").member().is_settled(&set));
    // It is about the set's own containers.
    assert!(!changing.clone().down("main").member().is_settled(&set));
    assert!(changing.runs("log", "log:v2").member().is_settled(&set));
}

#[test]
fn a_pod_has_a_set_if_it_was_injected_and_all_containers_are_there() {
    let (one, twins) = (rollout("set", cold("log:v1")), rollout("set", hot("mesh:v1")));
    for (case, pod, set, expected) in [
        ("as injected", pod("p").injected(&one), &one, true),
        ("as injected, twins", pod("p").injected(&twins), &twins, true),
        ("not listed", pod("p").injected(&one).annotated(INJECTED_LIST, ""), &one, false),
        ("listed among others", pod("p").injected(&one).annotated(INJECTED_LIST, "a,set,z"), &one, true),
        ("part of a name", pod("p").injected(&one).annotated(INJECTED_LIST, "sets"), &one, false),
        ("names are not trimmed", pod("p").injected(&one).annotated(INJECTED_LIST, "a, set"), &one, false),
        ("no such container", pod("p").annotated(INJECTED_LIST, "set"), &one, false),
        ("an init container of the name", pod("p").native("log", "log:v1").annotated(INJECTED_LIST, "set"), &one, true),
        ("twins that nobody knows", pod("p").injected(&twins).annotated(WORKING_HOT_UPGRADE, "{}"), &twins, false),
        (
            "one twin",
            pod("p").image("mesh-1", "mesh:v1").annotated(INJECTED_LIST, "set").annotated(WORKING_HOT_UPGRADE, r#"{"mesh":"mesh-1"}"#),
            &twins,
            false,
        ),
        ("no twin", pod("p").image("mesh", "mesh:v1").annotated(INJECTED_LIST, "set"), &twins, false),
        ("a set without containers", pod("p").annotated(INJECTED_LIST, "set"), &rollout("set", json!({})), true),
    ] {
        assert_eq!(pod.member().has(set), expected, "{case}");
    }
}

#[test]
fn a_pod_is_ready_when_it_runs_is_ready_stays_and_has_no_hot_upgrade_half_done() {
    let set = rollout("set", hot("mesh:v1"));
    let steady = pod("web-1").injected(&set);
    let begun = steady
        .clone()
        .wants("mesh-2", "mesh:v2")
        .versions("mesh", ["1", "100", "100", "1"])
        .annotated(WORKING_HOT_UPGRADE, r#"{"mesh":"mesh-2"}"#);
    for (case, pod, expected) in [
        ("steady", steady.clone(), true),
        ("down", steady.clone().down("main"), false),
        ("pending", steady.clone().phase("Pending"), false),
        ("unknown", steady.clone().phase("Unknown"), false),
        ("terminating", steady.clone().terminating(), false),
        ("two live twins", begun, false),
        ("at rest on another empty image", steady.wants("mesh-2", "empty:0").noted(&set, "old", "old"), true),
    ] {
        assert_eq!(pod.member().is_ready(&set), expected, "{case}");
    }
}

#[test]
fn a_hash_that_is_noted_nowhere_is_the_empty_one() {
    let set = rollout("set", cold("log:v1"));
    assert!(!pod("web-1").member().is_updated(&set) && !pod("web-1").member().is_upgradable(&set));
    let noted = pod("web-1").noted(&set, &set.hash, "another");
    assert!(noted.member().is_updated(&set) && !noted.member().is_upgradable(&set));
}
