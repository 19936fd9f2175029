//! A running pod as the reconcilers see it: what they read of it and nothing else, with texts that pods have in common
//! kept once ([`Interner`]).

mod ending;
mod wire_parts;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::{Deserialize, Deserializer};

pub use self::{
    ending::{ContainerEnding, Ending, Restarts, SIDECAR_TERMINATED, Wishes},
    wire_parts::{ContainerReport, ContainerSpec},
};
use super::{decode::or_default, interned::Interner, selector::Labels};

/// Labels of a running pod, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SharedLabels(Arc<[(Arc<str>, Arc<str>)]>);

impl SharedLabels {
    /// These labels, their texts shared.
    pub fn of<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>, interner: &mut Interner) -> Self {
        let labels: Vec<_> = labels.map(|(key, value)| (interner.of(key), interner.of(value))).collect();
        Self(interner.labels(labels))
    }
}

impl SharedLabels {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

impl Labels for SharedLabels {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| &**k == key).map(|(_, value)| &**value)
    }
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have been started, or nothing is said.
    #[default]
    Pending,
    /// Bound, and at least one container runs.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, not all of them well.
    Failed,
    /// Its node does not answer.
    Unknown,
}

/// A running pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What tells it from an earlier pod of its name.
    pub uid: Arc<str>,
    /// The version of the object that this was read from.
    pub resource_version: Box<str>,
    /// Its labels.
    pub labels: SharedLabels,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// It is being deleted.
    pub is_terminating: bool,
    /// It has a node.
    pub is_assigned: bool,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its condition `Ready` is true.
    pub is_ready: bool,
    /// When that condition last changed.
    pub ready_since: Option<Timestamp>,
    /// Its containers, in the order of the spec.
    pub containers: Arc<[Container]>,
    /// Its init containers, in the order of the spec.
    pub init_containers: Arc<[Container]>,
    /// How many containers the kubelet reports on; less than there are, while it has yet to start.
    pub reported: usize,
    /// How it ends, if it has sidecars that are to end with the work beside them.
    pub ending: Option<Box<Ending>>,
}

/// A container of a running pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// Its name.
    pub name: Arc<str>,
    /// The image that the spec wants.
    pub image: Arc<str>,
    /// As an init container: it goes on beside the others (`restartPolicy: Always`).
    pub is_native_sidecar: bool,
    /// What the kubelet reports.
    pub status: Option<ContainerStatus>,
}

/// What the kubelet reports of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContainerStatus {
    /// The image that runs, as the runtime calls it.
    pub image: Arc<str>,
    /// What the image is to the runtime.
    pub image_id: Arc<str>,
    /// It passes its readiness probe.
    pub is_ready: bool,
    /// How often it was started again.
    pub restarts: i32,
}

impl Pod {
    /// Neither finished nor being deleted.
    pub fn is_active(&self) -> bool {
        !self.is_terminating && !matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Runs, is ready and is not being deleted.
    pub fn is_available(&self) -> bool {
        self.phase == Phase::Running && self.is_ready && !self.is_terminating
    }

    /// The container of this name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| &*container.name == name)
    }

    /// The init container of this name.
    pub fn init_container(&self, name: &str) -> Option<&Container> {
        self.init_containers.iter().find(|container| &*container.name == name)
    }

    /// Whether this is what a later version of the object said.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        is_newer(&self.resource_version, &other.resource_version)
    }
}

/// Whether the first of two versions of an object is the later one. Versions are numbers that grow, of any length.
/// (KEP-5504: comparable resource versions)
pub fn is_newer(version: &str, other: &str) -> bool {
    (version.len(), version) > (other.len(), other)
}

