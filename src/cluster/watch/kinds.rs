//! How objects of each kind get into the picture: what is kept of them, and where.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{NamespaceResourceScope, api::core::v1, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Resource, ResourceExt, api::DynamicObject, core::PartialObjectMeta};
use parking_lot::Mutex;
use serde::Deserialize;

use super::older::value;
use crate::{
    base::{interned::Interner, observed::Wire},
    budget::api::PodUnavailableBudget,
    sidecarset::{api::SidecarSet, index::SetError, revision::Revision},
    spread::api::WorkloadSpread,
    state::{State, feed::Namespace, pods::Observed},
};

/// How objects of one kind get into the picture.
pub(super) trait Kind: Send + 'static {
    /// What the watch delivers.
    type Object: ResourceExt + Send;
    /// What is kept.
    type Kept: Send;
    /// Name under which readiness speaks of the list.
    const CONDITION: &'static str;
    /// Name under which the watch is counted: as it is in [`heard`](crate::cluster::heard).
    const RESOURCE: &'static str = Self::CONDITION;

    fn keep(object: Self::Object, interner: &Mutex<Interner>) -> Result<Self::Kept, String>;
    /// Of an object of a list that is not whole yet: drops what is not needed of it, as far as can be told by now.
    fn lighten(_: &State, kept: Self::Kept) -> Self::Kept {
        kept
    }
    fn reset(state: &mut State, all: Vec<Self::Kept>) -> Vec<SetError>;
    fn apply(state: &mut State, one: Self::Kept) -> Result<(), SetError>;
    fn delete(state: &mut State, namespace: &str, name: &str);
    /// The object was deleted. It is looked at as little as can be: it may not decode.
    fn gone(state: &mut State, object: &Self::Object) {
        Self::delete(state, &object.namespace().unwrap_or_default(), &object.name_any());
    }
    /// The API server does not know this kind any more.
    fn forget(_: &mut State) {}
}

/// A pod as it comes from the API server.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct WatchedPod(pub Wire);

impl Resource for WatchedPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        v1::Pod::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        v1::Pod::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        v1::Pod::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        v1::Pod::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        &self.0.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

pub(super) struct Pods;
pub(super) struct Sets;
pub(super) struct Revisions;
pub(super) struct Namespaces;
/// The one `ConfigMap` that says what sets may do.
pub(super) struct Configuration;
pub(super) struct Budgets;
pub(super) struct Spreads;

impl Kind for Sets {
    type Object = DynamicObject;
    type Kept = SidecarSet;
    const CONDITION: &'static str = "sidecarsets";

    fn keep(object: DynamicObject, _: &Mutex<Interner>) -> Result<SidecarSet, String> {
        serde_path_to_error::deserialize(value(object)?).map_err(|error| error.to_string())
    }
    fn reset(state: &mut State, all: Vec<SidecarSet>) -> Vec<SetError> {
        state.reset_sets(all)
    }
    fn apply(state: &mut State, one: SidecarSet) -> Result<(), SetError> {
        state.apply_set(one)
    }
    fn delete(state: &mut State, _: &str, name: &str) {
        state.delete_set(name);
    }
}

impl Kind for Revisions {
    type Object = DynamicObject;
    type Kept = Revision;
    const CONDITION: &'static str = "controllerrevisions";

    fn keep(object: DynamicObject, _: &Mutex<Interner>) -> Result<Revision, String> {
        Revision::from_object(&value(object)?).map_err(|error| error.to_string())
    }
    fn reset(state: &mut State, all: Vec<Revision>) -> Vec<SetError> {
        state.reset_revisions(all);
        Vec::new()
    }
    fn apply(state: &mut State, one: Revision) -> Result<(), SetError> {
        state.apply_revision(one);
        Ok(())
    }
    fn delete(state: &mut State, _: &str, name: &str) {
        state.delete_revision(name);
    }
}

impl Kind for Pods {
    type Object = WatchedPod;
    type Kept = Observed;
    const CONDITION: &'static str = "pods";

    fn keep(object: WatchedPod, interner: &Mutex<Interner>) -> Result<Self::Kept, String> {
        Ok(Observed::read(&object.0, &mut interner.lock()))
    }
    fn lighten(state: &State, pod: Observed) -> Observed {
        pod.lightened(state)
    }
    fn reset(state: &mut State, all: Vec<Self::Kept>) -> Vec<SetError> {
        state.observe_all_pods(all);
        Vec::new()
    }
    fn apply(state: &mut State, one: Self::Kept) -> Result<(), SetError> {
        state.observe_pod(one);
        Ok(())
    }
    fn delete(state: &mut State, namespace: &str, name: &str) {
        state.delete_pod(namespace, name);
    }
    fn gone(state: &mut State, object: &WatchedPod) {
        state.delete_pod_with_uid(&object.namespace().unwrap_or_default(), &object.name_any(), &object.uid().unwrap_or_default());
    }
}

