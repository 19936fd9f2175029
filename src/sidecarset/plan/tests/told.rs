//! What is told: status, conditions, events. And what is written of the history.

use super::*;
use crate::sidecarset::keys::UPGRADABLE;

/// The status with which a plan would leave the set, without names of revisions.
fn status(cluster: &mut Cluster) -> Value {
    cluster.round("log");
    let mut status = cluster.sets["log"]["status"].clone();
    assert!(status["latestRevision"].as_str().is_some_and(|name| name.starts_with("log-")));
    status.as_object_mut().unwrap().retain(|key, _| key != "latestRevision");
    status
}

#[test]
fn the_status_says_how_far_the_rollout_is_and_what_keeps_the_rest() {
    let mut cluster = Cluster::of([wanted(&json!({"maxUnavailable": 1, "partition": 2}))], population(6, 2, 1));
    assert_eq!(
        status(&mut cluster),
        json!({"observedGeneration": 1, "matchedPods": 6, "updatedPods": 2, "readyPods": 5, "updatedReadyPods": 1, "collisionCount": 0, "conditions": [{
            "type": "Updated", "status": "False", "reason": "Partition", "observedGeneration": 1, "lastTransitionTime": "2026-02-03T04:05:06Z",
            "message": "2 of 6 pods have the present revision, 1 of them are ready; 2 held by updateStrategy.partition (shop/pod-003, shop/pod-002); 2 waiting for updateStrategy.maxUnavailable"}]})
    );
}

