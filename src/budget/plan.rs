//! What is to be done about a budget: its status, the links of its pods, and what is told. (reference: `pub.md` §9)

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Map, Value, json};

use super::{
    api::PodUnavailableBudgetStatus,
    count::{Count, count},
    desired::{AmountError, desired},
    keys::{ENFORCING, RELATED, RELATED_OLD},
    link::choose,
    picture::{Picture, Scale},
    records::Records,
    subject::Subject,
    tell::{self, Enforcing},
};
use crate::{
    base::workload::Owner,
    plan::{Action, Form, Kind, Patch, Plan, Target, Task},
};

/// How many pods are linked by one plan.
const LINKS: usize = 500;
/// What is not mirrored is asked for again after so many seconds.
const ASK_AGAIN: i64 = 30;
/// And after so many, if there was no answer.
const ASK_SOON: i64 = 3;

/// The workloads whose scale has to be asked for before a plan can be made.
pub fn wanted(picture: &Picture) -> Vec<Owner> {
    count(picture).pending.into_iter().cloned().collect()
}

/// The pods whose records are over although they are still there, as far as is known. What is known may be behind: before others may go
/// in their place, the API server has to say that it is so.
pub fn unsure(picture: &Picture, now: Timestamp) -> Vec<Arc<Subject>> {
    let Records { stayed, changed, .. } = records(picture, now);
    stayed.into_iter().chain(changed).collect()
}

fn records(picture: &Picture, now: Timestamp) -> Records {
    Records::kept(&picture.budget.status, &picture.recorded, &picture.behind, now)
}

/// What was found out about a budget.
struct Found<'p> {
    count: Count<'p>,
    records: Records,
    desired: Result<i32, AmountError>,
}

/// The plan for a budget. Nothing is written about one that is being deleted.
pub fn plan(picture: &Picture, now: Timestamp) -> Plan {
    let budget = &picture.budget;
    if budget.is_terminating {
        return Plan::default();
    }
    let found = find(picture, now);
    let enforcing = tell::enforcing(picture, &found.count, found.desired.as_ref().err());
    let status = status(picture, &found, &enforcing, now);
    let mut plan = Plan { each: links(picture, &found.count), ..Plan::default() };
    plan.events = tell::events(picture, &found.count, &found.records, &enforcing);
    plan.lapsed = found.records.stayed.len();
    plan.again = again(picture, &found, now).map(|at| at.duration_since(now));
    if !budget.has_status || status != budget.status {
        plan.status = Some(patch(picture, &status));
    }
    plan
}

/// The status that a budget should have at this moment.
pub fn status_of(picture: &Picture, now: Timestamp) -> PodUnavailableBudgetStatus {
    let found = find(picture, now);
    let enforcing = tell::enforcing(picture, &found.count, found.desired.as_ref().err());
    status(picture, &found, &enforcing, now)
}

fn find(picture: &Picture, now: Timestamp) -> Found<'_> {
    let count = count(picture);
    let desired = desired(&picture.budget.rules.need, &count);
    Found { count, records: records(picture, now), desired }
}

/// When the plan is to be made again if nothing happens.
fn again(picture: &Picture, found: &Found<'_>, now: Timestamp) -> Option<Timestamp> {
    let is_unanswered = found.count.unlearnt.is_some_and(|unlearnt| matches!(unlearnt.scale, Scale::Unanswered(_)));
    let seconds = if is_unanswered { ASK_SOON } else { ASK_AGAIN };
    let asked = found.count.is_asked.then(|| now.checked_add(SignedDuration::from_secs(seconds)).ok()).flatten();
    // A record is over behind its last moment.
    let over = found.records.next.and_then(|next| next.checked_add(SignedDuration::from_millis(1)).ok());
    let caught_up = (!picture.behind.is_empty()).then(|| now.checked_add(SignedDuration::from_secs(ASK_SOON)).ok()).flatten();
    asked.into_iter().chain(over).chain(caught_up).min()
}

fn status(picture: &Picture, found: &Found<'_>, enforcing: &Enforcing, now: Timestamp) -> PodUnavailableBudgetStatus {
    let Found { count, records, desired } = found;
    let current = count.pods.iter().filter(|pod| pod.is_available && !records.has(pod)).count();
    let current = i32::try_from(current).unwrap_or(i32::MAX);
    // What cannot be understood lets nobody go.
    let desired = desired.as_ref().copied().unwrap_or_else(|_| count.total.max(current));
    PodUnavailableBudgetStatus {
        observed_generation: picture.budget.generation,
        disrupted_pods: records.disrupted.clone(),
        unavailable_pods: records.unavailable.clone(),
        unavailable_allowed: current.saturating_sub(desired).max(0),
        current_available: current,
        desired_available: desired,
        total_replicas: count.total,
        conditions: conditions(picture, enforcing, now),
    }
}

