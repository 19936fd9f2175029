//! Places in subsets, taken by new pods and given back by those that go. (reference: `workloadspread.md` §5.3, §6)
//!
//! Beside the reference: everything is decided on the copy of the spread that is written, or that was read for the purpose; so a pod is
//! never told that there is no room where there is. A place is given back only if the pod was not left out of the count meanwhile. A pod
//! whose patch cannot be merged takes no place. What is given back by a subset that has more pods than it may is not room. Who comes for
//! a pod that was lost waits for its place ([`super::crew`]).
//!
//! A claim is stale if what it was made from does not hold: a pod that goes has to be looked at once more, and one that comes for one
//! that was lost has to be counted again in a moment.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    api::SubsetStatus,
    index::{Spread, limit},
    keys::{SCHEDULABLE, UNLIMITED},
};
use crate::admission::{
    claim::{Claim, Taken},
    verdict::Denial,
};

/// What a pod wants of a spread.
#[derive(Clone, Debug, PartialEq)]
pub struct Take {
    /// Namespace of spread and pod.
    pub namespace: Arc<str>,
    /// The spread.
    pub spread: Arc<str>,
    /// The revision that the pod is counted under.
    pub revision: Arc<str>,
    /// How many pods there should be, where that is known. Percentages are of this when the revision has no array yet.
    pub total: Option<i32>,
    /// What it wants.
    pub want: Want,
}

/// What a pod may want.
#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    /// A place.
    Place(Newcomer),
    /// To give back its place.
    Return {
        /// The pod.
        pod: Arc<str>,
        /// What tells it from others of its name.
        uid: Arc<str>,
        /// Where its place is.
        subset: Arc<str>,
        /// How often the pods had been counted when it was there for sure.
        counted: i64,
    },
}

/// A pod that is about to be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Newcomer {
    /// Its name; empty if the API server will choose one.
    pub name: Arc<str>,
    /// Under what it is noted if it has no name: unlike all others.
    pub id: Arc<str>,
    /// Under what it was noted when it came by before, as far as it says so itself; empty otherwise.
    pub noted_as: Arc<str>,
    /// Subsets whose patch does not fit it, and why.
    pub misfits: Vec<(Arc<str>, Denial)>,
}

/// A place in a subset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The subset.
    pub subset: Arc<str>,
    /// Under what the pod is noted that has no name; empty otherwise.
    pub uid: Arc<str>,
}

impl Claim for Take {
    type Object = Spread;
    /// `None`: the pod goes through as it is.
    type Gain = Option<Place>;

    fn take(&self, spread: &mut Spread, now: Timestamp) -> Taken<Option<Place>> {
        // As Kubernetes writes times.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        // Out of the status while it is looked at: thousands may be noted in it, and it is looked at for each pod.
        let known = spread.status.versioned_subset_statuses.remove(&*self.revision);
        let is_known = known.is_some();
        let initial = || spread.initial(self.total.unwrap_or_default());
        let mut array = known.filter(|array| !array.is_empty()).unwrap_or_else(initial);
        let taken = match &self.want {
            Want::Place(_) if spread.is_terminating => Taken::Needless(None),
            Want::Place(newcomer) => self.place(newcomer, spread, &mut array, now),
            Want::Return { pod, subset, counted, .. } => {
                let is_certain = *counted == spread.status.counted;
                self.give_back(spread, &mut array, ([pod, subset], is_certain), now)
            }
        };
        if is_known || matches!(taken, Taken::Taken(_)) {
            spread.status.versioned_subset_statuses.insert(self.revision.to_string(), array);
        }
        taken
    }
}

impl Newcomer {
    /// The place that it has already.
    fn noted(&self, array: &[SubsetStatus]) -> Option<Place> {
        let by_name =
            |subset: &&SubsetStatus| subset.creating_pods.contains_key(&*self.name) || subset.deleting_pods.contains_key(&*self.name);
        if !self.name.is_empty() {
            return array.iter().find(by_name).map(|subset| Place { subset: subset.name.as_str().into(), uid: "".into() });
        }
        let ids = [&self.noted_as, &self.id].into_iter().filter(|id| !id.is_empty());
        ids.into_iter().find_map(|id| {
            let subset = array.iter().find(|subset| subset.creating_pods.contains_key(&**id))?;
            Some(Place { subset: subset.name.as_str().into(), uid: Arc::clone(id) })
        })
    }
}

