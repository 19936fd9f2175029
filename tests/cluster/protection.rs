//! Deletion protection in a real cluster: what the API server keeps by itself, while no server of ours runs, and what our server adds.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingWebhookConfiguration};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PropagationPolicy};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::eventually;
use crate::injection::{define, served, served_from};
use crate::rights;
use crate::support::{Cluster, Sandbox};

const POLICY: &str = include_str!("../../manifests/protection.yaml");
const LABEL: &str = "policy.kruise.io/delete-protection";

/// Puts the policy in force. It acts on labelled objects only, so that other tests never meet it.
async fn with_policy(cluster: &Arc<Cluster>, purpose: &str) -> Result<Sandbox> {
    let sandbox = cluster.sandbox(purpose).await?;
    for document in applying::documents(POLICY)? {
        applying::apply(&cluster.client(), "", document).await?;
    }
    sandbox.apply_yaml(&config_map("probe", "Always").to_string()).await?;
    // The API server learns of a policy a moment after it is stored.
    eventually("policy in force", Duration::from_secs(30), async || {
        let probe = DeleteParams { dry_run: true, ..DeleteParams::default() };
        match sandbox.api::<ConfigMap>().delete("probe", &probe).await {
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
            other => bail!("the probe: {other:?}"),
        }
    })
    .await?;
    Ok(sandbox)
}

fn config_map(name: &str, label: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {LABEL: label}}})
}

/// What the API server says to a deletion that it refuses.
async fn refusal<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, name: &str) -> Result<String> {
    match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) => {
            ensure!((status.code, status.reason.as_str()) == (403, "Forbidden"), "{name}: {status:?}");
            Ok(status.message.clone())
        }
        other => bail!("{name} was not kept: {other:?}"),
    }
}

async fn is_refused<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, name: &str, words: &[&str]) -> Result<()> {
    let said = refusal(api, name).await?;
    for word in words {
        ensure!(said.contains(word), "{word:?} is not said: {said}");
    }
    Ok(())
}

/// Deletes an object and waits until it is gone.
async fn goes<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, name: &str) -> Result<()> {
    let parameters = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    eventually("deletion", Duration::from_secs(20), async || {
        // A hook of ours may be asked about what was so a moment ago.
        drop(api.delete(name, &parameters).await);
        ensure!(api.get_opt(name).await?.is_none(), "{name} is still there");
        Ok(())
    })
    .await
}

/// What an operator does by `kubectl label NAME policy.kruise.io/delete-protection-`.
async fn lift<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, name: &str) -> Result<()> {
    let patch = json!({"metadata": {"labels": {LABEL: null}}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.with_context(|| format!("the label of {name}"))?;
    Ok(())
}

/// A definition of things, for this test alone, and the API of its objects.
async fn things(sandbox: &Sandbox, label: &str) -> Result<(String, Api<DynamicObject>)> {
    let group = format!("{}.example.com", sandbox.namespace);
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let versions = json!([{"name": "v1", "served": true, "storage": false, "schema": schema}, {"name": "v2", "served": true, "storage": true, "schema": schema}]);
    let name = format!("things.{group}");
    sandbox
        .apply_yaml(
            &json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": name, "labels": {LABEL: label}},
                "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"}, "versions": versions}})
            .to_string(),
        )
        .await?;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(&group, "v1", "Thing"), "things");
    let api = Api::namespaced_with(sandbox.cluster.client(), &sandbox.namespace, &resource);
    let thing = |name: &str, label: &str| json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": name, "labels": {LABEL: label}}});
    sandbox.apply_yaml(&thing("kept", "Always").to_string()).await?;
    sandbox.apply_yaml(&thing("free", "Cascading").to_string()).await?;
    Ok((name, api))
}

