//! What a set says where its author said nothing, and the hashes of what it says then.

mod container;
mod volume;

use k8s_openapi::apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString};
use serde_json::{Map, Value};

pub(super) use self::container::apply_to_startup;
use super::{
    api::{SidecarContainer, SidecarSet, SidecarSetSpec, SidecarSetStatus, UpdateStrategy},
    hash, keys,
    shape::{self, WrongType},
    v1alpha1,
};

const REVISIONS_KEPT: i32 = 10;

/// An object that is no SidecarSet.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Unreadable {
    /// Where it is wrong.
    pub path: String,
    /// What is wrong.
    pub problem: String,
}

impl From<WrongType> for Unreadable {
    fn from(wrong: WrongType) -> Self {
        Self { path: wrong.path, problem: format!("must be {}", wrong.wanted) }
    }
}

impl Unreadable {
    /// Whether a quantity is not written as one, for which Kubernetes has a sentence that clients know.
    pub fn is_quantity(&self) -> bool {
        self.problem.strip_prefix("must be ") == Some(shape::QUANTITY)
    }
}

/// The object as the defaults make it, in the version in which it came. Both versions have the same defaults and hashes.
pub fn defaulted(object: &Value) -> Result<Value, Unreadable> {
    let version = known_version(object)?;
    let mut present = object.clone();
    let older = if version == v1alpha1::V1ALPHA1 { take_older_members(&mut present)? } else { None };
    let mut set = read(present)?;
    apply(&mut set);
    let unwritable = |error: serde_json::Error| Unreadable { path: String::new(), problem: error.to_string() };
    let mut written = serde_json::to_value(set).map_err(unwritable)?;
    if let Some(members) = written.as_object_mut() {
        members.insert("apiVersion".to_owned(), Value::from(version));
        if let (Some(namespace), Some(spec)) = (older, inner(members, &["spec"])) {
            spec.insert("namespace".to_owned(), Value::String(namespace));
        }
    }
    Ok(written)
}

/// Reads an object of version `v1beta1`, containers and volumes included. A set without a spec is a set, and so is one with half a status.
pub fn read(mut object: Value) -> Result<SidecarSet, Unreadable> {
    if let Some(members) = object.as_object_mut() {
        default_member(members, "spec", Map::new());
        for counter in ["matchedPods", "updatedPods", "readyPods"] {
            if let Some(status) = inner(members, &["status"]) {
                default_member(status, counter, 0);
            }
        }
    }
    let set: SidecarSet = serde_path_to_error::deserialize(object)
        .map_err(|error| Unreadable { path: error.path().to_string(), problem: error.inner().to_string() })?;
    check(&set.spec)?;
    Ok(set)
}

/// The version of the object, if it is one of ours.
pub(super) fn known_version(object: &Value) -> Result<&'static str, Unreadable> {
    let found = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let known = [v1alpha1::V1BETA1, v1alpha1::V1ALPHA1].into_iter().find(|version| *version == found);
    known.ok_or_else(|| Unreadable { path: "apiVersion".to_owned(), problem: format!("{found:?} is no version of SidecarSet") })
}

/// Takes out what means something in one version only; the namespace is to be put back. A conversion would make a selector of it.
fn take_older_members(object: &mut Value) -> Result<Option<String>, Unreadable> {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(None) };
    spec.shift_remove("customVersion");
    match spec.shift_remove("namespace") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(namespace)) => Ok(Some(namespace).filter(|namespace| !namespace.is_empty())),
        Some(_) => Err(Unreadable { path: "spec.namespace".to_owned(), problem: "must be a string".to_owned() }),
    }
}

/// Whether the reference could read the containers and volumes of the spec, which our types do not look into.
fn check(spec: &SidecarSetSpec) -> Result<(), WrongType> {
    let lists = [("spec.initContainers", spec.init_containers.as_ref()), ("spec.containers", spec.containers.as_ref())];
    for (list, containers) in lists {
        for (index, container) in containers.into_iter().flatten().enumerate() {
            shape::check(shape::CONTAINER, &container.container).map_err(|wrong| wrong.under(&format!("{list}[{index}]")))?;
        }
    }
    for (index, volume) in spec.volumes.iter().enumerate() {
        shape::check(shape::VOLUME, &volume.0).map_err(|wrong| wrong.under(&format!("spec.volumes[{index}]")))?;
    }
    Ok(())
}

/// Gives a set that has not been through the defaulting webhook (it carries no hash) its defaults.
pub fn complete(set: &mut SidecarSet) {
    let has_hash = set.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(keys::HASH));
    if !has_hash {
        apply_schema(&mut set.spec);
        apply(set);
    }
}

