//! How spreads get into the picture.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{Snapshot, State, lineage::Lineage};
use crate::{
    base::{selector::Labels, workload::Workload},
    plan::Key,
    spread::{
        api::WorkloadSpread,
        index::{Spread, Target},
        keys::NO_REVISION,
        paths::{PathError, wanted},
        picture::{Departed, Picture},
        pod::Pod,
        whitelist::Whitelist,
    },
};

impl State {
    /// A spread was made or changed.
    pub fn apply_spread(&mut self, spread: WorkloadSpread) {
        let spread = Spread::compile(spread);
        let (key, namespace, is_terminating) = (key(&spread.namespace, &spread.name), Arc::clone(&spread.namespace), spread.is_terminating);
        let rules = Arc::clone(&spread.rules);
        let (before, is_changed) = self.spreads.apply(spread);
        if is_changed {
            self.touched.insert(key);
        }
        // Another one may have had its pods, or have them now.
        if before.is_none_or(|before| before.is_terminating != is_terminating || before.rules != rules) {
            self.touch_spreads_in(&namespace, |_| true);
        }
    }

    /// A spread as it is after a request of ours. What is later stays, and what is gone stays gone.
    pub fn assume_spread(&mut self, spread: Spread) {
        let key = key(&spread.namespace, &spread.name);
        if self.spreads.assume(spread) {
            self.touched.insert(key);
        }
    }

    /// A spread as it has become here, where there is nobody else who changes it.
    pub fn replace_spread(&mut self, spread: Spread) {
        self.spreads.replace(spread);
    }

    /// The owner of the cluster has decided anew which workloads of other kinds may be spread: each spread may see others than before.
    pub(super) fn set_spread_whitelist(&mut self, whitelist: Whitelist) {
        if self.spread_whitelist != whitelist {
            self.spread_whitelist = whitelist;
            self.touched.extend(self.spreads.all().map(|spread| key(&spread.namespace, &spread.name)));
        }
    }

    /// A spread was deleted.
    pub fn delete_spread(&mut self, namespace: &str, name: &str) {
        if let Some(gone) = self.spreads.remove(namespace, name) {
            self.forget_sent(Some([namespace, name]));
            self.touched.insert(key(&gone.namespace, &gone.name));
            self.leave_namespace_without_spreads(&gone.namespace);
            // Another one may have its pods now.
            self.touch_spreads_in(&gone.namespace, |_| true);
        }
    }

    /// These are all spreads that there are; of one that is known in a later version, that stays.
    pub fn reset_spreads(&mut self, spreads: Vec<WorkloadSpread>) {
        let mut before: Vec<_> = self.spreads.all().map(|spread| (Arc::clone(&spread.namespace), Arc::clone(&spread.name))).collect();
        for spread in spreads {
            let spread = Spread::compile(spread);
            before.retain(|(namespace, name)| (namespace, name) != (&spread.namespace, &spread.name));
            self.touched.insert(key(&spread.namespace, &spread.name));
            self.spreads.apply(spread);
        }
        for (namespace, name) in before {
            self.delete_spread(&namespace, &name);
        }
    }
}

pub(super) fn key(namespace: &Arc<str>, name: &Arc<str>) -> Key {
    Key::Spread { namespace: Arc::clone(namespace), name: Arc::clone(name) }
}