impl Take {
    fn place(&self, newcomer: &Newcomer, spread: &mut Spread, array: &mut [SubsetStatus], now: Timestamp) -> Taken<Option<Place>> {
        if let Some(place) = newcomer.noted(array) {
            // An id is noted once and for one pod. Of a name that is not so sure: it is read whether it still holds.
            return if newcomer.name.is_empty() { Taken::Held(Some(place)) } else { Taken::Needless(Some(place)) };
        }
        let has_room = |subset: &SubsetStatus| is_schedulable(subset) && self.room(spread, subset) != 0;
        let mut ahead = array.iter().take_while(|subset| !has_room(subset));
        // One of those that are noted ahead never comes: its place is the newcomer's, as soon as that is certain.
        if spread.crews.is_complete(&self.revision) && ahead.any(|subset| is_schedulable(subset) && !subset.creating_pods.is_empty()) {
            return Taken::Stale;
        }
        let Some(subset) = array.iter_mut().find(|subset| has_room(subset)) else { return Taken::Needless(None) };
        if let Some((_, denial)) = newcomer.misfits.iter().find(|(name, _)| **name == *subset.name) {
            return Taken::Refused(denial.clone());
        }
        let name: Arc<str> = subset.name.as_str().into();
        let room = self.room(spread, subset);
        spread.crews.add(&self.revision, room != UNLIMITED);
        if room == UNLIMITED {
            return Taken::Needless(Some(Place { subset: name, uid: "".into() }));
        }
        let is_nameless = newcomer.name.is_empty();
        let (key, uid) = if is_nameless { (&newcomer.id, Arc::clone(&newcomer.id)) } else { (&newcomer.name, "".into()) };
        subset.creating_pods.insert(key.to_string(), now);
        subset.missing_replicas = room - 1;
        Taken::Taken(Some(Place { subset: name, uid }))
    }

    /// How many places are left, as counted; of a percentage more, if the workload has grown since.
    fn room(&self, spread: &Spread, place: &SubsetStatus) -> i32 {
        let counted = place.missing_replicas;
        let subset = spread.rules.subset(&place.name).filter(|subset| matches!(subset.max_replicas, Some(IntOrString::String(_))));
        let Some((subset, total)) = subset.zip(self.total).filter(|_| counted != UNLIMITED) else {
            return if counted == UNLIMITED { UNLIMITED } else { counted.max(0) };
        };
        let most = limit(subset, total).unwrap_or_default();
        let left = i64::from(most).saturating_sub(remaining(place));
        counted.max(i32::try_from(left).unwrap_or_default()).max(0)
    }

    fn give_back(
        &self,
        spread: &Spread,
        array: &mut [SubsetStatus],
        ([pod, subset], is_certain): ([&Arc<str>; 2], bool),
        now: Timestamp,
    ) -> Taken<Option<Place>> {
        let is_noted = array.iter().any(|one| one.creating_pods.contains_key(&**pod) || one.deleting_pods.contains_key(&**pod));
        if is_noted {
            return Taken::Held(None);
        }
        if !is_certain {
            return Taken::Stale;
        }
        let Some(place) = array.iter_mut().find(|one| *one.name == **subset).filter(|one| one.missing_replicas != UNLIMITED) else {
            return Taken::Needless(None);
        };
        place.deleting_pods.insert(pod.to_string(), now);
        if !self.is_overfull(spread, place) {
            place.missing_replicas = place.missing_replicas.max(0).saturating_add(1);
        }
        Taken::Taken(None)
    }

    /// Whether a subset without room has as many pods as it may, or more, also without those that gave back their places.
    fn is_overfull(&self, spread: &Spread, place: &SubsetStatus) -> bool {
        let Some(subset) = spread.rules.subset(&place.name) else { return false };
        let most = match (&subset.max_replicas, self.total) {
            (Some(IntOrString::String(_)), None) | (None, _) => return false,
            (_, total) => limit(subset, total.unwrap_or_default()).unwrap_or(i32::MAX),
        };
        place.missing_replicas == 0 && remaining(place) >= i64::from(most)
    }
}

/// How many pods a subset has when all that are noted have come and gone.
fn remaining(place: &SubsetStatus) -> i64 {
    let count = |notes: usize| i64::try_from(notes).unwrap_or(i64::MAX);
    let stay = i64::from(place.replicas).saturating_sub(count(place.deleting_pods.len())).max(0);
    stay.saturating_add(count(place.creating_pods.len()))
}

/// Whether the pods of a subset find nodes, as far as known.
pub fn is_schedulable(subset: &SubsetStatus) -> bool {
    subset.conditions.iter().all(|condition| condition.type_ != SCHEDULABLE || condition.status != "False")
}

#[cfg(test)]
mod tests;
