//! Recorded revisions of sets: found by name or by custom version, and put in place of the present content.

mod fingerprint;
mod store;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{api::SidecarSet, hash, keys};
use crate::base::strategic_merge::{self, CONTAINER, KeyedList, MergeError, PLAIN, Shape};

pub use fingerprint::Fingerprint;
pub use store::Revisions;

/// A ControllerRevision that records what a set was.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The object's name.
    pub name: String,
    /// The namespace that it is kept in.
    pub namespace: Option<String>,
    /// The object's uid, as far as it has been in a cluster.
    pub uid: Option<String>,
    /// Which version of the object this is, as far as it has been in a cluster.
    pub resource_version: Option<String>,
    /// The uid of the object that controls it: the set that was recorded.
    pub owner_uid: Option<String>,
    /// The set that it belongs to, by its label.
    pub set_name: Option<String>,
    /// The custom version that the set had, by its label.
    pub custom_version: Option<String>,
    /// Hash of the recorded sidecars, by its annotation.
    pub hash: Option<String>,
    /// The same without images.
    pub hash_without_image: Option<String>,
    /// Its number; later revisions have greater ones.
    pub number: i64,
    /// When it was recorded.
    pub created: Option<Timestamp>,
    /// A patch that makes of the set what it was.
    pub data: Value,
    /// What `data` says, to be compared.
    pub fingerprint: Fingerprint,
}

/// Later revisions have the greater number; where numbers are equal, time and then name decide.
pub type Age = (i64, Option<Timestamp>, String);

/// Why a revision cannot be read or put in place.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// A member of the object is missing or holds something else than it must.
    #[error("ControllerRevision {name:?}: {field} must be {wanted}")]
    Member {
        /// The object's name, as far as it has one.
        name: String,
        /// The member.
        field: &'static str,
        /// What should be there.
        wanted: &'static str,
    },
    /// The data is no patch for the set.
    #[error("ControllerRevision {name:?} cannot be merged into its set: {error}")]
    Merge {
        /// The revision's name.
        name: String,
        /// What is wrong with the patch.
        error: MergeError,
    },
    /// The patched set is none.
    #[error("ControllerRevision {name:?} does not make a SidecarSet: {error}")]
    Content {
        /// The revision's name.
        name: String,
        /// What is wrong with the result.
        error: serde_json::Error,
    },
}

impl Revision {
    /// Reads a ControllerRevision.
    pub fn from_object(object: &Value) -> Result<Self, RevisionError> {
        let text = |pointer: String| object.pointer(&pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let marked = |kind: &str, key: &str| text(format!("/metadata/{kind}/{}", key.replace('/', "~1")));
        let name = text("/metadata/name".to_owned()).unwrap_or_default();
        let member = |field, wanted| RevisionError::Member { name: name.clone(), field, wanted };
        if name.is_empty() {
            return Err(member("metadata.name", "a name"));
        }
        let number = match object.get("revision") {
            None | Some(Value::Null) => 0,
            Some(number) => number.as_i64().ok_or_else(|| member("revision", "a whole number"))?,
        };
        let created = match text("/metadata/creationTimestamp".to_owned()) {
            None => None,
            Some(time) => Some(time.parse().map_err(|_| member("metadata.creationTimestamp", "a time"))?),
        };
        let data = object.get("data").cloned().unwrap_or_default();
        Ok(Self {
            namespace: text("/metadata/namespace".to_owned()),
            uid: text("/metadata/uid".to_owned()),
            resource_version: text("/metadata/resourceVersion".to_owned()),
            owner_uid: controller(object).and_then(|owner| owner.get("uid")?.as_str()).map(str::to_owned),
            // An empty label is a value, too: sets may ask for it.
            set_name: label(object, keys::SET_NAME),
            custom_version: label(object, keys::CUSTOM_VERSION),
            hash: marked("annotations", keys::HASH),
            hash_without_image: marked("annotations", keys::HASH_WITHOUT_IMAGE),
            number,
            created,
            fingerprint: Fingerprint::of(&data),
            data,
            name,
        })
    }

    /// Its place among the revisions of its set.
    pub fn age(&self) -> Age {
        (self.number, self.created, self.name.clone())
    }
}

/// The set as the revision recorded it: metadata and status stay, and nothing is defaulted again. A revision as the controller records
/// it replaces the whole spec.
pub fn restore(current: &SidecarSet, revision: &Revision) -> Result<SidecarSet, RevisionError> {
    let content = |error| RevisionError::Content { name: revision.name.clone(), error };
    let Value::Object(patch) = &revision.data else {
        return Err(RevisionError::Member { name: revision.name.clone(), field: "data", wanted: "an object" });
    };
    let mut object: Map<String, Value> = serde_json::to_value(current).and_then(serde_json::from_value).map_err(content)?;
    strategic_merge::merge(&mut object, patch.clone(), &SET)
        .map_err(|error| RevisionError::Merge { name: revision.name.clone(), error })?;
    let mut restored: SidecarSet = serde_json::from_value(Value::Object(object)).map_err(content)?;
    let sidecars = revision.hash.clone().unwrap_or_else(|| hash::hash(&restored.spec));
    let without_image = revision.hash_without_image.clone().unwrap_or_else(|| hash::hash_without_image(&restored.spec));
    let annotations = restored.metadata.annotations.get_or_insert_default();
    annotations.insert(keys::HASH.to_owned(), sidecars);
    annotations.insert(keys::HASH_WITHOUT_IMAGE.to_owned(), without_image);
    restored.status.get_or_insert_default().latest_revision = Some(revision.name.clone());
    Ok(restored)
}

fn controller(object: &Value) -> Option<&Value> {
    let mut owners = object.get("metadata")?.get("ownerReferences")?.as_array()?.iter();
    owners.find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
}

fn label(object: &Value, key: &str) -> Option<String> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str().map(str::to_owned)
}

const SET: Shape = Shape { lists: &[], sets: &[], objects: &[("spec", &SPEC)] };

const SPEC: Shape = Shape {
    lists: &[
        KeyedList { name: "initContainers", key: "name", item: CONTAINER },
        KeyedList { name: "containers", key: "name", item: CONTAINER },
        KeyedList { name: "volumes", key: "name", item: PLAIN },
        KeyedList { name: "imagePullSecrets", key: "name", item: PLAIN },
    ],
    sets: &[],
    objects: &[],
};

#[cfg(test)]
mod tests;
