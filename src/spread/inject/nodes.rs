//! What a subset says of nodes: taints that do no harm, what nodes should be like and what they must be like.

use k8s_openapi::api::core::v1::NodeSelectorTerm;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{InjectError, canonical::without_empties, member_list, member_object};
use crate::spread::api::Subset;

pub(super) const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
pub(super) const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Adds it to the spec of a pod; `is_again` if what is there already is not to be added once more. There is a node affinity
/// afterwards, even if nothing is asked for.
pub(super) fn constrain(spec: &mut Map<String, Value>, subset: &Subset, is_again: bool) -> Result<(), InjectError> {
    let tolerations = texts(&subset.tolerations);
    if !tolerations.is_empty() {
        append(member_list(spec, "tolerations", "spec.tolerations")?, tolerations, is_again);
    }
    let affinity = member_object(spec, "affinity", "spec.affinity")?;
    let affinity = member_object(affinity, "nodeAffinity", "spec.affinity.nodeAffinity")?;
    let preferred = texts(&subset.preferred_node_selector);
    if !preferred.is_empty() {
        append(
            member_list(affinity, PREFERRED, "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution")?,
            preferred,
            is_again,
        );
    }
    match &subset.required_node_selector {
        Some(term) => require(affinity, term, is_again),
        None => Ok(()),
    }
}

/// Terms are alternatives, so that each of them has to be narrowed.
fn require(affinity: &mut Map<String, Value>, term: &NodeSelectorTerm, is_again: bool) -> Result<(), InjectError> {
    let required = member_object(affinity, REQUIRED, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution")?;
    let terms = member_list(
        required,
        "nodeSelectorTerms",
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
    )?;
    if terms.is_empty() {
        terms.push(without_empties(serde_json::to_value(term).unwrap_or_default()));
        return Ok(());
    }
    let (expressions, fields) =
        (texts(term.match_expressions.as_deref().unwrap_or_default()), texts(term.match_fields.as_deref().unwrap_or_default()));
    for old in terms {
        let old =
            old.as_object_mut().ok_or(InjectError::Pod { field: "spec.affinity.nodeAffinity: a required term", wanted: "an object" })?;
        for (name, added) in [("matchExpressions", &expressions), ("matchFields", &fields)] {
            if !added.is_empty() {
                append(member_list(old, name, "spec.affinity.nodeAffinity: the requirements of a term")?, added.clone(), is_again);
            }
        }
    }
    Ok(())
}

fn append(list: &mut Vec<Value>, added: Vec<Value>, is_again: bool) {
    let there: Vec<Value> = if is_again { list.iter().cloned().map(without_empties).collect() } else { Vec::new() };
    list.extend(added.into_iter().filter(|item| !there.contains(item)));
}

fn texts<T: Serialize>(items: &[T]) -> Vec<Value> {
    items.iter().filter_map(|item| serde_json::to_value(item).ok()).map(without_empties).collect()
}
