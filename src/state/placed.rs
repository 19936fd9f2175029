//! Pods that spreads look at: those that say they were placed, and in namespaces that have spreads all that belong to something.
//!
//! A spread that is new to a namespace, or to this leader, has to know all pods that there are at that moment, however far the watch is
//! behind: one that is missed is room that is not there. So the pods of the namespace are listed for it ([`State::begin_listing`]), and
//! what the watch says meanwhile is held against the list: what is gone stays gone.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;

use super::State;
use crate::{
    base::{observed::is_newer, workload::Owner},
    spread::{
        picture::Departed,
        pod::{Pod, note_key},
    },
};

type Name = Arc<str>;
type Namespace = Arc<str>;
/// What a pod was, and what it is now; `None` where it is not there.
pub(super) type Change = [Option<Arc<Pod>>; 2];

/// How many pods that are gone are remembered in a namespace.
const DEPARTED: usize = 4096;

/// The pods that spreads look at.
#[derive(Debug, Default)]
pub struct Placed {
    by_namespace: HashMap<Namespace, Pods>,
    listings: Vec<Listing>,
    /// Namespaces of which all pods are known, and when the list of them was begun.
    listed: HashMap<Namespace, Timestamp>,
    last_listing: u64,
}

/// The pods of a namespace.
#[derive(Debug, Default)]
struct Pods {
    by_name: HashMap<Name, Arc<Pod>>,
    controlled: HashMap<Option<Arc<Owner>>, BTreeSet<Name>>,
    /// Those that are gone, the last ones: they may have come and gone between two looks at the notes of their spread.
    departed: VecDeque<(Arc<str>, Departed)>,
}

/// A list that is being made.
#[derive(Debug)]
struct Listing {
    id: u64,
    namespace: Namespace,
    /// What was deleted since it was begun: the name, and the uid where that is known.
    gone: Vec<(Name, Option<Arc<str>>)>,
    /// Everything was listed anew meanwhile: which of both is the later one is not known.
    is_void: bool,
}

