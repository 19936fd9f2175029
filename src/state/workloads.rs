//! Workloads: how many pods they should have, and whose they are.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::State;
use crate::{
    base::workload::{Owner, Workload},
    budget::{
        index::Budget,
        picture::{Ancestor, Coordinates},
    },
};

/// Kinds that every cluster has, and that are always mirrored: group and kind.
pub const BUILT_IN: [[&str; 2]; 4] =
    [["apps", "Deployment"], ["apps", "ReplicaSet"], ["apps", "StatefulSet"], ["", "ReplicationController"]];
/// Kinds of OpenKruise that are mirrored where they are served.
pub const OF_KRUISE: [[&str; 2]; 2] = [["apps.kruise.io", "CloneSet"], ["apps.kruise.io", "StatefulSet"]];
/// How many workloads above each other are followed; nobody builds so high.
const HIGHEST: usize = 8;

/// All workloads of the kinds that are mirrored.
#[derive(Debug, Default)]
pub struct Workloads {
    by_namespace: HashMap<Arc<str>, BTreeMap<Coordinates, Arc<Workload>>>,
    /// Kinds beside those that are built in.
    mirrored: HashSet<[String; 2]>,
}

impl Workloads {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_namespace.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_namespace.values().all(BTreeMap::is_empty)
    }

    /// Whether all workloads of this kind are known.
    pub fn is_mirrored(&self, group: &str, kind: &str) -> bool {
        BUILT_IN.contains(&[group, kind]) || self.mirrored.iter().any(|[g, k]| g == group && k == kind)
    }

    /// The workload that is meant. One that was made anew under its name is another one.
    pub fn get(&self, namespace: &str, owner: &Owner) -> Option<&Arc<Workload>> {
        let found = self.by_namespace.get(namespace)?.get(&owner.coordinates())?;
        owner.is_same(&found.identity).then_some(found)
    }

    /// A workload and those that it belongs to, upwards.
    pub fn chain(&self, namespace: &str, owner: &Owner) -> Vec<Ancestor> {
        let mut chain: Vec<Ancestor> = Vec::new();
        let mut next = Some(owner.clone());
        while let Some(owner) = next.filter(|owner| chain.len() < HIGHEST && !chain.iter().any(|known| known.owner.is_same(owner))) {
            let workload = self.get(namespace, &owner).cloned();
            next = workload.as_ref().and_then(|workload| workload.controller.clone());
            let is_mirrored = self.is_mirrored(&owner.group, &owner.kind);
            chain.push(Ancestor { owner, workload, is_mirrored });
        }
        chain
    }

    /// Whose something is that belongs to `owner`, from that upwards.
    pub fn owners(&self, namespace: &str, owner: &Owner) -> Vec<Owner> {
        self.chain(namespace, owner).into_iter().map(|ancestor| ancestor.owner).collect()
    }

    /// All of a namespace.
    pub fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Workload>> {
        self.by_namespace.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// Takes in a workload. Gives what it was and is; nothing if nothing has changed.
    pub(super) fn apply(&mut self, workload: Workload) -> Vec<Arc<Workload>> {
        let workload = Arc::new(workload);
        let of_namespace = self.by_namespace.entry(Arc::clone(&workload.namespace)).or_default();
        let known = of_namespace.insert(workload.identity.coordinates(), Arc::clone(&workload));
        let is_same = known
            .as_ref()
            .is_some_and(|known| **known == Workload { resource_version: known.resource_version.clone(), ..Workload::clone(&workload) });
        if is_same { Vec::new() } else { known.into_iter().chain([workload]).collect() }
    }

    pub(super) fn remove(&mut self, namespace: &str, coordinates: &Coordinates) -> Option<Arc<Workload>> {
        let of_namespace = self.by_namespace.get_mut(namespace)?;
        let gone = of_namespace.remove(coordinates)?;
        if of_namespace.is_empty() {
            self.by_namespace.remove(namespace);
        }
        Some(gone)
    }

    /// Forgets all of a kind.
    fn forget(&mut self, group: &str, kind: &str) {
        for of_namespace in self.by_namespace.values_mut() {
            of_namespace.retain(|_, workload| !workload.identity.is(group, kind));
        }
        self.by_namespace.retain(|_, workloads| !workloads.is_empty());
    }
}