/// The right to count things, given as whoever installs a definition gives it.
async fn lend(sandbox: &Sandbox) -> Result<()> {
    let group = format!("{}.example.com", sandbox.namespace);
    let rule = json!({"apiGroups": [group], "resources": ["things"], "verbs": ["list"]});
    let metadata = json!({"name": format!("count-{group}"), "labels": {"outrigger.dev/aggregate-to-counted": "true"}});
    let lent = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata, "rules": [rule]});
    sandbox.apply_yaml(&lent.to_string()).await?;
    rights::in_force(&sandbox.cluster.client(), ("outrigger-system", rights::ACCOUNT), serde_json::from_value(rule)?).await
}

/// Stays as long as it is labelled, says how it may go, and then goes.
async fn stays_until_the_label_is_off<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, name: &str, words: &[&str]) -> Result<()> {
    is_refused(api, name, &["forbidden by ResourcesProtectionDeletion for policy.kruise.io/delete-protection=Always; "]).await?;
    is_refused(api, name, words).await?;
    lift(api, name).await?;
    goes(api, name).await
}

/// Three objects of three kinds, of which one each is protected for good.
async fn objects(sandbox: &Sandbox) -> Result<()> {
    let annotations = json!({"outrigger.dev/protection-reason": "holds\nthe orders", "outrigger.dev/protection-owner": "team-shop",
        "outrigger.dev/protection-until": "2999-01-01T00:00:00Z"});
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    for (name, labels) in [("kept", json!({LABEL: "Always"})), ("free", json!({LABEL: "Cascading"})), ("plain", json!({}))] {
        let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
        for object in [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}),
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": workload(0)}),
        ] {
            sandbox.apply_yaml(&object.to_string()).await?;
        }
    }
    Ok(())
}

/// The specification of a workload with so many pods labelled `app: web`.
fn workload(replicas: u32) -> Value {
    let pods =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]}});
    json!({"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": pods})
}

pub(crate) async fn what_is_labelled_stays_with_no_server_of_ours(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = with_policy(&cluster, "kept").await?;
    let space = &sandbox.namespace;
    objects(&sandbox).await?;
    let (definition, things) = things(&sandbox, "Always").await?;
    let command = |resource: &str| format!("`kubectl label -n {space} {resource} kept policy.kruise.io/delete-protection-`");
    let told = "(reason: holds the orders; owner: team-shop; until: 2999-01-01T00:00:00Z): lift the protection: ";

    let (maps, claims, deployments) = (sandbox.api::<ConfigMap>(), sandbox.api::<PersistentVolumeClaim>(), sandbox.api::<Deployment>());
    for name in ["free", "plain"] {
        goes(&maps, name).await?;
        goes(&claims, name).await?;
        goes(&deployments, name).await?;
    }
    goes(&things, "free").await?;
    stays_until_the_label_is_off(&maps, "kept", &[&format!("ConfigMap {space}/kept is protected {told}"), &command("configmaps")]).await?;
    stays_until_the_label_is_off(&claims, "kept", &[told, &command("persistentvolumeclaims")]).await?;
    stays_until_the_label_is_off(&deployments, "kept", &[told, &command("deployments.apps")]).await?;
    let words = [format!("Thing {space}/kept is protected: lift"), command(&definition)];
    stays_until_the_label_is_off(&things, "kept", &[&words[0], &words[1]]).await?;
    let definitions = Api::<CustomResourceDefinition>::all(cluster.client());
    let command =
        format!("`kubectl label customresourcedefinitions.apiextensions.k8s.io {definition} policy.kruise.io/delete-protection-`");
    stays_until_the_label_is_off(&definitions, &definition, &[&command]).await
}

pub(crate) async fn labels_that_kubernetes_copies_keep_nothing(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = with_policy(&cluster, "copied").await?;
    let metadata = json!({"name": "web", "labels": {LABEL: "Always"}});
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
    sandbox.apply_yaml(&json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}).to_string()).await?;
    let is_labelled =
        |slices: &[&EndpointSlice]| slices.iter().any(|slice| slice.labels().get(LABEL).is_some_and(|value| value == "Always"));
    let slices =
        sandbox.watch::<EndpointSlice>().labels("kubernetes.io/service-name=web").until("the label is copied", is_labelled).await?;
    let slice = slices.first().context("no slice")?.name_any();
    sandbox.api::<EndpointSlice>().delete(&slice, &DeleteParams::default()).await.context("a slice must be able to go")?;
    stays_until_the_label_is_off(&sandbox.api::<Service>(), "web", &["`kubectl label -n "]).await
}

