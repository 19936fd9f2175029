//! The older version of the WorkloadSpread object, turned into the present one and back. (reference: `workloadspread.md` §3.3)
//!
//! Both are converted as JSON, member by member, so that what no one here knows survives. Two members of a subset have other names in
//! `v1alpha1`, and its conditions say less: what the present version must have and the older one does not say is filled in.

use serde_json::{Map, Value, json};

/// `apiVersion` of the older version.
pub const V1ALPHA1: &str = "apps.kruise.io/v1alpha1";
/// `apiVersion` of the present version.
pub const V1BETA1: &str = "apps.kruise.io/v1beta1";

/// Members of a subset: the older name, and the present one.
pub(super) const RENAMED: [(&str, &str); 2] =
    [("requiredNodeSelectorTerm", "requiredNodeSelector"), ("preferredNodeSelectorTerms", "preferredNodeSelector")];

/// What a condition must say in the present version, and what stands there if the older one does not say it. When it changed nobody
/// knows then; it is long ago.
const FILLED: [(&str, &str); 3] = [("reason", "Unknown"), ("message", ""), ("lastTransitionTime", "1970-01-01T00:00:00Z")];

/// Why an object cannot be converted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("WorkloadSpread {name:?}: {field}: {problem}")]
pub struct ConversionError {
    /// The object's name with its namespace, empty if it has none.
    pub name: String,
    /// The member.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Turns an object of either version into the other, which must be the desired one. Left as it is in case of an error.
pub fn convert(object: &mut Value, desired: &str) -> Result<(), ConversionError> {
    match desired {
        V1BETA1 => to_v1beta1(object),
        V1ALPHA1 => from_v1beta1(object),
        _ => Err(wrong(object, "desiredAPIVersion", format!("must be {V1BETA1} or {V1ALPHA1}, is {desired:?}"))),
    }
}

/// Turns a `v1alpha1` object into a `v1beta1` one. Left as it is in case of an error.
pub fn to_v1beta1(object: &mut Value) -> Result<(), ConversionError> {
    check(object, V1ALPHA1)?;
    for_each_subset(object, |subset| {
        for (older, newer) in RENAMED {
            rename(subset, older, newer);
        }
    });
    for_each_condition(object, |condition| {
        for (name, value) in FILLED {
            let member = condition.entry(name).or_insert(Value::Null);
            if member.is_null() || (name == "reason" && *member == "") {
                *member = json!(value);
            }
        }
    });
    set_version(object, V1BETA1);
    Ok(())
}

/// Turns a `v1beta1` object into a `v1alpha1` one. Left as it is in case of an error.
pub fn from_v1beta1(object: &mut Value) -> Result<(), ConversionError> {
    check(object, V1BETA1)?;
    for_each_subset(object, |subset| {
        for (older, newer) in RENAMED {
            rename(subset, newer, older);
        }
    });
    for_each_condition(object, |condition| drop(condition.shift_remove("observedGeneration")));
    set_version(object, V1ALPHA1);
    Ok(())
}

/// Gives a member its name in the other version. What stands under that name belongs to that version: here it means nothing, there it
/// would.
fn rename(subset: &mut Map<String, Value>, from: &str, to: &str) {
    subset.shift_remove(to);
    let renamed = std::mem::take(subset).into_iter().map(|(name, value)| (if name == from { to.to_owned() } else { name }, value));
    *subset = renamed.collect();
}

fn for_each_subset(object: &mut Value, visit: impl FnMut(&mut Map<String, Value>)) {
    objects(object.pointer_mut("/spec/subsets")).for_each(visit);
}

/// All conditions of subsets, over all revisions and of each.
fn for_each_condition(object: &mut Value, mut visit: impl FnMut(&mut Map<String, Value>)) {
    let Some(Value::Object(status)) = object.get_mut("status") else { return };
    let mut of = |subsets: Option<&mut Value>| {
        objects(subsets).for_each(|subset| objects(subset.get_mut("conditions")).for_each(&mut visit));
    };
    of(status.get_mut("subsetStatuses"));
    let revisions = status.get_mut("versionedSubsetStatuses").and_then(Value::as_object_mut);
    revisions.into_iter().flatten().for_each(|(_, subsets)| of(Some(subsets)));
}

/// The objects of a list, if it is one.
fn objects(list: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Whether the parts of an object that a conversion reads are what they must be.
fn check(object: &Value, version: &str) -> Result<(), ConversionError> {
    let is = |pointer: &str, fits: fn(&Value) -> bool| {
        object.pointer(pointer).is_none_or(|value| fits(value) || value.is_null() && !pointer.is_empty())
    };
    for (pointer, field) in [("", "the object"), ("/metadata", "metadata"), ("/spec", "spec"), ("/status", "status")] {
        if !is(pointer, Value::is_object) {
            return Err(wrong(object, field, "must be an object".to_owned()));
        }
    }
    if !is("/spec/subsets", Value::is_array) {
        return Err(wrong(object, "spec.subsets", "must be a list".to_owned()));
    }
    for (field, wanted) in [("apiVersion", version), ("kind", "WorkloadSpread")] {
        let found = object.get(field).unwrap_or(&Value::Null);
        if found != wanted {
            return Err(wrong(object, field, format!("must be {wanted} to be converted, is {found}")));
        }
    }
    Ok(())
}

fn wrong(object: &Value, field: &str, problem: String) -> ConversionError {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let name = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    ConversionError { name, field: field.to_owned(), problem }
}

fn set_version(object: &mut Value, version: &str) {
    if let Some(members) = object.as_object_mut() {
        members.insert("apiVersion".to_owned(), Value::from(version));
    }
}

#[cfg(test)]
mod tests;
