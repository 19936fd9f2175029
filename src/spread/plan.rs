//! What is to be done about a spread: its counts, the costs of its pods, those that move on, those that were there before it.
//! (reference: `workloadspread.md` §8 to §10)

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    adaptive::{Judgement, is_closed, is_held, judge, waiting},
    adopt::metadata_patch,
    api::{SubsetStatus, WorkloadSpreadStatus},
    cost::{costs, quiet_at},
    count::{Count, count},
    group::{Groups, Subsets, group, is_stranger},
    index::Spread,
    keys::DELETION_COST,
    mark::Mark,
    picture::Picture,
    pod::Pod,
    tell,
};
use crate::plan::{Action, Event, Form, Kind, Patch, Plan, Target, Task, reporter};

/// How many costs are written by one plan. The next one has to wait for them, and with it the counts.
const COSTS: usize = 100;
/// How many pods are moved on by one plan.
const MOVES: usize = 20;
/// How many pods that were there before are taken in by one plan.
const ADOPTIONS: usize = 100;

/// What was found out about a spread.
#[derive(Debug)]
pub struct Found<'p> {
    /// Its pods by subset.
    pub groups: Groups<'p>,
    /// Over all revisions.
    pub all: Revision<'p>,
    /// Each revision that has pods, or that something is noted of.
    pub revisions: BTreeMap<&'p str, Revision<'p>>,
}

/// What was found out about one revision.
#[derive(Debug)]
pub struct Revision<'p> {
    /// Its pods and notes.
    pub count: Count,
    /// Whether its subsets are closed.
    pub judged: Vec<Judgement>,
    /// Its pods that wait too long for a node, by subset.
    pub failed: Vec<Vec<&'p Arc<Pod>>>,
    /// When something of it changes by itself.
    next: Option<Timestamp>,
}

/// What is counted elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pods that were given a place and did not come.
    pub lapsed: usize,
    /// Pods that are in no subset.
    pub astray: usize,
}

/// Whether a plan would drop what it must not on the word of the watch alone: the pods of the namespace have to be listed first.
pub fn needs_list(picture: &Picture, now: Timestamp) -> bool {
    is_list_needed(picture, &find(picture, now))
}

fn is_list_needed(picture: &Picture, found: &Found<'_>) -> bool {
    picture.listed_at.is_none() || found.revisions.values().any(|revision| revision.count.needs_list)
}

/// The pods that were not placed, and that may fit somewhere: what they and their nodes are like has to be found out.
pub fn strangers(picture: &Picture) -> impl Iterator<Item = &Arc<Pod>> {
    picture.pods.iter().filter(|pod| is_stranger(&picture.spread, pod) && !picture.fits.contains_key(&pod.uid))
}

/// The plan for a spread, what is counted elsewhere, and whether the pods have to be listed first: all from one look.
pub fn look(picture: &Picture, now: Timestamp) -> (Plan, Tally, bool) {
    let found = find(picture, now);
    (planned(picture, &found, now), tallied(&found), is_list_needed(picture, &found))
}

/// What is counted of a spread.
pub fn tally(picture: &Picture, now: Timestamp) -> Tally {
    tallied(&find(picture, now))
}

fn tallied(found: &Found<'_>) -> Tally {
    let lapsed = found.revisions.values().flat_map(|revision| &revision.count.missed).sum();
    Tally { lapsed, astray: found.groups.astray.iter().filter(|pod| pod.is_active()).count() }
}

/// The plan for a spread. Nothing is written about one that is being deleted.
pub fn plan(picture: &Picture, now: Timestamp) -> Plan {
    planned(picture, &find(picture, now), now)
}

fn planned(picture: &Picture, found: &Found<'_>, now: Timestamp) -> Plan {
    let spread = &*picture.spread;
    if spread.is_terminating {
        return Plan::default();
    }
    let status = status(picture, found, now);
    let mut plan = Plan { events: tell::events(picture, found), ..Plan::default() };
    if spread.rules.target.is_some() {
        let due = quiet_at(picture, now);
        // The places of those that are taken in have to be counted first: others may take them meanwhile.
        let is_stored = spread.has_status && status == spread.status;
        let adoptions = if is_stored { adoptions(picture, &found.groups) } else { Vec::new() };
        let costs = costs(picture, &found.groups);
        let moves = moves(spread, found);
        plan.events.extend(moved(spread, &moves));
        let later = due.filter(|_| !costs.is_empty());
        let is_cut = moves.len() > MOVES || adoptions.len() > ADOPTIONS || (later.is_none() && costs.len() > COSTS);
        plan.each.extend(moves.into_iter().take(MOVES).map(|(_, pod)| Task::of(delete(pod))));
        plan.each.extend(adoptions.into_iter().take(ADOPTIONS));
        plan.each.extend(costs.iter().take(if later.is_none() { COSTS } else { 0 }).map(|(pod, cost)| Task::of(priced(pod, *cost))));
        let next = found.all.next.into_iter().chain(found.revisions.values().filter_map(|revision| revision.next));
        let next = next.chain(later).chain(is_cut.then_some(now)).min();
        plan.again = next.map(|next| next.duration_since(now).max(SignedDuration::ZERO));
    }
    if !spread.has_status || status != spread.status {
        plan.status = Some(patch(spread, &status));
    }
    plan
}

