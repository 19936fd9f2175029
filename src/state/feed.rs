//! How the picture follows the cluster: one call for each change, one for a whole list.
//!
//! A list replaces all that was known of its kind in one step, so that no decision sees half of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::State;
use crate::{
    base::observed::is_newer,
    plan::Key,
    sidecarset::{
        api::SidecarSet,
        default,
        index::{Entry, SetError, SetIndex},
        member::Member,
        revision::{Revision, Revisions},
        rollout::Rollout,
        whitelist::Whitelist,
    },
    spread,
};

/// A namespace: its name and labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// It is being deleted, and all that is in it.
    pub is_terminating: bool,
}

impl State {
    /// The objects that the changes so far may have made work for; they are given out once.
    pub fn take_touched(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.touched)
    }

    fn touch<'n>(&mut self, sets: impl IntoIterator<Item = &'n str>) {
        self.touched.extend(sets.into_iter().map(|set| Key::SidecarSet(set.into())));
    }

    /// A set was made or changed. One that cannot be used is forgotten, since what it said before is not meant any more. What is older
    /// than what is known is passed over: answers to our own requests may come before the watch tells of what was before them.
    pub fn apply_set(&mut self, mut set: SidecarSet) -> Result<(), SetError> {
        // Once for both, and so that what is known and what comes are compared in one form.
        default::complete(&mut set);
        let name = set.metadata.name.clone().unwrap_or_default();
        if self.rollouts.get(&*name).is_some_and(|known| is_later_version(&known.set, &set)) {
            return Ok(());
        }
        let is_touched = self.rollouts.get(&*name).is_none_or(|known| !is_same_but_status(&known.set, &set));
        let compiled = Rollout::compile(set.clone()).and_then(|rollout| Ok((rollout, Entry::compile(set, &self.revisions)?)));
        let (rollout, entry) = match compiled {
            Ok(compiled) => compiled,
            Err(error) => {
                self.delete_set(&name);
                return Err(error);
            }
        };
        self.sets.insert(entry);
        self.rollouts.insert(name.as_str().into(), Arc::new(rollout));
        if is_touched {
            self.touch([&*name]);
        }
        Ok(())
    }

    /// A set as it is after a request of ours. The watch may have told of a later version before the answer came: that one stays, and a
    /// set that is gone stays gone.
    pub fn assume_set(&mut self, set: SidecarSet) -> Result<(), SetError> {
        let known = set.metadata.name.as_deref().and_then(|name| self.rollouts.get(name));
        if known.is_some_and(|known| is_later_version(&set, &known.set)) { self.apply_set(set) } else { Ok(()) }
    }

    /// A set was deleted.
    pub fn delete_set(&mut self, name: &str) {
        self.sets.remove(name);
        self.rollouts.remove(name);
        self.touch([name]);
    }

    /// These are all sets that there are; of one that is known in a later version, that stays. Those that cannot be used are left out
    /// and named.
    pub fn reset_sets(&mut self, sets: Vec<SidecarSet>) -> Vec<SetError> {
        self.sets = SetIndex::default();
        let mut before = std::mem::take(&mut self.rollouts);
        let mut errors = Vec::new();
        for set in sets {
            let known =
                set.metadata.name.as_deref().and_then(|name| before.remove(name)).filter(|known| is_later_version(&known.set, &set));
            errors.extend(self.apply_set(known.map_or(set, |known| known.set.clone())).err());
        }
        // Of those that are gone nothing is to be remembered.
        self.touch(before.keys().map(AsRef::as_ref));
        errors
    }

    /// A pod that sets were injected into was made or changed.
    pub fn apply_pod(&mut self, member: Member) {
        let changed = self.members.apply(member);
        self.touch(changed.iter().map(|set| &**set));
    }

    /// A pod as it is after a request of ours.
    pub fn assume_pod(&mut self, member: Member) {
        let changed = self.members.assume(member);
        self.touch(changed.iter().map(|set| &**set));
    }

    /// A pod is gone, or no set's any more.
    pub(super) fn forget_member(&mut self, namespace: &str, name: &str) {
        let changed = self.members.delete(namespace, name);
        self.touch(changed.iter().map(|set| &**set));
    }

    /// These are all pods that sets were injected into.
    pub fn reset_pods(&mut self, pods: Vec<Member>) {
        self.members.reset(pods);
        self.touch_all();
    }

    fn touch_all(&mut self) {
        self.touched.extend(self.rollouts.keys().cloned().map(Key::SidecarSet));
    }

    /// A revision was recorded or changed.
    pub fn apply_revision(&mut self, revision: Revision) {
        let name = revision.name.clone();
        let before = self.revisions.insert(revision);
        let changed = before.as_deref().into_iter().chain(self.revisions.by_name(&name).map(AsRef::as_ref));
        let sets: Vec<_> = changed.clone().filter_map(|revision| revision.set_name.clone()).collect();
        self.sets.repin(changed, &self.revisions);
        self.touch(sets.iter().map(String::as_str));
    }

    /// A revision as it is after a request of ours, unless a later version of it is known already.
    pub fn assume_revision(&mut self, revision: Revision) {
        let known = self.revisions.by_name(&revision.name);
        let is_old = known
            .into_iter()
            .any(|known| known.uid == revision.uid && !is_later(revision.resource_version.as_deref(), known.resource_version.as_deref()));
        if !is_old {
            self.apply_revision(revision);
        }
    }

    /// A revision was deleted.
    pub fn delete_revision(&mut self, name: &str) {
        let gone = self.revisions.remove(name);
        self.sets.repin(gone.as_deref(), &self.revisions);
        self.touch(gone.iter().filter_map(|revision| revision.set_name.as_deref()));
    }

    /// These are all revisions that there are.
    pub fn reset_revisions(&mut self, revisions: Vec<Revision>) {
        self.revisions = Revisions::default();
        for revision in revisions {
            self.revisions.insert(revision);
        }
        self.sets.repin_all(&self.revisions);
        self.touch_all();
    }

    /// The `ConfigMap` [`whitelist::CONFIGURATION`] of our own namespace was made or changed; these are its `data`. Nothing here
    /// fails: validation reports a text that cannot be read to whoever needs it.
    ///
    /// [`whitelist::CONFIGURATION`]: crate::sidecarset::whitelist::CONFIGURATION
    pub fn apply_configuration(&mut self, data: &BTreeMap<String, String>) {
        self.whitelist = Whitelist::of(data);
        self.set_spread_whitelist(spread::whitelist::Whitelist::of(data));
    }

    /// That `ConfigMap` was deleted, or does not exist.
    pub fn delete_configuration(&mut self) {
        self.whitelist = Whitelist::default();
        self.set_spread_whitelist(spread::whitelist::Whitelist::default());
    }

    /// A namespace was made or changed.
    pub fn apply_namespace(&mut self, namespace: Namespace) {
        let Namespace { name, labels, is_terminating } = namespace;
        if is_terminating {
            self.leaving.insert(name.clone());
        } else {
            self.leaving.remove(&name);
        }
        if self.namespaces.get(&name) != Some(&labels) {
            self.namespaces.insert(name, labels);
            self.touch_by_namespace();
        }
    }

    /// A namespace is gone.
    pub fn delete_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
        self.leaving.remove(name);
        self.touch_by_namespace();
    }

    /// These are all namespaces that there are.
    pub fn reset_namespaces(&mut self, namespaces: Vec<Namespace>) {
        let leaving = namespaces.iter().filter(|namespace| namespace.is_terminating);
        self.leaving = leaving.map(|namespace| namespace.name.clone()).collect();
        self.namespaces = namespaces.into_iter().map(|namespace| (namespace.name, namespace.labels)).collect();
        self.touch_by_namespace();
    }

    /// Labels of namespaces decide what sets with a namespace selector match.
    fn touch_by_namespace(&mut self) {
        let sets: Vec<_> =
            self.rollouts.values().filter(|rollout| rollout.namespaces.is_some()).map(|rollout| rollout.name.clone()).collect();
        self.touch(sets.iter().map(String::as_str));
    }
}