pub(crate) async fn what_is_ours_is_kept_as_far_as_a_policy_can(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = with_policy(&cluster, "ours").await?;
    define(&cluster).await?;
    let dry_run = DeleteParams { dry_run: true, ..DeleteParams::default() };
    let definitions = Api::<CustomResourceDefinition>::all(cluster.client());
    let Err(kube::Error::Api(status)) = definitions.delete("sidecarsets.apps.kruise.io", &dry_run).await else {
        bail!("our definition may be deleted");
    };
    ensure!(status.code == 403 && status.message.contains("is protected: lift the protection: "), "{}", status.message);
    // Of what admits objects, webhook configurations are objects like others to a policy; policies themselves are not.
    let name = format!("kept-{}", sandbox.namespace);
    let metadata = json!({"name": name, "labels": {LABEL: "Always"}});
    for kind in ["ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy"] {
        let rules = json!([{"apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["nothing"], "operations": ["CREATE"]}]);
        let spec = json!({"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "true"}]});
        let mut object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata});
        if kind == "ValidatingAdmissionPolicy" {
            object["spec"] = spec;
        }
        sandbox.apply_yaml(&object.to_string()).await?;
    }
    let configurations = Api::<ValidatingWebhookConfiguration>::all(cluster.client());
    let command = format!("`kubectl label validatingwebhookconfigurations.admissionregistration.k8s.io {name} policy");
    stays_until_the_label_is_off(&configurations, &name, &[&command]).await?;
    goes(&Api::<ValidatingAdmissionPolicy>::all(cluster.client()), &name).await
}

pub(crate) async fn a_namespace_that_goes_says_what_it_waits_for(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = with_policy(&cluster, "going").await?;
    let inner = sandbox.neighbour("inner", &[]).await?;
    inner.apply_yaml(&config_map("kept", "Always").to_string()).await?;
    let namespaces = Api::<Namespace>::all(cluster.client());
    namespaces.delete(&inner.namespace, &DeleteParams::default()).await?;
    let wanted = format!("namespace {} is being deleted and stays Terminating until then", inner.namespace);
    let says = |namespace: &Namespace| {
        let mut conditions = namespace.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.any(|condition| condition.message.as_ref().is_some_and(|message| message.contains(&wanted)))
    };
    cluster.watch::<Namespace>().named(&inner.namespace).until_it("it says what it waits for", says).await?;
    lift(&inner.api::<ConfigMap>(), "kept").await?;
    // The namespace controller tries again ever more rarely.
    eventually("end of the namespace", Duration::from_mins(2), async || {
        ensure!(namespaces.get_opt(&inner.namespace).await?.is_none(), "{} is still there", inner.namespace);
        Ok(())
    })
    .await
}

fn pod(name: &str, claim: &str) -> Value {
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}], "volumes": volumes}})
}

pub(crate) async fn claims_and_namespaces_stay_while_pods_hang_on_them(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = served(&cluster, "hanging").await?;
    let inner = sandbox.neighbour("inner", &[(LABEL, "Cascading")]).await?;
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let metadata = json!({"name": "data", "labels": {LABEL: "Cascading"}});
    inner
        .apply_yaml(&json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim}).to_string())
        .await?;
    inner.apply_yaml(&pod("user", "data").to_string()).await?;
    let (claims, namespaces) = (inner.api::<PersistentVolumeClaim>(), Api::<Namespace>::all(cluster.client()));
    is_refused(&claims, "data", &["=Cascading and pods that use it 1>0; PersistentVolumeClaim "]).await?;
    is_refused(&namespaces, &inner.namespace, &["=Cascading and active pods 1>0; Namespace "]).await?;
    inner
        .watch::<PersistentVolumeClaim>()
        .named("data")
        .until_it("the claim is bound", |claim| claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound")))
        .await?;
    goes(&inner.api::<Pod>(), "user").await?;
    is_refused(&namespaces, &inner.namespace, &["=Cascading and \"Bound\" status pvc 1>0; "]).await?;
    goes(&claims, "data").await?;
    namespaces.delete(&inner.namespace, &DeleteParams::default()).await?;
    Ok(())
}

