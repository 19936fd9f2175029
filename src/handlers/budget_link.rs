//! Links a new pod to the budget that guards it. (`pkg/webhook/pod/mutating/pod_unavailable_budget.go`)
//!
//! Nothing here stands in the way of a pod: one that is not linked now is linked by the reconciler before it matters.

use crate::{
    admission::edits::Edits,
    base::{pod, workload::Owner},
    budget::{
        index::Budget,
        keys::{RELATED, RELATED_OLD},
        link::choose,
    },
    sidecarset::inject::Pod,
    state::Snapshot,
};

/// Writes both annotations, whatever the pod's template says there.
pub fn add(pod: Pod<'_, '_>, snapshot: &Snapshot<'_>, edits: &mut Edits) {
    let Some(budget) = chosen(pod, snapshot) else { return };
    for key in [RELATED, RELATED_OLD] {
        if edits.annotation(key).or_else(|| pod.meta.annotation(key)) != Some(&*budget.name) {
            edits.set_annotation(key, budget.name.to_string());
        }
    }
}

/// The budget that the pod is to be linked to. A pod of a namespace without budgets costs one look.
pub(super) fn chosen<'s>(pod: Pod<'_, '_>, snapshot: &Snapshot<'s>) -> Option<&'s Budget> {
    let mut budgets = snapshot.budgets.of_namespace(pod.namespace).peekable();
    if budgets.peek().is_none() || !snapshot.gates.has_budgets() {
        return None;
    }
    let owners = pod.meta.controller().map(|owner| snapshot.workloads.owners(pod.namespace, &of(owner))).unwrap_or_default();
    choose(budgets, &pod.meta.labels, &owners).map(|budget| &**budget)
}

/// The controller of a pod, as workloads are known.
pub(super) fn of(owner: &pod::Owner<'_>) -> Owner {
    Owner {
        group: owner.group().into(),
        version: "".into(),
        kind: (*owner.kind).into(),
        name: (*owner.name).into(),
        // Whoever makes a pod of an owner that was made anew means the new one.
        uid: "".into(),
    }
}
