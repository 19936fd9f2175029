//! How budgets get into the picture.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Snapshot, State, subjects::Change};
use crate::{
    base::workload::{Owner, Workload},
    budget::{
        api::PodUnavailableBudget,
        index::Budget,
        picture::{Ancestor, Family, Picture},
        subject::Subject,
    },
    plan::Key,
};

impl State {
    /// A budget was made or changed.
    pub fn apply_budget(&mut self, budget: PodUnavailableBudget) {
        let budget = Budget::compile(budget);
        let (key, namespace, is_terminating) = (key(&budget.namespace, &budget.name), Arc::clone(&budget.namespace), budget.is_terminating);
        let (before, is_changed) = self.budgets.apply(budget);
        if is_changed {
            self.touched.insert(key);
        }
        // Another one may have to link its pods.
        if before.is_none_or(|before| before.is_terminating != is_terminating) {
            self.touch_budgets_in(&namespace);
        }
    }

    /// A budget as it is after a request of ours. What is later stays, and what is gone stays gone.
    pub fn assume_budget(&mut self, budget: Budget) {
        let key = key(&budget.namespace, &budget.name);
        if self.budgets.assume(budget) {
            self.touched.insert(key);
        }
    }

    /// A budget as it has become here, where there is nobody else who changes it.
    pub fn replace_budget(&mut self, budget: Budget) {
        self.budgets.replace(budget);
    }

    /// A budget was deleted.
    pub fn delete_budget(&mut self, namespace: &str, name: &str) {
        if let Some(gone) = self.budgets.remove(namespace, name) {
            self.touched.insert(key(&gone.namespace, &gone.name));
            self.touch_budgets_in(&gone.namespace);
        }
    }

    /// All budgets of a namespace may have work.
    fn touch_budgets_in(&mut self, namespace: &str) {
        let keys: Vec<_> = self.budgets.of_namespace(namespace).map(|budget| key(&budget.namespace, &budget.name)).collect();
        self.touched.extend(keys);
    }

    /// A pod was something before and is something now: that makes work for the budgets that it is linked to, or counted by, before or
    /// now. Whether a budget that names a workload of a kind that is not mirrored counts it is known only when that was asked for.
    pub(super) fn touch_budgets_of_pod(&mut self, change: &Change) {
        let Some(namespace) = change.iter().flatten().next().map(|pod| Arc::clone(&pod.namespace)) else { return };
        if self.budgets.of_namespace(&namespace).next().is_none() {
            return;
        }
        let mut versions = Vec::new();
        for pod in change.iter().flatten() {
            let owners = pod.controller.as_ref().map(|owner| self.workloads.owners(&namespace, owner)).unwrap_or_default();
            versions.push((pod, owners));
        }
        let is_touched = |budget: &Budget| {
            let target = budget.rules.target.as_ref();
            let may_count = target.is_some_and(|target| !self.workloads.is_mirrored(target.group_and_version().0, &target.kind));
            let counts = |(pod, owners): &(&Arc<Subject>, Vec<_>)| {
                pod.link.as_ref() == Some(&budget.name) || budget.rules.selects(&pod.labels, owners)
            };
            may_count || versions.iter().any(counts)
        };
        let touched = self.budgets.of_namespace(&namespace).filter(|budget| is_touched(budget));
        let keys: Vec<_> = touched.map(|budget| key(&budget.namespace, &budget.name)).collect();
        self.touched.extend(keys);
    }

    /// These are all budgets that there are; of one that is known in a later version, that stays.
    pub fn reset_budgets(&mut self, budgets: Vec<PodUnavailableBudget>) {
        let mut before: Vec<_> = self.budgets.all().map(|budget| (Arc::clone(&budget.namespace), Arc::clone(&budget.name))).collect();
        for budget in budgets {
            let budget = Budget::compile(budget);
            before.retain(|(namespace, name)| (namespace, name) != (&budget.namespace, &budget.name));
            self.touched.insert(key(&budget.namespace, &budget.name));
            self.budgets.apply(budget);
        }
        for (namespace, name) in before {
            self.delete_budget(&namespace, &name);
        }
    }
}

pub(super) fn key(namespace: &Arc<str>, name: &Arc<str>) -> Key {
    Key::Budget { namespace: Arc::clone(namespace), name: Arc::clone(name) }
}