#[test]
fn what_keeps_pods_back_is_named() {
    let old = rollout("log", cold("log:v1"));
    let not_upgradable = at("log:v1", "web-1").noted(&old, &old.hash, "another");
    let in_flight = at("log:v1", "web-1")
        .wants("log", "log:v0")
        .annotated("kruise.io/sidecarset-inplace-update-state", r#"{"log":{"lastContainerStatuses":{"log":{"imageID":"id-of-log:v1"}}}}"#);
    for (strategy, pod, reason, says) in [
        (json!({"paused": true}), at("log:v1", "web-1"), "Paused", "1 held by updateStrategy.paused (shop/web-1)"),
        (
            json!({"type": "NotUpdate"}),
            at("log:v1", "web-1"),
            "NotUpdate",
            "1 left as they are by updateStrategy.type NotUpdate (shop/web-1)",
        ),
        (
            json!({"selector": {"matchLabels": {"a": "b"}}}),
            at("log:v1", "web-1"),
            "NotSelected",
            "1 not selected by updateStrategy.selector (shop/web-1)",
        ),
        (
            json!({}),
            not_upgradable,
            "NotUpgradable",
            "1 cannot be updated in place, because more than images changed: they get it when they are made anew (shop/web-1)",
        ),
        (json!({}), in_flight, "RollingUpdate", "1 still changing to an earlier revision"),
        (json!({}), at("log:v1", "web-1"), "RollingUpdate", "1 being updated"),
    ] {
        let condition = status(&mut Cluster::of([wanted(&strategy)], [pod]))["conditions"][0].clone();
        let message = format!("0 of 1 pods have the present revision, 0 of them are ready; {says}");
        assert_eq!(
            (condition["status"].as_str(), condition["reason"].as_str(), condition["message"].as_str()),
            (Some("False"), Some(reason), Some(message.as_str()))
        );
    }
}

/// K1 of the reference: the numbers of a set that updates nothing froze when its pods were made.
#[test]
fn the_numbers_of_a_set_that_updates_nothing_follow_its_pods() {
    let mut cluster = Cluster::of([wanted(&json!({"type": "NotUpdate"}))], [at("log:v2", "web-1"), at("log:v1", "web-2")]);
    cluster.round("log");
    assert_eq!(cluster.numbers("log"), [2, 1, 2, 1]);
    cluster.change("web-1", |pod| pod.down("main"));
    assert!(cluster.round("log").has_status);
    assert_eq!(cluster.numbers("log"), [2, 1, 1, 0]);
}

#[test]
fn a_status_that_is_right_is_not_written_again() {
    let mut cluster = Cluster::of([wanted(&json!({"partition": 1}))], [at("log:v1", "web-1")]);
    assert!(cluster.round("log").has_status);
    cluster.now = "2026-02-03T05:00:00.5Z".parse().unwrap();
    assert!(cluster.plan("log").is_done());
    // With the last pod every number is taken away again.
    cluster.pods.clear();
    assert!(cluster.round("log").has_status);
    assert_eq!(cluster.numbers("log"), [0; 4]);
    assert!(cluster.plan("log").is_done());
}

#[test]
fn the_end_of_a_rollout_is_told_once() {
    let mut cluster = Cluster::of([wanted(&json!({}))], [at("log:v1", "web-1")]);
    let mut told = Vec::new();
    for _ in 0..4 {
        told.extend(cluster.round("log").events);
        cluster.change("web-1", Fixture::started);
    }
    assert_eq!(told, ["RolloutCompleted"]);
}

fn upgradable(cluster: &Cluster, pod: &str) -> Option<Value> {
    let conditions = cluster.pods[pod].0["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == UPGRADABLE).cloned()
}

#[test]
fn a_pod_that_cannot_be_updated_says_so_until_it_is_what_the_set_wants() {
    let mut cluster = Cluster::of([wanted(&json!({}))], [at("log:v1", "web-1")]);
    cluster.publish("log", &json!({"containers": [{"name": "log", "image": "log:v2", "args": ["-v"]}]}));
    let spec = cluster.pods["web-1"].0["spec"].clone();
    assert_eq!(cluster.round("log").told, ["web-1"]);
    assert_eq!(
        upgradable(&cluster, "web-1"),
        Some(
            json!({"type": UPGRADABLE, "status": "False", "reason": "UpdateImmutableField", "message": r#"{"log":false}"#, "lastTransitionTime": "2026-02-03T04:05:06Z"})
        )
    );
    assert_eq!(cluster.round("log").told, [""; 0]);
    assert_eq!(cluster.pods["web-1"].0["spec"], spec);
    // B4 of the reference: back to what the pod has, and the condition stays as it was.
    cluster.publish("log", &cold("log:v1"));
    assert_eq!(cluster.round("log").told, ["web-1"]);
    assert_eq!(upgradable(&cluster, "web-1").unwrap()["status"], "True");
    assert!(cluster.plan("log").is_done());
}

#[test]
fn a_pod_that_is_simply_updated_has_no_condition() {
    let mut cluster = Cluster::of([wanted(&json!({}))], [at("log:v1", "web-1")]);
    for _ in 0..3 {
        assert_eq!(cluster.round("log").told, [""; 0]);
        cluster.change("web-1", Fixture::started);
    }
    assert_eq!(upgradable(&cluster, "web-1"), None);
}

#[test]
fn a_paused_set_and_one_that_updates_nothing_change_no_spec() {
    for strategy in [json!({"paused": true}), json!({"type": "NotUpdate"})] {
        let mut cluster = Cluster::of([wanted(&strategy)], population(3, 1, 0));
        let specs = |cluster: &Cluster| {
            cluster.pods.values().map(|pod| (pod.0["spec"].clone(), pod.0["metadata"]["annotations"].clone())).collect::<Vec<_>>()
        };
        let before = specs(&cluster);
        assert_eq!(cluster.round("log").changed, [""; 0]);
        assert_eq!(specs(&cluster), before);
    }
}

#[test]
fn the_present_content_is_recorded_before_a_pod_refers_to_it() {
    let mut cluster = Cluster::of([wanted(&json!({}))], [at("log:v1", "web-1")]);
    let plan = cluster.plan("log");
    let [Task { action: Action::Create { target, .. }, .. }] = plan.first.as_slice() else { panic!("{plan:?}") };
    let name = target.name.clone();
    cluster.carry_out(plan);
    assert_eq!(cluster.sets["log"]["status"]["latestRevision"], name);
    assert!(cluster.pods["web-1"].annotation("kruise.io/sidecarset-hash").unwrap().contains(&format!(r#""controllerRevision":"{name}""#)));
}

/// Replicas learn of a new revision a moment after it is made: a pod that is injected meanwhile notes its content alone.
#[test]
fn a_revision_whose_content_a_pod_has_is_kept_though_the_pod_does_not_name_it() {
    let mut cluster = Cluster::of([set("log", &with(cold("log:v1"), &json!({"paused": true})))], []);
    cluster.publish("log", &json!({"revisionHistoryLimit": 1}));
    cluster.round("log");
    let first = cluster.picture("log", [].iter()).revisions[0].name.clone();
    let mut pod = at("log:v1", "web-1");
    let annotation = pod.annotation("kruise.io/sidecarset-hash").unwrap().to_owned();
    let mut notes: Value = serde_json::from_str(&annotation).unwrap();
    notes["log"].as_object_mut().unwrap().shift_remove("controllerRevision");
    pod = pod.annotated("kruise.io/sidecarset-hash", &notes.to_string());
    cluster.pods.insert("web-1".to_owned(), pod);
    for image in ["log:v2", "log:v3"] {
        cluster.publish("log", &cold(image));
        cluster.round("log");
    }
    let names: Vec<_> = cluster.picture("log", [].iter()).revisions.iter().map(|revision| revision.name.clone()).collect();
    assert!(names.contains(&first) && names.len() == 2, "{names:?}");
}
