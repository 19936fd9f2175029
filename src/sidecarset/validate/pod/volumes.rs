use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{check_name, objects, text};
use crate::{
    base::field::{Error, Path},
    sidecarset::api::Volume,
};

/// Volumes that are good, by name.
pub(super) type Known<'v> = BTreeMap<&'v str, &'v Volume>;

/// The kinds of volumes in the order in which Kubernetes looks for them; the first one found counts.
const SOURCES: [&str; 29] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "azureFile",
    "configMap",
    "vsphereVolume",
    "azureDisk",
    "storageos",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "projected",
    "csi",
    "ephemeral",
    "image",
];

/// Members without which a source is none.
const REQUIRED: [(&str, &str); 9] = [
    ("hostPath", "path"),
    ("secret", "secretName"),
    ("nfs", "server"),
    ("nfs", "path"),
    ("persistentVolumeClaim", "claimName"),
    ("configMap", "name"),
    ("csi", "driver"),
    ("ephemeral", "volumeClaimTemplate"),
    ("image", "reference"),
];

/// Checks all volumes; gives those that containers may refer to.
pub(super) fn check<'v>(volumes: &'v [Volume], path: &Path, errors: &mut Vec<Error>) -> Known<'v> {
    let mut known = Known::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let mut found = Vec::new();
        check_source(&volume.0, &path, &mut found);
        check_name(volume.name(), &path.child("name"), &mut found);
        if known.contains_key(volume.name()) {
            found.push(Error::duplicate(&path.child("name"), volume.name()));
        }
        if found.is_empty() {
            known.insert(volume.name(), volume);
        }
        errors.extend(found);
    }
    known
}

/// Whether a device can be made of the volume.
pub(super) fn is_claim(volume: &Volume) -> bool {
    ["persistentVolumeClaim", "ephemeral"].iter().any(|source| volume.0.get(*source).is_some_and(|source| !source.is_null()))
}

fn check_source(volume: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    let mut sources: Vec<_> =
        volume.iter().filter(|(member, source)| *member != "name" && !source.is_null()).map(|(name, _)| name).collect();
    // A kind that is newer than this list comes last.
    sources.sort_by_key(|source| SOURCES.iter().position(|known| known == source).unwrap_or(SOURCES.len()));
    let mut sources = sources.into_iter();
    let Some(first) = sources.next() else { return errors.push(Error::required(path, "must specify a volume type")) };
    if let Some(source) = volume.get(first).and_then(Value::as_object) {
        check_members(first, source, &path.child(first), errors);
    }
    for source in sources {
        errors.push(Error::forbidden(&path.child(source), "may not specify more than 1 volume type"));
    }
}

fn check_members(kind: &str, source: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    let is_missing = |object: &Map<String, Value>, member: &str| object.get(member).is_none_or(|value| value.is_null() || value == "");
    for (_, member) in REQUIRED.iter().filter(|(of, member)| *of == kind && is_missing(source, member)) {
        errors.push(Error::required(&path.child(member), ""));
    }
    if matches!(kind, "secret" | "configMap") {
        for (index, item) in objects(source, "items").enumerate() {
            for member in ["key", "path"].into_iter().filter(|member| text(item, member).is_empty()) {
                errors.push(Error::required(&path.child("items").index(index).child(member), ""));
            }
        }
    }
}