/// The status that a spread should have at this moment.
pub fn status_of(picture: &Picture, now: Timestamp) -> WorkloadSpreadStatus {
    status(picture, &find(picture, now), now)
}

fn find(picture: &Picture, now: Timestamp) -> Found<'_> {
    let groups = group(picture);
    let stored = &picture.spread.status;
    let whole = together(&groups, picture.spread.rules.subsets.len());
    let all = revision(picture, &stored.subset_statuses, &[], &whole, now);
    let empty = Subsets::new();
    let names = stored.versioned_subset_statuses.keys().map(String::as_str).chain(groups.revisions.keys().copied());
    let revisions = names.map(|name| {
        let before = stored.versioned_subset_statuses.get(name).map(Vec::as_slice).unwrap_or_default();
        let pods = groups.revisions.get(name).unwrap_or(&empty);
        (name, revision(picture, before, &stored.subset_statuses, pods, now))
    });
    let revisions = revisions.collect();
    Found { groups, all, revisions }
}

/// The pods of all revisions.
fn together<'p>(groups: &Groups<'p>, subsets: usize) -> Subsets<'p> {
    (0..subsets).map(|index| groups.revisions.values().filter_map(|of| of.get(index)).flatten().copied().collect()).collect()
}

/// What was found out about one revision; `in_all` is what was said of the subsets in all of them.
fn revision<'p>(picture: &Picture, before: &[SubsetStatus], in_all: &[SubsetStatus], pods: &Subsets<'p>, now: Timestamp) -> Revision<'p> {
    let rules = &picture.spread.rules;
    let count = count(picture, before, pods, now);
    let mut found = Revision { next: count.next, count, judged: Vec::new(), failed: Vec::new() };
    for (index, subset) in rules.subsets.iter().enumerate() {
        let waiting = waiting(rules, index, pods.get(index).map(Vec::as_slice).unwrap_or_default(), now);
        let named = |known: &&SubsetStatus| known.name == subset.name;
        // What holds for the others holds for a revision that nothing is known of yet.
        let said = before.iter().find(named).filter(|known| !known.conditions.is_empty());
        let said = said.or_else(|| in_all.iter().find(named).filter(|known| is_held(known, now)));
        let judged = judge(rules, index, said, !waiting.failed.is_empty(), now);
        found.next = found.next.into_iter().chain(waiting.next).chain(judged.next).min();
        found.judged.push(judged);
        found.failed.push(waiting.failed);
    }
    found
}

impl Revision<'_> {
    fn subsets(&self) -> Vec<SubsetStatus> {
        let judged = self.judged.iter().map(|judged| judged.conditions.clone());
        self.count.subsets.iter().zip(judged).map(|(subset, conditions)| SubsetStatus { conditions, ..subset.clone() }).collect()
    }
}

fn status(picture: &Picture, found: &Found<'_>, now: Timestamp) -> WorkloadSpreadStatus {
    let spread = &*picture.spread;
    let (observed_generation, all) = (spread.generation, found.all.subsets());
    let astray = found.groups.astray.iter().filter(|pod| pod.is_active()).count();
    let summary = Some(tell::summary(picture, &all, astray)).filter(|line| !line.is_empty());
    // Of which workload the pods are is not said: what is known stays.
    if spread.rules.target.is_none() {
        return WorkloadSpreadStatus { observed_generation, summary, ..spread.status.clone() };
    }
    let is_kept = |subset: &SubsetStatus| {
        subset.replicas > 0 || !subset.creating_pods.is_empty() || !subset.deleting_pods.is_empty() || is_held(subset, now)
    };
    let arrays = found.revisions.iter().map(|(name, revision)| (*name, revision.subsets()));
    let kept = arrays.filter(|(name, subsets)| found.groups.revisions.contains_key(name) || subsets.iter().any(is_kept));
    let versioned_subset_statuses = kept.map(|(name, subsets)| (name.to_owned(), subsets)).collect();
    let counted = spread.status.counted;
    WorkloadSpreadStatus { observed_generation, summary, counted, subset_statuses: all, versioned_subset_statuses }
}

