//! What is rendered, applied as it is to a cluster that has nothing of ours.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use outrigger::manifests::{self, Rendering};
use serde_json::Value;

use crate::applying;
use crate::estate::Estate;
use crate::keys::Identity;
use crate::support::deployment;
use crate::watching::Watch;

pub(crate) const NAMESPACE: &str = "outrigger-system";
const HOSTS: [&str; 2] = ["outrigger-webhook.outrigger-system.svc", "outrigger-conversion.outrigger-system.svc"];

/// All documents of the base, in the order of its kustomization.
pub(crate) fn rendered() -> Result<Vec<Value>> {
    let files = manifests::files(&Rendering::default())?;
    let text = |path: &str| files.iter().find(|file| file.path.as_os_str() == path).map(|file| file.text.as_str()).context(path.to_owned());
    let order = applying::documents(text("kustomization.yaml")?)?;
    let resources = order.first().and_then(|order| order.get("resources")).and_then(Value::as_array).context("no resources")?;
    let mut documents = Vec::new();
    for path in resources.iter().filter_map(Value::as_str) {
        documents.extend(applying::documents(text(path)?)?);
    }
    Ok(documents)
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

pub(crate) async fn a_certificate_of_ones_own_will_do(estate: Estate) -> Result<()> {
    let identity = Identity::for_hosts("outrigger", &HOSTS)?;
    for mut document in rendered()? {
        trust(&mut document, &identity.authority);
        let is_namespace = document.get("kind").is_some_and(|kind| kind == "Namespace");
        applying::apply(&estate.client(), NAMESPACE, document).await?;
        if is_namespace {
            let data = [("tls.crt", &identity.certificate), ("tls.key", &identity.key)];
            let data = data.map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes())));
            let metadata = ObjectMeta { name: Some("outrigger-serving-cert".to_owned()), ..ObjectMeta::default() };
            let secret = Secret { metadata, data: Some(data.into()), ..Secret::default() };
            Api::namespaced(estate.client(), NAMESPACE).create(&PostParams::default(), &secret).await?;
        }
    }
    available(&estate).await?;
    let sandbox = estate.sandbox("first").await?;
    sandbox.apply_yaml(SET).await?;
    sandbox.create(&deployment("web").replicas(3).label("mesh", "on").build()).await?;
    let pods = sandbox.ready_pods("app=web", 3).await?;
    for pod in &pods {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers).count();
        ensure!(containers == 2, "a pod without its sidecar");
    }
    Ok(())
}

const SET: &str = r#"
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: mesh}
spec:
  selector: {matchLabels: {mesh: "on"}}
  containers:
  - {name: proxy, image: "registry.example/proxy:1", podInjectPolicy: BeforeAppContainer}
"#;
