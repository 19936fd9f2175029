//! The picture of the cluster in memory. Data structure, no client: `cluster` and `offline` feed it, handlers read it.

pub mod budgets;
pub mod feed;
pub mod members;
pub mod pods;
pub mod subjects;
pub mod workloads;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;

use self::{members::Members, pods::Finished, subjects::Subjects, workloads::Workloads};
use crate::{
    base::{gates::Gates, observed::Pod},
    budget::index::Budgets,
    plan::Key,
    sidecarset::{
        history::concerning, index::SetIndex, member::Member, plan::Picture, revision::Revisions, rollout::Rollout, select,
        validate::World, whitelist::Whitelist,
    },
};

/// Everything that decisions look at.
#[derive(Debug, Default)]
pub struct State {
    sets: SetIndex,
    revisions: Revisions,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    whitelist: Whitelist,
    gates: Gates,
    tally: Tally,
    rollouts: HashMap<Arc<str>, Arc<Rollout>>,
    members: Members,
    finished: Finished,
    budgets: Budgets,
    subjects: Subjects,
    workloads: Workloads,
    eviction_code: EvictionCode,
    touched: BTreeSet<Key>,
}

/// With which code an eviction is refused that a budget has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionCode {
    /// 429: whoever drains a node tries again.
    #[default]
    TooManyRequests,
    /// 403, as the reference does: drains give up.
    Forbidden,
}

/// What one decision sees: the state at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'s> {
    /// All SidecarSets.
    pub sets: &'s SetIndex,
    /// All recorded revisions of sets.
    pub revisions: &'s Revisions,
    /// Which annotations sets may put on pods.
    pub whitelist: &'s Whitelist,
    /// Which features are on.
    pub gates: &'s Gates,
    /// Pods that were given part of a canary.
    pub tally: &'s Tally,
    /// All budgets.
    pub budgets: &'s Budgets,
    /// All pods, as budgets see them.
    pub subjects: &'s Subjects,
    /// All workloads.
    pub workloads: &'s Workloads,
    /// With which code evictions are refused.
    pub eviction_code: EvictionCode,
    namespaces: &'s HashMap<String, BTreeMap<String, String>>,
    rollouts: &'s HashMap<Arc<str>, Arc<Rollout>>,
    members: &'s Members,
    finished: &'s Finished,
}

impl State {
    /// An empty cluster.
    pub fn new(gates: Gates) -> Self {
        Self { gates, ..Self::default() }
    }

    /// The same, refusing evictions with this code.
    pub fn refusing_evictions_with(mut self, code: EvictionCode) -> Self {
        self.eviction_code = code;
        self
    }

    /// What a decision at this moment sees.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            sets: &self.sets,
            revisions: &self.revisions,
            whitelist: &self.whitelist,
            gates: &self.gates,
            tally: &self.tally,
            namespaces: &self.namespaces,
            rollouts: &self.rollouts,
            members: &self.members,
            finished: &self.finished,
            budgets: &self.budgets,
            subjects: &self.subjects,
            workloads: &self.workloads,
            eviction_code: self.eviction_code,
        }
    }
}

impl<'s> Snapshot<'s> {
    /// Everything that the reconciler of a set looks at, to be taken along; `None` if there is no such set.
    pub fn picture_of(&self, set: &str) -> Option<Picture> {
        let rollout = Arc::clone(self.rollouts.get(set)?);
        let is_selected = |member: &&Arc<Member>| rollout.selects(&member.pod.labels, self.namespace_labels(&member.pod.namespace));
        let members = self.members.of_set(set).filter(is_selected).cloned().collect();
        let revisions = concerning(self.revisions, set).into_iter().cloned().collect();
        Some(Picture { rollout, members, revisions })
    }

    /// The pod under a key, if its work is done while sidecars of it still run.
    pub fn finished_pod(&self, key: &Key) -> Option<Arc<Pod>> {
        self.finished.get(key).cloned()
    }

    /// All objects that are reconciled.
    pub fn all_keys(&self) -> impl Iterator<Item = Key> {
        let budgets = self.budgets.all().map(|budget| budgets::key(&budget.namespace, &budget.name));
        self.rollouts.keys().cloned().map(Key::SidecarSet).chain(self.finished.keys().cloned()).chain(budgets)
    }

    /// Labels of a namespace; `None` if there is no such namespace, as far as known.
    pub fn namespace_labels(&self, name: &str) -> Option<&'s BTreeMap<String, String>> {
        self.namespaces.get(name)
    }
}

impl World for Snapshot<'_> {
    fn sets(&self) -> &SetIndex {
        self.sets
    }

    fn revisions(&self) -> &Revisions {
        self.revisions
    }

    fn whitelist(&self) -> &Whitelist {
        self.whitelist
    }

    fn gates(&self) -> &Gates {
        self.gates
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
