//! What is told of new pods to those who look after the objects concerned. A pod that is being made cannot have events yet: what
//! concerns it is told of the set, the spread and the workload that it comes from.

use crate::{
    base::workload::Owner,
    plan::{Event, Kind, Target, reporter},
    sidecarset::{inject::Pod, place::Conflict, select::Selected},
    spread::{claim::Take, tell as spreads},
    state::Snapshot,
};

use super::{Gain, budget_link};

/// Kinds of which pods come, and that last. Others are not told, nor are pods that nobody made: a Job is another one each time, and
/// would have an event each time.
const LASTING: [Kind; 10] = [
    Kind { group: "apps", version: "v1", kind: "Deployment", plural: "deployments" },
    Kind { group: "apps", version: "v1", kind: "ReplicaSet", plural: "replicasets" },
    Kind { group: "apps", version: "v1", kind: "StatefulSet", plural: "statefulsets" },
    Kind { group: "apps", version: "v1", kind: "DaemonSet", plural: "daemonsets" },
    Kind { group: "batch", version: "v1", kind: "CronJob", plural: "cronjobs" },
    Kind { group: "", version: "v1", kind: "ReplicationController", plural: "replicationcontrollers" },
    Kind { group: "apps.kruise.io", version: "v1alpha1", kind: "CloneSet", plural: "clonesets" },
    Kind { group: "apps.kruise.io", version: "v1beta1", kind: "StatefulSet", plural: "statefulsets" },
    Kind { group: "apps.kruise.io", version: "v1alpha1", kind: "DaemonSet", plural: "daemonsets" },
    Kind { group: "apps.kruise.io", version: "v1alpha1", kind: "AdvancedCronJob", plural: "advancedcronjobs" },
];

/// Containers of sets that are in each other's way, or in that of the pod's own: told of each set, and of the highest workload that the pod
/// comes from, as far as known. So there are as many events as there are sets and workloads, however many pods and Jobs come and go.
pub(super) fn conflicts(pod: Pod<'_, '_>, selected: &[Selected<'_>], conflicts: &[Conflict], snapshot: &Snapshot<'_>) -> Vec<Event> {
    // As it is with nearly every pod: nothing is made of names then.
    if conflicts.is_empty() {
        return Vec::new();
    }
    let namespace = pod.namespace;
    let controller = pod.meta.controller().map(|owner| Owner { uid: (*owner.uid).into(), ..budget_link::of(owner) });
    let workload = controller.and_then(|owner| lasting(&owner, namespace, snapshot));
    let whose = workload.as_ref().map_or_else(
        || format!("pods of namespace {namespace}"),
        |workload| format!("pods of {} {namespace}/{}", workload.kind.kind, workload.name),
    );
    let event = |about, note| Event { by: reporter::SIDECAR_SETS, about, is_warning: true, reason: "InjectionConflict", note };
    let of_one = |conflict: &Conflict| {
        let Conflict { set, text } = conflict;
        let uid = selected.iter().find(|one| one.set.name == *set).map(|one| one.set.uid.clone()).unwrap_or_default();
        let about = Target { kind: Kind::SIDECAR_SET, namespace: String::new(), name: set.clone(), uid };
        let of_workload = workload.clone().map(|workload| event(workload, format!("SidecarSet {set}: {text}")));
        [Some(event(about, format!("{whose}: {text}"))), of_workload].into_iter().flatten()
    };
    conflicts.iter().flat_map(of_one).collect()
}

/// The highest that lasts of a controller and all that is above it. A ReplicaSet that is not known lasts as little as a Job: it may be new,
/// and the next one of a Deployment would have an event of its own again.
fn lasting(owner: &Owner, namespace: &str, snapshot: &Snapshot<'_>) -> Option<Target> {
    let lineage = snapshot.lineage(namespace, owner);
    lineage.owners.iter().rev().find_map(|owner| {
        let kind = LASTING.into_iter().find(|kind| owner.is(kind.group, kind.kind))?;
        if kind.kind == "ReplicaSet" && snapshot.workload(namespace, owner).is_none() {
            return None;
        }
        Some(Target { kind, namespace: namespace.to_owned(), name: owner.name.to_string(), uid: owner.uid.to_string() })
    })
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
