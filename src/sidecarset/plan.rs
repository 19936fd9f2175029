//! What is to be done about a set: its history, its status, and which of its pods are changed now. Pure, and made anew from
//! what is seen each time: nothing is remembered between two plans, so a restart or another leader goes on where this one was.
//! (`pkg/controller/sidecarset/sidecarset_processor.go`)

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    api::SidecarSetStatus,
    choose::{Candidate, Limits, take},
    condition,
    history::{Registration, Step, register},
    keys::CUSTOM_VERSION,
    member::Member,
    revision::Revision,
    rollout::Rollout,
    status::{self, Behind, Counts, Why},
    stuck::Stuck,
    tell, upgrade,
};
use crate::plan::{Action, Form, Kind, Patch, Plan, Target, Task};

/// Everything that a plan is made from.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The set.
    pub rollout: Arc<Rollout>,
    /// The pods that it selects and that it was injected into, in no order.
    pub members: Vec<Arc<Member>>,
    /// Its recorded revisions, and others that have names it might want, in any order.
    pub revisions: Vec<Arc<Revision>>,
}

/// What a plan depends on beside the picture.
pub struct Circumstances<'c> {
    /// The namespace where revisions are kept.
    pub own_namespace: &'c str,
    /// Whether the API server refused to change this pod a moment ago.
    pub is_refused: &'c dyn Fn(&Member) -> bool,
    /// Whether the API server lets images of native sidecars be changed in running pods, as far as known.
    pub may_change_native: bool,
    /// The present moment.
    pub now: Timestamp,
}

/// A pod, and what was found about it.
struct Found<'p> {
    member: &'p Arc<Member>,
    is_updated: bool,
    is_available: bool,
    /// It was updated in place before, so that it is down because of us if it is down.
    is_touched: bool,
    /// What ends its hot upgrade, if that has come so far.
    reset: Option<Action>,
    /// Why it is not to be updated, if it is behind.
    kept: Option<Why>,
}

/// The plan for a set.
pub fn plan(picture: &Picture, circumstances: &Circumstances<'_>) -> Plan {
    let rollout = &picture.rollout;
    if rollout.set.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut found = find(picture, circumstances);
    let registration = registered(picture, &found, circumstances.own_namespace);
    let now = circumstances.now;
    let mut plan = Plan::default();
    let mut behind = Behind::default();
    let mut problem = None;
    tell_what_is_upgradable(rollout, &found, circumstances, &mut plan);
    finish_hot_upgrades(&mut found, &mut plan);
    match chosen(rollout, &found, &mut behind) {
        Ok(chosen) => {
            let upgrade = |member: &Arc<Member>| upgrade::upgrade(member, rollout, &registration.latest, now);
            plan.each.extend(chosen.into_iter().map(|member| tell::if_refused(upgrade(member), member)));
        }
        Err(error) => problem = Some(error),
    }
    let counts = count(&found);
    let status = SidecarSetStatus {
        latest_revision: Some(registration.latest.clone()),
        collision_count: Some(registration.collision_count),
        ..status::status(&rollout.set, counts, &behind, problem.as_deref(), now)
    };
    plan.events.extend(tell::events(rollout, &behind, &status, [registration.overflow.as_deref(), problem.as_deref()]));
    let down = found.iter().filter(|pod| pod.is_touched && !pod.is_available).map(|pod| &**pod.member);
    let stuck = Stuck::find(rollout, down, now);
    plan.events.extend(stuck.event(rollout, behind.count(Why::MaxUnavailable) > 0));
    plan.again = stuck.next;
    write_history(rollout, registration, circumstances.own_namespace, &mut plan);
    plan.status = (rollout.set.status.as_ref() != Some(&status)).then(|| status_patch(rollout, &status));
    plan
}

/// The pods of the set, by namespace and name.
fn find<'p>(picture: &'p Picture, circumstances: &Circumstances<'_>) -> Vec<Found<'p>> {
    let rollout = &picture.rollout;
    let is_member = |member: &&Arc<Member>| member.pod.is_active() && member.has(rollout);
    let mut members: Vec<_> = picture.members.iter().filter(is_member).collect();
    members.sort_unstable_by(|a, b| (&a.pod.namespace, &a.pod.name).cmp(&(&b.pod.namespace, &b.pod.name)));
    let found = |member: &'p Arc<Member>| {
        let is_updated = member.is_updated(rollout);
        let reset = upgrade::reset(member, rollout, circumstances.now).filter(|_| !(circumstances.is_refused)(member));
        Found {
            member,
            is_updated,
            is_available: member.is_available(rollout),
            is_touched: is_updated || member.marks.state(&rollout.name).is_some(),
            kept: if is_updated { None } else { kept(member, rollout, circumstances, reset.is_some()) },
            reset,
        }
    };
    members.into_iter().map(found).collect()
}

