//! What is rendered, applied as it is to a cluster that has nothing of ours.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use outrigger::manifests::{self, Rendering};
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::eventually;
use crate::estate::Estate;
use crate::keys::{Authority, Identity};
use crate::support::{Sandbox, deployment};
use crate::tools::{kubectl, kustomization};
use crate::watching::Watch;

pub(crate) const NAMESPACE: &str = "outrigger-system";
pub(crate) const HOSTS: [&str; 2] = ["outrigger-webhook.outrigger-system.svc", "outrigger-conversion.outrigger-system.svc"];

/// All documents of an installation, in their order.
pub(crate) fn rendered(is_strict: bool) -> Result<Vec<Value>> {
    let files = manifests::installation(&Rendering { strict: is_strict, ..Rendering::default() })?;
    let documents: Result<Vec<_>> = files.iter().map(|file| applying::documents(&file.text)).collect();
    Ok(documents?.concat())
}

/// Applies them, and returns when our Deployment is available.
pub(crate) async fn install(estate: &Estate, is_strict: bool) -> Result<()> {
    for document in rendered(is_strict)? {
        applying::apply(&estate.client(), NAMESPACE, document).await?;
    }
    available(estate).await
}

/// Who has signed the certificates that our servers keep by themselves.
pub(crate) async fn authority(estate: &Estate) -> Result<String> {
    let secret = Api::<Secret>::namespaced(estate.client(), NAMESPACE).get("outrigger-authority").await?;
    let authority = secret.data.and_then(|mut data| data.remove("ca.crt")).context("no ca.crt")?;
    Ok(String::from_utf8(authority.0)?)
}

/// Installs what is committed for a certificate that comes from elsewhere, with one that this authority signs.
pub(crate) async fn install_with_certificate(estate: &Estate, authority: &Authority) -> Result<()> {
    certificate(estate, &authority.sign("outrigger", &HOSTS, true)?).await?;
    let folder = kustomization(&estate.plane, &["own-certificate"])?.display().to_string();
    for mut document in applying::documents(&kubectl(&estate.plane, &["kustomize", &folder]).await?)? {
        trust(&mut document, authority.pem());
        applying::apply(&estate.client(), NAMESPACE, document).await?;
    }
    available(estate).await
}

/// The certificate, where replicas look for it; in the place of the one that was there.
pub(crate) async fn certificate(estate: &Estate, identity: &Identity) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    applying::apply(&estate.client(), "", namespace).await?;
    let encoded = |text: &String| BASE64_STANDARD.encode(text);
    let data = json!({"tls.crt": encoded(&identity.certificate), "tls.key": encoded(&identity.key)});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "outrigger-serving-cert"}, "data": data});
    applying::apply(&estate.client(), NAMESPACE, secret).await.map(drop)
}

/// Puts the authority where an API server looks for it.
fn trust(document: &mut Value, authority: &str) {
    let bundle = Value::from(BASE64_STANDARD.encode(authority));
    for hook in document.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(client) = hook.get_mut("clientConfig").and_then(Value::as_object_mut) {
            client.insert("caBundle".to_owned(), bundle.clone());
        }
    }
    if let Some(client) = document.pointer_mut("/spec/conversion/webhook/clientConfig").and_then(Value::as_object_mut) {
        client.insert("caBundle".to_owned(), bundle);
    }
}

pub(crate) async fn available(estate: &Estate) -> Result<()> {
    let deployments = Api::<Deployment>::namespaced(estate.client(), NAMESPACE);
    let is_available = |deployment: &Deployment| {
        let status = deployment.status.clone().unwrap_or_default();
        status.available_replicas == deployment.spec.replicas && status.updated_replicas == deployment.spec.replicas
    };
    Watch::over(deployments).named("outrigger").until_it("our Deployment is available", is_available).await.map(drop)
}

pub(crate) async fn one_apply_is_all_it_takes(estate: Estate) -> Result<()> {
    install(&estate, false).await?;
    injects(&estate).await
}

pub(crate) async fn a_certificate_of_ones_own_will_do(estate: Estate) -> Result<()> {
    install_with_certificate(&estate, &Authority::new("outrigger")?).await?;
    injects(&estate).await
}

async fn injects(estate: &Estate) -> Result<()> {
    let sandbox = estate.sandbox("first").await?;
    // A configuration is obeyed a moment after it was written.
    eventually("set", Duration::from_secs(20), async || sandbox.apply_yaml(SET).await.map(drop)).await?;
    injected(&sandbox).await
}

/// How many containers a pod of the set would have; it is not stored.
pub(crate) async fn tried(sandbox: &Sandbox) -> Result<usize> {
    let containers = json!([{"name": "main", "image": "registry.example/main:1"}]);
    let pod = json!({"metadata": {"name": "tried", "labels": {"mesh": "on"}}, "spec": {"containers": containers}});
    let made: Pod = sandbox.create_dry_run(&serde_json::from_value(pod)?).await?;
    Ok(made.spec.map_or(0, |spec| spec.containers.len()))
}

/// Three pods come up, each with its sidecar.
pub(crate) async fn injected(sandbox: &Sandbox) -> Result<()> {
    // A definition that has just been written to ends all watches of its kind: a replica may know of a new set a second later.
    eventually("set in force", Duration::from_secs(20), async || {
        ensure!(tried(sandbox).await? == 2, "a pod without its sidecar");
        Ok(())
    })
    .await?;
    sandbox.create(&deployment("web").replicas(3).label("mesh", "on").build()).await?;
    for pod in sandbox.ready_pods("app=web", 3).await? {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers).count();
        ensure!(containers == 2, "a pod without its sidecar");
    }
    Ok(())
}

/// Of which no pod can be spared.
pub(crate) const BUDGET: &str = "
apiVersion: policy.kruise.io/v1beta1
kind: PodUnavailableBudget
metadata: {name: web}
spec: {maxUnavailable: 0, selector: {matchLabels: {app: web}}}
";

pub(crate) const SET: &str = r#"
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: mesh}
spec:
  selector: {matchLabels: {mesh: "on"}}
  containers:
  - {name: proxy, image: "registry.example/proxy:1", podInjectPolicy: BeforeAppContainer}
"#;
