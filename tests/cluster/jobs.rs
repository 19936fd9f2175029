//! Jobs whose pods have sidecars: the real Job controller, the real server, simulated kubelets. Alone: whoever leads ends sidecars or
//! does not, and servers of other tests do not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::outrigger::sidecarset::api::SidecarSet;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::control_plane::eventually;
use crate::injection::{apply_set, served_with};
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox};

const GATE: &str = "--feature-gates=SidecarTerminator=true";

/// The kind by which the agent of a node is asked; here nobody serves it.
const REQUESTS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: containerrecreaterequests.apps.kruise.io}
spec:
  group: apps.kruise.io
  names: {kind: ContainerRecreateRequest, plural: containerrecreaterequests, singular: containerrecreaterequest}
  scope: Namespaced
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

/// A Job of one pod whose container `main` ends well; what is injected beside it goes on.
fn job() -> Job {
    let labels = BTreeMap::from([("tier".to_owned(), "front".to_owned()), ("app".to_owned(), "load".to_owned())]);
    let annotations = BTreeMap::from([("outrigger.test/ends".to_owned(), "main".to_owned())]);
    let container = Container { name: "main".to_owned(), image: Some("registry.example/main:1".to_owned()), ..Default::default() };
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..Default::default() }),
        spec: Some(PodSpec { containers: vec![container], restart_policy: Some("Never".to_owned()), ..Default::default() }),
    };
    let spec = JobSpec { template, ..Default::default() };
    Job { metadata: ObjectMeta { name: Some("load".to_owned()), ..Default::default() }, spec: Some(spec), status: None }
}

/// A sandbox with a set whose sidecar asks for its end, and a server that leads.
async fn with_sidecars(cluster: &Arc<Cluster>, purpose: &str, flags: &[&str]) -> Result<(Sandbox, Outrigger)> {
    let (sandbox, server) = served_with(cluster, purpose, flags).await?;
    apply_set(&sandbox, &server, "mesh", sidecar(&json!([]))).await?;
    Ok((sandbox, server))
}

/// The spec of the set; `ports` are there to be changed.
fn sidecar(ports: &Value) -> Value {
    let env = json!([{"name": "KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT", "value": "true"}]);
    json!({"containers": [{"name": "mesh", "image": "registry.example/mesh:1", "env": env, "ports": ports}]})
}

/// Returns when the leader has seen the sandbox's pods as they are: when it says of one that it cannot have a changed set, which it can
/// only say of the latest version of a pod.
async fn is_seen_by_the_leader(sandbox: &Sandbox) -> Result<()> {
    let sets = Api::<SidecarSet>::all(sandbox.cluster.client());
    let change = json!({"spec": sidecar(&json!([{"containerPort": 15000, "protocol": "TCP"}]))});
    sets.patch(&format!("mesh-{}", sandbox.namespace), &PatchParams::default(), &Patch::Merge(change)).await?;
    the_pod(sandbox, "the leader says that it cannot be updated", |pod| condition(pod, "SidecarSetUpgradable") == Some("False")).await?;
    Ok(())
}

fn exit_code(pod: &Pod, container: &str) -> Option<i32> {
    let mut statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let status = statuses.find(|status| status.name == container)?;
    status.state.as_ref()?.terminated.as_ref().map(|terminated| terminated.exit_code)
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<&'p str> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str())
}

/// The one pod of the Job, when `done` holds for it.
async fn the_pod(sandbox: &Sandbox, what: &str, done: impl Fn(&Pod) -> bool) -> Result<Pod> {
    let mut pods = sandbox.pods("app=load", what, |pods| pods.len() == 1 && pods.iter().all(|pod| done(pod))).await?;
    pods.pop().context("no pod")
}

/// What was told of the pod, as reasons and sentences.
async fn told(sandbox: &Sandbox, pod: &Pod, reason: &str) -> Result<Vec<String>> {
    let events = sandbox.api::<Event>().list(&ListParams::default()).await?.items.into_iter();
    let is_about = |event: &Event| event.regarding.as_ref().is_some_and(|object| object.uid == pod.metadata.uid);
    let of = events.filter(|event| is_about(event) && event.reason.as_deref() == Some(reason));
    Ok(of.filter_map(|event| event.note).collect())
}

