//! The older version of the PodUnavailableBudget object, turned into the present one and back. (reference: `pub.md` §2.3)
//!
//! Both are converted as JSON, member by member, so that what no one here knows survives. `v1alpha1` has no place for some members of
//! the spec: operations and total are annotations there, and all others stand in one annotation of ours, as JSON.
//!
//! Two differences, on purpose. In the present version the annotations are gone: one that stayed would come back into force where
//! somebody takes the member away. And an annotation that cannot be understood stays what it is, instead of failing the conversion: one
//! stored object of that kind would make the list of all unreadable. Whether it may be *written* is judged by
//! [`validate`](super::validate).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    api::PodUnavailableBudgetSpec,
    index::Operation,
    keys::{NEWER_FIELDS, PROTECT_OPERATIONS, PROTECT_TOTAL},
};

/// `apiVersion` of the older version.
pub const V1ALPHA1: &str = "policy.kruise.io/v1alpha1";
/// `apiVersion` of the present version.
pub const V1BETA1: &str = "policy.kruise.io/v1beta1";

/// Members of the spec that both versions have.
const COMMON: [&str; 4] = ["selector", "targetRef", "maxUnavailable", "minAvailable"];
const OPERATIONS: &str = "protectOperations";
const TOTAL: &str = "protectTotalReplicas";
const IGNORED: &str = "ignoredPodSelector";

/// Why an object cannot be converted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("PodUnavailableBudget {name:?}: {field}: {problem}")]
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
    let mut newer = Map::new();
    if let Some(annotations) = annotations(object) {
        newer = annotations.get(NEWER_FIELDS).and_then(newer_members).unwrap_or_default();
        if !newer.is_empty() {
            annotations.shift_remove(NEWER_FIELDS);
        }
        if let Some(operations) = annotations.get(PROTECT_OPERATIONS).and_then(listed) {
            annotations.shift_remove(PROTECT_OPERATIONS);
            newer.insert(OPERATIONS.to_owned(), operations);
        }
        if let Some(total) = annotations.get(PROTECT_TOTAL).and_then(counted) {
            annotations.shift_remove(PROTECT_TOTAL);
            newer.insert(TOTAL.to_owned(), json!(total));
        }
    }
    drop_empty_annotations(object);
    // These belong to the other version: here they mean nothing, there they would.
    if let Some(spec) = member(object, "spec") {
        for name in [OPERATIONS, TOTAL, IGNORED] {
            spec.shift_remove(name);
        }
    }
    if !newer.is_empty()
        && let Some(spec) = member_or_new(object, "spec")
    {
        for (name, value) in newer {
            spec.entry(name).or_insert(value);
        }
    }
    set_version(object, V1BETA1);
    Ok(())
}

/// Turns a `v1beta1` object into a `v1alpha1` one. Annotations that stand in for members which the spec does not have are in force, and
/// stay. Left as it is in case of an error.
pub fn from_v1beta1(object: &mut Value) -> Result<(), ConversionError> {
    check(object, V1BETA1)?;
    let mut newer = Map::new();
    if let Some(spec) = member(object, "spec") {
        for name in spec.keys().filter(|name| !COMMON.contains(&name.as_str())).cloned().collect::<Vec<_>>() {
            newer.extend(spec.shift_remove_entry(&name));
        }
    }
    let operations = newer.get(OPERATIONS).and_then(joined);
    let total = newer.get(TOTAL).and_then(Value::as_i64).filter(|total| (1..=i64::from(i32::MAX)).contains(total));
    newer.retain(|name, _| !(name == OPERATIONS && operations.is_some() || name == TOTAL && total.is_some()));
    let said = [
        (PROTECT_OPERATIONS, operations),
        (PROTECT_TOTAL, total.map(|total| total.to_string())),
        (NEWER_FIELDS, Some(newer).filter(|newer| !newer.is_empty()).map(|newer| Value::Object(newer).to_string())),
    ];
    for (key, text) in said {
        let Some(text) = text else { continue };
        let metadata = member_or_new(object, "metadata").map(|metadata| metadata.entry("annotations").or_insert(Value::Null));
        if let Some(annotations) = metadata.and_then(filled) {
            annotations.insert(key.to_owned(), Value::String(text));
        }
    }
    set_version(object, V1ALPHA1);
    Ok(())
}

