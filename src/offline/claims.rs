//! Claims of a server without a cluster: the objects of the folder are what is taken from, in memory.

use std::sync::Arc;

use futures::FutureExt;
use jiff::Timestamp;
use parking_lot::RwLock;
use serde_json::{Value, json};

use super::files::Objects;
use crate::{
    admission::{
        self,
        claim::Taken,
        verdict::{Decision, Denial, Outcome},
    },
    budget::index::Budget,
    handlers::{Claim, Claims, Gain},
    server::http::Settled,
    spread::index::Spread,
    state::State,
};

/// An object that something was taken from, as it is now.
#[derive(Clone, Debug)]
pub enum Changed {
    /// A budget.
    Budget(Budget),
    /// A spread.
    Spread(Spread),
}

/// Settles claims on this picture, and shows in these objects what was taken.
pub fn settled(state: Arc<RwLock<State>>, objects: Objects, wall: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Settled {
    Arc::new(move |claims| {
        let (decision, changed) = settle(&mut state.write(), claims, wall());
        for changed in &changed {
            objects.write().iter_mut().for_each(|object| match changed {
                Changed::Budget(budget) => show(object, budget),
                Changed::Spread(spread) => show_spread(object, spread),
            });
        }
        futures::future::ready(decision).boxed()
    })
}

/// Takes what is claimed, all of it or nothing. Gives the decision, and what has changed.
pub fn settle(state: &mut State, claims: Claims, now: Timestamp) -> (Decision, Vec<Changed>) {
    let (gains, mut changed) = match tried(state, &claims, now) {
        Ok(tried) => tried,
        Err(denial) => return (Decision { outcome: Outcome::Deny(denial), ..Decision::default() }, Vec::new()),
    };
    if claims.is_dry_run {
        changed.clear();
    }
    for changed in &changed {
        match changed {
            Changed::Budget(budget) => state.replace_budget(budget.clone()),
            Changed::Spread(spread) => state.replace_spread(spread.clone()),
        }
    }
    (claims.settle(gains, &state.snapshot(), now), changed)
}

/// The decision if what is claimed were taken.
pub fn trial(state: &State, claims: Claims, now: Timestamp) -> Decision {
    match tried(state, &claims, now) {
        Ok((gains, _)) => claims.settle(gains, &state.snapshot(), now),
        Err(denial) => Decision { outcome: Outcome::Deny(denial), ..Decision::default() },
    }
}

/// What the claims give, and the objects as they would be then.
fn tried(state: &State, claims: &Claims, now: Timestamp) -> Result<(Vec<Gain>, Vec<Changed>), Denial> {
    let (mut changed, mut gains) = (Vec::new(), Vec::new());
    for claim in &claims.claims {
        gains.push(match claim {
            Claim::Budget(take) => {
                let known = state.snapshot().budgets.get(&take.namespace, &take.budget).cloned();
                taken(known, take, now, &mut changed, Changed::Budget)?;
                Gain::Unit
            }
            Claim::Spread(take) => {
                let known = state.snapshot().spreads.get(&take.namespace, &take.spread).cloned();
                Gain::Place(taken(known, take, now, &mut changed, Changed::Spread)?.flatten())
            }
        });
    }
    Ok((gains, changed))
}

/// What a claim gives; nothing if there is no object to take from.
fn taken<C: admission::claim::Claim<Object: Clone>>(
    known: Option<Arc<C::Object>>,
    claim: &C,
    now: Timestamp,
    changed: &mut Vec<Changed>,
    as_changed: fn(C::Object) -> Changed,
) -> Result<Option<C::Gain>, Denial> {
    let Some(known) = known else { return Ok(None) };
    let mut object = C::Object::clone(&known);
    match claim.take(&mut object, now) {
        Taken::Needless(gain) | Taken::Held(gain) => Ok(Some(gain)),
        // Nobody else changes anything.
        Taken::Stale => Ok(None),
        Taken::Taken(gain) => {
            changed.push(as_changed(object));
            Ok(Some(gain))
        }
        Taken::Refused(denial) => Err(denial),
    }
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

fn show_spread(object: &mut Value, spread: &Spread) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let is_it = text("/kind") == Some("WorkloadSpread")
        && text("/metadata/name") == Some(&*spread.name)
        && text("/metadata/namespace").unwrap_or("default") == &*spread.namespace;
    let Some(members) = object.as_object_mut().filter(|_| is_it) else { return };
    let status = members.entry("status").or_insert_with(|| json!({}));
    if let Some(status) = status.as_object_mut() {
        status.insert("versionedSubsetStatuses".to_owned(), json!(spread.status.versioned_subset_statuses));
    }
}
