//! Whether a WorkloadSpread may be written as it is: a pure function of the object, of the one that it replaces, of the other spreads of
//! its namespace and of the whitelist. (reference: `workloadspread.md` §7)
//!
//! Paths, order and words are the reference's, also where the paths are odd. Beside the reference: a spec that was there before is not
//! judged again, for its author does not touch it. What patches make of the workload's template is judged by [`patch`], when the
//! workload is known.

mod metadata;
pub mod patch;
mod placement;
mod spec;
mod subsets;

use serde_json::{Map, Value};

use super::{
    api::{TargetReference, WorkloadSpread},
    index::Spread,
    v1alpha1,
    whitelist::Whitelist,
};
use crate::base::{
    decode::DecodeError,
    field::{Error, Path, Shown},
    go_text::quoted,
};

/// What there is to say of a spread.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Why it is refused; admitted if there are none.
    pub errors: Vec<Error>,
    /// What is admitted but will not do what its author may think.
    pub warnings: Vec<String>,
}

/// Reads a spread, of the older version if its author wrote that. A spread without a spec is one.
pub fn read(object: &Value, is_older: bool) -> Result<WorkloadSpread, DecodeError> {
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
    serde_path_to_error::deserialize(present)
        .map_err(|error| DecodeError { path: error.path().to_string(), problem: error.inner().to_string() })
}

/// Judges a spread that is to be written in place of `old`, or as a new one, beside the others of its namespace.
pub fn validate<'s>(
    new: &WorkloadSpread,
    old: Option<&WorkloadSpread>,
    others: impl Iterator<Item = &'s Spread>,
    whitelist: &Whitelist,
) -> Findings {
    let mut findings = Findings::default();
    let errors = &mut findings.errors;
    if says_something_new(new, old) {
        spec::check(&new.spec, whitelist, errors);
        let own = new.metadata.name.as_deref().unwrap_or_default();
        errors.extend(conflict(new.spec.target.as_ref(), others.filter(|other| *other.name != *own)));
    }
    if let Some(old) = old {
        metadata::check(&new.metadata, &old.metadata, errors);
        errors.extend(moved(new.spec.target.as_ref(), old.spec.target.as_ref()));
    }
    if findings.errors.is_empty() {
        findings.warnings = subsets::warnings(&new.spec.subsets);
    }
    findings
}

/// Whether the spec is another one than before, or is another spread's.
pub fn says_something_new(new: &WorkloadSpread, old: Option<&WorkloadSpread>) -> bool {
    old.is_none_or(|old| new.spec != old.spec || new.metadata.name != old.metadata.name)
}

/// The first spread that means the same workload, by name. Filters do not help: which pods are whose would change with their labels.
fn conflict<'s>(target: Option<&TargetReference>, others: impl Iterator<Item = &'s Spread>) -> Option<Error> {
    let target = target?;
    let (group, kind, name) = (group(&target.api_version)?, target.kind.as_str(), target.name.as_str());
    let is_same = |other: &&Spread| {
        other.rules.target.as_ref().is_some_and(|other| *other.group == *group && *other.kind == *kind && *other.name == *name)
    };
    let other = others.into_iter().find(is_same)?;
    let detail = format!("ws.spec.targetRef is in conflict with other WorkloadSpread {}", other.name);
    Some(Error::invalid(&target_path(), shown(target), detail))
}

/// A spread stays with its workload; the version by which it is named may change.
fn moved(new: Option<&TargetReference>, old: Option<&TargetReference>) -> Option<Error> {
    let (new, old) = (new?, old?);
    let of = |target: &TargetReference| (group(&target.api_version).map(str::to_owned), target.kind.clone(), target.name.clone());
    (of(new) != of(old)).then(|| Error::invalid(&target_path(), shown(new), "change TargetReference is not permitted for WorkloadSpread"))
}

/// The group that an `apiVersion` names; `None` if it has too many parts.
fn group(api_version: &str) -> Option<&str> {
    match api_version.split_once('/') {
        None => Some(""),
        Some((group, version)) => (!version.contains('/')).then_some(group),
    }
}

fn target_path() -> Path {
    Path::new("spec").child("targetRef")
}

/// A target in Go's notation.
fn shown(target: &TargetReference) -> Shown {
    let [api_version, kind, name] = [&target.api_version, &target.kind, &target.name].map(|text| quoted(text));
    Shown::as_is(format!("v1beta1.TargetReference{{APIVersion:{api_version}, Kind:{kind}, Name:{name}}}"))
}

#[cfg(test)]
mod tests;