impl Snapshot<'_> {
    /// The pod of this name, as far as known.
    pub fn subject(&self, namespace: &str, name: &str) -> Option<Arc<Subject>> {
        self.subjects.get(namespace, name).cloned()
    }

    /// Whose a pod is: its controller, the controller of that, and so on, as far as known.
    pub fn owners_of(&self, subject: &Subject) -> Vec<Owner> {
        subject.controller.as_ref().map(|owner| self.workloads.owners(&subject.namespace, owner)).unwrap_or_default()
    }

    /// Everything that the reconciler of a budget looks at but for what is not mirrored, to be taken along; `None` if there is no such
    /// budget.
    pub fn picture_of_budget(&self, namespace: &str, name: &str) -> Option<Picture> {
        let budget = Arc::clone(self.budgets.get(namespace, name)?);
        let target = budget.rules.target.as_ref().map(|target| {
            let (group, version) = target.group_and_version();
            let owner = Owner {
                group: group.into(),
                version: version.into(),
                kind: target.kind.as_str().into(),
                name: target.name.as_str().into(),
                uid: "".into(),
            };
            let is_mirrored = self.workloads.is_mirrored(group, &target.kind);
            Ancestor { workload: self.workloads.get(namespace, &owner).cloned(), owner, is_mirrored }
        });
        let status = &budget.status;
        let names = status.disrupted_pods.keys().chain(status.unavailable_pods.keys());
        let recorded = names.filter_map(|name| self.subjects.get(namespace, name)).map(|pod| (Arc::clone(&pod.name), Arc::clone(pod)));
        Some(Picture {
            budgets: self.budgets.of_namespace(namespace).cloned().collect(),
            families: target.as_ref().map_or_else(|| self.families_selected(&budget), |target| self.families_below(&budget, target)),
            templates: self.templates(&budget),
            recorded: recorded.collect(),
            scales: BTreeMap::new(),
            behind: BTreeSet::new(),
            target,
            budget,
        })
    }

    /// The pods that the selector of a budget matches.
    fn families_selected(&self, budget: &Budget) -> Vec<Family> {
        let (Some(selector), Some(pods)) = (&budget.rules.selector, self.subjects.of_namespace(&budget.namespace)) else {
            return Vec::new();
        };
        let mut families: BTreeMap<Option<&Arc<Owner>>, Vec<Arc<Subject>>> = BTreeMap::new();
        for pod in pods.matching(selector) {
            families.entry(pod.controller.as_ref()).or_default().push(Arc::clone(pod));
        }
        families.into_iter().map(|(owner, pods)| self.family(&budget.namespace, owner, pods)).collect()
    }

    /// The pods that belong to a workload; of a kind that is not mirrored all, since its scale may select any.
    fn families_below(&self, budget: &Budget, target: &Ancestor) -> Vec<Family> {
        let Some(pods) = self.subjects.of_namespace(&budget.namespace) else { return Vec::new() };
        let families = pods.families().map(|(owner, pods)| self.family(&budget.namespace, owner, pods.cloned().collect()));
        let is_below = |family: &Family| {
            let mut owners = family.ancestors.iter().map(|ancestor| &ancestor.owner);
            !target.is_mirrored || owners.any(|owner| target.owner.is_same(owner))
        };
        let mut below: Vec<_> = families.filter(is_below).collect();
        below.sort_by(|one, other| one.ancestors.first().map(|first| &first.owner).cmp(&other.ancestors.first().map(|first| &first.owner)));
        below
    }

    fn family(&self, namespace: &str, owner: Option<&Arc<Owner>>, mut pods: Vec<Arc<Subject>>) -> Family {
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        Family { ancestors: owner.map(|owner| self.workloads.chain(namespace, owner)).unwrap_or_default(), pods }
    }

    /// The workloads that make pods which a selector matches, with those above them.
    fn templates(&self, budget: &Budget) -> Vec<Vec<Ancestor>> {
        let selector = budget.rules.selector.as_ref().filter(|_| budget.rules.target.is_none());
        let makes = |workload: &&Arc<Workload>| {
            let labels = &workload.template_labels;
            selector.is_some_and(|selector| !labels.is_empty() && selector.matches(labels))
        };
        let of_namespace = self.workloads.of_namespace(&budget.namespace).filter(makes);
        of_namespace.map(|workload| self.workloads.chain(&budget.namespace, &workload.identity)).collect()
    }
}

#[cfg(test)]
mod tests;
