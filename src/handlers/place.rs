//! Where a new pod is placed: which spread is about it, and what has to be known or taken for that.
//! (reference: `workloadspread.md` §4.3, §5.1 to §5.3)
//!
//! Beside the reference: only spreads whose filter selects the pod are looked at, once each; of several the eldest has it. An owner that
//! is not known is asked for before a pod is refused. A dry run is placed as well, and nothing is taken.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{
    admission::{
        ask::{Answer, Question},
        reason::Reason,
        verdict::Denial,
    },
    base::{
        hash::uuid,
        interned::Interner,
        pod::Meta,
        strategic_merge::{self, POD},
        workload::{Owner, Wire},
    },
    spread::{
        api::Subset,
        choose::by_ordinal,
        claim::{Newcomer, Place, Take, Want},
        index::{Spread, Target},
        inject::is_injected,
        keys::MATCHED,
        mark::Mark,
        pod::revision,
    },
    state::Snapshot,
};

/// How many owners above each other are followed; nobody builds so high.
const HIGHEST: usize = 8;

/// What is said of the place of a pod.
#[derive(Debug)]
pub enum Placing {
    /// No spread is about it.
    Free,
    /// A spread is about it, but has no place for it.
    Nowhere,
    /// Here.
    In(Arc<Subset>, Mark),
    /// It has to be taken.
    Claim(Take),
    /// It has to be known first.
    Ask(Question),
    /// It cannot be made.
    Refused(Denial),
}

/// What was learned of objects that are not mirrored, by group, kind and name; `None` if there is no such object.
pub type Learned = BTreeMap<[String; 3], Option<Value>>;

/// A pod that is being made, as far as its place goes.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a, 'm> {
    /// Its metadata.
    pub meta: &'m Meta<'a>,
    /// All of it.
    pub object: &'a RawValue,
    /// Its namespace.
    pub namespace: &'m str,
    /// The review's own id, and when it is decided: together unlike all others.
    pub review: (&'m str, Timestamp),
}

/// What of a pod's life is looked at.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Life {
    metadata: Going,
    status: Phase,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Going {
    deletion_timestamp: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Phase {
    phase: Option<Value>,
}

/// The place of a pod, as far as it is known without taking it.
pub fn placing(pod: Arrival<'_, '_>, learned: &Learned, snapshot: &Snapshot<'_>) -> Placing {
    if !snapshot.gates.spreads || !snapshot.spreads.is_any_in(pod.namespace) {
        return Placing::Free;
    }
    let Some(controller) = pod.meta.controller() else { return Placing::Free };
    let mut spreads: Vec<_> = snapshot.spreads.of_namespace(pod.namespace).filter(|spread| selects(spread, pod.meta)).collect();
    if spreads.is_empty() || has_ended(pod.object) {
        return Placing::Free;
    }
    spreads.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
    let (group, version) = controller.api_version.split_once('/').unwrap_or(("", &controller.api_version));
    let (kind, name) = (&*controller.kind, &*controller.name);
    // Whoever makes a pod of an owner that was made anew means the new one.
    let owner = Owner { group: group.into(), version: version.into(), kind: kind.into(), name: name.into(), uid: "".into() };
    match belonging(&owner, &spreads, pod.namespace, learned, snapshot) {
        Ok(Some(spread)) => in_spread(pod, &owner, spread, learned, snapshot),
        Ok(None) => Placing::Free,
        Err(open) => *open,
    }
}

fn selects(spread: &Spread, meta: &Meta<'_>) -> bool {
    !spread.is_terminating && spread.rules.target.is_some() && spread.rules.selects(&meta.labels)
}

/// Whether the pod says that it is over before it began.
fn has_ended(object: &RawValue) -> bool {
    let life: Life = serde_json::from_str(object.get()).unwrap_or_default();
    let phase = life.status.phase.as_ref().and_then(Value::as_str).unwrap_or_default();
    life.metadata.deletion_timestamp.is_some() || matches!(phase, "Succeeded" | "Failed")
}

/// The spread that a pod of this owner belongs to: the first in their order whose target is the owner or stands above it.
fn belonging<'s>(
    owner: &Owner,
    spreads: &[&'s Arc<Spread>],
    namespace: &str,
    learned: &Learned,
    snapshot: &Snapshot<'_>,
) -> Result<Option<&'s Arc<Spread>>, Box<Placing>> {
    let is_of = |spread: &Spread, owner: &Owner| spread.rules.target.as_ref().is_some_and(|target| target.is(owner));
    let (mut chain, mut next) = (Vec::<Owner>::new(), Some(owner.clone()));
    while let Some(owner) = next.take().filter(|owner| chain.len() < HIGHEST && is_walkable(owner, snapshot)) {
        let is_found = spreads.iter().any(|spread| is_of(spread, &owner) || chain.iter().any(|below| is_of(spread, below)));
        next = match above(&owner, namespace, learned, snapshot) {
            Above::Known(above) => above,
            // Nothing stands above it that matters, or something below it was meant already.
            _ if is_found || !may_matter(&owner, spreads) => None,
            Above::Open(question) => return Err(Box::new(Placing::Ask(question))),
            Above::Gone => return Err(Box::new(Placing::Refused(missing(&owner)))),
        };
        chain.push(owner);
    }
    Ok(spreads.iter().find(|spread| chain.iter().any(|owner| is_of(spread, owner))).copied())
}

