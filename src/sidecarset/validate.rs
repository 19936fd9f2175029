//! Whether a SidecarSet may be written as it is: a pure function of the object, of the one that it replaces, and of what is
//! known of the cluster.
//!
//! Paths, order and words are the reference's, also where the paths are odd (`spec[0].transferEnv…`, `revision`): stored answers
//! compare by them. What the reference admits although it cannot work is admitted with a warning.
//!
//! Of the rules of pods only names, duplicates, required members and references between containers and volumes are here
//! (`pod`). The others are those of the API server's own version: [`stand_in`] makes the pod to ask it about.

mod canary;
mod conflicts;
mod metadata;
mod patch;
mod pod;
mod resources;
mod revision;
mod sidecar;
pub mod stand_in;
mod update;
mod warnings;

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

pub use stand_in::{from_stand_in, stand_in_pod};

use super::{
    api::{SidecarContainer, SidecarSet},
    default::{self, Unreadable},
    index::SetIndex,
    keys,
    revision::Revisions,
    v1alpha1,
    whitelist::Whitelist,
};
use crate::base::{
    field::{self, Path},
    gates::Gates,
    selector_rules,
};

/// What judging a set asks of the cluster.
pub trait World {
    /// All sets: the base of a canary by its name, and through an index those that share a name with this one.
    fn sets(&self) -> &SetIndex;
    /// All recorded revisions.
    fn revisions(&self) -> &Revisions;
    /// Which annotations sets may put on pods.
    fn whitelist(&self) -> &Whitelist;
    /// Which features are on.
    fn gates(&self) -> &Gates;
}

/// What there is to say of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Why it is refused; admitted if there are none. [`field::sentence`] makes a message of them.
    pub errors: Vec<field::Error>,
    /// What is admitted but will not do what its author may think.
    pub warnings: Vec<String>,
}

/// Judges a set that is to be written in place of `old`, or as a new one. The objects come in either version, as the API server
/// sends them after the defaulting. One that cannot be read is a bad request, not a bad set.
pub fn validate(new: &Value, old: Option<&Value>, world: &impl World) -> Result<Findings, Unreadable> {
    let set = read(new)?;
    let old = old.map(read).transpose()?;
    let mut errors = rules(&set, old.as_ref(), world);
    // As long as the set itself is wrong, it does not matter with whom it cannot be.
    if errors.is_empty() {
        conflicts::check(&set, world, &mut errors);
    }
    let warnings = if errors.is_empty() { warnings::of(&set, world) } else { Vec::new() };
    Ok(Findings { errors, warnings })
}

/// Reads an object of either version.
pub fn read(object: &Value) -> Result<SidecarSet, Unreadable> {
    let mut object = object.clone();
    if default::known_version(&object)? == v1alpha1::V1ALPHA1 {
        v1alpha1::to_v1beta1(&mut object).map_err(|error| Unreadable { path: error.field, problem: error.problem })?;
    }
    default::read(object)
}

/// All rules that speak of the set and of its former self, in the order of the reference.
fn rules(set: &SidecarSet, old: Option<&SidecarSet>, world: &impl World) -> Vec<field::Error> {
    let mut errors = Vec::new();
    metadata::check(&set.metadata, &mut errors);
    canary::check(set, old, world.sets(), &mut errors);
    check_native(set, &mut errors);
    let spec = Path::new("spec");
    match &set.spec.selector {
        None => errors.push(field::Error::required(&spec.child("selector"), "no selector defined for SidecarSet")),
        Some(one) => check_selector(one, &spec.child("selector"), &mut errors),
    }
    if let Some(one) = &set.spec.namespace_selector {
        check_selector(one, &spec.child("namespaceSelector"), &mut errors);
    }
    revision::check(set, world.revisions(), &mut errors);
    update::check(&set.spec.update_strategy, &mut errors);
    check_sidecars(set, &mut errors);
    patch::check(set, world, &mut errors);
    if let Some(old) = old {
        check_unchanged(set, old, &mut errors);
    }
    errors
}

/// A selector that selects something, and can be compiled.
fn check_selector(selector: &LabelSelector, path: &Path, errors: &mut Vec<field::Error>) {
    selector_rules::check(selector, path, errors);
    if selector_rules::is_empty(selector) {
        errors.push(field::Error::invalid(path, shown(selector), "empty selector is not valid for sidecarset."));
    } else if selector_rules::problem(selector).is_some() {
        errors.push(field::Error::invalid(&path.child("selector"), shown(selector), ""));
    }
}

/// Native sidecars cannot be updated in place where Kubernetes knows no better; whoever has one that does says so by an annotation.
fn check_native(set: &SidecarSet, errors: &mut Vec<field::Error>) {
    let is_rolling = set.spec.update_strategy.kind.as_deref() == Some("RollingUpdate");
    let mut native = set.spec.init_containers.iter().flatten().filter(|sidecar| sidecar.is_native());
    if is_rolling && annotation(set, keys::UPDATE_NATIVE) != Some("true") && native.next().is_some() {
        let path = Path::new("spec").child("updateStrategy");
        errors.push(field::Error::required(&path, "The initContainer in-place upgrade is not currently supported."));
    }
}

fn check_sidecars(set: &SidecarSet, errors: &mut Vec<field::Error>) {
    let spec = Path::new("spec");
    if init_containers(set).is_empty() && containers(set).is_empty() {
        return errors.push(field::Error::required(&spec, "no initContainer or container defined for SidecarSet"));
    }
    for (index, sidecar) in init_containers(set).iter().enumerate() {
        sidecar::check_init(sidecar, &spec.index(index), errors);
    }
    for (index, sidecar) in containers(set).iter().enumerate() {
        sidecar::check(sidecar, &spec.index(index), errors);
    }
    pod::check(set, errors);
}

/// An update may not add a container, which no running pod could get, nor make another upgrade of one.
fn check_unchanged(set: &SidecarSet, old: &SidecarSet, errors: &mut Vec<field::Error>) {
    let path = Path::new("spec").child("containers");
    // Of several of one name the last one counts.
    let before: HashMap<_, _> = containers(old).iter().map(|before| (before.name(), before)).collect();
    for sidecar in containers(set) {
        let name = sidecar.name();
        let Some(before) = before.get(name) else {
            errors.push(field::Error::invalid(&path.child("name"), name, format!("container {name} is not found")));
            continue;
        };
        let [was, is] = [*before, sidecar].map(|one| one.upgrade_strategy.upgrade_type.as_deref().unwrap_or_default());
        if !was.is_empty() && was != is {
            let detail = format!("container {name} upgradeType is immutable");
            errors.push(field::Error::invalid(&path.child("upgradeStrategy.upgradeType"), name, detail));
        }
    }
}

fn init_containers(set: &SidecarSet) -> &[SidecarContainer] {
    set.spec.init_containers.as_deref().unwrap_or_default()
}

fn containers(set: &SidecarSet) -> &[SidecarContainer] {
    set.spec.containers.as_deref().unwrap_or_default()
}

fn annotation<'s>(set: &'s SidecarSet, key: &str) -> Option<&'s str> {
    set.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// A value of a type of its own, shown as JSON.
fn shown(value: &impl serde::Serialize) -> field::Shown {
    field::Shown::json(value)
}

#[cfg(test)]
mod tests;
