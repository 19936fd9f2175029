//! SidecarSets in a real cluster: the rendered manifests, the real server, pods made by real controllers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ObjectMeta, Patch, PatchParams};
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::eventually;
pub(crate) use crate::definitions::define;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox, deployment};

pub(crate) const DEFINITION: &str = include_str!("../../manifests/crds/sidecarsets.apps.kruise.io.yaml");
pub(crate) const WEBHOOKS: &str = include_str!("../../manifests/webhooks.yaml");
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A sandbox whose pods go through a server of ours, one of the replicas that all tests share.
pub(crate) async fn served(cluster: &Arc<Cluster>, purpose: &str) -> Result<(Sandbox, Outrigger)> {
    served_with(cluster, purpose, &[]).await
}

/// The same, by a server with these flags.
pub(crate) async fn served_with(cluster: &Arc<Cluster>, purpose: &str, flags: &[&str]) -> Result<(Sandbox, Outrigger)> {
    served_from(cluster, purpose, "outrigger-system", flags).await
}

/// The same with a server whose own namespace is `namespace`, with further flags.
pub(crate) async fn served_from(cluster: &Arc<Cluster>, purpose: &str, namespace: &str, flags: &[&str]) -> Result<(Sandbox, Outrigger)> {
    let sandbox = cluster.sandbox(purpose).await?;
    define(cluster).await?;
    let server = Outrigger::start(cluster, namespace, flags).await?;
    sandbox.install_webhooks(WEBHOOKS, server.endpoint()).await?;
    Ok((sandbox, server))
}

/// Applies a set that is bound to the sandbox, and returns when the server has it: when it injects it into a pod labelled
/// `tier: front`.
pub(crate) async fn apply_set(sandbox: &Sandbox, server: &Outrigger, name: &str, spec: Value) -> Result<()> {
    apply_annotated_set(sandbox, server, name, &[], spec).await
}

/// The same for a set with annotations.
pub(crate) async fn apply_annotated_set(
    sandbox: &Sandbox,
    server: &Outrigger,
    name: &str,
    annotations: &[(&str, &str)],
    spec: Value,
) -> Result<()> {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"tier": "front"}});
    spec["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": sandbox.namespace}});
    let name = format!("{name}-{}", sandbox.namespace);
    let annotations: BTreeMap<_, _> = annotations.iter().copied().collect();
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": name, "annotations": annotations}, "spec": spec});
    sandbox.apply_yaml(&set.to_string()).await?;
    injects(sandbox, server, &name).await
}

/// Returns when the patch that the server answers for a pod of the sandbox holds this text.
pub(crate) async fn injects(sandbox: &Sandbox, server: &Outrigger, text: &str) -> Result<()> {
    injects_into(sandbox, server, &json!({"tier": "front"}), text).await
}

/// The same for a pod with these labels.
pub(crate) async fn injects_into(sandbox: &Sandbox, server: &Outrigger, labels: &Value, text: &str) -> Result<()> {
    let object = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main"}]}});
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "seen", "operation": "CREATE",
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": sandbox.namespace, "object": object}});
    eventually("set in the server's memory", Duration::from_secs(30), async || {
        let answer: Value = server.http().post(server.url("/mutate-pod")).json(&review).send().await?.json().await?;
        let patch = answer["response"]["patch"].as_str().with_context(|| answer.to_string())?;
        let patch = String::from_utf8(BASE64_STANDARD.decode(patch)?)?;
        ensure!(patch.contains(text), "{patch}");
        Ok(())
    })
    .await
}

