//! Claims of a server without a cluster: the objects of the folder are what is taken from, in memory.

use std::sync::Arc;

use futures::FutureExt;
use jiff::Timestamp;
use parking_lot::RwLock;
use serde_json::{Value, json};

use super::files::Objects;
use crate::{
    admission::{
        claim::{Claim as _, Taken},
        verdict::{Decision, Outcome},
    },
    budget::index::Budget,
    handlers::{Claim, Claims},
    server::http::Settled,
    state::State,
};

/// Settles claims on this picture, and shows in these objects what was taken.
pub fn settled(state: Arc<RwLock<State>>, objects: Objects, wall: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Settled {
    Arc::new(move |claims| {
        let (decision, changed) = settle(&mut state.write(), claims, wall());
        for budget in &changed {
            objects.write().iter_mut().for_each(|object| show(object, budget));
        }
        futures::future::ready(decision).boxed()
    })
}

/// Takes what is claimed, all of it or nothing. Gives the decision, and what has changed.
pub fn settle(state: &mut State, claims: Claims, now: Timestamp) -> (Decision, Vec<Budget>) {
    let Claims { claims, is_dry_run, decision } = claims;
    let mut changed = Vec::new();
    for Claim::Budget(take) in &claims {
        let Some(known) = state.snapshot().budgets.get(&take.namespace, &take.budget).cloned() else { continue };
        let mut budget = Budget::clone(&known);
        match take.take(&mut budget, now) {
            Taken::Needless => {}
            Taken::Taken => changed.push(budget),
            Taken::Refused(denial) => return (Decision { outcome: Outcome::Deny(denial), ..decision }, Vec::new()),
        }
    }
    if is_dry_run {
        changed.clear();
    }
    for budget in &changed {
        state.replace_budget(budget.clone());
    }
    (decision, changed)
}

/// Puts what was taken into the object that it was taken from.
fn show(object: &mut Value, budget: &Budget) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let is_it = text("/kind") == Some("PodUnavailableBudget")
        && text("/metadata/name") == Some(&*budget.name)
        && text("/metadata/namespace").unwrap_or("default") == &*budget.namespace;
    let Some(members) = object.as_object_mut().filter(|_| is_it) else { return };
    let status = members.entry("status").or_insert_with(|| json!({}));
    let Some(status) = status.as_object_mut() else { return };
    let records = [("disruptedPods", &budget.status.disrupted_pods), ("unavailablePods", &budget.status.unavailable_pods)];
    for (member, records) in records.into_iter().filter(|(_, records)| !records.is_empty()) {
        status.insert(member.to_owned(), json!(records));
    }
    status.insert("unavailableAllowed".to_owned(), json!(budget.status.unavailable_allowed));
}
