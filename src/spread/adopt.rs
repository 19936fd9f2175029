//! Where a pod fits that runs without having been placed: it was there before the spread, or there was no room when it came.
//! (reference: `workloadspread.md` §8.3.1)
//!
//! Beside the reference: a taint counts only if it keeps pods away, and that of a cordoned node does not (B33): the pod is there.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use super::inject::{is_reflected, metadata_patch};
use super::{api::Subset, index::Rules, picture::Fit};

/// The taint of a node that gets no new pods for a while.
const CORDONED: &str = "node.kubernetes.io/unschedulable";
/// What the weight of a preference is worth, and a patch that is in the pod already.
const WORTH: [i64; 2] = [100, 10];

/// A node, as far as it decides which pods fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What keeps pods away.
    pub taints: Vec<Taint>,
}

/// The subsets that a pod fits in as it runs on its node, and how well. What cannot be understood fits nowhere.
pub fn fits(rules: &Rules, pod: &Value, node: &Node) -> Vec<Fit> {
    let fit = |(index, subset): (usize, &std::sync::Arc<Subset>)| {
        let preferred = subset.preferred_node_selector.iter().filter(|term| is_matched(&term.preference, node));
        let [weight, reflected] = WORTH;
        let score = weight * preferred.map(|term| i64::from(term.weight)).sum::<i64>();
        let patched = subset.patch.as_ref().is_some_and(|patch| is_reflected(pod, patch));
        is_allowed(subset, pod, node).then(|| Fit { subset: index, score: score + if patched { reflected } else { 0 } })
    };
    rules.subsets.iter().enumerate().filter_map(fit).collect()
}

/// Whether a pod may be on its node if it is in this subset.
fn is_allowed(subset: &Subset, pod: &Value, node: &Node) -> bool {
    let own: Vec<Toleration> = read(pod, "/spec/tolerations");
    let keeps_away = |taint: &&Taint| matches!(&*taint.effect, "NoSchedule" | "NoExecute") && taint.key != CORDONED;
    let is_tolerated = |taint: &Taint| own.iter().chain(&subset.tolerations).any(|toleration| tolerates(toleration, taint));
    if !node.taints.iter().filter(keeps_away).all(is_tolerated) {
        return false;
    }
    let Some(required) = &subset.required_node_selector else { return true };
    let own: Option<NodeSelector> = read(pod, "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    match own {
        Some(own) if !own.node_selector_terms.is_empty() => {
            own.node_selector_terms.iter().any(|term| is_matched(&both(term, required), node))
        }
        _ => is_matched(required, node),
    }
}

/// A member of a pod, or nothing.
fn read<T: DeserializeOwned + Default>(pod: &Value, pointer: &str) -> T {
    pod.pointer(pointer).and_then(|value| T::deserialize(value).ok()).unwrap_or_default()
}

/// All that two terms ask for.
fn both(one: &NodeSelectorTerm, other: &NodeSelectorTerm) -> NodeSelectorTerm {
    let all = |one: &Option<Vec<_>>, other: &Option<Vec<_>>| Some(one.iter().chain(other).flatten().cloned().collect());
    NodeSelectorTerm {
        match_expressions: all(&one.match_expressions, &other.match_expressions),
        match_fields: all(&one.match_fields, &other.match_fields),
    }
}

/// Whether a node is what a term asks for. One that asks for nothing means none.
fn is_matched(term: &NodeSelectorTerm, node: &Node) -> bool {
    let name = |key: &str| (key == "metadata.name").then_some(node.name.as_str());
    let label = |key: &str| node.labels.get(key).map(String::as_str);
    let mut expressions = term.match_expressions.iter().flatten().map(|wanted| is_met(wanted, label(&wanted.key))).peekable();
    let mut fields = term.match_fields.iter().flatten().map(|wanted| is_met(wanted, name(&wanted.key))).peekable();
    (expressions.peek().is_some() || fields.peek().is_some()) && expressions.all(|is_met| is_met) && fields.all(|is_met| is_met)
}

/// Whether a value is what is wanted. (Kubernetes: `apimachinery/pkg/labels/selector.go`)
fn is_met(wanted: &NodeSelectorRequirement, found: Option<&str>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let is_in = || found.is_some_and(|found| values.iter().any(|value| value == found));
    let numbers = || {
        let [value] = values else { return None };
        Some((found?.parse::<i64>().ok()?, value.parse::<i64>().ok()?))
    };
    match &*wanted.operator {
        "In" => is_in(),
        "NotIn" => !is_in(),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => numbers().is_some_and(|(found, value)| found > value),
        "Lt" => numbers().is_some_and(|(found, value)| found < value),
        _ => false,
    }
}

/// Whether a pod bears a taint. (Kubernetes: `api/core/v1/toleration.go`)
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (effect, key, operator) = (text(&toleration.effect), text(&toleration.key), text(&toleration.operator));
    let is_about = (effect.is_empty() || effect == taint.effect) && (key.is_empty() || key == taint.key);
    let has_value = || text(&toleration.value) == text(&taint.value);
    is_about && (operator == "Exists" || (matches!(&*operator, "" | "Equal") && !key.is_empty() && has_value()))
}

#[cfg(test)]
mod tests;