fn log_agent() -> Value {
    json!({
        "containers": [{"name": "log", "image": "registry.example/log:1", "podInjectPolicy": "BeforeAppContainer",
            "volumeMounts": [{"name": "spool", "mountPath": "/spool"}], "shareVolumePolicy": {"type": "enabled"},
            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
            {"name": "metrics", "image": "registry.example/metrics:1", "podInjectPolicy": "AfterAppContainer"}],
        "volumes": [{"name": "spool", "emptyDir": {}}],
    })
}

fn names(containers: &[Container]) -> Vec<&str> {
    containers.iter().map(|container| container.name.as_str()).collect()
}

fn spec(pod: &Pod) -> Result<&PodSpec> {
    pod.spec.as_ref().context("a pod without a spec")
}

fn pod(name: &str) -> Pod {
    let labels = BTreeMap::from([("tier".to_owned(), "front".to_owned())]);
    let container = Container { name: "main".to_owned(), image: Some("registry.example/main:1".to_owned()), ..Default::default() };
    Pod {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..Default::default() },
        spec: Some(PodSpec { containers: vec![container], ..Default::default() }),
        status: None,
    }
}

pub(crate) async fn our_definition_is_accepted_and_established(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("definition").await?;
    sandbox.apply_yaml(DEFINITION).await?;
    applying::established(&cluster.client(), "sidecarsets.apps.kruise.io").await?;
    let api = kube::Api::<CustomResourceDefinition>::all(cluster.client());
    let conditions = api.get("sidecarsets.apps.kruise.io").await?.status.and_then(|status| status.conditions).unwrap_or_default();
    let bad: Vec<_> = conditions.iter().filter(|condition| condition.type_ == "NonStructuralSchema").collect();
    ensure!(bad.is_empty(), "{bad:?}");
    // A field of a Kubernetes that is yet to come is not pruned.
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": format!("future-{}", sandbox.namespace)},
        "spec": {"selector": {"matchLabels": {"app": sandbox.namespace}}, "containers": [{"name": "a", "image": "a:1", "futureField": {"deep": [1]}}]}});
    let stored = sandbox.apply_yaml(&set.to_string()).await?;
    ensure!(stored[0].data["spec"]["containers"][0]["futureField"] == json!({"deep": [1]}), "{:?}", stored[0].data);
    Ok(())
}

pub(crate) async fn a_deployment_of_twenty_comes_up_with_its_sidecars(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "twenty").await?;
    apply_set(&sandbox, &server, "log", log_agent()).await?;
    sandbox.create(&deployment("web").replicas(20).label("tier", "front").build()).await?;
    for pod in sandbox.ready_pods("app=web", 20).await? {
        let spec = spec(&pod)?;
        ensure!(names(&spec.containers) == ["log", "main", "metrics"], "{:?}", names(&spec.containers));
        // The API server mounts tokens before it calls us, and again for containers that we added: asked a second time, we
        // leave that mount alone. The sharing sidecar has it once, from the application container.
        for container in &spec.containers {
            let tokens = container.volume_mounts.iter().flatten().filter(|mount| mount.mount_path == TOKEN_PATH).count();
            ensure!(tokens == 1, "{} has {tokens} token mounts", container.name);
        }
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        ensure!(statuses.len() == 3 && statuses.iter().all(|status| status.ready), "{statuses:?}");
    }
    Ok(())
}

pub(crate) async fn a_native_sidecar_lands_in_init_containers(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "native").await?;
    let native = json!({"initContainers": [{"name": "mesh", "image": "registry.example/mesh:1", "restartPolicy": "Always"}], "updateStrategy": {"type": "NotUpdate"}});
    apply_set(&sandbox, &server, "mesh", native).await?;
    sandbox.create(&deployment("web").replicas(1).label("tier", "front").build()).await?;
    let pods = sandbox.ready_pods("app=web", 1).await?;
    let spec = spec(&pods[0])?;
    let init = spec.init_containers.as_deref().unwrap_or_default();
    ensure!(names(init) == ["mesh"] && init[0].restart_policy.as_deref() == Some("Always"), "{init:?}");
    ensure!(names(&spec.containers) == ["main"]);
    let started =
        pods[0].status.iter().flat_map(|status| status.init_container_statuses.iter().flatten()).all(|status| status.started == Some(true));
    ensure!(started, "the native sidecar does not run");
    Ok(())
}