/// What stands above an owner.
enum Above {
    Known(Option<Owner>),
    Gone,
    Open(Question),
}

fn above(owner: &Owner, namespace: &str, learned: &Learned, snapshot: &Snapshot<'_>) -> Above {
    if let Some(workload) = snapshot.workload(namespace, owner) {
        return Above::Known(workload.controller.clone().map(|above| Owner { uid: "".into(), ..above }));
    }
    let key = [&owner.group, &owner.kind, &owner.name].map(ToString::to_string);
    match learned.get(&key) {
        Some(Some(object)) => {
            let wire: Wire = serde_json::from_value(object.clone()).unwrap_or_default();
            let owners = wire.metadata.owner_references.unwrap_or_default();
            Above::Known(Owner::controller(&owners, &mut Interner::default()).map(|above| Owner { uid: "".into(), ..above }))
        }
        Some(None) => Above::Gone,
        None => Above::Open(question(owner, namespace)),
    }
}

fn question(owner: &Owner, namespace: &str) -> Question {
    let [group, kind, name] = [&owner.group, &owner.kind, &owner.name].map(ToString::to_string);
    Question::Object { group, kind, namespace: namespace.to_owned(), name }
}

/// Whether pods of such an owner may be a spread's.
fn is_walkable(owner: &Owner, snapshot: &Snapshot<'_>) -> bool {
    let known = [
        ("apps", "ReplicaSet"),
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("batch", "Job"),
        ("apps.kruise.io", "CloneSet"),
        ("apps.kruise.io", "StatefulSet"),
    ];
    known.contains(&(&owner.group, &owner.kind)) || snapshot.spread_whitelist.is_walkable(&owner.group, &owner.kind)
}

/// Whether a target may stand above an owner: a Deployment above a ReplicaSet, and kinds that somebody has listed anywhere.
fn may_matter(owner: &Owner, spreads: &[&Arc<Spread>]) -> bool {
    let is_listed = |kind: &str| !["Deployment", "ReplicaSet", "StatefulSet", "Job", "CloneSet"].contains(&kind);
    let may_stand_above = |kind: &str| is_listed(kind) || (kind == "Deployment" && owner.is("apps", "ReplicaSet"));
    is_listed(&owner.kind) || spreads.iter().filter_map(|spread| spread.rules.target.as_ref()).any(|target| may_stand_above(&target.kind))
}

fn missing(owner: &Owner) -> Denial {
    let kind = if owner.group.is_empty() { owner.kind.to_string() } else { format!("{}.{}", owner.kind, owner.group) };
    Denial::forbidden(format!("{kind} {:?} not found", owner.name)).because(Reason::NotFound)
}

/// The place in the spread that a pod belongs to.
fn in_spread(pod: Arrival<'_, '_>, owner: &Owner, spread: &Arc<Spread>, learned: &Learned, snapshot: &Snapshot<'_>) -> Placing {
    let mark = |subset: &Subset| Mark { spread: Arc::clone(&spread.name), subset: subset.name.as_str().into(), uid: "".into() };
    let here = |subset: &Arc<Subset>| Placing::In(Arc::clone(subset), mark(subset));
    if spread.rules.keeps_no_books() {
        return spread.rules.subsets.first().map_or(Placing::Nowhere, here);
    }
    if spread.rules.target.as_ref().is_some_and(Target::is_stateful) {
        return by_ordinal(spread, &pod.meta.name).map_or(Placing::Nowhere, here);
    }
    let old = pod.meta.annotation(MATCHED).and_then(Mark::read).filter(|old| old.spread == spread.name).unwrap_or_default();
    let value = || serde_json::from_str::<Value>(pod.object.get()).unwrap_or_default();
    // The second time that the API server asks about one pod. Where nothing is noted, the pod itself is all there is to tell it by.
    let again = spread.rules.subset(&old.subset).filter(|subset| subset.max_replicas.is_none() && old.uid.is_empty());
    if let Some(subset) = again.filter(|subset| is_injected(&value(), subset, &old)) {
        return here(subset);
    }
    let revision = revision(&pod.meta.labels, Some(owner));
    let total = match total(spread, revision, pod.namespace, learned, snapshot) {
        Ok(total) => total,
        Err(question) => return Placing::Ask(*question),
    };
    let misfits = misfits(spread, value);
    let newcomer = Newcomer { name: (*pod.meta.name).into(), id: id(pod.review), noted_as: old.uid, misfits };
    let (namespace, spread) = (Arc::clone(&spread.namespace), Arc::clone(&spread.name));
    Placing::Claim(Take { namespace, spread, revision: revision.into(), total, want: Want::Place(newcomer) })
}

