//! How changed sidecars reach running pods. Looked at for `RollingUpdate` only: a set that does not update may keep what it had.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::check_selector;
use crate::{
    base::{
        field::{Error, Path},
        intstr, selector_rules,
    },
    sidecarset::api::{PriorityStrategy, ScatterTerm, UpdateStrategy},
};

pub(super) fn check(strategy: &UpdateStrategy, errors: &mut Vec<Error>) {
    if strategy.kind.as_deref() != Some("RollingUpdate") {
        return;
    }
    let path = Path::new("spec").child("updateStrategy");
    let has_partition = strategy.partition.as_ref().is_some_and(|partition| *partition != IntOrString::Int(0));
    if let Some(selector) = &strategy.selector {
        if has_partition {
            let value = serde_json::to_string(strategy).unwrap_or_default();
            errors.push(Error::invalid(&Path::new("updateStrategy"), &value, "Partition and Selector cannot be used together"));
        }
        check_selector(selector, &path.child("selector"), errors);
    }
    for (field, amount) in [("partition", &strategy.partition), ("maxUnavailable", &strategy.max_unavailable)] {
        if let Some(amount) = amount {
            intstr::check(amount, &path.child(field), errors);
        }
    }
    if let Some(problem) = strategy.priority_strategy.as_ref().and_then(priority_problem) {
        errors.push(Error::required(&path.child("priorityStrategy"), problem));
    }
    if let Some(problem) = scatter_problem(&strategy.scatter_strategy) {
        errors.push(Error::required(&path.child("scatterStrategy"), problem));
    }
}

/// The first thing that is wrong.
fn priority_problem(priority: &PriorityStrategy) -> Option<String> {
    if !priority.weight_priority.is_empty() && !priority.order_priority.is_empty() {
        return Some("only one of weightPriority and orderPriority can be used".to_owned());
    }
    for weighted in &priority.weight_priority {
        if !(0..=100).contains(&weighted.weight) {
            return Some("weight must be valid number in the range 1-100".to_owned());
        }
        if selector_rules::is_empty(&weighted.match_selector) {
            return Some("selector can not be empty".to_owned());
        }
        if let Some(problem) = selector_rules::problem(&weighted.match_selector) {
            return Some(format!("invalid selector {problem}"));
        }
    }
    let lacks_key = priority.order_priority.iter().any(|order| order.ordered_key.is_empty());
    lacks_key.then(|| "order key can not be empty".to_owned())
}

/// The first thing that is wrong.
fn scatter_problem(terms: &[ScatterTerm]) -> Option<String> {
    let mut known = BTreeSet::new();
    terms.iter().find_map(|ScatterTerm { key, value }| {
        if key.is_empty() {
            return Some("key should not be empty".to_owned());
        }
        // Compared as they are joined in the reference, so that `a:b`, `c` equals `a`, `b:c`.
        (!known.insert(format!("{key}:{value}"))).then(|| format!("duplicated key={key} value={value}"))
    })
}
