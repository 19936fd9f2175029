//! The older version of the SidecarSet object, turned into the present one and back.
//!
//! Both are converted as JSON, member by member, so that what no one here knows survives. They differ in two places: `v1alpha1` has a
//! `spec.namespace`, which is a namespace selector in `v1beta1`, and keeps the custom version in a label.

use serde_json::{Map, Value, json};

use super::keys::CUSTOM_VERSION;

/// `apiVersion` of the older version.
pub const V1ALPHA1: &str = "apps.kruise.io/v1alpha1";
/// `apiVersion` of the present version.
pub const V1BETA1: &str = "apps.kruise.io/v1beta1";

/// The label that every namespace has: its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Why an object cannot be converted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("SidecarSet {name:?}: {field}: {problem}")]
pub struct ConversionError {
    /// The object's name, empty if it has none.
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
        _ => Err(ConversionError {
            name: name(object).to_owned(),
            field: "desiredAPIVersion".to_owned(),
            problem: format!("must be {V1BETA1} or {V1ALPHA1}, is {desired:?}"),
        }),
    }
}

/// Turns a `v1alpha1` object into a `v1beta1` one. Left as it is in case of an error.
pub fn to_v1beta1(object: &mut Value) -> Result<(), ConversionError> {
    let form = Form::of(object, V1ALPHA1)?;
    if let Some(spec) = member(object, "spec") {
        // These belong to the other version: here they mean nothing, there they would.
        spec.shift_remove("customVersion");
        spec.shift_remove("namespace");
        if let Some(namespace) = form.namespace {
            spec.insert("namespaceSelector".to_owned(), json!({"matchLabels": {NAMESPACE_NAME: namespace}}));
        }
    }
    if let Some(version) = form.labelled_version {
        take_label(object);
        let spec = object.as_object_mut().and_then(|members| member_or_new(members, "spec"));
        if let Some(spec) = spec.filter(|_| !version.is_empty()) {
            spec.insert("customVersion".to_owned(), Value::String(version));
        }
    }
    set_version(object, V1BETA1);
    Ok(())
}

/// Turns a `v1beta1` object into a `v1alpha1` one. A namespace selector stays one, even if it was a namespace once. Left as it is in
/// case of an error.
pub fn from_v1beta1(object: &mut Value) -> Result<(), ConversionError> {
    let form = Form::of(object, V1BETA1)?;
    if let Some(spec) = member(object, "spec") {
        spec.shift_remove("customVersion");
        spec.shift_remove("namespace");
    }
    if let Some(version) = form.custom_version {
        let metadata = object.as_object_mut().and_then(|members| member_or_new(members, "metadata"));
        if let Some(labels) = metadata.and_then(|metadata| member_or_new(metadata, "labels")) {
            labels.insert(CUSTOM_VERSION.to_owned(), Value::String(version));
        }
    }
    set_version(object, V1ALPHA1);
    Ok(())
}

/// The parts of an object that a conversion reads, after a look whether they are what they must be.
struct Form {
    namespace: Option<String>,
    custom_version: Option<String>,
    labelled_version: Option<String>,
}

impl Form {
    fn of(object: &Value, version: &str) -> Result<Self, ConversionError> {
        let wrong = |field: &str, problem: String| ConversionError { name: name(object).to_owned(), field: field.to_owned(), problem };
        for (pointer, field) in [("", "the object"), ("/metadata", "metadata"), ("/metadata/labels", "metadata.labels"), ("/spec", "spec")]
        {
            if !object.pointer(pointer).is_none_or(|value| value.is_object() || value.is_null() && !pointer.is_empty()) {
                return Err(wrong(field, "must be an object".to_owned()));
            }
        }
        for (pointer, field) in
            [("/spec/containers", "spec.containers"), ("/spec/initContainers", "spec.initContainers"), ("/spec/volumes", "spec.volumes")]
        {
            if !object.pointer(pointer).is_none_or(|value| value.is_array() || value.is_null()) {
                return Err(wrong(field, "must be a list".to_owned()));
            }
        }
        for (field, wanted) in [("apiVersion", version), ("kind", "SidecarSet")] {
            let found = object.get(field).unwrap_or(&Value::Null);
            if found != wanted {
                return Err(wrong(field, format!("must be {wanted} to be converted, is {found}")));
            }
        }
        let text = |value: Option<&Value>, field: &str| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(field, "must be a string".to_owned())),
        };
        let label = object.pointer("/metadata/labels").and_then(|labels| labels.get(CUSTOM_VERSION));
        Ok(Self {
            namespace: text(object.pointer("/spec/namespace"), "spec.namespace")?.filter(|text| !text.is_empty()),
            custom_version: text(object.pointer("/spec/customVersion"), "spec.customVersion")?.filter(|text| !text.is_empty()),
            labelled_version: text(label, &format!("metadata.labels[{CUSTOM_VERSION}]"))?,
        })
    }
}

/// The object's name, empty if it has none.
fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn member<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    object.get_mut(name)?.as_object_mut()
}

/// The member of this name of an object, made an object if it is none.
fn member_or_new<'a>(members: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    let member = members.entry(name).or_insert(Value::Null);
    if member.is_null() {
        *member = Value::Object(Map::new());
    }
    member.as_object_mut()
}

fn take_label(object: &mut Value) {
    let Some(metadata) = member(object, "metadata") else { return };
    let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) else { return };
    labels.shift_remove(CUSTOM_VERSION);
    if labels.is_empty() {
        metadata.shift_remove("labels");
    }
}

fn set_version(object: &mut Value, version: &str) {
    if let Some(members) = object.as_object_mut() {
        members.insert("apiVersion".to_owned(), Value::from(version));
    }
}

#[cfg(test)]
mod tests;