pub(crate) async fn a_set_made_later_injects_only_new_pods(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "later").await?;
    sandbox.create(&deployment("web").replicas(3).label("tier", "front").build()).await?;
    sandbox.ready_pods("app=web", 3).await?;
    apply_set(&sandbox, &server, "log", log_agent()).await?;
    let more = json!({"spec": {"replicas": 7}});
    sandbox.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(more)).await?;
    let pods = sandbox.ready_pods("app=web", 7).await?;
    let injected = pods.iter().filter(|pod| pod.spec.as_ref().is_some_and(|spec| spec.containers.len() == 3)).count();
    ensure!(injected == 4, "{injected} of 7 pods are injected, 4 are new");
    Ok(())
}

pub(crate) async fn a_dry_run_shows_the_pod_that_would_be_made(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "dry").await?;
    apply_set(&sandbox, &server, "log", log_agent()).await?;
    let shown = sandbox.create_dry_run(&pod("web")).await?;
    ensure!(sandbox.api::<Pod>().get_opt("web").await?.is_none(), "a dry run made a pod");
    let made = sandbox.create(&pod("web")).await?;
    // The token volume has a random name.
    let comparable = |pod: &Pod| -> Result<Value> {
        let text = serde_json::to_string(&json!([spec(pod)?.containers, spec(pod)?.volumes, pod.metadata.annotations]))?;
        let token =
            spec(pod)?.volumes.iter().flatten().find(|volume| volume.name.starts_with("kube-api-access-")).context("no token volume")?;
        let mut value: Value = serde_json::from_str(&text.replace(&token.name, "token"))?;
        for key in ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-hash-without-image"] {
            ensure!(value[2][key].is_string(), "{key} is missing");
            value[2][key] = json!(value[2][key].as_str().map(|text| text.split("updateTimestamp").count()));
        }
        Ok(value)
    };
    let (shown, made) = (comparable(&shown)?, comparable(&made)?);
    ensure!(shown == made, "shown: {shown}\nmade: {made}");
    Ok(())
}

pub(crate) async fn a_pod_in_an_excluded_namespace_is_left_alone(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "excluded").await?;
    let excluded = sandbox.neighbour("out", &[("outrigger.kruise.io/inject", "disabled")]).await?;
    apply_set(&sandbox, &server, "log", log_agent()).await?;
    // The same set for the other namespace too, so that nothing but the label keeps it away.
    let mut wide = log_agent();
    wide["selector"] = json!({"matchLabels": {"tier": "front"}});
    wide["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": excluded.namespace}});
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": format!("wide-{}", excluded.namespace)}, "spec": wide});
    sandbox.apply_yaml(&set.to_string()).await?;
    ensure!(spec(&sandbox.create(&pod("in")).await?)?.containers.len() == 3);
    ensure!(spec(&excluded.create(&pod("out")).await?)?.containers.len() == 1);
    let mut opted_out = pod("opted-out");
    opted_out.metadata.labels.get_or_insert_default().insert("outrigger.kruise.io/inject".to_owned(), "disabled".to_owned());
    ensure!(spec(&sandbox.create(&opted_out).await?)?.containers.len() == 1);
    Ok(())
}

pub(crate) async fn watches_recover_when_the_api_server_was_killed(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "restart").await?;
    apply_set(&sandbox, &server, "log", log_agent()).await?;
    cluster.plane.kill_api_server().await?;
    // Reviews are answered from memory all the while.
    let ready = server.http().get(server.admin_url("/readyz")).send().await?.status();
    ensure!(ready == reqwest::StatusCode::OK, "not ready without the API server: {ready}");
    cluster.plane.start_api_server().await?;
    let mesh = json!({"containers": [{"name": "mesh", "image": "registry.example/mesh:1"}]});
    apply_set(&sandbox, &server, "mesh", mesh).await?;
    eventually("both sets in a new pod", Duration::from_mins(1), async || {
        let shown = sandbox.create_dry_run(&pod("web")).await?;
        let spec = spec(&shown)?;
        ensure!(names(&spec.containers) == ["log", "mesh", "main", "metrics"], "{:?}", names(&spec.containers));
        Ok(())
    })
    .await
}