impl Kind for Namespaces {
    type Object = PartialObjectMeta<v1::Namespace>;
    type Kept = Namespace;
    const CONDITION: &'static str = "namespaces";

    fn keep(object: Self::Object, _: &Mutex<Interner>) -> Result<Namespace, String> {
        let labels: BTreeMap<String, String> = object.metadata.labels.unwrap_or_default();
        let is_terminating = object.metadata.deletion_timestamp.is_some();
        Ok(Namespace { name: object.metadata.name.unwrap_or_default(), labels, is_terminating })
    }
    fn reset(state: &mut State, all: Vec<Namespace>) -> Vec<SetError> {
        state.reset_namespaces(all);
        Vec::new()
    }
    fn apply(state: &mut State, one: Namespace) -> Result<(), SetError> {
        state.apply_namespace(one);
        Ok(())
    }
    fn delete(state: &mut State, _: &str, name: &str) {
        state.delete_namespace(name);
    }
}

impl Kind for Configuration {
    type Object = v1::ConfigMap;
    type Kept = BTreeMap<String, String>;
    const CONDITION: &'static str = "configuration";
    const RESOURCE: &'static str = "configmaps/kruise-configuration";

    fn keep(object: v1::ConfigMap, _: &Mutex<Interner>) -> Result<Self::Kept, String> {
        Ok(object.data.unwrap_or_default())
    }
    fn reset(state: &mut State, all: Vec<Self::Kept>) -> Vec<SetError> {
        match all.first() {
            Some(data) => state.apply_configuration(data),
            None => state.delete_configuration(),
        }
        Vec::new()
    }
    fn apply(state: &mut State, data: Self::Kept) -> Result<(), SetError> {
        state.apply_configuration(&data);
        Ok(())
    }
    fn delete(state: &mut State, _: &str, _: &str) {
        state.delete_configuration();
    }
}

impl Kind for Budgets {
    type Object = DynamicObject;
    type Kept = PodUnavailableBudget;
    const CONDITION: &'static str = "podunavailablebudgets";

    fn keep(object: DynamicObject, _: &Mutex<Interner>) -> Result<Self::Kept, String> {
        serde_path_to_error::deserialize(value(object)?).map_err(|error| error.to_string())
    }
    fn reset(state: &mut State, all: Vec<Self::Kept>) -> Vec<SetError> {
        state.reset_budgets(all);
        Vec::new()
    }
    fn apply(state: &mut State, one: Self::Kept) -> Result<(), SetError> {
        state.apply_budget(one);
        Ok(())
    }
    fn delete(state: &mut State, namespace: &str, name: &str) {
        state.delete_budget(namespace, name);
    }
}

impl Kind for Spreads {
    type Object = DynamicObject;
    type Kept = WorkloadSpread;
    const CONDITION: &'static str = "workloadspreads";

    fn keep(object: DynamicObject, _: &Mutex<Interner>) -> Result<Self::Kept, String> {
        serde_path_to_error::deserialize(value(object)?).map_err(|error| error.to_string())
    }
    fn reset(state: &mut State, all: Vec<Self::Kept>) -> Vec<SetError> {
        state.reset_spreads(all);
        Vec::new()
    }
    fn apply(state: &mut State, one: Self::Kept) -> Result<(), SetError> {
        state.apply_spread(one);
        Ok(())
    }
    fn delete(state: &mut State, namespace: &str, name: &str) {
        state.delete_spread(namespace, name);
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher;

    use super::*;
    use crate::{cluster::watch::Feed, server::admin::Readiness, sidecarset::whitelist::CONFIGURATION, telemetry::metrics::Metrics};

    #[test]
    fn a_watch_of_one_object_is_counted_under_its_name() {
        assert_eq!(Configuration::RESOURCE, format!("configmaps/{CONFIGURATION}"));
        let metrics = std::sync::Arc::new(Metrics::new());
        let feed = Feed::new(std::sync::Arc::default(), Readiness::default(), metrics.clone(), None);
        feed.trouble::<Configuration>(&watcher::Error::NoResourceVersion);
        assert!(metrics.to_text().contains("outrigger_watch_restarts_total{resource=\"configmaps/kruise-configuration\"} 1\n"));
    }
}
