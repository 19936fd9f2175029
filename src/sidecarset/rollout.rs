//! A set as its reconciler sees it: compiled once when the set changes, read for every pod.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{
    api::{SidecarContainer, SidecarSet},
    default,
    index::SetError,
    keys,
    order::Order,
};
use crate::base::selector::{Labels, Selector, SelectorError};

/// A set, compiled.
#[derive(Debug)]
pub struct Rollout {
    /// Name of the set.
    pub name: String,
    /// The set itself, with its defaults.
    pub set: SidecarSet,
    /// Hash of its sidecars.
    pub hash: String,
    /// The same without images.
    pub hash_without_image: String,
    /// The containers that are updated in place, in the order of the set.
    pub sidecars: Vec<Sidecar>,
    /// Names of their containers in a pod.
    pub containers: Vec<String>,
    /// Which pods; none if the set names none.
    pub selector: Option<Selector>,
    /// Which namespaces, or all of them.
    pub namespaces: Option<Selector>,
    /// Which of the pods are updated; all if the set names none.
    pub only: Option<Result<Selector, SelectorError>>,
    /// In which order they are updated.
    pub order: Order,
}

/// One container of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sidecar {
    /// Its name in the set.
    pub name: String,
    /// The image that pods are to run.
    pub image: String,
    /// A new image comes up in a twin.
    pub is_hot: bool,
    /// What the idle twin runs.
    pub empty_image: String,
    /// It is an init container that goes on beside the others.
    pub is_native: bool,
}

impl Sidecar {
    /// Its containers in a pod.
    pub fn containers(&self) -> Vec<String> {
        if self.is_hot { [1, 2].map(|number| format!("{}-{number}", self.name)).into() } else { vec![self.name.clone()] }
    }
}

impl Rollout {
    /// Compiles a set. One that has not been through the defaulting webhook is given its defaults.
    pub fn compile(mut set: SidecarSet) -> Result<Self, SetError> {
        default::complete(&mut set);
        let name = set.metadata.name.clone().unwrap_or_default();
        let compile = |field, selector: &Option<LabelSelector>| SetError::or_selector(&name, field, selector.as_ref());
        let annotation = |key: &str| set.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned().unwrap_or_default();
        let native_too = annotation(keys::UPDATE_NATIVE) == "true";
        let native = set.spec.init_containers.iter().flatten().filter(|container| native_too && container.is_native());
        let regular = set.spec.containers.iter().flatten();
        let sidecars: Vec<_> = regular.map(|one| sidecar(one, false)).chain(native.map(|one| sidecar(one, true))).collect();
        Ok(Self {
            containers: sidecars.iter().flat_map(Sidecar::containers).collect(),
            hash: annotation(keys::HASH),
            hash_without_image: annotation(keys::HASH_WITHOUT_IMAGE),
            sidecars,
            selector: compile("spec.selector", &set.spec.selector)?,
            namespaces: compile("spec.namespaceSelector", &set.spec.namespace_selector)?,
            order: Order::compile(&set.spec.update_strategy),
            only: set.spec.update_strategy.selector.as_ref().map(Selector::compile),
            name,
            set,
        })
    }

    /// Whether the set selects pods with these labels in a namespace with those; `None` is a namespace that nobody knows.
    pub fn selects(&self, labels: &impl Labels, namespace: Option<&impl Labels>) -> bool {
        let is_in = match (&self.namespaces, namespace) {
            (None, _) => true,
            (Some(selector), Some(labels)) => selector.matches(labels),
            (Some(_), None) => false,
        };
        is_in && self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    /// Whether the update strategy leaves out a pod with these labels. A selector that cannot be understood leaves out none: it stops
    /// the whole rollout, and is not to look like one that means it.
    pub fn leaves_out(&self, labels: &impl Labels) -> bool {
        matches!(&self.only, Some(Ok(selector)) if !selector.matches(labels))
    }

    /// The hot-upgrade sidecars.
    pub fn hot(&self) -> impl Iterator<Item = &Sidecar> {
        self.sidecars.iter().filter(|sidecar| sidecar.is_hot)
    }
}

fn sidecar(container: &SidecarContainer, is_native: bool) -> Sidecar {
    let image = container.container.get("image").and_then(serde_json::Value::as_str).unwrap_or_default();
    Sidecar {
        name: container.name().to_owned(),
        image: image.to_owned(),
        is_hot: !is_native && container.is_hot_upgrade(),
        empty_image: container.upgrade_strategy.hot_upgrade_empty_image.clone().unwrap_or_default(),
        is_native,
    }
}