/// What an annotation of the older version says that cannot be put into the present one, in the words of the reference.
pub fn problem(object: &Value) -> Option<String> {
    let annotation = |key: &str| object.pointer("/metadata/annotations")?.get(key)?.as_str();
    let operations = items(annotation(PROTECT_OPERATIONS).unwrap_or_default()).find(|item| Operation::of(item).is_none());
    let total = annotation(PROTECT_TOTAL).filter(|text| !text.is_empty() && text.parse::<i32>().is_err());
    let newer = annotation(NEWER_FIELDS).filter(|text| newer_members(&json!(text)).is_none());
    operations
        .map(|item| format!("invalid {PROTECT_OPERATIONS} value {item:?}"))
        .or_else(|| total.map(|text| format!("failed to parse {PROTECT_TOTAL}: {text:?} is not a whole number of 32 bits")))
        .or_else(|| newer.map(|_| format!("failed to parse {NEWER_FIELDS}: must be members of the spec of v1beta1, as JSON")))
}

/// The items of a list in a text.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The operations that an annotation lists, if it lists any and nothing else.
fn listed(annotation: &Value) -> Option<Value> {
    let items: Vec<_> = items(annotation.as_str()?).collect();
    (!items.is_empty() && items.iter().all(|item| Operation::of(item).is_some())).then(|| json!(items))
}

/// The list as it stands in an annotation, if there it says the same.
fn joined(operations: &Value) -> Option<String> {
    let names: Vec<_> = operations.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    (!names.is_empty() && names.iter().all(|name| Operation::of(name).is_some())).then(|| names.join(","))
}

/// The total in an annotation, if it is one.
fn counted(annotation: &Value) -> Option<i32> {
    annotation.as_str()?.parse().ok().filter(|total| *total > 0)
}

/// The members that an annotation keeps, if a budget can have them.
fn newer_members(annotation: &Value) -> Option<Map<String, Value>> {
    let mut members: Map<String, Value> = serde_json::from_str(annotation.as_str()?).ok()?;
    members.retain(|name, _| !COMMON.contains(&name.as_str()));
    let spec = Value::Object(members);
    let is_readable = PodUnavailableBudgetSpec::deserialize(&spec).is_ok();
    if let Value::Object(members) = spec { Some(members).filter(|_| is_readable) } else { None }
}

/// Whether the parts of an object that a conversion reads are what they must be.
fn check(object: &Value, version: &str) -> Result<(), ConversionError> {
    for (pointer, field) in
        [("", "the object"), ("/metadata", "metadata"), ("/metadata/annotations", "metadata.annotations"), ("/spec", "spec")]
    {
        if !object.pointer(pointer).is_none_or(|value| value.is_object() || value.is_null() && !pointer.is_empty()) {
            return Err(wrong(object, field, "must be an object".to_owned()));
        }
    }
    for (field, wanted) in [("apiVersion", version), ("kind", "PodUnavailableBudget")] {
        let found = object.get(field).unwrap_or(&Value::Null);
        if found != wanted {
            return Err(wrong(object, field, format!("must be {wanted} to be converted, is {found}")));
        }
    }
    let texts = object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
    match texts.into_iter().find(|(_, text)| !text.is_string()) {
        Some((key, _)) => Err(wrong(object, &format!("metadata.annotations[{key}]"), "must be a string".to_owned())),
        None => Ok(()),
    }
}

fn wrong(object: &Value, field: &str, problem: String) -> ConversionError {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let name = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    ConversionError { name, field: field.to_owned(), problem }
}

fn member<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    object.get_mut(name)?.as_object_mut()
}

/// The member of this name, made an object if it is none.
fn member_or_new<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    filled(object.as_object_mut()?.entry(name).or_insert(Value::Null))
}

/// An object, also in place of nothing.
fn filled(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

fn annotations(object: &mut Value) -> Option<&mut Map<String, Value>> {
    member(object, "metadata")?.get_mut("annotations")?.as_object_mut()
}

fn drop_empty_annotations(object: &mut Value) {
    let is_empty = annotations(object).is_some_and(|annotations| annotations.is_empty());
    if let Some(metadata) = member(object, "metadata").filter(|_| is_empty) {
        metadata.shift_remove("annotations");
    }
}

fn set_version(object: &mut Value, version: &str) {
    if let Some(members) = object.as_object_mut() {
        members.insert("apiVersion".to_owned(), Value::from(version));
    }
}

#[cfg(test)]
mod tests;
