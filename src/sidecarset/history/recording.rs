use serde_json::{Map, Value, json};

use super::super::{
    api::{SidecarContainer, SidecarSet, SidecarSetSpec},
    keys,
    revision::Fingerprint,
    shape,
};
use crate::base::{go_json, hash, names::is_label_value};

/// How much of a set's name goes into the names of its revisions.
const LONGEST: usize = 223;

/// How many collisions are looked for that the status does not know of.
const MISSED: i32 = 4;

/// What would be recorded of a set as it is.
pub(super) struct Recording<'s> {
    set: &'s SidecarSet,
    text: String,
    /// What it says, to be compared.
    pub(super) fingerprint: Fingerprint,
}

/// Whose revision it is, and where among the others it stands.
pub(super) struct Place<'p> {
    pub(super) name: &'p str,
    pub(super) namespace: &'p str,
    pub(super) number: i64,
}

impl<'s> Recording<'s> {
    pub(super) fn of(set: &'s SidecarSet) -> Self {
        let data = data(&set.spec);
        let mut text = String::new();
        go_json::write_value(&mut text, &data);
        Self { set, text, fingerprint: Fingerprint::of(&data) }
    }

    /// How a revision of this content is called after so many collisions.
    pub(super) fn name(&self, collisions: i32) -> String {
        format!("{}{}", name_prefix(self.set.metadata.name.as_deref().unwrap_or_default()), self.hash(collisions))
    }

    /// How many collisions there were when a revision of this content got its name, if more than are `known`: it may have been created
    /// while the status that was to say so could not be written.
    pub(super) fn collisions_of(&self, name: &str, known: i32) -> i32 {
        (0..MISSED).map(|more| known.saturating_add(more)).find(|count| self.name(*count) == name).unwrap_or(known)
    }

    /// The whole ControllerRevision.
    pub(super) fn object(&self, place: &Place<'_>) -> Value {
        let Place { name, namespace, number } = place;
        let mut metadata = json!({"name": name, "namespace": namespace, "labels": self.labels()});
        // All annotations: the hashes among them make that the set's hashes are known when it is restored.
        if let (Some(annotations), Value::Object(metadata)) = (&self.set.metadata.annotations, &mut metadata) {
            metadata.insert("annotations".to_owned(), json!(annotations));
        }
        if let (Some(uid), Value::Object(metadata)) = (&self.set.metadata.uid, &mut metadata) {
            metadata.insert("ownerReferences".to_owned(), json!([self.owner(uid)]));
        }
        // Our own text always reads back; with its members sorted, which is how they were hashed.
        let data: Value = serde_json::from_str(&self.text).unwrap_or_default();
        json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": data, "revision": number})
    }

    /// All labels of the set, and those that revisions are found by. The hash is the one before any collision.
    fn labels(&self) -> Map<String, Value> {
        let metadata = &self.set.metadata;
        let own = metadata.labels.iter().flatten().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
        let mut labels: Map<String, Value> = own.collect();
        labels.insert(keys::REVISION_HASH.to_owned(), Value::from(self.hash(collisions(self.set))));
        labels.insert(keys::SET_NAME.to_owned(), Value::from(metadata.name.as_deref().unwrap_or_default()));
        if let Some(version) = custom_version(self.set) {
            labels.insert(keys::CUSTOM_VERSION.to_owned(), Value::from(version));
        }
        labels
    }

    fn owner(&self, uid: &str) -> Value {
        let name = self.set.metadata.name.as_deref().unwrap_or_default();
        json!({
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "name": name, "uid": uid,
            "controller": true, "blockOwnerDeletion": true,
        })
    }

    fn hash(&self, collisions: i32) -> String {
        hash::short(&[&self.text, &collisions.to_string()])
    }
}

/// How the names of a set's revisions begin.
pub(in crate::sidecarset) fn name_prefix(set: &str) -> String {
    let (set, _) = set.split_at(set.floor_char_boundary(LONGEST));
    format!("{set}-")
}

/// How often a name was taken, as far as the set's status knows.
pub(super) fn collisions(set: &SidecarSet) -> i32 {
    set.status.as_ref().and_then(|status| status.collision_count).unwrap_or_default()
}

/// The custom version, if the set has one.
pub(super) fn custom_version(set: &SidecarSet) -> Option<&str> {
    // One that is no label value is admitted with a warning; no revision can be found by it.
    set.spec.custom_version.as_deref().filter(|version| !version.is_empty() && is_label_value(version))
}

/// The patch that makes of a set what it is now. All six members are always there; what the set lacks is null. Values are as the
/// reference's types would be written, and members that those do not know are kept, or restoring the revision would lose them.
fn data(spec: &SidecarSetSpec) -> Value {
    let volumes = spec.volumes.iter().map(|volume| tidied(&[shape::VOLUME], volume.0.clone()));
    let secrets = spec.image_pull_secrets.iter().map(|secret| json!(secret));
    let patches = spec.patch_pod_metadata.iter().map(|patch| {
        let mut patch = patch.clone();
        patch.patch_policy = patch.patch_policy.filter(|policy| !policy.is_empty());
        json!(patch)
    });
    json!({"spec": {
        "$patch": "replace",
        "containers": containers(spec.containers.as_deref()),
        "imagePullSecrets": list(secrets),
        "initContainers": containers(spec.init_containers.as_deref()),
        "patchPodMetadata": list(patches),
        "volumes": list(volumes),
    }})
}

fn containers(containers: Option<&[SidecarContainer]>) -> Value {
    list(containers.into_iter().flatten().map(|container| match json!(container) {
        Value::Object(members) => tidied(&[shape::CONTAINER, shape::PLACEMENT], members),
        other => other,
    }))
}

fn tidied(shapes: &[&[shape::Field]], mut members: Map<String, Value>) -> Value {
    for fields in shapes {
        shape::tidy(fields, &mut members);
    }
    Value::Object(members)
}

/// An empty list is written as none.
fn list(items: impl Iterator<Item = Value>) -> Value {
    let items: Vec<_> = items.collect();
    if items.is_empty() { Value::Null } else { Value::Array(items) }
}