impl Snapshot<'_> {
    /// How many pods the target of a spread should have, if that can be told from what is mirrored. What is not mirrored yet has to be
    /// asked for, and so have the places in a workload that a spread names.
    pub fn total_of(&self, spread: &Spread) -> Option<i32> {
        let target = spread.rules.target.as_ref().filter(|_| spread.rules.paths.is_empty())?;
        self.workload(&spread.namespace, &target.owner()).map(|workload| workload.wanted())
    }

    /// How many pods the target of a spread should have, from the object itself.
    pub fn total_in(&self, spread: &Spread, object: &serde_json::Value) -> i32 {
        self.wanted_in(spread, object).0
    }

    /// The same, with what is wrong with the paths that the spread names: a bad one counts for nothing.
    pub fn wanted_in(&self, spread: &Spread, object: &serde_json::Value) -> (i32, Vec<PathError>) {
        let kind = spread.rules.target.as_ref().map(|target| &*target.kind).unwrap_or_default();
        wanted(kind, &self.paths_of(spread), object)
    }

    /// Where in the target it stands how many pods there should be: as the spread says, or as the whitelist does for the kind.
    pub fn paths_of(&self, spread: &Spread) -> Vec<String> {
        if !spread.rules.paths.is_empty() {
            return spread.rules.paths.clone();
        }
        let listed = spread.rules.target.as_ref().and_then(|target| self.spread_whitelist.replicas_path(&target.group, &target.kind));
        listed.map(str::to_owned).into_iter().collect()
    }

    /// Everything that the reconciler of a spread looks at but for what is not mirrored, to be taken along; `None` if there is no such
    /// spread.
    pub fn picture_of_spread(&self, namespace: &str, name: &str) -> Option<Picture> {
        let spread = Arc::clone(self.spreads.get(namespace, name)?);
        let mut rivals: Vec<_> = self.spreads.of_namespace(namespace).filter(|spread| !spread.is_terminating).cloned().collect();
        rivals.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
        let target = spread.rules.target.as_ref();
        let is_scaled = target.is_some_and(|target| !self.is_mirrored(&target.group, &target.kind));
        let (mut pods, mut candidates) = (Vec::new(), Vec::new());
        for (owner, family) in self.placed.families(namespace) {
            let Some(owner) = owner else { continue };
            let lineage = self.lineage(namespace, owner);
            for pod in family {
                let whose = rivals.iter().find(|rival| is_of(rival, pod, &lineage));
                if whose.is_some_and(|rival| rival.name == spread.name) {
                    pods.push(Arc::clone(pod));
                } else if whose.is_none() && is_scaled && !lineage.is_whole && spread.rules.selects(&pod.labels) {
                    candidates.push(Arc::clone(pod));
                }
            }
        }
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        Some(Picture {
            pods,
            candidates,
            total: self.total_of(&spread).unwrap_or_default(),
            current: self.current_revision(&spread),
            departed: self.departed(&spread),
            listed_at: self.placed.listed_at(namespace),
            problems: Vec::new(),
            fits: BTreeMap::new(),
            spread,
        })
    }

    /// Whether all workloads of a kind are known that still make pods, Jobs among them.
    pub fn is_mirrored(&self, group: &str, kind: &str) -> bool {
        self.workloads.is_mirrored(group, kind) || (group == "batch" && kind == "Job")
    }

    /// Pods that are gone and still noted.
    fn departed(&self, spread: &Spread) -> Vec<Departed> {
        let arrays = spread.status.versioned_subset_statuses.values().flatten();
        let notes: HashSet<&str> = arrays.flat_map(|subset| subset.creating_pods.keys()).map(String::as_str).collect();
        if notes.is_empty() {
            return Vec::new();
        }
        let departed = self.placed.departed(&spread.namespace, &spread.name);
        departed.filter(|departed| notes.contains(&*departed.key)).cloned().collect()
    }

    /// The sets of a target that is a Deployment.
    fn sets_of(&self, spread: &Spread, target: &Target) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.of_namespace(&spread.namespace).filter(|set| {
            let is_set = set.identity.is("apps", "ReplicaSet") && !set.is_terminating;
            is_set && set.controller.as_ref().is_some_and(|controller| target.is(controller))
        })
    }

    /// The ReplicaSet that makes the pods of a revision, if it is known.
    pub(super) fn set_of(&self, spread: &Spread, revision: &str) -> Option<&Arc<Workload>> {
        let target = spread.rules.target.as_ref()?;
        let owner = target.owner();
        if owner.is("apps", "ReplicaSet") {
            return self.workloads.get(&spread.namespace, &owner).filter(|set| *hash(set) == *revision);
        }
        self.sets_of(spread, target).find(|set| *hash(set) == *revision)
    }

    /// The revision whose pods are to stay when others go: that of the newest ReplicaSet of the target. (A paused Deployment may have
    /// none for its template yet, B7.)
    fn current_revision(&self, spread: &Spread) -> Option<Arc<str>> {
        let target = spread.rules.target.as_ref()?;
        let owner = target.owner();
        if owner.is("apps", "ReplicaSet") {
            return self.workloads.get(&spread.namespace, &owner).map(|set| hash(set));
        }
        let sets = self.sets_of(spread, target);
        sets.max_by_key(|set| (set.revision, set.created, Arc::clone(&set.identity.name))).map(|set| hash(set))
    }
}

/// The revision of the pods that a ReplicaSet makes.
fn hash(set: &Workload) -> Arc<str> {
    set.template_labels.label("pod-template-hash").filter(|hash| !hash.is_empty()).unwrap_or(NO_REVISION).into()
}

/// Whether a pod is a spread's: it belongs to the target, as far as known; or whose it is is not known to the top, and it says itself
/// that this spread placed it.
fn is_of(spread: &Spread, pod: &Pod, lineage: &Lineage) -> bool {
    let Some(target) = spread.rules.target.as_ref().filter(|_| spread.rules.selects(&pod.labels)) else { return false };
    let is_marked = || pod.mark.as_ref().is_some_and(|mark| mark.spread == spread.name);
    lineage.owners.iter().any(|owner| target.is(owner)) || (!lineage.is_whole && is_marked())
}

#[cfg(test)]
mod tests;
