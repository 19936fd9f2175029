//! Workloads, in small, of the kinds that are mirrored.

use std::{borrow::Cow, marker::PhantomData};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, api::ApiResource, core::DynamicResourceScope};
use parking_lot::Mutex;
use serde::Deserialize;

use super::kinds::Kind;
use crate::{
    base::{
        interned::Interner,
        workload::{Wire, Workload},
    },
    sidecarset::index::SetError,
    state::State,
};

/// A workload as it comes from the API server.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct WatchedWorkload(Wire);

impl Resource for WatchedWorkload {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }
    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }
    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }
    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.0.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

/// A kind of workloads.
pub(super) trait Mirrored: Send + 'static {
    const GROUP: &'static str;
    const VERSION: &'static str = "v1";
    const KIND: &'static str;
    const PLURAL: &'static str;
    /// Name under which readiness speaks of the list.
    const CONDITION: &'static str = Self::PLURAL;

    /// Its resource.
    fn resource() -> ApiResource {
        let api_version = if Self::GROUP.is_empty() { Self::VERSION.to_owned() } else { format!("{}/{}", Self::GROUP, Self::VERSION) };
        ApiResource {
            group: Self::GROUP.to_owned(),
            version: Self::VERSION.to_owned(),
            api_version,
            kind: Self::KIND.to_owned(),
            plural: Self::PLURAL.to_owned(),
        }
    }
}

pub(super) struct Deployments;
pub(super) struct ReplicaSets;
pub(super) struct StatefulSets;
pub(super) struct ReplicationControllers;
pub(super) struct CloneSets;
pub(super) struct AdvancedStatefulSets;

impl Mirrored for Deployments {
    const GROUP: &'static str = "apps";
    const KIND: &'static str = "Deployment";
    const PLURAL: &'static str = "deployments";
}

impl Mirrored for ReplicaSets {
    const GROUP: &'static str = "apps";
    const KIND: &'static str = "ReplicaSet";
    const PLURAL: &'static str = "replicasets";
}

impl Mirrored for StatefulSets {
    const GROUP: &'static str = "apps";
    const KIND: &'static str = "StatefulSet";
    const PLURAL: &'static str = "statefulsets";
}

impl Mirrored for ReplicationControllers {
    const GROUP: &'static str = "";
    const KIND: &'static str = "ReplicationController";
    const PLURAL: &'static str = "replicationcontrollers";
}

impl Mirrored for CloneSets {
    const GROUP: &'static str = "apps.kruise.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "CloneSet";
    const PLURAL: &'static str = "clonesets";
}

impl Mirrored for AdvancedStatefulSets {
    const GROUP: &'static str = "apps.kruise.io";
    const VERSION: &'static str = "v1beta1";
    const KIND: &'static str = "StatefulSet";
    const PLURAL: &'static str = "statefulsets";
    const CONDITION: &'static str = "statefulsets.apps.kruise.io";
}

/// Jobs that still make pods.
pub(super) struct Jobs;

impl Kind for Jobs {
    type Object = WatchedWorkload;
    type Kept = Workload;
    const CONDITION: &'static str = "jobs";

    fn keep(object: WatchedWorkload, interner: &Mutex<Interner>) -> Result<Workload, String> {
        Ok(Workload::read_job(&object.0, &mut interner.lock()))
    }
    fn reset(state: &mut State, all: Vec<Workload>) -> Vec<SetError> {
        state.reset_jobs(all);
        Vec::new()
    }
    fn apply(state: &mut State, one: Workload) -> Result<(), SetError> {
        state.apply_job(one);
        Ok(())
    }
    fn delete(state: &mut State, namespace: &str, name: &str) {
        state.delete_job(namespace, name);
    }
    fn forget(state: &mut State) {
        state.reset_jobs(Vec::new());
    }
}

impl Mirrored for Jobs {
    const GROUP: &'static str = "batch";
    const KIND: &'static str = "Job";
    const PLURAL: &'static str = "jobs";
}

/// All workloads of a kind.
pub(super) struct Workloads<M>(PhantomData<fn() -> M>);

impl<M: Mirrored> Kind for Workloads<M> {
    type Object = WatchedWorkload;
    type Kept = Workload;
    const CONDITION: &'static str = M::CONDITION;

    fn keep(object: WatchedWorkload, interner: &Mutex<Interner>) -> Result<Workload, String> {
        Ok(Workload::read(&object.0, [M::GROUP, M::VERSION, M::KIND], &mut interner.lock()))
    }
    fn reset(state: &mut State, all: Vec<Workload>) -> Vec<SetError> {
        state.reset_workloads([M::GROUP, M::KIND], all);
        Vec::new()
    }
    fn apply(state: &mut State, one: Workload) -> Result<(), SetError> {
        state.apply_workload(one);
        Ok(())
    }
    fn delete(state: &mut State, namespace: &str, name: &str) {
        state.delete_workload(namespace, [M::GROUP, M::KIND], name);
    }
    fn forget(state: &mut State) {
        state.forget_workloads([M::GROUP, M::KIND]);
    }
}
