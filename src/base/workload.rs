//! A workload as those see it who look at its pods: how many there should be, and whose it is.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::{interned::Interner, observed::SharedLabels, selector::Selector};

/// The object that controls another one, by its reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// API group, empty for the core one.
    pub group: Arc<str>,
    /// Version by which it was named. Says nothing about which object is meant.
    pub version: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// What tells it from an earlier object of its name; empty if that is not known.
    pub uid: Arc<str>,
}

impl Owner {
    /// The controller among an object's owners.
    pub fn controller(owners: &[OwnerReference], interner: &mut Interner) -> Option<Self> {
        let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        Some(Self {
            group: interner.of(group),
            version: interner.of(version),
            kind: interner.of(&owner.kind),
            name: interner.of(&owner.name),
            uid: interner.of(&owner.uid),
        })
    }

    /// Whether this is the kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        &*self.group == group && &*self.kind == kind
    }
}

/// A workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// What others call it by.
    pub identity: Owner,
    /// The version of the object that this was read from; empty if it is made up from less than the object.
    pub resource_version: Box<str>,
    /// How many pods it should have; `None` if it does not say. Kubernetes takes a missing number for one.
    pub replicas: Option<i32>,
    /// Which pods are its; `None` if it does not say.
    pub selector: Option<Selector>,
    /// Labels of the pods that it makes; empty if it does not say.
    pub template_labels: SharedLabels,
    /// Whose it is.
    pub controller: Option<Owner>,
    /// It is being deleted.
    pub is_terminating: bool,
}