pub(crate) async fn a_job_completes_although_its_sidecar_never_ends_of_itself(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = with_sidecars(&cluster, "completes", &[GATE]).await?;
    sandbox.create(&job()).await?;
    let is_complete = |job: &Job| job.status.as_ref().is_some_and(|status| status.succeeded == Some(1) && status.completion_time.is_some());
    sandbox.watch::<Job>().named("load").until_it("the job is complete", is_complete).await?;
    let pod = the_pod(&sandbox, "the kubelet has ended the sidecar", |pod| exit_code(pod, "mesh").is_some()).await?;
    ensure!((exit_code(&pod, "main"), exit_code(&pod, "mesh")) == (Some(0), Some(137)), "{:?}", pod.status);
    ensure!(phase(&pod) == "Succeeded" && condition(&pod, "SidecarTerminated") == Some("True"), "{:?}", pod.status);
    eventually("event", Duration::from_secs(10), async || {
        let told = told(&sandbox, &pod, "SidecarTerminator").await?;
        ensure!(told == ["Marked as Succeeded: the work has ended, and the kubelet ends the sidecars that still run"], "{told:?}");
        Ok(())
    })
    .await
}

pub(crate) async fn with_an_agent_on_the_nodes_it_is_asked_to_end_the_sidecar(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = with_sidecars(&cluster, "asks", &[]).await?;
    sandbox.apply_yaml(REQUESTS).await?;
    let asked = see_the_request(&sandbox, server).await;
    // Other tests are about clusters without agents.
    let definitions = Api::<CustomResourceDefinition>::all(cluster.client());
    let name = "containerrecreaterequests.apps.kruise.io";
    let uid = definitions.get(name).await?.metadata.uid;
    let parameters = DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..Default::default() };
    definitions.delete(name, &parameters).await?;
    eventually("end of the definition", Duration::from_secs(20), async || {
        ensure!(definitions.get_opt(name).await?.is_none(), "it is still there");
        Ok(())
    })
    .await?;
    asked
}

/// Without the gate nothing happens to the pod; a server with the gate that comes later finds it, and asks for its end.
async fn see_the_request(sandbox: &Sandbox, without_gate: Outrigger) -> Result<()> {
    sandbox.create(&job()).await?;
    let pod = the_pod(sandbox, "the work has ended", |pod| exit_code(pod, "main") == Some(0)).await?;
    let name = format!("sidecar-termination-{}", pod.metadata.uid.clone().context("no uid")?);
    let kind = GroupVersionKind::gvk("apps.kruise.io", "v1alpha1", "ContainerRecreateRequest");
    is_seen_by_the_leader(sandbox).await?;
    let requests: Api<DynamicObject> = Api::namespaced_with(sandbox.cluster.client(), &sandbox.namespace, &ApiResource::from_gvk(&kind));
    ensure!(requests.list(&ListParams::default()).await?.items.is_empty(), "the gate is off");
    drop(without_gate);

    let _server = Outrigger::start(&sandbox.cluster, "outrigger-system", &[GATE]).await?;
    eventually("request", Duration::from_secs(30), async || {
        let request = requests.get(&name).await?;
        let owners = serde_json::to_value(&request.metadata.owner_references)?;
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid, "controller": true, "blockOwnerDeletion": true});
        ensure!(owners == json!([owner]), "{owners}");
        let spec = json!({"podName": pod.metadata.name, "containers": [{"name": "mesh"}], "strategy": {"failurePolicy": "Ignore", "forceRecreate": true}});
        ensure!(request.data.get("spec").unwrap_or(&Value::Null) == &spec, "{:?}", request.data);
        let told = told(sandbox, &pod, "SidecarTerminator").await?;
        ensure!(told == [format!("Asking the agent of the node to end the sidecars mesh: ContainerRecreateRequest {name}")], "{told:?}");
        Ok(())
    })
    .await?;
    // A sidecar whose exit code counts: the pod goes on until the agent has done its part.
    let pod = sandbox.api::<Pod>().get(pod.metadata.name.as_deref().unwrap_or_default()).await?;
    ensure!(phase(&pod) == "Running" && condition(&pod, "SidecarTerminated").is_none(), "{:?}", pod.status);
    Ok(())
}
