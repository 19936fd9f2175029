//! What is rendered, applied as it is to a cluster that has nothing of ours.

use anyhow::{Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};

use crate::applying;
use crate::estate::Estate;
use crate::keys::Identity;
use crate::support::{Sandbox, deployment};
use crate::tools::{kubectl, kustomization};
use crate::watching::Watch;

pub(crate) const NAMESPACE: &str = "outrigger-system";
pub(crate) const HOSTS: [&str; 2] = ["outrigger-webhook.outrigger-system.svc", "outrigger-conversion.outrigger-system.svc"];

/// What is applied where the certificate comes from elsewhere.
async fn rendered(estate: &Estate) -> Result<Vec<Value>> {
    let folder = kustomization(&estate.plane, &["own-certificate"])?.display().to_string();
    applying::documents(&kubectl(&estate.plane, &["kustomize", &folder]).await?)
}

/// The certificate, where replicas look for it.
pub(crate) async fn certificate(estate: &Estate, identity: &Identity) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    applying::apply(&estate.client(), "", namespace).await?;
    let data = [("tls.crt", &identity.certificate), ("tls.key", &identity.key)];
    let data = data.map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes())));
    let metadata = ObjectMeta { name: Some("outrigger-serving-cert".to_owned()), ..ObjectMeta::default() };
    let secret = Secret { metadata, data: Some(data.into()), ..Secret::default() };
    Api::namespaced(estate.client(), NAMESPACE).create(&PostParams::default(), &secret).await?;
    Ok(())
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
    certificate(&estate, &identity).await?;
    for mut document in rendered(&estate).await? {
        trust(&mut document, &identity.authority);
        applying::apply(&estate.client(), NAMESPACE, document).await?;
    }
    available(&estate).await?;
    let sandbox = estate.sandbox("first").await?;
    sandbox.apply_yaml(SET).await?;
    injected(&sandbox).await
}

/// Three pods come up, each with its sidecar.
pub(crate) async fn injected(sandbox: &Sandbox) -> Result<()> {
    sandbox.create(&deployment("web").replicas(3).label("mesh", "on").build()).await?;
    let pods = sandbox.ready_pods("app=web", 3).await?;
    for pod in &pods {
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