/// The members of a Pod object that are read; all others are skipped while decoding.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Wire {
    /// Its metadata, without what the API server keeps about its managers.
    #[serde(deserialize_with = "metadata", default)]
    pub metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    spec: WireSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: WireStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec {
    #[serde(default, deserialize_with = "or_default")]
    node_name: String,
    #[serde(default, deserialize_with = "or_default")]
    restart_policy: String,
    #[serde(default, deserialize_with = "or_default")]
    containers: Vec<WireContainer>,
    #[serde(default, deserialize_with = "or_default")]
    init_containers: Vec<WireContainer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContainer {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    image: String,
    #[serde(default, deserialize_with = "or_default")]
    restart_policy: String,
    #[serde(default, deserialize_with = "or_default")]
    env: Wishes,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    #[serde(default)]
    observed_generation: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    phase: String,
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<WireCondition>,
    #[serde(default, deserialize_with = "or_default")]
    container_statuses: Vec<WireContainerStatus>,
    #[serde(default, deserialize_with = "or_default")]
    init_container_statuses: Vec<WireContainerStatus>,
}

/// A condition of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireCondition {
    /// Its type.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// Its reason in a word.
    #[serde(default, deserialize_with = "or_default")]
    pub reason: String,
    /// What it says.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
    /// When its status last changed.
    #[serde(default)]
    pub last_transition_time: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContainerStatus {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    image: String,
    #[serde(rename = "imageID", default, deserialize_with = "or_default")]
    image_id: String,
    #[serde(default, deserialize_with = "or_default")]
    ready: bool,
    #[serde(default, deserialize_with = "or_default")]
    restart_count: i32,
    #[serde(default, deserialize_with = "or_default")]
    state: WireState,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct WireState {
    #[serde(default)]
    terminated: Option<WireTerminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTerminated {
    #[serde(default, deserialize_with = "or_default")]
    exit_code: i32,
}

impl Wire {
    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// The condition of a type.
    pub fn condition(&self, kind: &str) -> Option<&WireCondition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// The node that it is on; empty if there is none.
    pub fn node(&self) -> &str {
        &self.spec.node_name
    }

    /// How often the container was restarted that was most often.
    pub fn most_restarts(&self) -> i32 {
        let statuses = self.status.container_statuses.iter().chain(&self.status.init_container_statuses);
        statuses.map(|status| status.restart_count).max().unwrap_or_default()
    }

    /// The pod, with its texts shared.
    pub fn observe(&self, interner: &mut Interner) -> Pod {
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
        let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        let ready = self.condition("Ready");
        let labels = self.metadata.labels.iter().flatten();
        Pod {
            namespace: interner.of(self.metadata.namespace.as_deref().unwrap_or_default()),
            name: text(&self.metadata.name),
            uid: text(&self.metadata.uid),
            resource_version: self.metadata.resource_version.as_deref().unwrap_or_default().into(),
            labels: SharedLabels::of(labels, interner),
            created: time(&self.metadata.creation_timestamp),
            is_terminating: self.metadata.deletion_timestamp.is_some(),
            is_assigned: !self.spec.node_name.is_empty(),
            phase: self.phase(),
            is_ready: ready.is_some_and(|ready| ready.status == "True"),
            ready_since: ready.and_then(|ready| ready.last_transition_time),
            containers: containers(&self.spec.containers, &self.status.container_statuses, interner),
            init_containers: containers(&self.spec.init_containers, &self.status.init_container_statuses, interner),
            reported: self.status.container_statuses.len(),
            ending: self.ending(interner),
        }
    }
}

fn containers(specs: &[WireContainer], statuses: &[WireContainerStatus], interner: &mut Interner) -> Arc<[Container]> {
    let mut of = |spec: &WireContainer| Container {
        name: interner.of(&spec.name),
        image: interner.of(&spec.image),
        is_native_sidecar: spec.restart_policy == "Always",
        status: statuses.iter().find(|status| status.name == spec.name).map(|status| ContainerStatus {
            image: interner.of(&status.image),
            image_id: interner.of(&status.image_id),
            is_ready: status.ready,
            restarts: status.restart_count,
        }),
    };
    let all = specs.iter().map(&mut of).collect();
    interner.containers(all)
}

/// Metadata but for `managedFields`, which is the larger half of many pods and read by nobody here.
pub(super) fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Read {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        labels: Option<std::collections::BTreeMap<String, String>>,
        annotations: Option<std::collections::BTreeMap<String, String>>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
        generation: Option<i64>,
        owner_references: Option<Vec<OwnerReference>>,
    }
    let read = Option::<Read>::deserialize(deserializer)?.unwrap_or_default();
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        labels: read.labels,
        annotations: read.annotations,
        creation_timestamp: read.creation_timestamp,
        deletion_timestamp: read.deletion_timestamp,
        generation: read.generation,
        owner_references: read.owner_references,
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(version: &str) -> Pod {
        let object = json!({
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "resourceVersion": version, "labels": {"app": "web"}, "managedFields": [{"manager": "kubelet", "fieldsV1": {}}]},
            "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "main:2"}], "initContainers": [{"name": "mesh", "image": "mesh:1", "restartPolicy": "Always"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}],
                "containerStatuses": [{"name": "main", "image": "main:1", "imageID": "sha256:1", "ready": true, "restartCount": 3}]}});
        let wire: Wire = serde_json::from_value(object).unwrap();
        wire.observe(&mut Interner::default())
    }

    #[test]
    fn a_pod_is_read_with_what_the_kubelet_reports() {
        let pod = pod("7");
        assert!(pod.is_available() && pod.is_active() && pod.is_assigned);
        assert_eq!(pod.labels.label("app"), Some("web"));
        let main = pod.container("main").unwrap();
        let status = main.status.as_ref().unwrap();
        assert_eq!((&*main.image, &*status.image, &*status.image_id, status.restarts), ("main:2", "main:1", "sha256:1", 3));
        assert!(pod.init_container("mesh").unwrap().is_native_sidecar);
        assert_eq!(pod.ready_since, Some("2026-01-02T03:04:05Z".parse().unwrap()));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(pod("10").is_newer_than(&pod("9")));
        assert!(!pod("9").is_newer_than(&pod("9")));
        assert!(!pod("99").is_newer_than(&pod("100")));
    }

    #[test]
    fn a_pod_without_anything_is_a_pod() {
        let wire: Wire = serde_json::from_value(json!({"metadata": null, "spec": null, "status": {"conditions": null}})).unwrap();
        assert_eq!(wire.observe(&mut Interner::default()).phase, Phase::Pending);
    }
}
