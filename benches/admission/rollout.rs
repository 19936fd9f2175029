//! A set and its running pods, as its reconciler sees them.

#![expect(clippy::indexing_slicing, reason = "a text as an index makes the member")]

use std::sync::Arc;

use jiff::Timestamp;
use outrigger::{
    base::interned::Interner,
    plan::{Action, Plan, Task},
    sidecarset::{
        api::SidecarSet,
        member::Member,
        plan::{Circumstances, Picture, plan},
        revision::Revision,
        rollout::Rollout,
    },
};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::constant(1_768_465_800, 0);
const SET: &str = "logs";

/// How far a rollout has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Every pod is as it should be.
    Idle,
    /// Half of the pods are updated, every tenth of them is not ready yet; a tenth may be down.
    Midway,
}

/// A picture with so many pods, its status and history written. `order` goes into the update strategy.
pub(crate) fn picture(count: usize, stage: Stage, order: &Value) -> Picture {
    let old = hashes(&set("v1", order));
    let mut object = set("v2", order);
    let new = hashes(&object);
    let mut interner = Interner::default();
    let members = (0..count).map(|number| {
        let is_new = stage == Stage::Idle || number < count / 2;
        let is_up = stage == Stage::Idle || !is_new || !number.is_multiple_of(10);
        let pod = pod(number, if is_new { &new } else { &old }, if is_new { "v2" } else { "v1" }, is_up);
        Arc::new(Member::read(&serde_json::from_value(pod).expect("a pod"), &mut interner))
    });
    let mut picture = Picture { rollout: compiled(&object), members: members.collect(), revisions: vec![] };
    let first = planned(&picture);
    let revision = |task: &Task| match &task.action {
        Action::Create { body, .. } => Arc::new(Revision::from_object(body).expect("a revision")),
        other => unreachable!("{other:?}"),
    };
    picture.revisions = first.first.iter().map(revision).collect();
    object["status"] = first.status.expect("a status").body["status"].clone();
    picture.rollout = compiled(&object);
    picture
}

/// The plan for a picture.
pub(crate) fn planned(picture: &Picture) -> Plan {
    plan(picture, &Circumstances { own_namespace: "outrigger-system", is_refused: &|_| false, may_change_native: true, now: NOW })
}

fn set(tag: &str, order: &Value) -> Value {
    let mut strategy = json!({"maxUnavailable": "10%"});
    for (member, value) in order.as_object().into_iter().flatten() {
        strategy[member] = value.clone();
    }
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": SET, "uid": "7c3f0a52-94c7-4d1d-8d5e-0b0c3b1f7f11", "generation": 4, "resourceVersion": "100"},
        "spec": {"selector": {"matchLabels": {"app": "checkout"}}, "containers": [{"name": "agent", "image": format!("logs:{tag}")}], "updateStrategy": strategy}})
}

fn compiled(object: &Value) -> Arc<Rollout> {
    let set: SidecarSet = serde_json::from_value(object.clone()).expect("a SidecarSet");
    Arc::new(Rollout::compile(set).expect("a usable set"))
}

fn hashes(object: &Value) -> [String; 2] {
    let rollout = compiled(object);
    [rollout.hash.clone(), rollout.hash_without_image.clone()]
}

fn pod(number: usize, [hash, without_image]: &[String; 2], tag: &str, is_up: bool) -> Value {
    let note = |hash: &str| {
        json!({SET: {"updateTimestamp": "2026-01-15T08:30:00Z", "hash": hash, "sidecarSetName": SET, "sidecarList": ["agent"]}}).to_string()
    };
    let state = json!({SET: {"revision": hash, "updateTimestamp": "2026-01-15T08:30:00Z", "lastContainerStatuses": {"agent": {"imageID": "sha256:0"}}}});
    let images = [("agent", format!("logs:{tag}")), ("web", "web:1".to_owned())];
    let container = |(name, image): &(&str, String)| json!({"name": name, "image": image});
    let status =
        |(name, image): &(&str, String)| json!({"name": name, "image": image, "imageID": format!("sha256:{image}"), "ready": is_up});
    json!({
        "metadata": {
            "namespace": format!("shop-{}", number % 20), "name": format!("checkout-{number:05}"), "uid": format!("uid-{number}"), "resourceVersion": "7",
            "labels": {"app": "checkout", "zone": format!("zone-{}", number % 3)}, "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {"kruise.io/sidecarset-injected-list": SET, "kruise.io/sidecarset-hash": note(hash),
                "kruise.io/sidecarset-hash-without-image": note(without_image), "kruise.io/sidecarset-inplace-update-state": state.to_string()}
        },
        "spec": {"nodeName": "node", "containers": images.each_ref().map(container)},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if is_up { "True" } else { "False" }}], "containerStatuses": images.each_ref().map(status)}
    })
}
