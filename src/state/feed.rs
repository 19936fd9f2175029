//! How the picture follows the cluster: one call for each change, one for a whole list.
//!
//! A list replaces all that was known of its kind in one step, so that no decision sees half of it.

use std::collections::BTreeMap;

use super::State;
use crate::sidecarset::{
    api::SidecarSet,
    index::{Entry, SetError, SetIndex},
    revision::{Revision, Revisions},
    whitelist::Whitelist,
};

/// A namespace: its name and labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl State {
    /// A set was made or changed. One that cannot be used is forgotten, since what it said before is not meant any more.
    pub fn apply_set(&mut self, set: SidecarSet) -> Result<(), SetError> {
        let name = set.metadata.name.clone().unwrap_or_default();
        match Entry::compile(set, &self.revisions) {
            Ok(entry) => {
                self.sets.insert(entry);
                Ok(())
            }
            Err(error) => {
                self.sets.remove(&name);
                Err(error)
            }
        }
    }

    /// A set was deleted.
    pub fn delete_set(&mut self, name: &str) {
        self.sets.remove(name);
    }

    /// These are all sets that there are. Those that cannot be used are left out and named.
    pub fn reset_sets(&mut self, sets: Vec<SidecarSet>) -> Vec<SetError> {
        let mut index = SetIndex::default();
        let mut errors = Vec::new();
        for set in sets {
            match Entry::compile(set, &self.revisions) {
                Ok(entry) => index.insert(entry),
                Err(error) => errors.push(error),
            }
        }
        self.sets = index;
        errors
    }

    /// A revision was recorded or changed.
    pub fn apply_revision(&mut self, revision: Revision) {
        self.revisions.insert(revision);
        self.sets.repin(&self.revisions);
    }

    /// A revision was deleted.
    pub fn delete_revision(&mut self, name: &str) {
        self.revisions.remove(name);
        self.sets.repin(&self.revisions);
    }

    /// These are all revisions that there are.
    pub fn reset_revisions(&mut self, revisions: Vec<Revision>) {
        self.revisions = Revisions::default();
        for revision in revisions {
            self.revisions.insert(revision);
        }
        self.sets.repin(&self.revisions);
    }

    /// The `ConfigMap` [`whitelist::CONFIGURATION`] of our own namespace was made or changed; these are its `data`. Nothing here
    /// fails: validation reports a text that cannot be read to whoever needs it.
    ///
    /// [`whitelist::CONFIGURATION`]: crate::sidecarset::whitelist::CONFIGURATION
    pub fn apply_configuration(&mut self, data: &BTreeMap<String, String>) {
        self.whitelist = Whitelist::of(data);
    }

    /// That `ConfigMap` was deleted, or does not exist.
    pub fn delete_configuration(&mut self) {
        self.whitelist = Whitelist::default();
    }

    /// A namespace was made or changed.
    pub fn apply_namespace(&mut self, namespace: Namespace) {
        self.namespaces.insert(namespace.name, namespace.labels);
    }

    /// A namespace is gone.
    pub fn delete_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// These are all namespaces that there are.
    pub fn reset_namespaces(&mut self, namespaces: Vec<Namespace>) {
        self.namespaces = namespaces.into_iter().map(|namespace| (namespace.name, namespace.labels)).collect();
    }
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
