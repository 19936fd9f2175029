//! The SidecarSet object, version `v1beta1`: the one shape in which the rest of this crate speaks of sets.
//!
//! Container and volume members that this crate does not interpret stay as they came ([`SidecarContainer::container`], [`Volume`]):
//! what is new in Kubernetes is not lost. `v1alpha1` is read by [`super::v1alpha1`]. (`apis/apps/v1beta1/sidecarset_types.go`)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod update;

pub use self::update::{OrderPriority, PriorityStrategy, ScatterTerm, UpdateStrategy, WeightPriority};
use super::schema;
use crate::base::decode::or_default;

/// Which pods get which sidecars, and how changed sidecars are rolled out.
#[expect(clippy::duplicated_attributes, reason = "columns that share a type")]
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[kube(
    group = "apps.kruise.io",
    version = "v1beta1",
    kind = "SidecarSet",
    plural = "sidecarsets",
    singular = "sidecarset",
    status = "SidecarSetStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(json_path = ".status.matchedPods", name = "MATCHED", type_ = "integer", description = "Pods that the set selects"),
    printcolumn(
        json_path = ".status.updatedPods",
        name = "UPDATED",
        type_ = "integer",
        description = "Matched pods that run the latest revision"
    ),
    printcolumn(json_path = ".status.readyPods", name = "READY", type_ = "integer", description = "Matched pods that are ready"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "AGE", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct SidecarSetSpec {
    /// Labels of the pods to inject. A set without a selector, or with an empty one, selects nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Labels of the namespaces whose pods are injected; all namespaces if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Init containers to add; with `restartPolicy: Always` they are native sidecars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::sidecar_containers")]
    pub init_containers: Option<Vec<SidecarContainer>>,
    /// Containers to add. Absent and empty differ in the hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::sidecar_containers")]
    pub containers: Option<Vec<SidecarContainer>>,
    /// Volumes that the sidecars may mount. Only those that are mounted are added to pods.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::volumes")]
    pub volumes: Vec<Volume>,
    /// How changed sidecars reach running pods.
    #[serde(default, deserialize_with = "or_default")]
    pub update_strategy: UpdateStrategy,
    /// What new pods get.
    #[serde(default, deserialize_with = "or_default")]
    pub injection_strategy: InjectionStrategy,
    /// Pull secrets added to injected pods.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<PullSecret>,
    /// How many old revisions are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// Annotations to put on injected pods.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub patch_pod_metadata: Vec<PodMetadataPatch>,
    /// A name of the user's own for the present content, by which revisions are found again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_version: Option<String>,
}

/// One sidecar: a Kubernetes container, and how it gets into pods.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SidecarContainer {
    /// `BeforeAppContainer` or `AfterAppContainer`: on which side of the pod's own containers it is placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_inject_policy: Option<String>,
    /// How a new image reaches running pods.
    #[serde(default, deserialize_with = "or_default")]
    pub upgrade_strategy: UpgradeStrategy,
    /// `enabled`: the sidecar gets the volume mounts of all application containers.
    #[serde(default, deserialize_with = "or_default")]
    pub share_volume_policy: SharePolicy,
    /// `enabled`: the sidecar gets the volume devices of all application containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_volume_device_policy: Option<SharePolicy>,
    /// Variables to copy from application containers.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub transfer_env: Vec<TransferEnv>,
    /// Resources computed from those of the application containers, in place of `resources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources_policy: Option<ResourcesPolicy>,
    /// Every other member: the Kubernetes container itself, as it was written.
    #[serde(flatten)]
    #[schemars(skip)]
    pub container: Map<String, Value>,
}

impl SidecarContainer {
    /// The container's name, empty if it has none.
    pub fn name(&self) -> &str {
        self.container.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether this, as an init container, is a native sidecar: its `restartPolicy` is `Always`.
    pub fn is_native(&self) -> bool {
        self.container.get("restartPolicy").and_then(Value::as_str) == Some("Always")
    }

    /// Whether a new image is to come up beside the old one, in a second container.
    pub fn is_hot_upgrade(&self) -> bool {
        self.upgrade_strategy.upgrade_type.as_deref() == Some("HotUpgrade")
    }
}

/// A volume of a set, as it was written.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(transparent)]
pub struct Volume(pub Map<String, Value>);

impl Volume {
    /// The volume's name, empty if it has none.
    pub fn name(&self) -> &str {
        self.0.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

/// How a new image of one sidecar reaches running pods.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStrategy {
    /// `ColdUpgrade` (the container restarts) or `HotUpgrade` (a twin takes over).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_type: Option<String>,
    /// Image of the idle twin of a hot upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_upgrade_empty_image: Option<String>,
}

/// Whether something of the application containers is shared with a sidecar.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SharePolicy {
    /// `enabled` or `disabled`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl SharePolicy {
    /// Exactly `enabled`; any other text means no.
    pub fn is_enabled(&self) -> bool {
        self.kind.as_deref() == Some("enabled")
    }
}

/// Variables that a sidecar takes over from one container of the pod.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TransferEnv {
    /// The container to copy from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_container_name: Option<String>,
    /// Where to read the container's name from instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_container_name_from: Option<SourceContainerNameSource>,
    /// One variable to copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_name: Option<String>,
    /// Variables to copy.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env_names: Vec<String>,
}

/// A pod label or annotation that holds a container's name.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SourceContainerNameSource {
    /// `metadata.labels['KEY']` or `metadata.annotations['KEY']`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}

/// A field of the pod.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// Version of the schema that the path is written in, `v1` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Path of the field.
    #[serde(default, deserialize_with = "or_default")]
    pub field_path: String,
}

/// Resources of a sidecar as a function of those of the application containers.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["targetContainersMode", "resourcesExpr"]))]
pub struct ResourcesPolicy {
    /// `sum` or `max` over the target containers.
    #[schemars(schema_with = "schema::target_containers_mode")]
    #[serde(default, deserialize_with = "or_default")]
    pub target_containers_mode: String,
    /// Which containers are targets: a regular expression, searched anywhere in the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::target_containers_name_regex")]
    pub target_containers_name_regex: Option<String>,
    /// The expressions.
    #[serde(default, deserialize_with = "or_default")]
    pub resources_expr: ResourcesExpr,
}

/// Expressions for limits and requests.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesExpr {
    /// Over the aggregated limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceExpressions>,
    /// Over the aggregated requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceExpressions>,
}