/// The write of a status: on the version of the spread that it was made from, and on no other. A place that somebody has taken since is
/// in none of the counts, and would be given away once more.
fn patch(spread: &Spread, status: &WorkloadSpreadStatus) -> Patch {
    let before = &spread.status;
    let mut members = Map::new();
    let mut put = |name: &str, is_changed: bool, value: Value| {
        if is_changed || !spread.has_status {
            members.insert(name.to_owned(), value);
        }
    };
    put("observedGeneration", before.observed_generation != status.observed_generation, json!(status.observed_generation));
    put("counted", true, json!(before.counted.saturating_add(1)));
    put("summary", before.summary != status.summary, json!(status.summary));
    put("subsetStatuses", before.subset_statuses != status.subset_statuses, json!(status.subset_statuses));
    let (known, arrays) = (&before.versioned_subset_statuses, &status.versioned_subset_statuses);
    let gone = known.keys().filter(|name| !arrays.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = arrays.iter().filter(|(name, array)| known.get(*name) != Some(array)).map(|(name, array)| (name.clone(), json!(array)));
    let difference: Map<String, Value> = gone.chain(changed).collect();
    if !difference.is_empty() {
        members.insert("versionedSubsetStatuses".to_owned(), difference.into());
    }
    let body = json!({"metadata": {"resourceVersion": &*spread.resource_version, "uid": &*spread.uid}, "status": members});
    Patch { target: target(spread), sub_resource: "status", form: Form::Merge, body }
}

/// The spread, for requests and events.
pub fn target(spread: &Spread) -> Target {
    Target { kind: Kind::SPREAD, namespace: spread.namespace.to_string(), name: spread.name.to_string(), uid: spread.uid.to_string() }
}

fn target_of(pod: &Pod) -> Target {
    Target { kind: Kind::POD, namespace: pod.namespace.to_string(), name: pod.name.to_string(), uid: pod.uid.to_string() }
}

/// The pods that are made anew elsewhere. Not before it is stored that their subset is closed: they would come back to it.
fn moves<'p>(spread: &Spread, found: &Found<'p>) -> Vec<(usize, &'p Arc<Pod>)> {
    let is_stored = |subsets: &[SubsetStatus], index: usize| {
        let name = spread.rules.subsets.get(index).map(|subset| &subset.name);
        subsets.iter().any(|subset| Some(&subset.name) == name && is_closed(subset))
    };
    let mut moves = Vec::new();
    for (name, revision) in &found.revisions {
        let stored = spread.status.versioned_subset_statuses.get(*name).map(Vec::as_slice).unwrap_or_default();
        for (index, failed) in revision.failed.iter().enumerate() {
            if is_stored(stored, index) && is_stored(&spread.status.subset_statuses, index) {
                moves.extend(failed.iter().map(|pod| (index, *pod)));
            }
        }
    }
    moves
}

fn moved(spread: &Spread, moves: &[(usize, &Arc<Pod>)]) -> Vec<Event> {
    let of = |(index, subset): (usize, &Arc<super::api::Subset>)| {
        let note = format!("pods of subset {:?} that find no node are deleted, to be made anew in the next one", subset.name);
        let event = Event { by: reporter::SPREADS, about: target(spread), is_warning: false, reason: "PodsMoved", note };
        moves.iter().any(|(of, _)| *of == index).then_some(event)
    };
    spread.rules.subsets.iter().enumerate().filter_map(of).collect()
}

/// Of this version only: one that has found a node meanwhile stays.
fn delete(pod: &Pod) -> Action {
    Action::Delete { target: target_of(pod), resource_version: pod.resource_version.to_string() }
}

/// The marks of pods that were there before the spread.
fn adoptions(picture: &Picture, groups: &Groups<'_>) -> Vec<Task> {
    let spread = &*picture.spread;
    let adoption = |(pod, index): &(&Arc<Pod>, usize)| {
        let subset = spread.rules.subsets.get(*index)?;
        let mark = Mark { spread: Arc::clone(&spread.name), subset: subset.name.as_str().into(), uid: "".into() };
        let mut body = metadata_patch(subset, spread.rules.leaves_metadata, &mark);
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("uid".to_owned(), (&*pod.uid).into());
        }
        Some(Task::of(Action::Patch(Patch { target: target_of(pod), sub_resource: "", form: Form::Strategic, body })))
    };
    groups.adopted.iter().filter_map(adoption).collect()
}

fn priced(pod: &Pod, cost: i64) -> Action {
    let body = json!({"metadata": {"uid": &*pod.uid, "annotations": {DELETION_COST: cost.to_string()}}});
    Action::Patch(Patch { target: target_of(pod), sub_resource: "", form: Form::Strategic, body })
}

#[cfg(test)]
mod tests;
