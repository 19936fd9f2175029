//! The picture of the cluster in memory. Data structure, no client: `cluster` and `offline` feed it, handlers read it.

pub mod budgets;
pub mod crews;
pub mod feed;
pub mod lineage;
pub mod members;
pub mod placed;
pub mod pods;
pub mod spreads;
pub mod subjects;
pub mod workloads;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;

use self::{crews::Sent, members::Members, placed::Placed, pods::Finished, subjects::Subjects, workloads::Workloads};
use crate::{
    base::{gates::Gates, observed::Pod},
    budget::index::Budgets,
    plan::Key,
    sidecarset::{
        history::concerning, index::SetIndex, member::Member, plan::Picture, revision::Revisions, rollout::Rollout, select,
        validate::World, whitelist::Whitelist,
    },
    spread::{self, index::Spreads},
};

/// Everything that decisions look at.
#[derive(Debug, Default)]
pub struct State {
    sets: SetIndex,
    revisions: Revisions,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    leaving: HashSet<String>,
    whitelist: Whitelist,
    spread_whitelist: spread::whitelist::Whitelist,
    gates: Gates,
    tally: Tally,
    rollouts: HashMap<Arc<str>, Arc<Rollout>>,
    members: Members,
    finished: Finished,
    budgets: Budgets,
    spreads: Spreads,
    subjects: Subjects,
    placed: Placed,
    sent: Sent,
    workloads: Workloads,
    /// Those that have not ended. Only spreads look at them.
    jobs: Workloads,
    touched: BTreeSet<Key>,
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
    /// All spreads.
    pub spreads: &'s Spreads,
    /// Which workloads of other kinds may be spread.
    pub spread_whitelist: &'s spread::whitelist::Whitelist,
    /// All pods, as budgets see them.
    pub subjects: &'s Subjects,
    /// The pods that spreads look at.
    pub placed: &'s Placed,
    /// All workloads, but for Jobs.
    pub workloads: &'s Workloads,
    jobs: &'s Workloads,
    sent: &'s Sent,
    namespaces: &'s HashMap<String, BTreeMap<String, String>>,
    leaving: &'s HashSet<String>,
    rollouts: &'s HashMap<Arc<str>, Arc<Rollout>>,
    members: &'s Members,
    finished: &'s Finished,
}

impl State {
    /// An empty cluster.
    pub fn new(gates: Gates) -> Self {
        Self { gates, ..Self::default() }
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
            leaving: &self.leaving,
            rollouts: &self.rollouts,
            members: &self.members,
            finished: &self.finished,
            budgets: &self.budgets,
            spreads: &self.spreads,
            spread_whitelist: &self.spread_whitelist,
            subjects: &self.subjects,
            placed: &self.placed,
            sent: &self.sent,
            workloads: &self.workloads,
            jobs: &self.jobs,
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
        let spreads = self.spreads.all().map(|spread| spreads::key(&spread.namespace, &spread.name));
        self.rollouts.keys().cloned().map(Key::SidecarSet).chain(self.finished.keys().cloned()).chain(budgets).chain(spreads)
    }

    /// How many objects of each kind are kept, for who counts.
    pub fn counts(&self) -> [(&'static str, usize); 8] {
        [
            ("sidecarset", self.sets.len()),
            ("revision", self.revisions.len()),
            ("namespace", self.namespaces.len()),
            ("pod", self.subjects.len()),
            ("member", self.members.len()),
            ("budget", self.budgets.all().count()),
            ("spread", self.spreads.all().count()),
            ("workload", self.workloads.len() + self.jobs.len()),
        ]
    }

    /// Labels of a namespace; `None` if there is no such namespace, as far as known.
    pub fn namespace_labels(&self, name: &str) -> Option<&'s BTreeMap<String, String>> {
        self.namespaces.get(name)
    }

    /// Whether a namespace is being deleted, and all that is in it.
    pub fn is_leaving(&self, namespace: &str) -> bool {
        self.leaving.contains(namespace)
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