/// One expression for each resource; an absent or empty one sets nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceExpressions {
    /// In terms of `cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// In terms of `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

/// What new pods get.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InjectionStrategy {
    /// New pods are not injected.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub paused: bool,
    /// A revision of the past to inject in place of the present content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<InjectedRevision>,
}

/// Names a recorded revision of a set.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InjectedRevision {
    /// The newest revision recorded under this custom version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_version: Option<String>,
    /// The ControllerRevision of this name; goes before `customVersion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_name: Option<String>,
    /// `Always`: every new pod gets it. `Partial`: those that the update strategy keeps back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::injection_policy")]
    pub policy: Option<String>,
}

/// A pull secret by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
pub struct PullSecret {
    /// Name of a Secret in the pod's namespace.
    #[schemars(extend("default" = ""))]
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Annotations for injected pods.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodMetadataPatch {
    /// Key to value.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// `Retain` (keep what the pod has), `Overwrite`, or `MergePatchJson`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_policy: Option<String>,
}

/// What was last seen of the pods that a set selects.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["matchedPods", "readyPods", "updatedPods"]))]
pub struct SidecarSetStatus {
    /// Generation of the set that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pods that the set selects.
    #[serde(default, deserialize_with = "or_default")]
    pub matched_pods: i32,
    /// Matched pods that run the latest revision.
    #[serde(default, deserialize_with = "or_default")]
    pub updated_pods: i32,
    /// Matched pods that are ready.
    #[serde(default, deserialize_with = "or_default")]
    pub ready_pods: i32,
    /// Updated pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_ready_pods: Option<i32>,
    /// Name of the ControllerRevision that records the present content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_revision: Option<String>,
    /// How often a revision's name was taken by another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// `Updated`: whether all matched pods have the present content, and if not, why not.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}
