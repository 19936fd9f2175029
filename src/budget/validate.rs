//! Whether a PodUnavailableBudget may be written as it is: a pure function of the object, of the one that it replaces, and of the other
//! budgets. (reference: `pub.md` §8)
//!
//! Paths, order and words are the reference's, also where the paths are odd (`spec.targetReference`, `spec.selector, targetRef`).

mod spec;

use serde_json::{Map, Value};

use super::{
    api::{PodUnavailableBudget, PodUnavailableBudgetSpec},
    index::{Budget, Operation, Rules},
    keys::{PROTECT_OPERATIONS, PROTECT_TOTAL},
    v1alpha1,
};
use crate::base::{
    decode::DecodeError,
    field::{Error, Path, Shown},
};

/// A budget as its author wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The budget in the present version.
    pub budget: PodUnavailableBudget,
    /// It was written in the older version, whose annotations are its members.
    pub is_older: bool,
    /// What its annotation says of the total, if anything.
    total: Option<String>,
}

/// What there is to say of a budget.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Why it is refused; admitted if there are none.
    pub errors: Vec<Error>,
    /// What is admitted but will not do what its author may think.
    pub warnings: Vec<String>,
}

/// Reads a budget, of the older version if its author wrote that. A budget without a spec is one.
pub fn read(object: &Value, is_older: bool) -> Result<Written, DecodeError> {
    let total = object.pointer("/metadata/annotations").and_then(|all| all.get(PROTECT_TOTAL)).and_then(Value::as_str).map(str::to_owned);
    let mut present = object.clone();
    if is_older {
        v1alpha1::to_v1beta1(&mut present).map_err(|error| DecodeError { path: error.field, problem: error.problem })?;
    }
    let found = present.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if found != v1alpha1::V1BETA1 {
        return Err(DecodeError { path: "apiVersion".to_owned(), problem: format!("expected {}, found {found:?}", v1alpha1::V1BETA1) });
    }
    if let Some(spec) = present.as_object_mut().map(|members| members.entry("spec").or_insert(Value::Null)).filter(|spec| spec.is_null()) {
        *spec = Value::Object(Map::new());
    }
    let budget = serde_path_to_error::deserialize(present)
        .map_err(|error| DecodeError { path: error.path().to_string(), problem: error.inner().to_string() })?;
    Ok(Written { budget, is_older, total })
}

/// Judges a budget that is to be written in place of `old`, or as a new one, beside the others of its namespace.
pub fn validate<'b>(new: &Written, old: Option<&Written>, others: impl Iterator<Item = &'b Budget>) -> Findings {
    let mut errors = Vec::new();
    check_total(new, old, &mut errors);
    spec::check(&new.budget.spec, &mut errors);
    if old.is_some_and(|old| is_moved(&new.budget.spec, &old.budget.spec)) {
        errors.push(Error::required(&both("selector", "targetRef"), "selector and targetRef cannot be modified"));
    }
    let own = new.budget.metadata.name.as_deref().unwrap_or_default();
    errors.extend(conflict(&new.budget.spec, others.filter(|other| *other.name != *own)));
    let warnings = if errors.is_empty() { warnings(new) } else { Vec::new() };
    Findings { errors, warnings }
}

/// The path of two members of the spec, of which one is meant.
fn both(one: &str, other: &str) -> Path {
    Path::new("spec").child(&format!("{one}, {other}"))
}

/// The total in the annotation: a number, and the one of the spec. In the older version it is the member, and has its bound; one that
/// was there before may stay.
fn check_total(new: &Written, old: Option<&Written>, errors: &mut Vec<Error>) {
    let Some(text) = &new.total else { return };
    let path = Path::new("metadata").child("annotations").key(PROTECT_TOTAL);
    let wrong = |detail: &str| Error::invalid(&path, text, detail);
    let is_new = old.is_none_or(|old| old.total != new.total);
    match (text.parse::<i32>(), new.budget.spec.protect_total_replicas) {
        (Err(_), _) => errors.push(wrong("must be a valid int32")),
        (Ok(total), _) if new.is_older => errors.extend((total < 1 && is_new).then(|| wrong("must be greater than or equal to 1"))),
        (Ok(_), Some(total)) if *text != total.to_string() => {
            errors.push(wrong("must match spec.protectTotalReplicas when both are set"));
        }
        (Ok(_), _) => {}
    }
}

/// Whether the budget would guard other pods than before. An empty list more is a change.
fn is_moved(new: &PodUnavailableBudgetSpec, old: &PodUnavailableBudgetSpec) -> bool {
    new.selector != old.selector || new.target_ref != old.target_ref
}

/// The first budget that is in the way, by name. One that names a workload and one that selects by labels never are.
fn conflict<'b>(spec: &PodUnavailableBudgetSpec, others: impl Iterator<Item = &'b Budget>) -> Option<Error> {
    let asked = spec.selector.as_ref().and_then(super::overlap::Asked::of);
    let said = |member: &str, other: &Budget| format!("pub.spec.{member} is in conflict with other PodUnavailableBudget {}", other.name);
    let path = Path::new("spec");
    others.map(|other| (other, &*other.rules)).find_map(|(other, rules): (&Budget, &Rules)| {
        match (&spec.target_ref, &rules.target, &asked, &rules.asked) {
            (Some(mine), Some(theirs), ..) => mine
                .names_the_same(theirs)
                .then(|| Error::invalid(&path.child("targetReference"), Shown::json(mine), said("targetReference", other))),
            (_, _, Some(mine), Some(theirs)) => {
                mine.overlaps(theirs).then(|| Error::invalid(&path.child("selector"), Shown::json(&spec.selector), said("selector", other)))
            }
            _ => None,
        }
    })
}

/// Annotations of the present version that do nothing, or not what they say.
fn warnings(new: &Written) -> Vec<String> {
    let spec = &new.budget.spec;
    let operations = new.budget.metadata.annotations.as_ref().and_then(|all| all.get(PROTECT_OPERATIONS));
    let items = operations.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|item| !item.is_empty());
    let unknown = items.filter(|item| Operation::of(item).is_none());
    let mut warnings: Vec<_> =
        unknown.map(|item| format!("metadata.annotations[{PROTECT_OPERATIONS}]: {item:?} is no operation, and protects nothing")).collect();
    if operations.is_some() && !spec.protect_operations.is_empty() {
        warnings = vec![format!("metadata.annotations[{PROTECT_OPERATIONS}]: has no effect beside spec.protectOperations")];
    }
    if new.total.as_ref().and_then(|text| text.parse::<i32>().ok()).is_some_and(|total| total < 1) {
        warnings.push(format!("metadata.annotations[{PROTECT_TOTAL}]: is no number of pods, and has no effect"));
    }
    warnings
}

#[cfg(test)]
mod tests;