impl Placed {
    /// The pod of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Pod>> {
        self.by_namespace.get(namespace)?.by_name.get(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_namespace.values().map(|pods| pods.by_name.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the last list of a namespace was begun since which all of its pods are known; `None` if they are not.
    pub fn listed_at(&self, namespace: &str) -> Option<Timestamp> {
        self.listed.get(namespace).copied()
    }

    /// The pods of a namespace by whose they are, each family in order of names.
    pub(super) fn families(&self, namespace: &str) -> impl Iterator<Item = (Option<&Arc<Owner>>, impl Iterator<Item = &Arc<Pod>>)> {
        self.by_namespace.get(namespace).into_iter().flat_map(|pods| {
            pods.controlled.iter().map(|(owner, names)| (owner.as_ref(), names.iter().filter_map(|name| pods.by_name.get(name))))
        })
    }

    /// Pods that a spread placed and that are gone.
    pub(super) fn departed(&self, namespace: &str, spread: &str) -> impl Iterator<Item = &Departed> {
        let all = self.by_namespace.get(namespace).into_iter().flat_map(|pods| &pods.departed);
        all.filter(move |(of, _)| **of == *spread).map(|(_, departed)| departed)
    }

    /// Takes in a pod as the API server has it. What is older than what is known is passed over. Returns what it was and is, if spreads
    /// look at anything of what has changed.
    pub(super) fn apply(&mut self, pod: Pod) -> Option<Change> {
        let known = self.get(&pod.namespace, &pod.name).cloned();
        if known.as_ref().is_some_and(|known| !is_newer(&pod.resource_version, &known.resource_version)) {
            return None;
        }
        let is_same = known.as_ref().is_some_and(|known| pod.is_same_to_spreads(known));
        let now = self.by_namespace.entry(Arc::clone(&pod.namespace)).or_default().put(pod, known.as_deref());
        (!is_same).then_some([known, Some(now)])
    }

    /// Takes in the answer to a request of ours. A pod that is gone by now stays gone.
    pub(super) fn assume(&mut self, pod: Pod) -> Option<Change> {
        let is_known = self.get(&pod.namespace, &pod.name).is_some_and(|known| known.uid == pod.uid);
        if is_known { self.apply(pod) } else { None }
    }

    /// Forgets a pod that was deleted, and holds it against the lists that are being made. With the uid of an earlier pod of its name
    /// nothing is forgotten: a list has shown the later one before the watch did.
    pub(super) fn delete(&mut self, namespace: &str, name: &str, uid: Option<&str>) -> Option<Change> {
        let known = self.get(namespace, name).map(|known| known.uid.clone());
        let gone = uid.map(Arc::from).or_else(|| known.clone());
        for listing in self.listings.iter_mut().filter(|listing| *listing.namespace == *namespace) {
            listing.gone.push((name.into(), gone.clone()));
        }
        if known == gone { self.forget(namespace, name) } else { None }
    }

    /// Forgets a pod.
    pub(super) fn forget(&mut self, namespace: &str, name: &str) -> Option<Change> {
        let pods = self.by_namespace.get_mut(namespace)?;
        let gone = pods.remove(name)?;
        Some([Some(gone), None])
    }

    /// These are all pods that the watch knows of; of one that is known in a later version, that stays. Which of them is behind of the
    /// lists that were made is not known: they have to be made anew.
    pub(super) fn reset(&mut self, all: Vec<Pod>) {
        let mut before = std::mem::take(&mut self.by_namespace);
        self.listed.clear();
        self.listings.iter_mut().for_each(|listing| listing.is_void = true);
        for pod in all {
            let known = before.get_mut(&pod.namespace).and_then(|pods| pods.by_name.remove(&pod.name));
            let known = known.filter(|known| is_newer(&known.resource_version, &pod.resource_version));
            let pod = known.map_or(pod, |known| Pod::clone(&known));
            self.by_namespace.entry(Arc::clone(&pod.namespace)).or_default().put(pod, None);
        }
        for (namespace, pods) in before {
            let mut departed = pods.departed;
            departed.extend(pods.by_name.values().filter_map(|pod| departure(pod)));
            if !departed.is_empty() {
                self.by_namespace.entry(namespace).or_default().departed = departed;
            }
        }
    }

    fn begin_listing(&mut self, namespace: &str) -> u64 {
        self.last_listing += 1;
        self.listings.push(Listing { id: self.last_listing, namespace: namespace.into(), gone: Vec::new(), is_void: false });
        self.last_listing
    }

    fn take_listing(&mut self, id: u64) -> Option<Listing> {
        let index = self.listings.iter().position(|listing| listing.id == id)?;
        Some(self.listings.swap_remove(index))
    }

    /// Of a namespace that has no spread any more only what was placed is kept.
    fn leave(&mut self, namespace: &str) {
        self.listed.remove(namespace);
        let Some(pods) = self.by_namespace.get_mut(namespace) else { return };
        let unplaced: Vec<_> = pods.by_name.values().filter(|pod| pod.mark.is_none()).map(|pod| Arc::clone(&pod.name)).collect();
        for name in unplaced {
            pods.remove(&name);
        }
    }
}

impl Listing {
    /// Whether the watch has said that this pod of the list was deleted.
    fn is_gone(&self, pod: &Pod) -> bool {
        self.gone.iter().any(|(name, uid)| *name == pod.name && uid.as_ref().is_none_or(|uid| *uid == pod.uid))
    }
}

/// What is remembered of a pod that is gone.
fn departure(pod: &Pod) -> Option<(Arc<str>, Departed)> {
    let mark = pod.mark.as_ref()?;
    Some((Arc::clone(&mark.spread), Departed { key: note_key(pod), created: pod.created }))
}

impl Pods {
    /// Files a pod, in place of what was known of it.
    fn put(&mut self, mut pod: Pod, known: Option<&Pod>) -> Arc<Pod> {
        if let Some(known) = known.filter(|known| known.controller != pod.controller) {
            self.unfile(known);
        }
        // Pods of one controller share what is known of it.
        if let Some((shared, _)) = self.controlled.get_key_value(&pod.controller) {
            pod.controller.clone_from(shared);
        }
        if let Some(known) = known.filter(|known| known.uid != pod.uid) {
            self.part(known);
        }
        self.controlled.entry(pod.controller.clone()).or_default().insert(Arc::clone(&pod.name));
        let pod = Arc::new(pod);
        self.by_name.insert(Arc::clone(&pod.name), Arc::clone(&pod));
        pod
    }

    fn remove(&mut self, name: &str) -> Option<Arc<Pod>> {
        let gone = self.by_name.remove(name)?;
        self.unfile(&gone);
        self.part(&gone);
        Some(gone)
    }

    fn part(&mut self, gone: &Pod) {
        self.departed.extend(departure(gone));
        while self.departed.len() > DEPARTED {
            self.departed.pop_front();
        }
    }

    fn unfile(&mut self, pod: &Pod) {
        if let Some(names) = self.controlled.get_mut(&pod.controller) {
            names.remove(&pod.name);
            if names.is_empty() {
                self.controlled.remove(&pod.controller);
            }
        }
    }
}

impl State {
    /// The pods of a namespace are about to be listed. [`State::end_listing`] or [`State::give_up_listing`] has to follow.
    pub fn begin_listing(&mut self, namespace: &str) -> u64 {
        self.placed.begin_listing(namespace)
    }

    /// These are the pods of the namespace, asked for at `at` or later. Those that the watch has yet to tell of are known from now on;
    /// those that it said were deleted meanwhile stay so. `false` if the list says nothing, and has to be made again.
    pub fn end_listing(&mut self, listing: u64, pods: Vec<Pod>, at: Timestamp) -> bool {
        let Some(listing) = self.placed.take_listing(listing) else { return false };
        if listing.is_void {
            return false;
        }
        for pod in pods.into_iter().filter(|pod| !listing.is_gone(pod)) {
            if self.is_placed(&pod) {
                let change = self.placed.apply(pod);
                self.touch_spreads_of_pod(&change.unwrap_or_default());
            }
        }
        if self.spreads.is_any_in(&listing.namespace) {
            self.placed.listed.insert(listing.namespace, at);
        }
        true
    }

    /// The list could not be made.
    pub fn give_up_listing(&mut self, listing: u64) {
        self.placed.take_listing(listing);
    }

    /// A pod was made or changed.
    pub(super) fn observe_placed(&mut self, [namespace, name]: [&str; 2], pod: Option<Pod>) {
        let change = match pod.filter(|pod| self.is_placed(pod)) {
            Some(pod) => self.placed.apply(pod),
            None => self.placed.forget(namespace, name),
        };
        self.touch_spreads_of_pod(&change.unwrap_or_default());
    }

    /// A pod as it is after a request of ours.
    pub(super) fn assume_placed(&mut self, pod: Option<Pod>) {
        let change = pod.and_then(|pod| self.placed.assume(pod));
        self.touch_spreads_of_pod(&change.unwrap_or_default());
    }

    /// A pod is gone.
    pub(super) fn delete_placed(&mut self, namespace: &str, name: &str, uid: Option<&str>) {
        let change = self.placed.delete(namespace, name, uid);
        self.touch_spreads_of_pod(&change.unwrap_or_default());
    }

    /// These are all pods that there are.
    pub(super) fn reset_placed(&mut self, pods: Vec<Pod>) {
        let placed = pods.into_iter().filter(|pod| self.is_placed(pod)).collect();
        self.placed.reset(placed);
        self.touch_all_spreads();
    }

    /// The last spread of a namespace may be gone.
    pub(super) fn leave_namespace_without_spreads(&mut self, namespace: &str) {
        if !self.spreads.is_any_in(namespace) {
            self.placed.leave(namespace);
        }
    }

    pub(super) fn is_placed(&self, pod: &Pod) -> bool {
        self.gates.spreads && (pod.mark.is_some() || pod.controller.is_some() && self.spreads.is_any_in(&pod.namespace))
    }

    /// A pod was something before and is something now: that makes work for the spreads that placed it, and for those of what it
    /// belongs to.
    fn touch_spreads_of_pod(&mut self, change: &Change) {
        if let [None, Some(pod)] = change {
            self.sent.arrived(pod);
        }
        let Some(namespace) = change.iter().flatten().next().map(|pod| Arc::clone(&pod.namespace)) else { return };
        if !self.spreads.is_any_in(&namespace) {
            return;
        }
        let lineage = |pod: &Arc<Pod>| pod.controller.as_ref().map(|owner| self.lineage(&namespace, owner)).unwrap_or_default();
        let versions: Vec<_> = change.iter().flatten().map(|pod| (Arc::clone(pod), lineage(pod))).collect();
        self.touch_spreads_in(&namespace, |spread| {
            let Some(target) = &spread.rules.target else { return false };
            versions.iter().any(|(pod, lineage)| {
                let is_marked = pod.mark.as_ref().is_some_and(|mark| mark.spread == spread.name);
                is_marked || !lineage.is_whole || lineage.owners.iter().any(|owner| target.is(owner))
            })
        });
    }
}

#[cfg(test)]
mod tests;