fn is_later(version: Option<&str>, known: Option<&str>) -> bool {
    is_newer(version.unwrap_or_default(), known.unwrap_or_default())
}

/// Whether these are two versions of one set, and the first is the later one.
fn is_later_version(one: &SidecarSet, other: &SidecarSet) -> bool {
    let (one, other) = (&one.metadata, &other.metadata);
    one.uid == other.uid && is_later(one.resource_version.as_deref(), other.resource_version.as_deref())
}

/// Whether two versions of a set differ in nothing but what its own reconciler writes.
fn is_same_but_status(one: &SidecarSet, other: &SidecarSet) -> bool {
    let of = |set: &SidecarSet| (set.metadata.uid.clone(), set.metadata.generation, set.metadata.deletion_timestamp.is_some());
    of(one) == of(other)
        && one.metadata.annotations == other.metadata.annotations
        && one.metadata.labels == other.metadata.labels
        // An API server that keeps no generations would hide changes.
        && (one.metadata.generation.is_some() || one.spec == other.spec)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sidecarset::whitelist::MEMBER;

    fn set(name: &str) -> SidecarSet {
        let pinned = json!({"revision": {"revisionName": "r"}});
        serde_json::from_value(json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "mesh", "image": "i"}], "injectionStrategy": pinned}}))
        .unwrap()
    }

    /// With whom a new set would be in conflict.
    fn rivals(state: &State) -> Vec<String> {
        let new = Entry::compile(set("new"), &Revisions::default()).unwrap();
        state.sets.conflicts(new.party()).into_iter().map(|conflict| conflict.other).collect()
    }

    #[test]
    fn conflicts_follow_what_is_stored() {
        let mut state = State::default();
        state.apply_set(set("a")).unwrap();
        assert_eq!(rivals(&state), ["a"]);
        state.delete_revision("r");
        assert_eq!(rivals(&state), ["a"], "compiled again");
        state.reset_sets(vec![set("b")]);
        assert_eq!(rivals(&state), ["b"]);
        let mut unusable = set("b");
        unusable.spec.selector.get_or_insert_default().match_expressions =
            Some(vec![serde_json::from_value(json!({"key": "a", "operator": "Is"})).unwrap()]);
        state.apply_set(unusable).unwrap_err();
        assert!(rivals(&state).is_empty());
    }

    fn version(version: u64, image: &str) -> SidecarSet {
        let mut set = set("a");
        set.metadata.resource_version = Some(version.to_string());
        set.spec.containers.as_mut().unwrap()[0].container.insert("image".to_owned(), image.into());
        set
    }

    fn image(state: &State) -> Option<&str> {
        state.rollouts.get("a").map(|rollout| rollout.sidecars[0].image.as_str())
    }

    #[test]
    fn a_set_is_not_undone_by_an_older_version_however_it_comes() {
        let mut state = State::default();
        state.apply_set(version(10, "new")).unwrap();
        state.take_touched();
        state.apply_set(version(9, "old")).unwrap();
        state.assume_set(version(9, "old")).unwrap();
        assert!(image(&state) == Some("new") && state.take_touched().is_empty());
        state.reset_sets(vec![version(9, "old")]);
        assert_eq!(image(&state), Some("new"));
        state.apply_set(version(11, "newer")).unwrap();
        assert_eq!(image(&state), Some("newer"));
    }

    #[test]
    fn a_set_that_is_gone_is_touched_once_more_and_not_brought_back_by_an_answer() {
        let mut state = State::default();
        state.apply_set(version(10, "new")).unwrap();
        state.take_touched();
        state.reset_sets(Vec::new());
        assert_eq!(state.take_touched(), BTreeSet::from([Key::SidecarSet("a".into())]));
        state.assume_set(version(11, "newer")).unwrap();
        assert_eq!((image(&state), rivals(&state).len()), (None, 0));
    }

    #[test]
    fn the_whitelist_follows_the_configuration() {
        let mut state = State::default();
        assert!(state.whitelist.is_absent());
        state.apply_configuration(&BTreeMap::from([(MEMBER.to_owned(), "{".to_owned())]));
        assert!(state.whitelist.patterns(&BTreeMap::new()).is_err());
        state.apply_configuration(&BTreeMap::from([("Other".to_owned(), "{".to_owned())]));
        assert!(state.whitelist.is_absent());
        state.apply_configuration(&BTreeMap::from([(MEMBER.to_owned(), r#"{"rules":[{"allowedAnnotationKeyExprs":["a"]}]}"#.to_owned())]));
        assert_eq!(state.whitelist.patterns(&BTreeMap::new()).unwrap().unwrap().len(), 1);
        state.delete_configuration();
        assert!(state.whitelist.is_absent());
    }
}
