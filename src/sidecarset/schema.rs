//! OpenAPI schemas of the members of a SidecarSet that derive cannot express: Kubernetes containers and volumes with
//! room for fields of newer versions, and enumerations that are plain text in the Rust types.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A list of sidecars.
pub(super) fn sidecar_containers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}})
}

/// A list of volumes.
pub(super) fn volumes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}})
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
