//! What is told of new pods to those who look after the objects concerned. A pod that is being made cannot have events yet: what
//! concerns it is told of the set, the spread and the workload that it comes from.

use crate::{
    base::pod::{Meta, Owner},
    plan::{Event, Kind, Target, reporter},
    sidecarset::{place::Conflict, select::Selected},
    spread::{claim::Take, tell as spreads},
    state::Snapshot,
};

use super::Gain;

/// Kinds that make pods. Others, and those of pods that nobody made, are not told.
const MAKERS: [Kind; 8] = [
    Kind { group: "apps", version: "v1", kind: "ReplicaSet", plural: "replicasets" },
    Kind { group: "apps", version: "v1", kind: "StatefulSet", plural: "statefulsets" },
    Kind { group: "apps", version: "v1", kind: "DaemonSet", plural: "daemonsets" },
    Kind { group: "batch", version: "v1", kind: "Job", plural: "jobs" },
    Kind { group: "", version: "v1", kind: "ReplicationController", plural: "replicationcontrollers" },
    Kind { group: "apps.kruise.io", version: "v1alpha1", kind: "CloneSet", plural: "clonesets" },
    Kind { group: "apps.kruise.io", version: "v1beta1", kind: "StatefulSet", plural: "statefulsets" },
    Kind { group: "apps.kruise.io", version: "v1alpha1", kind: "DaemonSet", plural: "daemonsets" },
];

/// Containers of sets that are in each other's way, or in that of the pod's own: told of each set, and of who makes the pod.
pub(super) fn conflicts(meta: &Meta<'_>, namespace: &str, selected: &[Selected<'_>], conflicts: &[Conflict]) -> Vec<Event> {
    // As it is with nearly every pod: nothing is made of names then.
    if conflicts.is_empty() {
        return Vec::new();
    }
    let maker = meta.controller().and_then(|owner| maker(owner, namespace));
    let whose = maker.as_ref().map_or_else(
        || format!("pods of namespace {namespace}"),
        |maker| format!("pods of {} {namespace}/{}", maker.kind.kind, maker.name),
    );
    let event = |about, note| Event { by: reporter::SIDECAR_SETS, about, is_warning: true, reason: "InjectionConflict", note };
    let of_one = |conflict: &Conflict| {
        let Conflict { set, text } = conflict;
        let uid = selected.iter().find(|one| one.set.name == *set).map(|one| one.set.uid.clone()).unwrap_or_default();
        let about = Target { kind: Kind::SIDECAR_SET, namespace: String::new(), name: set.clone(), uid };
        let of_maker = maker.clone().map(|maker| event(maker, format!("SidecarSet {set}: {text}")));
        [Some(event(about, format!("{whose}: {text}"))), of_maker].into_iter().flatten()
    };
    conflicts.iter().flat_map(of_one).collect()
}

fn maker(owner: &Owner<'_>, namespace: &str) -> Option<Target> {
    let kind = MAKERS.into_iter().find(|kind| kind.kind == owner.kind && kind.group == owner.group())?;
    Some(Target { kind, namespace: namespace.to_owned(), name: owner.name.to_string(), uid: owner.uid.to_string() })
}

/// What became of a claim for a place, if somebody should look at it: told of the spread.
pub(super) fn of_place(take: &Take, gain: &Gain, snapshot: &Snapshot<'_>) -> Option<Event> {
    let spread = snapshot.spreads.get(&take.namespace, &take.spread).filter(|spread| !spread.is_terminating)?;
    match gain {
        Gain::Place(None) => Some(spreads::full(spread)),
        Gain::Unsettled(why) => Some(spreads::unsettled(spread, why)),
        Gain::Place(Some(_)) | Gain::Unit => None,
    }
}

/// Something was refused since a question stayed open.
pub(super) fn unanswered(by: &'static str, about: Target, why: &str) -> Event {
    let note = format!("a request was refused, for nobody could tell whether it may pass: {why}");
    Event { by, about, is_warning: true, reason: "QuestionUnanswered", note }
}

#[cfg(test)]
mod tests;
