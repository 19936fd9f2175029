//! The reconcilers: which objects are looked at when, by whom, and what becomes of a plan. Only the leader runs them.

pub mod desk;
pub mod runner;

use crate::{
    plan::{Key, Plan},
    sidecarset::plan::{self, Circumstances, Picture},
    state::Snapshot,
};

/// What a plan for this object is made from; `None` if there is no such object.
pub fn picture(key: &Key, snapshot: &Snapshot<'_>) -> Option<Picture> {
    match key {
        Key::SidecarSet(name) => snapshot.picture_of(name),
    }
}

/// All objects that are reconciled.
pub fn all(snapshot: &Snapshot<'_>) -> Vec<Key> {
    snapshot.all_sets().collect()
}

/// The plan for an object.
pub fn plan(picture: &Picture, circumstances: &Circumstances<'_>) -> Plan {
    plan::plan(picture, circumstances)
}
