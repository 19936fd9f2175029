//! What is told about a rollout: events of the set and of its pods.

use super::{
    api::SidecarSetStatus,
    change,
    member::Member,
    rollout::Rollout,
    status::{Behind, UPDATED, Why},
};
use crate::plan::{Action, Event, Kind, Target, Task, reporter};

/// The reason of the condition when nothing is left to do.
const ALL_DONE: &str = "AllPodsUpdatedAndReady";

/// The set, for requests and events.
pub fn target(rollout: &Rollout) -> Target {
    let uid = rollout.set.metadata.uid.clone().unwrap_or_default();
    Target { kind: Kind::SIDECAR_SET, namespace: String::new(), name: rollout.name.clone(), uid }
}

/// The events of the set itself.
pub fn events(rollout: &Rollout, behind: &Behind<'_>, status: &SidecarSetStatus, [overflow, problem]: [Option<&str>; 2]) -> Vec<Event> {
    let about = target(rollout);
    let event = |is_warning, reason, note| Event { by: reporter::SIDECAR_SETS, about: about.clone(), is_warning, reason, note };
    let mut events = Vec::new();
    let stuck = behind.count(Why::NotUpgradable);
    if stuck > 0 {
        let note = format!("SidecarSet in-place update detected {stuck} not upgradable pod(s) in this round, will skip them.");
        events.push(event(false, "NotUpgradablePods", note));
    }
    let reason = |status: &SidecarSetStatus| {
        status.conditions.iter().find(|one| one.type_ == UPDATED).map(|one| (one.reason.clone(), one.message.clone()))
    };
    let before = rollout.set.status.as_ref().and_then(reason);
    if let (Some((before, _)), Some((now, message))) = (before, reason(status)) {
        let is_finished = now == ALL_DONE && before != ALL_DONE && status.matched_pods > 0;
        if is_finished {
            let revision = status.latest_revision.as_deref().unwrap_or_default();
            events.push(event(false, "RolloutCompleted", format!("revision {revision}: {message}")));
        }
    }
    if behind.count(Why::InvalidStrategy) > 0 {
        events.extend(problem.map(|problem| event(true, "InvalidStrategy", problem.to_owned())));
    }
    events.extend(overflow.map(|text| event(true, "TooManyRevisions", text.to_owned())));
    events
}

/// The event of a pod that cannot be updated in place.
pub fn not_upgradable(rollout: &Rollout, member: &Member) -> Event {
    let note = format!(
        "SidecarSet {}: more than images has changed since the pod was made, so its sidecars stay as they are until it is made anew",
        rollout.name
    );
    Event { by: reporter::SIDECAR_SETS, about: change::target(member), is_warning: false, reason: "SidecarSetNotUpgradable", note }
}

/// A step of the set's history; if it is refused, the set says so, since nothing else is done before it.
pub fn if_not_recorded(action: Action, rollout: &Rollout) -> Task {
    let note = "the revision could not be recorded, and nothing is rolled out before it is".to_owned();
    let failed = Event { by: reporter::SIDECAR_SETS, about: target(rollout), is_warning: true, reason: "RevisionNotRecorded", note };
    Task { failed: Some(failed), ..Task::of(action) }
}

/// A change of a pod; if it is refused, the pod says so.
pub fn if_refused(action: Action, member: &Member) -> Task {
    let note = "the sidecars could not be updated in place".to_owned();
    let failed =
        Event { by: reporter::SIDECAR_SETS, about: change::target(member), is_warning: true, reason: "SidecarSetUpdateFailed", note };
    Task { action, done: None, failed: Some(failed) }
}

/// The end of a hot upgrade is told on the pod.
pub fn with_reset_events(action: Action, member: &Member) -> Task {
    let event = |is_warning, reason, note: &str| Event {
        by: reporter::SIDECAR_SETS,
        about: change::target(member),
        is_warning,
        reason,
        note: note.to_owned(),
    };
    Task {
        action,
        done: Some(event(false, "ResetContainerSucceed", "reset sidecar container image empty successfully")),
        failed: Some(event(true, "ResetContainerFailed", "reset sidecar container image empty failed")),
    }
}
