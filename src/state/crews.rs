//! What is known of pods that are about to be made, beside what is noted of them.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{Snapshot, State};
use crate::spread::{
    crew::{Crew, Crews},
    index::Spread,
    keys::CREATING_FOR,
    pod::{Pod, note_key, revision},
};

/// Pods that this server has sent to subsets without a limit, where nothing is noted, and that were not seen yet: when they were sent,
/// by namespace, spread and revision.
#[derive(Debug, Default)]
pub struct Sent(HashMap<[Arc<str>; 3], VecDeque<Timestamp>>);

impl Sent {
    fn count(&self, key: &[Arc<str>; 3], now: Timestamp) -> i32 {
        let recent = self.0.get(key).into_iter().flatten().filter(|since| is_recent(**since, now)).count();
        i32::try_from(recent).unwrap_or(i32::MAX)
    }

    fn add(&mut self, key: [Arc<str>; 3], count: i32, now: Timestamp) {
        let sent = self.0.entry(key).or_default();
        sent.retain(|since| is_recent(*since, now));
        sent.extend((0..count).map(|_| now));
    }

    /// A pod is there: one that this server has sent, or another one. Which does not matter where none is lost.
    pub(super) fn arrived(&mut self, pod: &Pod) {
        let Some(mark) = pod.mark.as_ref().filter(|mark| mark.uid.is_empty()) else { return };
        let revision = revision(&pod.labels, pod.controller.as_deref()).into();
        let key = [Arc::clone(&pod.namespace), Arc::clone(&mark.spread), revision];
        if let Some(sent) = self.0.get_mut(&key) {
            sent.pop_front();
            if sent.is_empty() {
                self.0.remove(&key);
            }
        }
    }
}

/// How much longer nobody is sent past a note that has lapsed: until the reconciler has said so, its place is not free.
const UNTIL_SAID: SignedDuration = SignedDuration::from_secs(15);

/// Whether a pod may still come, or its place has yet to be given back.
fn is_recent(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since) <= CREATING_FOR + UNTIL_SAID
}

impl State {
    /// Whether pods that were sent have come is not known any more: all of them, or those of a spread.
    pub(super) fn forget_sent(&mut self, of: Option<[&str; 2]>) {
        let is_of = |[in_namespace, spread, _]: &[Arc<str>; 3]| {
            of.is_none_or(|[namespace, name]| **in_namespace == *namespace && **spread == *name)
        };
        self.sent.0.retain(|key, _| !is_of(key));
    }

    /// Claims have sent pods where nothing is noted.
    pub fn note_sent(&mut self, spread: &Spread, now: Timestamp) {
        for (revision, count) in spread.crews.unnoted() {
            let key = [Arc::clone(&spread.namespace), Arc::clone(&spread.name), Arc::clone(revision)];
            self.sent.add(key, count, now);
        }
    }
}

impl Snapshot<'_> {
    /// The crews of a spread, of those pods that a `ReplicaSet` makes.
    pub fn crews(&self, spread: &Spread, now: Timestamp) -> Crews {
        let arrays = spread.status.versioned_subset_statuses.iter();
        let noted = arrays.map(|(revision, array)| {
            let notes = array.iter().flat_map(|subset| &subset.creating_pods).filter(|(_, since)| is_recent(**since, now));
            (revision, notes.map(|(key, _)| key.as_str()).collect::<HashSet<_>>())
        });
        let crews = noted.filter(|(_, notes)| !notes.is_empty()).filter_map(|(revision, mut notes)| {
            let maker = self.set_of(spread, revision)?;
            let mut here = 0;
            let families = self.placed.families(&spread.namespace);
            for (_, pods) in families.filter(|(owner, _)| owner.is_some_and(|owner| owner.is_same(&maker.identity))) {
                for pod in pods {
                    notes.remove(&*note_key(pod));
                    here += i32::from(pod.is_active());
                }
            }
            let revision: Arc<str> = revision.as_str().into();
            let sent = self.sent.count(&[Arc::clone(&spread.namespace), Arc::clone(&spread.name), Arc::clone(&revision)], now);
            let noted = i32::try_from(notes.len()).unwrap_or(i32::MAX);
            Some((revision, Crew { wanted: maker.wanted(), here, noted, sent, ..Crew::default() }))
        });
        Crews(crews.collect::<BTreeMap<_, _>>())
    }
}

#[cfg(test)]
mod tests;
