//! The `CustomResourceDefinition` of SidecarSet, and the parts of its schema that derive cannot express.
//!
//! Kubernetes' own containers and volumes are typed as the newest known Kubernetes types them, but every object in
//! them keeps members it does not know, nothing in them is required but a container's name, and they carry no
//! descriptions: a field of a newer Kubernetes is never lost, and the definition stays small enough for the
//! annotation in which `kubectl apply` remembers it.

mod rules;

use k8s_openapi::{
    api::core::v1::{Container, Volume},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::CustomResourceExt;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::api::{SidecarContainer, SidecarSet};
use crate::base::definition::{Conversion, add_rules, each_node, in_two_versions, members};

/// Properties whose absence the API server fills in. Every other default that derive finds only says how this crate
/// reads an absent member, and must not be stored.
const STORED_DEFAULTS: [&str; 3] = ["targetContainersNameRegex", "policy", "name"];

/// The definition of the resource: cluster-scoped, `v1beta1` stored, `v1alpha1` listed so that clusters that stored
/// it once stay valid.
pub fn definition(conversion: &Conversion) -> Result<CustomResourceDefinition, serde_json::Error> {
    in_two_versions(SidecarSet::crd(), conversion, structural, as_v1alpha1)
}

/// What the API server asks of a schema, on top of what derive gives: optional members may be `null`, as they may in
/// the built-in kinds, only [`STORED_DEFAULTS`] are filled in, and within containers and volumes nothing gets lost.
fn structural(mut validation: Value) -> Value {
    let Some(Value::Object(root)) = validation.get_mut("openAPIV3Schema") else { return validation };
    root.remove("title");
    root.insert("description".to_owned(), json!("Which pods get which sidecars, and how changed sidecars are rolled out."));
    each_node(root, &mut relax_members);
    add_rules(root, &rules::RULES);
    for list in ["containers", "initContainers", "volumes"] {
        if let Some(Value::Object(item)) = validation.pointer_mut(&format!("/openAPIV3Schema/properties/spec/properties/{list}/items")) {
            each_node(item, &mut keep_unknown);
        }
    }
    validation
}

fn relax_members(node: &mut Map<String, Value>) {
    let required = node.get("required").cloned().unwrap_or_default();
    for (name, member) in members(node) {
        if !STORED_DEFAULTS.contains(&name.as_str()) {
            member.remove("default");
        }
        let is_required = required.as_array().is_some_and(|names| names.iter().any(|n| n == name));
        if is_required || member.contains_key("default") {
            // The API server drops a null before it fills in a default, but only where null is not allowed.
            member.remove("nullable");
        } else {
            member.insert("nullable".to_owned(), json!(true));
        }
    }
}

/// `v1alpha1` keeps the custom version in a label, and can name a single namespace. Its prose is that of `v1beta1`,
/// and is not repeated.
fn as_v1alpha1(mut validation: Value) -> Value {
    if let Some(Value::Object(root)) = validation.get_mut("openAPIV3Schema") {
        each_node(root, &mut |node| drop(node.remove("description")));
    }
    if let Some(Value::Object(spec)) = validation.pointer_mut("/openAPIV3Schema/properties/spec/properties") {
        spec.remove("customVersion");
        let description = "The only namespace whose pods are injected; goes before `namespaceSelector`.";
        spec.insert("namespace".to_owned(), json!({"description": description, "type": "string", "nullable": true}));
    }
    validation
}

/// A list of sidecars: Kubernetes containers with our members beside theirs.
pub(super) fn sidecar_containers(generator: &mut SchemaGenerator) -> Schema {
    let mut item = foreign(Container::json_schema(generator));
    let mut own = SidecarContainer::json_schema(generator);
    if let (Some(Value::Object(all)), Some(Value::Object(own))) = (item.get_mut("properties"), own.remove("properties")) {
        all.extend(own);
    }
    item.insert("required".to_owned(), json!(["name"]));
    json_schema!({"type": "array", "items": item})
}

/// A list of Kubernetes volumes.
pub(super) fn volumes(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": foreign(Volume::json_schema(generator))})
}

/// The schema of a Kubernetes type as far as it is ours to state: types, without prose, without requirements, and
/// without a look into metadata. The rest is the API server's to check, in its own version, when the pod comes.
fn foreign(mut schema: Schema) -> Schema {
    each_node(schema.ensure_object(), &mut |node| {
        node.remove("description");
        node.remove("required");
        if let Some(Value::Object(value)) = node.get_mut("additionalProperties") {
            value.insert("nullable".to_owned(), json!(true));
        }
        for (_, metadata) in members(node).filter(|(name, _)| *name == "metadata") {
            *metadata = Map::from_iter([("type".to_owned(), json!("object"))]);
        }
    });
    schema
}

/// A map has no unknown members; any other object keeps them.
fn keep_unknown(node: &mut Map<String, Value>) {
    if node.get("type").is_some_and(|kind| kind == "object") && !node.contains_key("additionalProperties") {
        node.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
    }
}

/// `sum` or `max`.
pub(super) fn target_containers_mode(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["sum", "max"]})
}

/// Any text; every container by default.
pub(super) fn target_containers_name_regex(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "default": ".*"})
}

/// `Always` or `Partial`.
pub(super) fn injection_policy(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["Always", "Partial"], "default": "Always"})
}