impl State {
    /// A workload was made or changed.
    pub fn apply_workload(&mut self, workload: Workload) {
        let versions = self.workloads.apply(workload);
        self.touch_budgets_of(&versions);
        self.touch_spreads_of(&versions);
    }

    /// A workload is gone.
    pub fn delete_workload(&mut self, namespace: &str, [group, kind]: [&str; 2], name: &str) {
        if let Some(gone) = self.workloads.remove(namespace, &[group.into(), kind.into(), name.into()]) {
            self.touch_budgets_of(&[Arc::clone(&gone)]);
            self.touch_spreads_of(&[gone]);
        }
    }

    /// These are all workloads of a kind; from now on one that is not known does not exist.
    pub fn reset_workloads(&mut self, [group, kind]: [&str; 2], all: Vec<Workload>) {
        self.workloads.forget(group, kind);
        for workload in all {
            self.workloads.apply(workload);
        }
        if !self.workloads.is_mirrored(group, kind) {
            self.workloads.mirrored.insert([group.to_owned(), kind.to_owned()]);
        }
        self.touch_all_budgets();
        self.touch_all_spreads();
    }

    /// A kind is not served any more: of its objects nothing is known from now on.
    pub fn forget_workloads(&mut self, [group, kind]: [&str; 2]) {
        if self.workloads.mirrored.remove(&[group.to_owned(), kind.to_owned()]) {
            self.workloads.forget(group, kind);
            self.touch_all_budgets();
            self.touch_all_spreads();
        }
    }

    /// Versions of one workload make work for the budgets that name it or something above it, and for those that select its pods.
    fn touch_budgets_of(&mut self, versions: &[Arc<Workload>]) {
        let Some(namespace) = versions.first().map(|workload| Arc::clone(&workload.namespace)) else { return };
        let mut owners: Vec<Owner> = versions.iter().map(|workload| workload.identity.clone()).collect();
        for above in versions.iter().filter_map(|workload| workload.controller.as_ref()) {
            owners.extend(self.workloads.owners(&namespace, above));
        }
        let makes = |budget: &Budget| {
            let selector = budget.rules.selector.as_ref().filter(|_| budget.rules.target.is_none());
            selector.is_some_and(|selector| versions.iter().any(|workload| selector.matches(&workload.template_labels)))
        };
        let families = self.subjects.of_namespace(&namespace).into_iter().flat_map(super::subjects::Pods::families);
        let own = families.filter(|(owner, _)| owner.is_some_and(|owner| owners.first().is_some_and(|own| own.is_same(owner))));
        let pods: Vec<_> = own.flat_map(|(_, pods)| pods).collect();
        let has_pods = |budget: &Budget| {
            let selector = budget.rules.selector.as_ref().filter(|_| budget.rules.target.is_none());
            selector.is_some_and(|selector| pods.iter().any(|pod| selector.matches(&pod.labels)))
        };
        let names = |budget: &Budget| budget.rules.target.as_ref().is_some_and(|target| owners.iter().any(|owner| target.is(owner)));
        let all = self.budgets.of_namespace(&namespace).filter(|budget| names(budget) || makes(budget) || has_pods(budget));
        let keys: Vec<_> = all.map(|budget| super::budgets::key(&budget.namespace, &budget.name)).collect();
        self.touched.extend(keys);
    }

    /// All budgets may have work.
    pub(super) fn touch_all_budgets(&mut self) {
        let keys: Vec<_> = self.budgets.all().map(|budget| super::budgets::key(&budget.namespace, &budget.name)).collect();
        self.touched.extend(keys);
    }
}