/// Why an old pod is not to be updated, apart from how many may be.
fn kept(member: &Member, rollout: &Rollout, circumstances: &Circumstances<'_>, is_ending: bool) -> Option<Why> {
    let strategy = &rollout.set.spec.update_strategy;
    // A type that nobody knows is admitted with a warning and without a look at the rest of the strategy: nothing is done by it.
    if strategy.kind.as_deref() != Some("RollingUpdate") {
        Some(Why::NotUpdate)
    } else if rollout.leaves_out(&member.pod.labels) {
        Some(Why::NotSelected)
    } else if !member.is_upgradable(rollout) {
        Some(Why::NotUpgradable)
    } else if strategy.paused {
        Some(Why::Paused)
    } else if is_ending || !member.is_settled(rollout) {
        Some(Why::InFlight)
    } else if !circumstances.may_change_native && member.needs_native_change(rollout) {
        Some(Why::NativeRefused)
    } else if (circumstances.is_refused)(member) {
        Some(Why::Refused)
    } else {
        None
    }
}

fn count(found: &[Found<'_>]) -> Counts {
    let count = |which: fn(&Found<'_>) -> bool| found.iter().filter(|pod| which(pod)).count();
    Counts {
        matched: found.len(),
        updated: count(|pod| pod.is_updated),
        ready: count(|pod| pod.is_available),
        updated_ready: count(|pod| pod.is_updated && pod.is_available),
    }
}

/// The pods that are updated now, in order; all others that are behind are counted by what keeps them. Fails if the strategy cannot be
/// understood: then none is.
fn chosen<'p>(rollout: &Rollout, found: &[Found<'p>], behind: &mut Behind<'p>) -> Result<Vec<&'p Arc<Member>>, String> {
    let waiting: Vec<usize> = found.iter().enumerate().filter(|(_, pod)| !pod.is_updated && pod.kept.is_none()).map(|(at, _)| at).collect();
    for pod in found {
        if let Some(why) = pod.kept {
            behind.add(why, pod.member);
        }
    }
    let strategy = &rollout.set.spec.update_strategy;
    let selector = rollout.only.as_ref().and_then(|only| only.as_ref().err());
    let unreadable = selector.map(|error| format!("spec.updateStrategy.selector.{error}"));
    let limits = unreadable.map_or_else(|| Limits::of(strategy, found.len()).map_err(|error| error.to_string()), Err);
    let limits = match limits {
        Ok(limits) => limits,
        Err(problem) => {
            for pod in waiting.iter().filter_map(|at| found.get(*at)) {
                behind.add(Why::InvalidStrategy, pod.member);
            }
            return Err(problem);
        }
    };
    let limits = Limits {
        kept_back: found.iter().filter(|pod| pod.kept.is_some()).count(),
        unavailable: found.iter().filter(|pod| pod.is_touched && !pod.is_available).count(),
        ..limits
    };
    Ok(in_turn(rollout, found, waiting, &limits, behind))
}

/// Those of the waiting pods whose turn it is.
fn in_turn<'p>(
    rollout: &Rollout,
    found: &[Found<'p>],
    waiting: Vec<usize>,
    limits: &Limits,
    behind: &mut Behind<'p>,
) -> Vec<&'p Arc<Member>> {
    let of = |position: &usize| found.get(*position);
    let is_full = limits.partition == 0 && limits.unavailable >= limits.max_unavailable;
    // Most plans of a rollout find that nobody's turn has come: then the order does not matter.
    if is_full && waiting.iter().filter_map(of).all(|pod| pod.is_available) {
        waiting.iter().filter_map(of).for_each(|pod| behind.add(Why::MaxUnavailable, pod.member));
        return Vec::new();
    }
    let pods: Vec<_> = found.iter().map(|pod| &pod.member.pod).collect();
    let ordered = rollout.order.sort(&pods, waiting);
    let candidate = |position: &usize| Some(Candidate { position: *position, is_available: of(position)?.is_available });
    let candidates: Vec<_> = ordered.iter().filter_map(candidate).collect();
    let taken = take(&candidates, limits);
    let chosen: BTreeSet<usize> = taken.positions.iter().copied().collect();
    let first_held = ordered.len() - taken.held_by_partition;
    for (place, position) in ordered.iter().enumerate() {
        let Some(pod) = of(position) else { continue };
        let why = match (chosen.contains(position), place < first_held) {
            (true, _) => Why::Updating,
            (false, true) => Why::MaxUnavailable,
            (false, false) => Why::Partition,
        };
        behind.add(why, pod.member);
    }
    taken.positions.iter().filter_map(of).map(|pod| pod.member).collect()
}

