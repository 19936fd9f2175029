//! How changed sidecars reach running pods: the members of `spec.updateStrategy`.

use k8s_openapi::apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;
use crate::base::decode::or_default;

/// How changed sidecars reach running pods.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// `RollingUpdate` or `NotUpdate`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Stops the rollout where it is.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub paused: bool,
    /// Only these pods are updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// How many pods, or what percentage, keep the old revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<IntOrString>,
    /// How many pods, or what percentage, may be unavailable during the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// Which pods are updated first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_strategy: Option<PriorityStrategy>,
    /// Pods with these labels are spread over the whole rollout.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub scatter_strategy: Vec<ScatterTerm>,
}

/// Order of a rollout by weights or by the value of a label.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PriorityStrategy {
    /// Label keys whose values end in numbers. Pods without any of these keys come first, then those with the first key, then
    /// the second and so on; of one key the greater numbers. Does not count beside weights.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub order_priority: Vec<OrderPriority>,
    /// Weights of labelled pods; heavier ones come first.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub weight_priority: Vec<WeightPriority>,
}

/// A label whose value orders pods. Pods that have none of the keys are updated before those that do, as the reference does
/// (its documentation says otherwise).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OrderPriority {
    /// The label's key.
    pub ordered_key: String,
}

/// A weight for the pods that a selector matches.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WeightPriority {
    /// 0 to 100.
    pub weight: i32,
    /// Which pods have this weight.
    pub match_selector: LabelSelector,
}

/// A label whose pods are spread over the whole rollout.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScatterTerm {
    /// The label's key.
    pub key: String,
    /// The label's value.
    pub value: String,
}