/// Under what a pod without a name is noted. The API server makes a new id for each review; recorded reviews may share one.
fn id((review, now): (&str, Timestamp)) -> Arc<str> {
    uuid(&format!("{review} {}", now.as_nanosecond())).into()
}

/// Subsets whose patch cannot be merged into the pod: it takes no place there. What comes out of it is looked at when it has its place.
fn misfits(spread: &Spread, pod: impl Fn() -> Value) -> Vec<(Arc<str>, Denial)> {
    let mut patched = spread.rules.subsets.iter().filter_map(|subset| Some((subset, subset.patch.as_ref()?.as_object()?))).peekable();
    let Some(Value::Object(pod)) = patched.peek().is_some().then(pod) else { return Vec::new() };
    let misfit = |(subset, patch): (&Arc<Subset>, &Map<String, Value>)| {
        let problem = strategic_merge::merge(&mut pod.clone(), patch.clone(), POD).err()?;
        let denial = Denial::forbidden(format!("subset {:?}: patch: {problem}", subset.name)).because(Reason::PlaceMisfit);
        Some((subset.name.as_str().into(), denial))
    };
    patched.filter_map(misfit).collect()
}

/// How many pods there should be, where that has to be known: a revision is new to the spread, and limits are percentages.
fn total(
    spread: &Spread,
    revision: &str,
    namespace: &str,
    learned: &Learned,
    snapshot: &Snapshot<'_>,
) -> Result<Option<i32>, Box<Question>> {
    let is_known = spread.status.versioned_subset_statuses.get(revision).is_some_and(|array| !array.is_empty());
    let Some(target) = spread.rules.target.as_ref().filter(|_| spread.rules.has_percentages()) else { return Ok(None) };
    if let Some(total) = snapshot.total_of(spread) {
        return Ok(Some(total));
    }
    let owner = target.owner();
    let key = [&owner.group, &owner.kind, &owner.name].map(ToString::to_string);
    match learned.get(&key) {
        Some(object) => Ok(Some(object.as_ref().map_or(0, |object| snapshot.total_in(spread, object)))),
        None if is_known => Ok(None),
        None => Err(Box::new(question(&owner, namespace))),
    }
}

/// What a pod that goes gives back; `None` if it has no place that is counted. (reference: `workloadspread.md` §6)
pub fn returned(pod: &crate::base::observed::Wire, namespace: &str, snapshot: &Snapshot<'_>) -> Option<Take> {
    let mark = pod.annotation(MATCHED).and_then(Mark::read)?;
    let spread = snapshot.spreads.get(namespace, &mark.spread).filter(|_| snapshot.gates.spreads && snapshot.gates.pod_webhook)?;
    let pod = crate::spread::pod::Pod::read(pod, &mut Interner::default());
    let owner = pod.controller.as_deref().filter(|_| pod.is_active())?;
    let is_stateful = spread.rules.target.as_ref().is_some_and(Target::is_stateful);
    if spread.rules.keeps_no_books() || is_stateful {
        return None;
    }
    let revision = revision(&pod.labels, Some(owner)).into();
    let want = Want::Return { pod: Arc::clone(&pod.name), uid: (*pod.uid).into(), subset: mark.subset, counted: spread.status.counted };
    let (namespace, name) = (Arc::clone(&spread.namespace), Arc::clone(&spread.name));
    Some(Take { namespace, spread: name, revision, total: snapshot.total_of(spread), want })
}

/// What is said of a pod's place, when it was taken.
pub fn placed(take: &Take, place: Option<Place>, snapshot: &Snapshot<'_>) -> Placing {
    let spread = snapshot.spreads.get(&take.namespace, &take.spread);
    let Some(place) = place else { return if spread.is_some() { Placing::Nowhere } else { Placing::Free } };
    let subset = spread.and_then(|spread| spread.rules.subset(&place.subset));
    let mark = Mark { spread: Arc::clone(&take.spread), subset: place.subset, uid: place.uid };
    subset.map_or(Placing::Nowhere, |subset| Placing::In(Arc::clone(subset), mark))
}

/// Notes what was answered; says why nobody can tell, if so.
pub fn learn(question: &Question, answer: Answer, learned: &mut Learned) -> Result<(), String> {
    let Question::Object { group, kind, name, .. } = question else { return Ok(()) };
    let found = match answer {
        Answer::Found(text) => Some(serde_json::from_str(&text).map_err(|error| format!("{kind} {name:?}: {error}"))?),
        Answer::Absent => None,
        Answer::Unknown(why) => return Err(format!("{kind} {name:?}: {why}")),
        other => return Err(format!("{kind} {name:?}: an answer to another question: {other:?}")),
    };
    learned.insert([group.clone(), kind.clone(), name.clone()], found);
    Ok(())
}

#[cfg(test)]
mod tests;
