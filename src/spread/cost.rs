//! How dear pods are to whoever chooses which of them go: those of the first subset stay the longest. (reference: `workloadspread.md` §9)
//!
//! Beside the reference: it is the controller of the pod that matters, not the kind of the target. Of equal pods the names decide (B37).
//! A bare ReplicaSet has the revision of its pods (B5); where the current revision is not known, all pods count as current (B7).

use std::{cmp::Ordering, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{group::Groups, index::limit, picture::Picture, pod::Pod};
use crate::base::observed::Phase;

/// What a step from one subset to the next is worth.
const STEP: i64 = 100;
/// How long no pod may have come before costs are written, in seconds. Times have no fractions: one second more than is meant.
const QUIET: SignedDuration = SignedDuration::from_secs(2);
/// How long they wait at most.
const LONGEST: SignedDuration = SignedDuration::from_secs(5);

/// The pods that say another cost than they have, with that: those first that it matters most for. A pod that says none counts as 0; so
/// if pods go in the middle of it, the right ones do.
pub fn costs<'p>(picture: &Picture, groups: &Groups<'p>) -> Vec<(&'p Arc<Pod>, i64)> {
    let mut costs = Vec::new();
    for (revision, subsets) in &groups.revisions {
        let is_old = picture.current.as_ref().is_some_and(|current| **current != **revision);
        for (index, pods) in subsets.iter().enumerate() {
            let most = picture.spread.rules.subsets.get(index).and_then(|subset| limit(subset, picture.total));
            costs.extend(of_subset(most, if is_old { subsets.len() - 1 - index } else { index }, subsets.len(), pods));
        }
    }
    let outside = -STEP.saturating_mul(number(picture.spread.rules.subsets.len()) + 1);
    costs.extend(groups.astray.iter().filter(|pod| pod.is_active()).map(|pod| (*pod, outside)));
    costs.retain(|(pod, cost)| is_heeded(pod) && pod.cost.as_deref() != Some(cost.to_string().as_str()));
    costs.sort_by_key(|(pod, cost)| (*cost < 0, if *cost < 0 { *cost } else { -*cost }, Arc::clone(&pod.name)));
    costs
}

/// Whether the controller of a pod looks at costs at all.
fn is_heeded(pod: &Pod) -> bool {
    pod.controller.as_ref().is_some_and(|owner| owner.is("apps", "ReplicaSet") || owner.is("apps.kruise.io", "CloneSet"))
}

/// The costs of the pods of a subset that is the `index`-th of so many, counted from the dearest.
fn of_subset<'p>(most: Option<i32>, index: usize, of: usize, pods: &[&'p Arc<Pod>]) -> Vec<(&'p Arc<Pod>, i64)> {
    let mut active: Vec<_> = pods.iter().copied().filter(|pod| pod.is_active()).collect();
    active.sort_by(|one, other| going(one, other));
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or_default());
    let extra = active.len().saturating_sub(most);
    let (dear, cheap) = (STEP * (number(of) - number(index)), -STEP * (number(index) + 1));
    active.into_iter().enumerate().map(|(place, pod)| (pod, if place < extra { cheap } else { dear })).collect()
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX / (2 * STEP))
}

/// Which of two pods goes first, as Kubernetes sees it. (`pkg/controller/controller_utils.go`, `ActivePods`)
fn going(one: &Pod, other: &Pod) -> Ordering {
    let is_assigned = |pod: &Pod| pod.node.is_some();
    let phase = |pod: &Pod| match pod.phase {
        Phase::Running => 2,
        Phase::Unknown => 1,
        Phase::Pending | Phase::Succeeded | Phase::Failed => 0,
    };
    let by_rank = |of: &dyn Fn(&Pod) -> (bool, i32, bool)| of(one).cmp(&of(other));
    by_rank(&|pod| (is_assigned(pod), phase(pod), pod.is_ready))
        .then_with(|| latest_first(one.ready_since, other.ready_since))
        .then_with(|| other.restarts.cmp(&one.restarts))
        .then_with(|| latest_first(one.created, other.created))
        .then_with(|| one.name.cmp(&other.name))
}

/// What has no time comes first.
fn latest_first(one: Option<Timestamp>, other: Option<Timestamp>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => other.cmp(&one),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

/// When costs may be written; `None` for at once. Each is a request, and while pods come these go before.
pub fn quiet_at(picture: &Picture, now: Timestamp) -> Option<Timestamp> {
    let arrays = picture.spread.status.versioned_subset_statuses.values().flatten();
    let noted = arrays.flat_map(|subset| subset.creating_pods.values().copied());
    let mut times: Vec<_> = picture.pods.iter().filter_map(|pod| pod.created).chain(noted).filter(|at| *at <= now).collect();
    times.sort_unstable_by(|one, other| other.cmp(one));
    let latest = *times.first()?;
    let mut begun = latest;
    for &at in times.iter().take_while(|at| latest.duration_since(**at) <= LONGEST) {
        if begun.duration_since(at) > QUIET {
            break;
        }
        begun = at;
    }
    let after = |at: Timestamp, wait| at.saturating_add(wait).unwrap_or(at);
    let due = after(latest, QUIET).min(after(begun, LONGEST));
    (now < due).then_some(due)
}

#[cfg(test)]
mod tests;
