//! What every object's metadata is held to, and the names of sets. (`apimachinery/pkg/api/validation/objectmeta.go`)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference};

use super::shown;
use crate::base::{
    field::{Error, Path},
    names::qualified_name_problems,
    selector_rules::check_labels,
};

const MOST_ANNOTATION_BYTES: usize = 256 * 1024;
const MOST_NAME_BYTES: usize = 63;

pub(super) fn check(meta: &ObjectMeta, errors: &mut Vec<Error>) {
    let path = Path::new("metadata");
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(prefix) = given(&meta.generate_name) {
        check_name(&prefix, &path.child("generateName"), errors);
    }
    match given(&meta.name) {
        Some(name) => check_name(&name, &path.child("name"), errors),
        None => errors.push(Error::required(&path.child("name"), "name or generateName is required")),
    }
    if given(&meta.namespace).is_some() {
        errors.push(Error::forbidden(&path.child("namespace"), "not allowed on this type"));
    }
    if let Some(generation) = meta.generation.filter(|generation| *generation < 0) {
        errors.push(Error::invalid(&path.child("generation"), generation, "must be greater than or equal to 0"));
    }
    if let Some(labels) = &meta.labels {
        check_labels(labels, &path.child("labels"), errors);
    }
    if let Some(annotations) = &meta.annotations {
        check_annotations(annotations, &path.child("annotations"), errors);
    }
    check_owners(meta.owner_references.as_deref().unwrap_or_default(), &path.child("ownerReferences"), errors);
    check_finalizers(meta.finalizers.as_deref().unwrap_or_default(), &path.child("finalizers"), errors);
    check_managers(meta.managed_fields.as_deref().unwrap_or_default(), &path.child("managedFields"), errors);
}

fn check_name(name: &str, path: &Path, errors: &mut Vec<Error>) {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let detail = "sidecarset name must consist of alphanumeric characters or '-' \
            (e.g. 'example-com', regex used for validation is '^[a-zA-Z0-9\\-]+$')";
        errors.push(Error::invalid(path, name, detail));
    }
    if name.len() > MOST_NAME_BYTES {
        errors.push(Error::invalid(path, name, format!("must be no more than {MOST_NAME_BYTES} characters")));
    }
}

/// Keys of annotations, and how large all are together.
pub(super) fn check_annotations(annotations: &BTreeMap<String, String>, path: &Path, errors: &mut Vec<Error>) {
    for key in annotations.keys() {
        // Prefixes may be in upper case.
        errors.extend(qualified_name_problems(&key.to_lowercase()).into_iter().map(|problem| Error::invalid(path, key, problem)));
    }
    if annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MOST_ANNOTATION_BYTES {
        errors.push(Error::too_long(path, MOST_ANNOTATION_BYTES));
    }
}

fn check_owners(owners: &[OwnerReference], path: &Path, errors: &mut Vec<Error>) {
    let mut controller: Option<&OwnerReference> = None;
    for owner in owners {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        for (field, value, missing) in [
            ("apiVersion", &owner.api_version, version.is_empty()),
            ("kind", &owner.kind, owner.kind.is_empty()),
            ("name", &owner.name, owner.name.is_empty()),
            ("uid", &owner.uid, owner.uid.is_empty()),
        ] {
            if missing {
                let what = if field == "apiVersion" { "version" } else { field };
                errors.push(Error::invalid(&path.child(field), value, format!("{what} must not be empty")));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            errors.push(Error::invalid(path, shown(owner), "/v1, Kind=Event is disallowed from being an owner"));
        }
        if owner.controller == Some(true) {
            if let Some(first) = controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {}/{} and {}/{}",
                    first.kind, first.name, owner.kind, owner.name
                );
                errors.push(Error::invalid(path, shown(&owners), detail));
            }
            controller = Some(owner);
        }
    }
}

fn check_finalizers(finalizers: &[String], path: &Path, errors: &mut Vec<Error>) {
    for name in finalizers {
        errors.extend(qualified_name_problems(name).into_iter().map(|problem| Error::invalid(path, name, problem)));
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        errors.push(Error::invalid(path, shown(&finalizers), "finalizer orphan and foregroundDeletion cannot be both set"));
    }
}

fn check_managers(managers: &[ManagedFieldsEntry], path: &Path, errors: &mut Vec<Error>) {
    for (index, manager) in managers.iter().enumerate() {
        let path = path.index(index);
        let operation = manager.operation.as_deref().unwrap_or_default();
        if !matches!(operation, "Apply" | "Update") {
            errors.push(Error::invalid(&path.child("operation"), operation, "must be `Apply` or `Update`"));
        }
        let fields = manager.fields_type.as_deref().unwrap_or_default();
        if !matches!(fields, "" | "FieldsV1") {
            errors.push(Error::invalid(&path.child("fieldsType"), fields, "must be `FieldsV1`"));
        }
    }
}
