//! Bringing a running pod to the present revision of a set: cold (the container restarts), hot (the twin takes over), and
//! the end of a hot upgrade. (`pkg/controller/sidecarset/sidecarset_processor.go`, `sidecarset_hotupgrade.go`)

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    change::{Change, target},
    keys::{VERSION_ALT_PREFIX, VERSION_PREFIX, WORKING_HOT_UPGRADE},
    member::Member,
    metadata,
    rollout::{Rollout, Sidecar},
};
use crate::{
    base::go_json,
    plan::{Action, Compose},
};

/// The request that updates a pod.
pub fn upgrade(member: &Arc<Member>, rollout: &Arc<Rollout>, revision: &str, now: Timestamp) -> Action {
    let change = changed(member, rollout, revision, now);
    if rollout.set.spec.patch_pod_metadata.is_empty() {
        return change.action(member);
    }
    // Annotations of every key are not mirrored: those that the set patches are read from the pod itself.
    let (member, rollout) = (Arc::clone(member), Arc::clone(rollout));
    let (target, resource_version, revision) = (target(&member), member.pod.resource_version.to_string(), revision.to_owned());
    let body = move |annotations: &BTreeMap<String, String>| {
        let mut change = changed(&member, &rollout, &revision, now);
        let present = |key: &str| annotations.get(key).map(String::as_str);
        let patched = metadata::patched(&rollout.set.spec.patch_pod_metadata, present);
        let problem = |error: metadata::MetadataError| format!("annotation {}: {error}", error.key);
        for (key, value) in patched.map_err(problem)? {
            change.annotate(key, value);
        }
        Ok(change.body(&member))
    };
    Action::Compose { target, resource_version, body: Compose(Arc::new(body)) }
}

fn changed(member: &Member, rollout: &Rollout, revision: &str, now: Timestamp) -> Change {
    let mut change = Change::default();
    let mut working: BTreeMap<&str, String> = member.marks.working.iter().map(|(name, twin)| (&**name, twin.to_string())).collect();
    let mut is_moved = false;
    for sidecar in &rollout.sidecars {
        if !sidecar.is_hot {
            change.update(member, sidecar);
        } else if let Some(now_working) = begin(member, rollout, sidecar, &mut change) {
            working.insert(&sidecar.name, now_working);
            is_moved = true;
        }
    }
    if is_moved {
        let mut text = String::new();
        go_json::write_members(&mut text, working, |out, twin| go_json::write_string(out, &twin));
        change.annotate(WORKING_HOT_UPGRADE, text);
    }
    change.note(member, rollout, revision, now);
    change.record(member, rollout, now);
    change
}

/// Begins a hot upgrade of one sidecar: the twin that does not serve gets the new image. Says which container works then.
fn begin(member: &Member, rollout: &Rollout, sidecar: &Sidecar, change: &mut Change) -> Option<String> {
    let (newcomer, serving) = twins(member, rollout, sidecar);
    let image = |name: &str| member.pod.container(name).map(|container| container.image.to_string()).unwrap_or_default();
    if image(&serving) == sidecar.image {
        // Back to what still serves: the newcomer goes (the reference leaves it, and the pod is never ready again).
        if image(&newcomer) == sidecar.empty_image || sidecar.empty_image.is_empty() {
            return None;
        }
        change.set_image(member, &newcomer, &sidecar.empty_image);
        change.annotate(format!("{VERSION_PREFIX}{newcomer}"), "0");
        change.annotate(format!("{VERSION_ALT_PREFIX}{serving}"), "0");
        return Some(serving);
    }
    let version = rollout.set.metadata.resource_version.clone().unwrap_or_default();
    change.set_image(member, &newcomer, &sidecar.image);
    change.annotate(format!("{VERSION_PREFIX}{newcomer}"), version.as_str());
    change.annotate(format!("{VERSION_ALT_PREFIX}{newcomer}"), member.marks.version(&format!("{VERSION_PREFIX}{serving}")));
    change.annotate(format!("{VERSION_ALT_PREFIX}{serving}"), version);
    Some(newcomer)
}

/// Which of the twins is to get a new image, and which goes on serving meanwhile.
fn twins(member: &Member, rollout: &Rollout, sidecar: &Sidecar) -> (String, String) {
    let [first, second] = [1, 2].map(|number| format!("{}-{number}", sidecar.name));
    let is_empty = |name: &str| member.pod.container(name).is_some_and(|container| *container.image == *sidecar.empty_image);
    if is_empty(&first) {
        return (first, second);
    }
    if is_empty(&second) {
        return (second, first);
    }
    let is_up = |name: &str| member.status(name).is_some_and(|status| status.is_ready) && member.is_consistent(rollout, [name]);
    match (is_up(&first), is_up(&second)) {
        (true, false) => (second, first),
        (false, true) => (first, second),
        _ => {
            let [working, other] = member.marks.twins(&sidecar.name);
            (other, working)
        }
    }
}

/// The request that ends a hot upgrade: what served before gets the empty image. `None` if there is nothing to end, or it cannot
/// be ended yet because the newcomer is not up.
pub fn reset(member: &Member, rollout: &Rollout, now: Timestamp) -> Option<Action> {
    let left: Vec<_> = rollout.hot().filter_map(|sidecar| Some((sidecar, member.left_over(rollout, sidecar)?))).collect();
    if left.is_empty() || !is_taken_over(member, rollout) {
        return None;
    }
    let mut change = Change::default();
    for (sidecar, other) in left {
        let [working, _] = member.marks.twins(&sidecar.name);
        change.set_image(member, &other, &sidecar.empty_image);
        change.annotate(format!("{VERSION_PREFIX}{other}"), "0");
        change.annotate(format!("{VERSION_ALT_PREFIX}{working}"), "0");
    }
    change.record(member, rollout, now);
    Some(change.action(member))
}

/// Whether everything but the twins that are to go is up, the application's containers included.
fn is_taken_over(member: &Member, rollout: &Rollout) -> bool {
    let going: Vec<String> = rollout.hot().map(|sidecar| member.marks.twins(&sidecar.name)).map(|[_, other]| other).collect();
    let staying = rollout.containers.iter().filter(|name| !going.contains(name)).map(String::as_str);
    let is_up = |container: &crate::base::observed::Container| {
        going.iter().any(|name| **name == *container.name) || container.status.as_ref().is_some_and(|status| status.is_ready)
    };
    let is_serving = member.pod.is_available() || member.pod.containers.iter().all(is_up);
    is_serving && member.is_consistent(rollout, staying)
}

#[cfg(test)]
mod tests;
