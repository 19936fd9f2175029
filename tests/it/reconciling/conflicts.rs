//! Objects that others change or have made.

use std::time::Duration;

use serde_json::json;

use super::world::{SET, World, key_of, name, set};
use crate::api_server::Fate;

#[tokio::test(start_paused = true)]
async fn a_pod_that_somebody_annotated_unseen_by_the_set_is_tried_again() {
    let world = World::known(1, &json!({})).await;
    // The watch tells of the annotation only after the patch has met it.
    world.hold_watch();
    world.annotate(0, "somebody", "else");
    world.publish(3);
    world.server.until("a conflict", |asked| asked.iter().any(|one| one.is("PATCH pods") && one.status == 409)).await;
    world.release_watch();
    world.is_rolled_out(3).await;
    world.each_was_changed_once(1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_always_newer_than_the_plan_costs_fewer_and_fewer_requests() {
    let world = World::known(1, &json!({})).await;
    world.hold_watch();
    world.annotate(0, "somebody", "else");
    world.publish(3);
    world.idle(Duration::from_mins(5)).await;
    let conflicts = world.asked("PATCH pods").len();
    assert!((5..25).contains(&conflicts), "{conflicts} attempts in five minutes");
}

/// The name under which the set's second version is recorded, in a world of its own.
async fn name_of_second_revision() -> String {
    let world = World::new(1, &json!({})).await;
    world.publish(2);
    world.is_rolled_out(2).await;
    world.server.object(SET)["status"]["latestRevision"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_revision_whose_name_is_taken_gets_another_one_and_the_status_counts_that() {
    let taken = name_of_second_revision().await;
    // Of another set that is gone; of nothing that we know; and not seen by the watch, which the scripted one always is.
    for labels in [json!({"kruise.io/sidecarset-name": "log"}), json!({"kruise.io/sidecarset-name": "other"}), json!({})] {
        let world = World::new(1, &json!({})).await;
        let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "uid-c", "controller": true}]);
        let foreign = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 7, "data": {"spec": {}},
            "metadata": {"name": taken, "namespace": "own", "labels": labels, "ownerReferences": owner}});
        world.server.put("controllerrevisions", foreign.clone());
        world.publish(2);
        world.is_rolled_out(2).await;
        let status = world.server.object(SET)["status"].clone();
        assert_eq!(status["collisionCount"], json!(1), "{labels}: {status}");
        assert_ne!(status["latestRevision"], json!(taken), "{labels}");
        let other = world.server.object(&format!("controllerrevisions/own/{}", status["latestRevision"].as_str().unwrap()));
        assert_eq!(other["metadata"]["labels"]["kruise.io/sidecarset-name"], json!("log"), "{labels}");
        assert_eq!(world.server.object(&format!("controllerrevisions/own/{taken}"))["data"], foreign["data"], "it was overwritten");
        let creations = world.asked("POST controllerrevisions").len();
        assert!(creations <= 3, "{labels}: {creations} creations");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revision_is_deleted_once_although_the_watch_does_not_tell_of_it_yet() {
    let world = World::known(1, &json!({"revisionHistoryLimit": 1})).await;
    for version in 3..6 {
        world.publish(version);
        world.is_rolled_out(version).await;
    }
    let deletions = world.asked("DELETE controllerrevisions");
    assert!(deletions.len() >= 2 && deletions.iter().all(|one| one.is_stored), "{}", deletions.len());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_changes_while_its_annotations_are_read_is_planned_again() {
    let patches = json!({"patchPodMetadata": [{"annotations": {"kept": "of-the-set"}, "patchPolicy": "Retain"}]});
    let world = World::new(1, &patches).await;
    let server = world.server.clone();
    let mut is_first = true;
    world.fares(move |asked| {
        if asked.is_of("GET pods", &name(0)) && std::mem::take(&mut is_first) {
            // Before the answer is made, and unseen by the set.
            server.change(&key_of(0), |pod| pod["metadata"]["annotations"]["kept"] = "of-somebody".into());
        }
        Fate::GOOD
    });
    world.publish(2);
    world.is_rolled_out(2).await;
    let reads = world.asked("GET pods").into_iter().filter(|asked| !asked.name.is_empty()).count();
    assert_eq!((reads, world.asked("PATCH pods").len()), (2, 1));
    assert_eq!(world.server.object(&key_of(0))["metadata"]["annotations"]["kept"], json!("of-somebody"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_changes_after_its_annotations_were_read_is_planned_again() {
    let patches = json!({"patchPodMetadata": [{"annotations": {"kept": "of-the-set"}, "patchPolicy": "Retain"}]});
    let world = World::new(1, &patches).await;
    let server = world.server.clone();
    let mut is_first = true;
    world.fares(move |asked| {
        if asked.is("PATCH pods") && std::mem::take(&mut is_first) {
            server.change(&key_of(0), |pod| pod["metadata"]["annotations"]["kept"] = "of-somebody".into());
        }
        Fate::GOOD
    });
    world.publish(2);
    world.is_rolled_out(2).await;
    assert_eq!(world.asked("PATCH pods").iter().map(|asked| asked.status).collect::<Vec<_>>(), [409, 200]);
    assert_eq!(world.server.object(&key_of(0))["metadata"]["annotations"]["kept"], json!("of-somebody"));
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_deleted_before_its_status_is_answered_stays_gone() {
    let world = World::new(1, &json!({"updateStrategy": {"paused": true}})).await;
    world.fares(|_| Fate { back: Duration::from_secs(1), ..Fate::GOOD });
    world.server.forget_asked();
    world.publish(2);
    world.server.until("a status", |asked| asked.iter().any(|one| one.is("PATCH sidecarsets/status"))).await;
    world.forget_set();
    world.idle(Duration::from_secs(10)).await;
    assert_eq!(world.state.read().snapshot().sets.len(), 0, "the answer brought it back");
}

#[tokio::test(start_paused = true)]
async fn a_set_is_not_brought_back_to_an_earlier_version_by_a_watch_that_is_behind() {
    let world = World::new(3, &json!({"updateStrategy": {"maxUnavailable": 1}})).await;
    let before = world.server.object(SET);
    world.publish(2);
    world.server.until("a change", |asked| asked.iter().any(|one| one.is("PATCH pods"))).await;
    world.tell_of_set(&before);
    world.is_rolled_out(2).await;
    world.each_was_changed_once(3);
    // One that was deleted and made anew is another one.
    let anew = set();
    world.tell_of_set(&anew);
    assert_eq!(world.state.read().snapshot().sets.len(), 1);
}