/// The conditions: those of others stay.
fn conditions(picture: &Picture, enforcing: &Enforcing, now: Timestamp) -> Vec<Condition> {
    let budget = &picture.budget;
    let before = budget.status.conditions.iter().find(|condition| condition.type_ == ENFORCING);
    let status = if enforcing.is_so { "True" } else { "False" };
    let since = before.filter(|before| before.status == status).map(|before| before.last_transition_time.clone());
    let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let ours = Condition {
        type_: ENFORCING.to_owned(),
        status: status.to_owned(),
        reason: enforcing.reason.to_owned(),
        message: enforcing.message.clone(),
        last_transition_time: since.unwrap_or(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(whole)),
        observed_generation: budget.generation,
    };
    let others = budget.status.conditions.iter().filter(|condition| condition.type_ != ENFORCING);
    others.cloned().chain([ours]).collect()
}

/// The write of a status: on the version of the budget that it was made from, and on no other. A unit that somebody has taken since is
/// in none of the counts, and would be given away once more.
fn patch(picture: &Picture, status: &PodUnavailableBudgetStatus) -> Patch {
    let budget = &picture.budget;
    let before = &budget.status;
    let mut members = serde_json::to_value(status).unwrap_or_default();
    for (name, before, after) in [
        ("disruptedPods", &before.disrupted_pods, &status.disrupted_pods),
        ("unavailablePods", &before.unavailable_pods, &status.unavailable_pods),
    ] {
        let Some(members) = members.as_object_mut() else { continue };
        members.remove(name);
        members.extend(records_patch(before, after).map(|change| (name.to_owned(), change)));
    }
    let body = json!({"metadata": {"resourceVersion": budget.resource_version}, "status": members});
    Patch { target: target(picture), sub_resource: "status", form: Form::Merge, body }
}

/// What of the records changes: what is gone is null.
fn records_patch(before: &BTreeMap<String, Timestamp>, after: &BTreeMap<String, Timestamp>) -> Option<Value> {
    if after == before {
        return None;
    }
    if after.is_empty() {
        return Some(Value::Null);
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let moved = after.iter().filter(|(name, at)| before.get(*name) != Some(*at)).map(|(name, at)| (name.clone(), at.to_string().into()));
    Some(gone.chain(moved).collect::<Map<_, _>>().into())
}

/// The budget, for requests and events.
pub fn target(picture: &Picture) -> Target {
    let budget = &picture.budget;
    Target { kind: Kind::BUDGET, namespace: budget.namespace.to_string(), name: budget.name.to_string(), uid: budget.uid.to_string() }
}

/// The links of pods that were there before the budget, or whose budget is gone.
fn links(picture: &Picture, count: &Count<'_>) -> Vec<Task> {
    let unlinked = count.pods.iter().filter(|pod| is_to_be_linked(picture, pod));
    let owners = |pod: &Subject| -> Vec<Owner> {
        let family = picture.families.iter().find(|family| family.ancestors.first().map(|first| &first.owner) == pod.controller.as_deref());
        family.into_iter().flat_map(|family| &family.ancestors).map(|ancestor| ancestor.owner.clone()).collect()
    };
    let is_ours = |pod: &Subject| {
        // One that its scale selects is chosen by nobody else.
        pod.is_link_old && is_linked_to_us(picture, pod)
            || choose(&picture.budgets, &pod.labels, &owners(pod)).is_none_or(|chosen| chosen.name == picture.budget.name)
    };
    unlinked.filter(|pod| is_ours(pod)).take(LINKS).map(|pod| Task::of(link(picture, pod))).collect()
}

fn is_linked_to_us(picture: &Picture, pod: &Subject) -> bool {
    pod.link.as_ref() == Some(&picture.budget.name)
}

fn is_to_be_linked(picture: &Picture, pod: &Subject) -> bool {
    let Some(link) = &pod.link else { return true };
    let is_alive = picture.budgets.iter().any(|budget| budget.name == *link && !budget.is_terminating);
    !is_alive || (pod.is_link_old && is_linked_to_us(picture, pod))
}

fn link(picture: &Picture, pod: &Subject) -> Action {
    let (name, pod_target) = (&*picture.budget.name, tell::target_of(pod));
    let body = json!({"metadata": {"uid": &*pod.uid, "annotations": {RELATED: name, RELATED_OLD: name}}});
    Action::Patch(Patch { target: pod_target, sub_resource: "", form: Form::Strategic, body })
}
