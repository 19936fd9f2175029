//! How many places are left in each subset: from the pods that there are, and from the notes of those that come and go.
//! (reference: `workloadspread.md` §8.4)
//!
//! Beside the reference: the number of places is one formula, not a loop (B4), and never less than none. A note is not dropped because
//! its time is over as far as the watch knows; the pods have to have been listed since. Pods that came and went between two looks are
//! remembered, so that their notes do not have to lapse.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    api::{Subset, SubsetStatus},
    group::Subsets,
    index::limit,
    keys::{CREATING_FOR, DELETING_FOR, UNLIMITED},
    picture::Picture,
    pod::{Pod, note_key},
};

/// By how much the clock of a hook and that of an API server may differ.
const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_secs(10);
/// The same where a pod is more likely an earlier one of its name: it is gone, or about to go.
const CLOCKS_DIFFER_A_LITTLE: SignedDuration = SignedDuration::from_secs(2);

/// The notes of a subset.
type Notes = BTreeMap<String, Timestamp>;

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Count {
    /// The subsets, in the order of the spec, without conditions.
    pub subsets: Vec<SubsetStatus>,
    /// For each: how many pods were given a place and did not come.
    pub missed: Vec<usize>,
    /// For each: how many pods gave back their place and did not go.
    pub stayed: Vec<usize>,
    /// When a note is over, if none is looked at before.
    pub next: Option<Timestamp>,
    /// The time of a note is over, but the pods were not listed since.
    pub needs_list: bool,
}

/// Counts the subsets of one revision, or of all of them. `before` is what was counted last, and what was noted since.
pub fn count(picture: &Picture, before: &[SubsetStatus], pods: &Subsets<'_>, now: Timestamp) -> Count {
    let mut counting = Counting { picture, now, count: Count::default() };
    for (index, subset) in picture.spread.rules.subsets.iter().enumerate() {
        let before = before.iter().find(|before| before.name == subset.name);
        let status = counting.subset(subset, before, pods.get(index).map(Vec::as_slice).unwrap_or_default());
        counting.count.subsets.push(status);
    }
    counting.count
}

/// How many places are left, of `most`, where so many pods are there, so many of them give back their place, and so many are to come.
pub fn missing(most: Option<i32>, active: usize, deleting: usize, creating: usize) -> i32 {
    let Some(most) = most else { return UNLIMITED };
    let of = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let left = i64::from(most).saturating_sub(of(active).saturating_sub(of(deleting))).saturating_sub(of(creating));
    i32::try_from(left.clamp(0, i64::from(most.max(0)))).unwrap_or_default()
}

/// Counting, and what it is done with.
struct Counting<'p> {
    picture: &'p Picture,
    now: Timestamp,
    count: Count,
}

impl Counting<'_> {
    fn subset(&mut self, subset: &Subset, before: Option<&SubsetStatus>, pods: &[&Arc<Pod>]) -> SubsetStatus {
        let active: Vec<_> = pods.iter().filter(|pod| pod.is_active()).collect();
        let (deleting_pods, stayed) = self.going(before.map(|before| &before.deleting_pods), &active);
        let (creating_pods, missed) = self.coming(before.map(|before| &before.creating_pods), pods);
        self.count.missed.push(missed);
        self.count.stayed.push(stayed);
        SubsetStatus {
            name: subset.name.clone(),
            replicas: i32::try_from(active.len()).unwrap_or(i32::MAX),
            missing_replicas: missing(limit(subset, self.picture.total), active.len(), deleting_pods.len(), creating_pods.len()),
            creating_pods,
            deleting_pods,
            ..SubsetStatus::default()
        }
    }

    /// The notes of pods that are still to come, and how many are waited for no longer.
    fn coming(&mut self, notes: Option<&Notes>, pods: &[&Arc<Pod>]) -> (Notes, usize) {
        let Some(notes) = notes.filter(|notes| !notes.is_empty()) else { return (Notes::new(), 0) };
        let leeway = |pod: &Pod| if pod.is_active() { CLOCKS_DIFFER_BY } else { CLOCKS_DIFFER_A_LITTLE };
        let seen = pods.iter().map(|pod| (note_key(pod), pod.created, leeway(pod)));
        let gone = self.picture.departed.iter().map(|gone| (Arc::clone(&gone.key), gone.created, CLOCKS_DIFFER_A_LITTLE));
        let is_its = |key: &str, created, leeway| notes.get(key).is_some_and(|noted| is_noted(created, *noted, leeway));
        let came = seen.chain(gone).filter(|(key, created, leeway)| is_its(key, *created, *leeway));
        let came: BTreeSet<_> = came.map(|(key, ..)| key).collect();
        let mut missed = 0;
        let mut left = Notes::new();
        for (key, noted) in notes.iter().filter(|(key, _)| !came.contains(&***key)) {
            let over = noted.saturating_add(CREATING_FOR).unwrap_or(Timestamp::MAX);
            if over < self.now && self.picture.listed_at.is_some_and(|listed| over < listed) {
                missed += 1;
                continue;
            }
            self.count.needs_list |= over < self.now;
            self.look_after(over);
            left.insert(key.clone(), *noted);
        }
        (left, missed)
    }

    /// The notes of pods that are still there, and how many of those stay.
    fn going(&mut self, notes: Option<&Notes>, active: &[&&Arc<Pod>]) -> (Notes, usize) {
        let Some(notes) = notes.filter(|notes| !notes.is_empty()) else { return (Notes::new(), 0) };
        let mut stayed = 0;
        let mut left = Notes::new();
        // One that was made since is another one of that name.
        let of = |pod: &Arc<Pod>| notes.get(&*pod.name).copied().filter(|noted| pod.created.is_none_or(|created| created <= *noted));
        for (pod, noted) in active.iter().filter_map(|pod| Some((pod, of(pod)?))) {
            let over = noted.saturating_add(DELETING_FOR).unwrap_or(Timestamp::MAX);
            if over < self.now {
                stayed += 1;
                continue;
            }
            self.look_after(over);
            left.insert(pod.name.to_string(), noted);
        }
        (left, stayed)
    }

    /// A note is over behind its last moment.
    fn look_after(&mut self, last: Timestamp) {
        let over = last.saturating_add(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MAX);
        self.count.next = self.count.next.into_iter().chain([over]).min();
    }
}

/// Whether a pod is the one that was noted then under its key. One that was made long before is an earlier one of its name.
fn is_noted(created: Option<Timestamp>, noted: Timestamp, leeway: SignedDuration) -> bool {
    created.is_none_or(|created| noted <= created.saturating_add(leeway).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests;
