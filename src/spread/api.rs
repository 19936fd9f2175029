//! The WorkloadSpread object, version `v1beta1`: the one shape in which the rest of this crate speaks of spreads.
//! (`apis/apps/v1beta1/workloadspread_types.go`; reference: `workloadspread.md` §3)

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{NodeSelectorTerm, PreferredSchedulingTerm, Toleration},
    apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::decode::or_default;

/// How the pods of a workload are shared out among places, in the order in which the places are filled.
#[expect(clippy::duplicated_attributes, reason = "columns that share a type")]
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[kube(
    group = "apps.kruise.io",
    version = "v1beta1",
    kind = "WorkloadSpread",
    plural = "workloadspreads",
    singular = "workloadspread",
    shortname = "ws",
    namespaced,
    status = "WorkloadSpreadStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(json_path = ".spec.targetRef.name", name = "WorkloadName", type_ = "string", description = "The workload"),
    printcolumn(json_path = ".spec.targetRef.kind", name = "WorkloadKind", type_ = "string", description = "Its kind"),
    printcolumn(
        json_path = ".spec.scheduleStrategy.type",
        name = "Strategy",
        type_ = "string",
        description = "What is done about pods that find no node"
    ),
    printcolumn(
        json_path = ".status.summary",
        name = "Subsets",
        type_ = "string",
        description = "How many pods each subset has, of how many it takes at most"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date", description = "When it was made")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSpreadSpec {
    /// The workload whose pods are shared out.
    #[serde(default, rename = "targetRef", skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetReference>,
    /// Which of its pods, and how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_filter: Option<TargetFilter>,
    /// The places, in the order in which they are filled.
    #[serde(default, deserialize_with = "or_default")]
    pub subsets: Vec<Subset>,
    /// What is done about pods that find no node.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub schedule_strategy: Strategy,
}

/// A workload by name, in the spread's namespace.
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

/// Which pods of the workload are shared out.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TargetFilter {
    /// Their labels; all pods if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Where in the workload their numbers stand, as `spec.workers.0.replicas`; their sum is the whole of percentages.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub replicas_path_list: Vec<String>,
}

/// A place for pods.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// Its name, unlike all others of the spread.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// What nodes must be like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_node_selector: Option<NodeSelectorTerm>,
    /// What nodes should be like.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub preferred_node_selector: Vec<PreferredSchedulingTerm>,
    /// Which taints of nodes do no harm.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// How many pods it takes at most: a number, or a percentage of all, rounded up; as many as come if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<IntOrString>,
    /// What its pods are made into beside that: a strategic merge patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::schema::patch")]
    pub patch: Option<Value>,
}

/// What is done about pods that find no node.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
pub struct Strategy {
    /// `Fixed`, which is the default: nothing. `Adaptive`: they are made anew, in the next subset.
    #[serde(default, rename = "type", deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "super::schema::strategy")]
    pub kind: String,
    /// How `Adaptive` goes about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<Adaptive>,
}

/// How pods that find no node are moved on.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Adaptive {
    /// Kept for those who have set it; it never meant anything.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub disable_simulation_schedule: bool,
    /// After how many seconds without a node a pod is made anew; never if this is missing or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reschedule_critical_seconds: Option<i32>,
}

/// What was last counted, and which places were taken and given back since.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSpreadStatus {
    /// Generation of the spread that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The subsets in a line, for whoever looks: `zone-a 10/10, zone-b 3/10, rest 7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The subsets, in the order of the spec, over all revisions.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub subset_statuses: Vec<SubsetStatus>,
    /// How often the pods were counted. Who gives back a place has to know whether its pod was left out of the count meanwhile.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub counted: i64,
    /// The subsets, by revision of their pods. This is where places are taken.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub versioned_subset_statuses: BTreeMap<String, Vec<SubsetStatus>>,
}

/// How a subset stands.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SubsetStatus {
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// `Schedulable`: whether its pods find nodes.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How many pods it has that are neither finished nor on their way out.
    #[serde(default, deserialize_with = "or_default")]
    pub replicas: i32,
    /// How many places are left; -1 if there is no limit.
    #[serde(default, deserialize_with = "or_default")]
    pub missing_replicas: i32,
    /// Pods that were given a place and were not seen yet, by name, or by an id of their own while they have no name.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Time>")]
    pub creating_pods: BTreeMap<String, Timestamp>,
    /// Pods that gave back their place and are still there, by name.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Time>")]
    pub deleting_pods: BTreeMap<String, Timestamp>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
