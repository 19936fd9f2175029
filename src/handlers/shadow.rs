//! What would have been done about a request by a server that only watches, beside another one that does it.
//!
//! The other one comes first: what it has made of an object is what is seen here. So a patch that would change nothing is the sign that
//! both agree. Injection never takes sidecars away, so what the other one did and we would not have done is looked for by the marks that
//! it leaves on new pods.

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{
    budget_link,
    place::{Arrival, Learned, Placing, placing},
    pod,
};
use crate::{
    admission::{
        review::Request,
        verdict::{Decision, Outcome},
    },
    base::pod::{MIRROR, Meta},
    budget::keys::RELATED,
    sidecarset::{inject::Pod, keys::INJECTED_LIST},
    spread::{keys::MATCHED, mark::Mark},
    state::Snapshot,
};

/// What would have been done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Would {
    /// Nothing: the object is as it would have been made.
    Allow,
    /// It would have been changed: by these operations, without their values.
    Patch(Vec<String>),
    /// Something was done to the pod that would not have been: what, each in a sentence.
    LeaveOut(Vec<String>),
    /// It would have been refused, with this message.
    Deny(String),
}

/// What the decision would have come to, on what is known at this moment. A pod that would have been changed is not looked at for what
/// would have been left out.
pub fn judged(request: &Request<'_>, decision: &Decision, snapshot: &Snapshot<'_>, now: Timestamp) -> Would {
    let edits = match &decision.outcome {
        Outcome::Deny(denial) => return Would::Deny(denial.message.clone()),
        Outcome::Allow(edits) => edits,
    };
    // What is written into an eviction is a mark that it was judged. It is not stored.
    let object = request.object.filter(|_| request.sub_resource != "eviction");
    let effects = object.map(|object| edits.effects(object)).unwrap_or_default();
    if !effects.is_empty() {
        return Would::Patch(effects);
    }
    let left_out = object.map(|object| left_out(request, object, snapshot, now)).unwrap_or_default();
    if left_out.is_empty() { Would::Allow } else { Would::LeaveOut(left_out) }
}

/// What the marks of a new pod say that would not have been done.
fn left_out(request: &Request<'_>, object: &RawValue, snapshot: &Snapshot<'_>, now: Timestamp) -> Vec<String> {
    let is_new_pod = request.operation == "CREATE" && request.sub_resource.is_empty() && request.resource.resource == "pods";
    let Some(meta) = Meta::read(object).ok().flatten().filter(|meta| is_new_pod && meta.annotation(MIRROR).is_none()) else {
        return Vec::new();
    };
    let namespace = if meta.namespace.is_empty() { &*request.namespace } else { &*meta.namespace };
    let pod = Pod { meta: &meta, object, namespace };
    let mut told = sets_left_out(pod, snapshot);
    if let Some(mark) = meta.annotation(MATCHED).and_then(Mark::read) {
        let arrival = Arrival { meta: &meta, object, namespace, review: (&request.uid, now) };
        if matches!(placing(arrival, &Learned::new(), snapshot), Placing::Free) {
            told.push(format!("WorkloadSpread {:?} has placed it in subset {:?}", mark.spread, mark.subset));
        }
    }
    if let Some(budget) = meta.annotation(RELATED).filter(|_| budget_link::chosen(pod, snapshot).is_none()) {
        told.push(format!("it is linked to PodUnavailableBudget {budget:?}"));
    }
    told
}

fn sets_left_out(pod: Pod<'_, '_>, snapshot: &Snapshot<'_>) -> Vec<String> {
    let Some(injected) = pod.meta.annotation(INJECTED_LIST) else { return Vec::new() };
    let selected = if snapshot.gates.pod_webhook { pod::names_of_selected(pod, snapshot) } else { Vec::new() };
    let unselected = injected.split(',').filter(|set| !set.is_empty() && !selected.iter().any(|name| name == set));
    unselected.map(|set| format!("SidecarSet {set:?} was injected")).collect()
}

#[cfg(test)]
mod tests;
