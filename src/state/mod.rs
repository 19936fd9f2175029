//! The picture of the cluster in memory. Data structure, no client: `cluster` and `offline` feed it, handlers read it.

pub mod feed;

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::{
    base::gates::Gates,
    sidecarset::{index::SetIndex, revision::Revisions, select},
};

/// Everything that decisions look at.
#[derive(Debug, Default)]
pub struct State {
    sets: SetIndex,
    revisions: Revisions,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    gates: Gates,
    tally: Tally,
}

/// What one decision sees: the state at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'s> {
    /// All SidecarSets.
    pub sets: &'s SetIndex,
    /// Which features are on.
    pub gates: &'s Gates,
    /// Pods that were given part of a canary.
    pub tally: &'s Tally,
    namespaces: &'s HashMap<String, BTreeMap<String, String>>,
}

impl State {
    /// An empty cluster.
    pub fn new(gates: Gates) -> Self {
        Self { gates, ..Self::default() }
    }

    /// What a decision at this moment sees.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { sets: &self.sets, gates: &self.gates, tally: &self.tally, namespaces: &self.namespaces }
    }
}

impl<'s> Snapshot<'s> {
    /// Labels of a namespace; `None` if there is no such namespace, as far as known.
    pub fn namespace_labels(&self, name: &str) -> Option<&'s BTreeMap<String, String>> {
        self.namespaces.get(name)
    }
}

/// Counts new pods by set, for those sets that give a percentage of them an old revision. The only thing in a snapshot
/// that a decision moves on; a lost count costs one pod's share.
#[derive(Debug, Default)]
pub struct Tally(Mutex<HashMap<String, u64>>);

impl select::Tally for Tally {
    fn next(&self, set: &str) -> u64 {
        let mut counts = self.0.lock();
        let count = counts.entry(set.to_owned()).or_default();
        let before = *count;
        *count = count.wrapping_add(1);
        before
    }
}

#[cfg(test)]
mod tests;
