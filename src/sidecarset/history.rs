//! The history of a set: which ControllerRevisions are made, renumbered, labelled and deleted, so that the newest one records what the
//! set adds to pods now.
//!
//! ```text
//! the set as it is ─→ recorded already?  as the newest: nothing │ earlier: renumber it │ never: create it
//!                  ─→ its custom version on the label of that revision
//!                  ─→ more than spec.revisionHistoryLimit? delete from the oldest on what nobody needs
//! ```
//!
//! Names, hashes, data and labels are those of the reference, so that either finds what the other has recorded.
//! (`SidecarSetProcessor.registerLatestRevision` and `truncateHistory` there.)

mod prune;
mod recording;

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use serde_json::Value;

use self::{
    prune::prune,
    recording::{Place, Recording, collisions, custom_version, name_prefix},
};
use super::{
    api::SidecarSet,
    revision::{Revision, Revisions},
};

/// What has to be done for the history of a set to be right.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Name of the revision that records the set as it is, once the steps are done: for `status.latestRevision`.
    pub latest: String,
    /// How often a name was taken by another revision: for `status.collisionCount`.
    pub collision_count: i32,
    /// What is to be written, in this order.
    pub steps: Vec<Step>,
    /// What to say if more revisions must be kept than the set wants.
    pub overflow: Option<String>,
}

/// One write. Versions and uids are preconditions, absent where nothing is known to hold against: the object was never in a cluster,
/// or the step before has just written it.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Create this ControllerRevision.
    Create(Value),
    /// Set the member `revision`.
    Renumber {
        /// Of this revision.
        name: String,
        /// If it is still this version.
        resource_version: Option<String>,
        /// The number.
        number: i64,
    },
    /// Set the label [`super::keys::CUSTOM_VERSION`].
    Label {
        /// Of this revision.
        name: String,
        /// If it is still this version.
        resource_version: Option<String>,
        /// The label's value.
        custom_version: String,
    },
    /// Delete a revision.
    Delete {
        /// The one of this name.
        name: String,
        /// If it is still this object.
        uid: Option<String>,
        /// And this version of it.
        resource_version: Option<String>,
    },
}

/// One revision of the history, as it will be when the steps so far are done.
struct Link<'r> {
    name: Cow<'r, str>,
    custom_version: Option<&'r str>,
    /// As it is; `None` if it is yet to be created.
    revision: Option<&'r Revision>,
}

/// What has to be done so that the newest revision records the set as it is stored, and no more are kept than it wants.
///
/// `recorded` are the revisions in our namespace that carry the set's name on their label, in any order. Those that another object
/// controls (a set of the same name that is gone) are no history, they go with their owner; but their names are taken. The same holds
/// for revisions of others ([`concerning`]): if creating one is answered with "already exists", fetch what is there and call this again with it.
/// `in_use` are the names that pods note. When all steps are done, there are no further ones.
pub fn register(set: &SidecarSet, recorded: &[Arc<Revision>], in_use: &BTreeSet<&str>, own_namespace: &str) -> Registration {
    let recording = Recording::of(set);
    let mut history: Vec<&Revision> = recorded.iter().map(AsRef::as_ref).filter(|revision| is_own(set, revision)).collect();
    history.sort_by_cached_key(|revision| revision.age());
    let next = history.last().map_or(1, |newest| newest.number.saturating_add(1));
    let found = history.iter().rposition(|revision| revision.fingerprint == recording.fingerprint);
    let mut collision_count = collisions(set);
    let mut links: Vec<_> = history.iter().map(|revision| Link::of(revision)).collect();
    let mut steps = Vec::new();
    let latest = if let Some(at) = found {
        let latest = links.remove(at);
        steps.extend(latest.renumber(next).filter(|_| at < links.len()));
        steps.extend(custom_version(set).and_then(|version| latest.relabel(version, !steps.is_empty())));
        collision_count = recording.collisions_of(&latest.name, collision_count);
        Link { custom_version: custom_version(set).or(latest.custom_version), ..latest }
    } else {
        let (name, count) = free_name(&recording, collision_count, recorded);
        steps.push(Step::Create(recording.object(&Place { name: &name, namespace: own_namespace, number: next })));
        collision_count = count;
        Link { name: name.into(), custom_version: custom_version(set), revision: None }
    };
    let name = latest.name.clone().into_owned();
    links.push(latest);
    let (deletions, overflow) = prune(set, &links, in_use);
    steps.extend(deletions);
    Registration { latest: name, collision_count, steps, overflow }
}

/// All recorded revisions that [`register`] has to know of for a set: its own, and those that have names it might want.
pub fn concerning<'r>(revisions: &'r Revisions, set: &str) -> Vec<&'r Arc<Revision>> {
    let prefix = name_prefix(set);
    let others = revisions.named_like(&prefix).filter(|revision| revision.set_name.as_deref() != Some(set));
    revisions.of_set(set).chain(others).collect()
}

/// Whether a revision is of this set: by its label, and not controlled by another object. Nothing can be held against the owner of a
/// revision if the set itself was never in a cluster.
fn is_own(set: &SidecarSet, revision: &Revision) -> bool {
    let is_foreign = set.metadata.uid.as_ref().zip(revision.owner_uid.as_ref()).is_some_and(|(set, owner)| set != owner);
    revision.set_name == set.metadata.name && !is_foreign
}

/// The first name that no recorded revision has, and how many collisions there were by then. Who has it records something else, or
/// does not belong to the set, so that it will not stay.
fn free_name(recording: &Recording<'_>, collisions: i32, recorded: &[Arc<Revision>]) -> (String, i32) {
    let taken: BTreeSet<&str> = recorded.iter().map(|revision| revision.name.as_str()).collect();
    let mut count = collisions;
    let mut name = recording.name(count);
    while taken.contains(name.as_str()) {
        count = count.wrapping_add(1);
        name = recording.name(count);
    }
    (name, count)
}

impl<'r> Link<'r> {
    fn of(revision: &'r Revision) -> Self {
        Self { name: revision.name.as_str().into(), custom_version: revision.custom_version.as_deref(), revision: Some(revision) }
    }

    /// What gives it this number, if it has another one.
    fn renumber(&self, number: i64) -> Option<Step> {
        let revision = self.revision.filter(|revision| revision.number != number)?;
        Some(Step::Renumber { name: revision.name.clone(), resource_version: revision.resource_version.clone(), number })
    }

    /// What gives it this custom version, if it has another one. A revision that was just written has a version that is not known yet.
    fn relabel(&self, version: &str, was_written: bool) -> Option<Step> {
        let revision = self.revision.filter(|_| self.custom_version != Some(version))?;
        let resource_version = revision.resource_version.clone().filter(|_| !was_written);
        Some(Step::Label { name: revision.name.clone(), resource_version, custom_version: version.to_owned() })
    }
}

#[cfg(test)]
mod tests;