/// A pod with two live twins is brought to rest, also while the rollout is paused: it takes no pod away.
fn finish_hot_upgrades(found: &mut [Found<'_>], plan: &mut Plan) {
    for pod in found {
        if let Some(action) = pod.reset.take() {
            plan.each.push(tell::with_reset_events(action, pod.member));
        }
    }
}

fn tell_what_is_upgradable(rollout: &Rollout, found: &[Found<'_>], circumstances: &Circumstances<'_>, plan: &mut Plan) {
    let says = |pod: &Found<'_>| match pod.kept {
        Some(Why::NotUpgradable) => Some(false),
        // What holds it back is no matter of whether it could be.
        Some(_) => pod.member.is_upgradable(rollout).then_some(true),
        None => pod.is_updated.then_some(true),
    };
    // Of two changes of one version of a pod, one is refused: this one can wait.
    for pod in found.iter().filter(|pod| pod.reset.is_none() && !(circumstances.is_refused)(pod.member)) {
        let says = says(pod);
        let action = says.and_then(|says| condition::record(pod.member, rollout, says, circumstances.now));
        if let Some(action) = action {
            let done = (says == Some(false)).then(|| tell::not_upgradable(rollout, pod.member));
            plan.each.push(Task { done, ..tell::if_refused(action, pod.member) });
        }
    }
}

fn registered(picture: &Picture, found: &[Found<'_>], own_namespace: &str) -> Registration {
    let set = &picture.rollout;
    // A pod that was injected before the revision was known notes only its content.
    let of_content = |hash: &str| {
        let same = picture.revisions.iter().filter(|revision| revision.hash.as_deref() == Some(hash));
        same.max_by_key(|revision| revision.number).map(|revision| &*revision.name)
    };
    let noted = found.iter().filter_map(|pod| pod.member.marks.note(&set.name));
    let in_use = noted.filter_map(|note| note.revision.as_deref().or_else(|| of_content(&note.hash))).collect();
    register(&set.set, &picture.revisions, &in_use, own_namespace)
}

/// What is recorded comes before anything that refers to it; what is pruned can wait, and may fail.
fn write_history(rollout: &Rollout, registration: Registration, namespace: &str, plan: &mut Plan) {
    let target =
        |name: &str| Target { kind: Kind::CONTROLLER_REVISION, namespace: namespace.to_owned(), name: name.to_owned(), uid: String::new() };
    let patch = |name: &str, resource_version: Option<String>, mut body: Value| {
        if let (Some(version), Some(members)) = (resource_version, body.as_object_mut()) {
            let metadata = members.entry("metadata").or_insert_with(|| json!({}));
            metadata.as_object_mut().map(|metadata| metadata.insert("resourceVersion".to_owned(), version.into()));
        }
        Action::Patch(Patch { target: target(name), sub_resource: "", form: Form::Merge, body })
    };
    for step in registration.steps {
        match step {
            Step::Create(body) => {
                let name = body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                plan.first.push(tell::if_not_recorded(Action::Create { target: target(name), body }, rollout));
            }
            Step::Renumber { name, resource_version, number } => {
                plan.first.push(tell::if_not_recorded(patch(&name, resource_version, json!({"revision": number})), rollout));
            }
            Step::Label { name, resource_version, custom_version } => {
                let labels = json!({"metadata": {"labels": {CUSTOM_VERSION: custom_version}}});
                plan.first.push(tell::if_not_recorded(patch(&name, resource_version, labels), rollout));
            }
            Step::Delete { name, resource_version, .. } => {
                let resource_version = resource_version.unwrap_or_default();
                plan.each.push(Task::of(Action::Delete { target: target(&name), resource_version }));
            }
        }
    }
}

fn status_patch(rollout: &Rollout, status: &SidecarSetStatus) -> Patch {
    let mut status = serde_json::to_value(status).unwrap_or_default();
    if let Some(members) = status.as_object_mut() {
        // What is not said any more has to be taken away in so many words.
        for member in ["observedGeneration", "updatedReadyPods", "latestRevision", "collisionCount"] {
            members.entry(member).or_insert(Value::Null);
        }
    }
    Patch { target: tell::target(rollout), sub_resource: "status", form: Form::Merge, body: json!({"status": status}) }
}

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