/// Fills in the defaults, drops what is empty and means nothing, and writes both hashes. What no one here knows stays.
pub fn apply(set: &mut SidecarSet) {
    let spec = &mut set.spec;
    default_containers(spec);
    for volume in &mut spec.volumes {
        volume::apply(&mut volume.0);
    }
    default_update(&mut spec.update_strategy);
    for selector in [&mut spec.selector, &mut spec.namespace_selector].into_iter().flatten() {
        tidy_selector(selector);
    }
    spec.revision_history_limit.get_or_insert(REVISIONS_KEPT);
    for patch in &mut spec.patch_pod_metadata {
        default_text(&mut patch.patch_policy, "Retain");
    }
    if let Some(revision) = &mut spec.injection_strategy.revision {
        default_text(&mut revision.policy, "Always");
    }
    drop_empty(&mut spec.custom_version);
    tidy_status(set.status.get_or_insert_default());
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(keys::HASH.to_owned(), hash::hash(spec));
    annotations.insert(keys::HASH_WITHOUT_IMAGE.to_owned(), hash::hash_without_image(spec));
    // Only now: the hash tells an empty list from an absent one.
    for containers in [&mut spec.init_containers, &mut spec.containers] {
        containers.take_if(|containers| containers.is_empty());
    }
}

/// Fills in what the API server fills in by the schema, before it asks anyone: for sets that never pass through one. Not part of
/// [`apply`], whose answers and hashes are those for the object as it was sent.
pub fn apply_schema(spec: &mut SidecarSetSpec) {
    let sidecars = spec.init_containers.iter_mut().chain(&mut spec.containers).flatten();
    for policy in sidecars.filter_map(|sidecar| sidecar.resources_policy.as_mut()) {
        policy.target_containers_name_regex.get_or_insert_with(|| ".*".to_owned());
    }
    if let Some(revision) = &mut spec.injection_strategy.revision {
        revision.policy.get_or_insert_with(|| "Always".to_owned());
    }
}

fn default_containers(spec: &mut SidecarSetSpec) {
    for (containers, policy) in [(&mut spec.init_containers, "AfterAppContainer"), (&mut spec.containers, "BeforeAppContainer")] {
        for sidecar in containers.iter_mut().flatten() {
            default_text(&mut sidecar.pod_inject_policy, policy);
            default_sidecar(sidecar);
            container::apply(&mut sidecar.container);
        }
    }
}

fn default_sidecar(sidecar: &mut SidecarContainer) {
    default_text(&mut sidecar.upgrade_strategy.upgrade_type, "ColdUpgrade");
    drop_empty(&mut sidecar.upgrade_strategy.hot_upgrade_empty_image);
    default_text(&mut sidecar.share_volume_policy.kind, "disabled");
    if let Some(policy) = &mut sidecar.share_volume_device_policy {
        drop_empty(&mut policy.kind);
    }
    for transfer in &mut sidecar.transfer_env {
        drop_empty(&mut transfer.source_container_name);
        drop_empty(&mut transfer.env_name);
        if let Some(source) = transfer.source_container_name_from.as_mut().and_then(|source| source.field_ref.as_mut()) {
            default_text(&mut source.api_version, "v1");
        }
    }
    if let Some(policy) = &mut sidecar.resources_policy {
        for expressions in [&mut policy.resources_expr.limits, &mut policy.resources_expr.requests].into_iter().flatten() {
            drop_empty(&mut expressions.cpu);
            drop_empty(&mut expressions.memory);
        }
    }
}

fn default_update(strategy: &mut UpdateStrategy) {
    default_text(&mut strategy.kind, "RollingUpdate");
    strategy.partition.get_or_insert(IntOrString::Int(0));
    strategy.max_unavailable.get_or_insert(IntOrString::Int(1));
    let weighted = strategy.priority_strategy.iter_mut().flat_map(|priority| &mut priority.weight_priority);
    for selector in weighted.map(|weighted| &mut weighted.match_selector).chain(&mut strategy.selector) {
        tidy_selector(selector);
    }
}

fn tidy_selector(selector: &mut LabelSelector) {
    selector.match_labels.take_if(|labels| labels.is_empty());
    selector.match_expressions.take_if(|expressions| expressions.is_empty());
    for expression in selector.match_expressions.iter_mut().flatten() {
        expression.values.take_if(|values| values.is_empty());
    }
}

fn tidy_status(status: &mut SidecarSetStatus) {
    status.observed_generation.take_if(|generation| *generation == 0);
    status.updated_ready_pods.take_if(|pods| *pods == 0);
    drop_empty(&mut status.latest_revision);
}

/// An empty text counts as none.
fn default_text(text: &mut Option<String>, default: &str) {
    drop_empty(text);
    text.get_or_insert_with(|| default.to_owned());
}

fn drop_empty(text: &mut Option<String>) {
    text.take_if(|text| text.is_empty());
}

/// Sets a member that is absent; one that is empty is absent once the object is tidy.
fn default_member(object: &mut Map<String, Value>, name: &str, default: impl Into<Value>) {
    if object.get(name).is_none_or(Value::is_null) {
        object.insert(name.to_owned(), default.into());
    }
}

/// The object that a path of members leads to.
fn inner<'a>(object: &'a mut Map<String, Value>, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    path.iter().try_fold(object, |object, name| object.get_mut(*name)?.as_object_mut())
}

/// The objects in a list.
fn items<'a>(object: &'a mut Map<String, Value>, list: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

#[cfg(test)]
mod tests;
