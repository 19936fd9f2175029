//! What a sidecar has beside the members of a container.

use super::{resources, shown};
use crate::{
    base::{
        field::{Error, Path},
        names::qualified_name_problems,
    },
    sidecarset::api::{FieldRef, SidecarContainer},
};

/// An init container. Where it stands and what it shares is not looked at.
pub(super) fn check_init(sidecar: &SidecarContainer, path: &Path, errors: &mut Vec<Error>) {
    if let Some(policy) = &sidecar.resources_policy {
        if !sidecar.is_native() {
            let detail = "resourcesPolicy is only supported for containers with RestartPolicy Always";
            errors.push(Error::invalid(&path.child("resourcesPolicy"), shown(policy), detail));
        }
        resources::check(sidecar, policy, &path.child("resourcesPolicy"), errors);
    }
}

/// A regular container.
pub(super) fn check(sidecar: &SidecarContainer, path: &Path, errors: &mut Vec<Error>) {
    let container = Path::new("spec").child("container");
    let policy = sidecar.pod_inject_policy.as_deref().unwrap_or_default();
    if !matches!(policy, "BeforeAppContainer" | "AfterAppContainer") {
        errors.push(Error::invalid(&container.child("podInjectPolicy"), policy, "unsupported pod inject policy"));
    }
    let share = &sidecar.share_volume_policy;
    if !matches!(share.kind.as_deref(), Some("enabled" | "disabled")) {
        errors.push(Error::invalid(&container.child("shareVolumePolicy"), shown(share), "unsupported share volume policy"));
    }
    let source_path = path.child("transferEnv").child("fieldRef");
    for source in sidecar.transfer_env.iter().filter_map(|transfer| transfer.source_container_name_from.as_ref()) {
        match &source.field_ref {
            Some(field) => check_source(field, &source_path, errors),
            None => errors.push(Error::required(&source_path, "it says where the name of the source container is")),
        }
    }
    if let Some(policy) = &sidecar.resources_policy {
        resources::check(sidecar, policy, &path.child("resourcesPolicy"), errors);
    }
}

/// A label or annotation of the pod, by its key.
fn check_source(source: &FieldRef, path: &Path, errors: &mut Vec<Error>) {
    let (version, field) = (source.api_version.as_deref().unwrap_or_default(), source.field_path.as_str());
    if version.is_empty() {
        return errors.push(Error::required(&path.child("apiVersion"), ""));
    }
    if field.is_empty() {
        return errors.push(Error::required(&path.child("fieldPath"), ""));
    }
    let mut refuse =
        |problem: String| errors.push(Error::invalid(&path.child("fieldPath"), field, format!("error converting fieldPath: {problem}")));
    if version != "v1" {
        return refuse(format!("unsupported pod version: {version}"));
    }
    let Some((of, key)) = subscripted(field) else { return refuse(format!("field label not supported: {field}")) };
    let key = match of {
        "metadata.labels" => key.to_owned(),
        "metadata.annotations" => key.to_lowercase(),
        _ => return refuse(format!("field path not supported: {of}")),
    };
    errors.extend(qualified_name_problems(&key).into_iter().map(|problem| Error::invalid(path, &key, problem)));
}

/// Takes `metadata.labels['key']` apart.
fn subscripted(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}
