//! Subsets in which pods find no nodes: closed for a while, and their pods made anew. (reference: `workloadspread.md` §10)
//!
//! Beside the reference: what is known of a subset holds for a revision that is new as well, and is not lost with a revision's last pod
//! (B39).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    api::SubsetStatus,
    index::Rules,
    keys::{SCHEDULABLE, UNSCHEDULABLE_FOR},
    pod::Pod,
};
use crate::base::observed::Phase;

/// Pods of it wait too long for a node.
pub const UNSCHEDULABLE: &str = "PodUnschedulable";
/// As far as known there are nodes.
pub const SUFFICIENT: &str = "Sufficient";

/// Pods of one subset that wait for a node.
#[derive(Debug, Default)]
pub struct Waiting<'p> {
    /// Those that have waited too long.
    pub failed: Vec<&'p Arc<Pod>>,
    /// When the next one has.
    pub next: Option<Timestamp>,
}

/// What is said of a subset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// It is closed since now.
    pub is_closed: bool,
    /// It was closed, and is so no longer.
    pub is_reopened: bool,
    /// When it is open again.
    pub next: Option<Timestamp>,
}

/// Whether pods of the subset of this index are moved on. Behind the last one there is nothing.
pub fn moves_on(rules: &Rules, index: usize) -> Option<SignedDuration> {
    let seconds = rules.adaptive.as_ref()?.reschedule_critical_seconds?;
    (index + 1 < rules.subsets.len()).then(|| SignedDuration::from_secs(i64::from(seconds)))
}

/// The pods of a subset that find no node.
pub fn waiting<'p>(rules: &Rules, index: usize, pods: &[&'p Arc<Pod>], now: Timestamp) -> Waiting<'p> {
    let (Some(patience), mut waiting) = (moves_on(rules, index), Waiting::default()) else { return Waiting::default() };
    let finds_none = |pod: &&&Arc<Pod>| !pod.is_terminating && pod.phase == Phase::Pending && pod.node.is_none() && pod.is_unschedulable;
    for pod in pods.iter().filter(finds_none) {
        let Some(until) = pod.created.and_then(|created| created.checked_add(patience).ok()) else { continue };
        if until < now {
            waiting.failed.push(pod);
        } else {
            let over = until.saturating_add(SignedDuration::from_millis(1)).unwrap_or(until);
            waiting.next = waiting.next.into_iter().chain([over]).min();
        }
    }
    waiting
}

/// What is to be said of a subset: `before` was said of it last, in the same revision or, where that is new, in all.
pub fn judge(rules: &Rules, index: usize, before: Option<&SubsetStatus>, has_failed: bool, now: Timestamp) -> Judgement {
    let others = before.into_iter().flat_map(|before| &before.conditions).filter(|condition| condition.type_ != SCHEDULABLE);
    let others: Vec<_> = others.cloned().collect();
    if rules.adaptive.is_none() {
        return Judgement { conditions: others, ..Judgement::default() };
    }
    let known = before.and_then(closed_or_not);
    let (is_closed, mut judgement) = judged(known, has_failed, moves_on(rules, index).is_some(), now);
    let mut said = condition(is_closed, now);
    if let Some(known) = known.filter(|known| known.status == said.status) {
        said = Condition { reason: said.reason, ..known.clone() };
    }
    judgement.conditions = others.into_iter().chain([said]).collect();
    judgement
}

fn judged(known: Option<&Condition>, has_failed: bool, may_close: bool, now: Timestamp) -> (bool, Judgement) {
    let was_closed = known.is_some_and(|known| known.status == "False");
    let until = known.filter(|_| was_closed && may_close).map(closed_until);
    let is_held = until.is_some_and(|until| now <= until);
    let is_closed = may_close && (has_failed || is_held);
    let next = until.filter(|_| !has_failed && is_held).map(|until| until.saturating_add(SignedDuration::from_millis(1)).unwrap_or(until));
    let judgement = Judgement { is_closed: is_closed && !was_closed, is_reopened: was_closed && !is_closed, next, ..Judgement::default() };
    (is_closed, judgement)
}

/// Whether a subset is closed, and not for longer than one is.
pub fn is_held(subset: &SubsetStatus, now: Timestamp) -> bool {
    closed_or_not(subset).is_some_and(|known| known.status == "False" && now <= closed_until(known))
}

/// Whether a subset is said to be closed.
pub fn is_closed(subset: &SubsetStatus) -> bool {
    closed_or_not(subset).is_some_and(|known| known.status == "False")
}

/// Until when a subset is closed, if it does not fail again.
pub fn closed_until(condition: &Condition) -> Timestamp {
    condition.last_transition_time.0.saturating_add(UNSCHEDULABLE_FOR).unwrap_or(Timestamp::MAX)
}

/// The condition that says whether a subset is closed.
pub fn closed_or_not(subset: &SubsetStatus) -> Option<&Condition> {
    subset.conditions.iter().find(|condition| condition.type_ == SCHEDULABLE)
}

fn condition(is_closed: bool, now: Timestamp) -> Condition {
    let (status, reason) = if is_closed { ("False", UNSCHEDULABLE) } else { ("True", SUFFICIENT) };
    Condition {
        type_: SCHEDULABLE.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        last_transition_time: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
        observed_generation: None,
    }
}

#[cfg(test)]
mod tests;
