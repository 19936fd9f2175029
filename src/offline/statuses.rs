//! What the reconcilers would say of a folder's objects: nobody reconciles a folder, but the plans can be asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    budget::{
        index::Budget,
        picture::{Picture, Scale},
        plan::{status_of, wanted},
    },
    sidecarset::plan::{Circumstances, plan},
    spread::{self, index::Spread},
    state::{Snapshot, State},
};

/// Gives budgets without a status the one that their reconciler would write: what guards pods looks at it.
pub(super) fn complete_budgets(state: &mut State, now: Timestamp) {
    let missing: Vec<_> = state.snapshot().budgets.all().filter(|budget| !budget.has_status && !budget.is_terminating).cloned().collect();
    for budget in missing {
        let Some(mut picture) = state.snapshot().picture_of_budget(&budget.namespace, &budget.name) else { continue };
        // There is nobody to ask: a folder has all that there is.
        let unknown: BTreeMap<_, _> = wanted(&picture).iter().map(|owner| (owner.coordinates(), Scale::UnknownKind)).collect();
        picture = Picture { scales: unknown, ..picture };
        // What has no version replaces what has one.
        let resource_version = Box::default();
        state.assume_budget(Budget { status: status_of(&picture, now), has_status: true, resource_version, ..Budget::clone(&budget) });
    }
}

/// Gives spreads without a status the one that their reconciler would write: places are given away by it.
pub(super) fn complete_spreads(state: &mut State, now: Timestamp) {
    let missing: Vec<_> = state.snapshot().spreads.all().filter(|spread| !spread.has_status && !spread.is_terminating).cloned().collect();
    for spread in missing {
        let Some(picture) = state.snapshot().picture_of_spread(&spread.namespace, &spread.name) else { continue };
        let status = spread::plan::status_of(&picture, now);
        state.replace_spread(Spread { status, has_status: true, ..Spread::clone(&spread) });
    }
}

/// Gives an object of ours that carries no status the one that its reconciler would write, where `now` is the present moment and
/// `own_namespace` the one where revisions are kept. One with a status keeps it, and other objects stay as they are.
pub(super) fn fill(object: &mut Value, snapshot: &Snapshot<'_>, own_namespace: &str, now: Timestamp) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/kind") == "PodUnavailableBudget" && text("/apiVersion").starts_with("policy.kruise.io/") {
        return fill_budget(object, snapshot);
    }
    if text("/kind") == "WorkloadSpread" && text("/apiVersion").starts_with("apps.kruise.io/") {
        return fill_spread(object, snapshot);
    }
    let is_set = text("/kind") == "SidecarSet" && text("/apiVersion").starts_with("apps.kruise.io/");
    let has_status = object.get("status").is_some_and(|status| !status.is_null());
    if !is_set || has_status {
        return;
    }
    let Some(picture) = snapshot.picture_of(text("/metadata/name")) else { return };
    let circumstances = Circumstances { own_namespace, is_refused: &|_| false, may_change_native: true, now };
    let Some(mut patch) = plan(&picture, &circumstances).status else { return };
    let Some(Value::Object(mut status)) = patch.body.get_mut("status").map(Value::take) else { return };
    // In a patch, what is null is taken away.
    status.retain(|_, value| !value.is_null());
    if let Some(members) = object.as_object_mut() {
        members.insert("status".to_owned(), Value::Object(status));
    }
}

/// Gives a budget that carries no status the one that is known.
fn fill_budget(object: &mut Value, snapshot: &Snapshot<'_>) {
    let known = whose(object).and_then(|[namespace, name]| snapshot.budgets.get(namespace, name)).filter(|budget| budget.has_status);
    let status = known.and_then(|budget| serde_json::to_value(&budget.status).ok());
    put_status(object, status);
}

/// Gives a spread that carries no status the one that is known.
fn fill_spread(object: &mut Value, snapshot: &Snapshot<'_>) {
    let known = whose(object).and_then(|[namespace, name]| snapshot.spreads.get(namespace, name)).filter(|spread| spread.has_status);
    let status = known.and_then(|spread| serde_json::to_value(&spread.status).ok());
    put_status(object, status);
}

/// Namespace and name of an object; where kubectl would put it, if it does not say.
fn whose(object: &Value) -> Option<[&str; 2]> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some([text("/metadata/namespace").unwrap_or("default"), text("/metadata/name")?])
}

fn put_status(object: &mut Value, status: Option<Value>) {
    let has_status = object.get("status").is_some_and(|status| !status.is_null());
    if let (Some(status), Some(members), false) = (status, object.as_object_mut(), has_status) {
        members.insert("status".to_owned(), status);
    }
}