pub(crate) async fn services_and_definitions_stay_while_they_are_used(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = served(&cluster, "used").await?;
    let metadata = json!({"name": "web", "labels": {LABEL: "Cascading"}});
    for object in [
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": workload(2)}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}),
    ] {
        sandbox.apply_yaml(&object.to_string()).await?;
    }
    let ready = |slices: &[&EndpointSlice]| {
        let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        endpoints.filter(|endpoint| endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true))).count()
    };
    let slices = || sandbox.watch::<EndpointSlice>().labels("kubernetes.io/service-name=web");
    slices().until("two are ready", |slices| ready(slices) == 2).await?;
    let (services, deployments) = (sandbox.api::<Service>(), sandbox.api::<Deployment>());
    is_refused(&services, "web", &["=Cascading and ready endpoints 2>0; Service "]).await?;
    let scale = format!("`kubectl scale -n {} deployment web --replicas=0`", sandbox.namespace);
    is_refused(&deployments, "web", &["=Cascading and replicas 2>0; Deployment ", &scale]).await?;
    deployments.patch("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 0}}))).await?;
    slices().until("none is ready", |slices| ready(slices) == 0).await?;
    goes(&services, "web").await?;
    goes(&deployments, "web").await?;

    let (definition, things) = things(&sandbox, "Cascading").await?;
    let definitions = Api::<CustomResourceDefinition>::all(cluster.client());
    // Nobody has lent us the right to count them yet.
    is_refused(&definitions, &definition, &["failed to list CRs of ", "cannot list resource \"things\""]).await?;
    lend(&sandbox).await?;
    is_refused(&definitions, &definition, &["=Cascading and active CRs 2>0; CustomResourceDefinition "]).await?;
    for name in ["kept", "free"] {
        lift(&things, name).await?;
        goes(&things, name).await?;
    }
    goes(&definitions, &definition).await
}

pub(crate) async fn a_protection_ends_when_its_time_has_come_and_an_event_says_so(cluster: Arc<Cluster>) -> Result<()> {
    let own = format!("lifting-{}", crate::keys::suffix()?);
    let (sandbox, _server) = served_from(&cluster, "until", &own, &[]).await?;
    let soon = now() + jiff::SignedDuration::from_secs(2);
    for (name, until) in [("soon", soon.to_string()), ("later", "2999-01-01T00:00:00Z".to_owned()), ("never", "tomorrow".to_owned())] {
        let mut object = config_map(name, "Always");
        object["metadata"]["annotations"] = json!({"outrigger.dev/protection-until": until});
        sandbox.apply_yaml(&object.to_string()).await?;
    }
    let is_lifted = |object: &ConfigMap| !object.labels().contains_key(LABEL);
    let lifted = sandbox.watch::<ConfigMap>().named("soon").within(Duration::from_secs(40)).until_it("it is lifted", is_lifted).await?;
    ensure!(now() >= soon, "too early: {lifted:?}");
    let told = |events: &[&Event]| {
        let of = |reason: &str, name: &str| {
            let is_it = |event: &&&Event| event.reason.as_deref() == Some(reason) && event.involved_object.name.as_deref() == Some(name);
            events.iter().filter(is_it).count()
        };
        of("ProtectionEnded", "soon") == 1 && of("ProtectionEndUnreadable", "never") == 1
    };
    sandbox.watch::<Event>().until("both are told", told).await?;
    for name in ["later", "never"] {
        let object = sandbox.api::<ConfigMap>().get(name).await?;
        ensure!(object.labels().get(LABEL).is_some_and(|value| value == "Always"), "{name} was lifted");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a protection ends at a time of day")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
