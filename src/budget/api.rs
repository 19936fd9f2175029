//! The PodUnavailableBudget object, version `v1beta1`: the one shape in which the rest of this crate speaks of budgets.
//! (`apis/policy/v1beta1/podunavailablebudget_types.go`; reference: `pub.md` §2)

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::decode::or_default;

/// How many pods of a workload, or of a selection, may be unavailable at a time.
#[expect(clippy::duplicated_attributes, reason = "columns that share a type")]
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[kube(
    group = "policy.kruise.io",
    version = "v1beta1",
    kind = "PodUnavailableBudget",
    plural = "podunavailablebudgets",
    singular = "podunavailablebudget",
    shortname = "pub",
    namespaced,
    status = "PodUnavailableBudgetStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(json_path = ".status.unavailableAllowed", name = "Allowed", type_ = "integer", description = "Pods that may go now"),
    printcolumn(json_path = ".status.currentAvailable", name = "Current", type_ = "integer", description = "Pods that are available"),
    printcolumn(
        json_path = ".status.desiredAvailable",
        name = "Desired",
        type_ = "integer",
        description = "Pods that have to be available"
    ),
    printcolumn(json_path = ".status.totalReplicas", name = "Total", type_ = "integer", description = "Pods that there should be")
)]
#[serde(rename_all = "camelCase")]
pub struct PodUnavailableBudgetSpec {
    /// Labels of the pods that are guarded. Either this or `targetRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The workload whose pods are guarded. Either this or `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetReference>,
    /// How many pods may be unavailable: a number, or a percentage of all, rounded up. Either this or `minAvailable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// How many pods have to be available: a number, or a percentage of all, rounded up. Either this or `maxUnavailable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_available: Option<IntOrString>,
    /// What the pods are guarded against; `DELETE`, `UPDATE` and `EVICT` if none is named.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::schema::operations")]
    pub protect_operations: Vec<String>,
    /// How many pods there should be, in place of what the workloads say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::schema::total")]
    pub protect_total_replicas: Option<i32>,
    /// Labels of pods that are counted but not guarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored_pod_selector: Option<LabelSelector>,
}

/// A workload by name, in the budget's namespace.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct TargetReference {
    /// `group/version` of the workload; the version does not matter.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Its kind.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// What was last counted, and which disruptions were admitted since.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["currentAvailable", "desiredAvailable", "totalReplicas", "unavailableAllowed"]))]
pub struct PodUnavailableBudgetStatus {
    /// Generation of the budget that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pods that may be deleted or evicted, by name, and when that was admitted.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Time>")]
    pub disrupted_pods: BTreeMap<String, Timestamp>,
    /// Pods that may be changed, by name, and when that was admitted.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Time>")]
    pub unavailable_pods: BTreeMap<String, Timestamp>,
    /// How many more pods may become unavailable.
    #[serde(default, deserialize_with = "or_default")]
    pub unavailable_allowed: i32,
    /// How many pods are available, without those that were admitted to go.
    #[serde(default, deserialize_with = "or_default")]
    pub current_available: i32,
    /// How many pods have to be available.
    #[serde(default, deserialize_with = "or_default")]
    pub desired_available: i32,
    /// How many pods there should be.
    #[serde(default, deserialize_with = "or_default")]
    pub total_replicas: i32,
    /// `Enforcing`: whether all pods that are selected are guarded, and if not, why not.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
