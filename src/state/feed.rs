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
        let name = revision.name.clone();
        let before = self.revisions.insert(revision);
        let changed = before.as_deref().into_iter().chain(self.revisions.by_name(&name).map(AsRef::as_ref));
        self.sets.repin(changed, &self.revisions);
    }

    /// A revision was deleted.
    pub fn delete_revision(&mut self, name: &str) {
        let gone = self.revisions.remove(name);
        self.sets.repin(gone.as_deref(), &self.revisions);
    }

    /// These are all revisions that there are.
    pub fn reset_revisions(&mut self, revisions: Vec<Revision>) {
        self.revisions = Revisions::default();
        for revision in revisions {
            self.revisions.insert(revision);
        }
        self.sets.repin_all(&self.revisions);
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
