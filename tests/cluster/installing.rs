//! What is rendered, applied as it is to a cluster that has nothing of ours.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use outrigger::manifests::{self, Rendering};
use serde_json::{Value, json};

use crate::applying;
use crate::estate::Estate;
use crate::keys::{Authority, Identity};
use crate::support::deployment;
use crate::watching::Watch;

pub(crate) const NAMESPACE: &str = "outrigger-system";
const HOSTS: [&str; 2] = ["outrigger-webhook.outrigger-system.svc", "outrigger-conversion.outrigger-system.svc"];

/// All documents of an installation, in their order.
fn rendered(is_strict: bool) -> Result<Vec<Value>> {
    let rendering = Rendering { strict: is_strict, ..Rendering::default() };
    let files = manifests::installation(&rendering)?;
    let documents: Result<Vec<_>> = files.iter().map(|file| applying::documents(&file.text)).collect();
    Ok(documents?.concat())
}

/// What mounts a certificate that others make.
fn mounted() -> Result<Value> {
    let files = manifests::files(&Rendering::default())?;
    let patch = files.iter().find(|file| file.path.as_os_str() == "cert-manager/deployment.yaml").context("no such patch")?;
    applying::documents(&patch.text)?.pop().context("an empty patch")
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

/// Everything of ours, applied and running.
pub(crate) struct Installation {
    authority: Authority,
}

/// Applies what is rendered, and returns when our Deployment is available. Its certificate is one that the user has made.
pub(crate) async fn install(estate: &Estate, is_strict: bool) -> Result<Installation> {
    let installation = Installation { authority: Authority::new("outrigger")? };
    for mut document in rendered(is_strict)? {
        trust(&mut document, installation.authority());
        let is_namespace = document.get("kind").is_some_and(|kind| kind == "Namespace");
        let is_deployment = document.get("kind").is_some_and(|kind| kind == "Deployment");
        applying::apply(&estate.client(), NAMESPACE, document).await?;
        if is_deployment {
            let deployments = Api::<Deployment>::namespaced(estate.client(), NAMESPACE);
            deployments.patch("outrigger", &PatchParams::default(), &Patch::Strategic(mounted()?)).await?;
        }
        if is_namespace {
            installation.serve(estate, true).await?;
        }
    }
    available(estate).await?;
    Ok(installation)
}

impl Installation {
    /// Who has signed the certificates of our servers.
    pub(crate) fn authority(&self) -> &str {
        self.authority.pem()
    }

    fn certificate(&self, is_good: bool) -> Result<Identity> {
        self.authority.sign("outrigger", &HOSTS, is_good)
    }

    /// Puts a new certificate into the Secret that our servers read: a good one, or one that has expired.
    pub(crate) async fn serve(&self, estate: &Estate, is_good: bool) -> Result<()> {
        let identity = self.certificate(is_good)?;
        let data =
            [("tls.crt", &identity.certificate), ("tls.key", &identity.key)].map(|(name, text)| (name, BASE64_STANDARD.encode(text)));
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "outrigger-serving-cert"}, "data": BTreeMap::from(data)});
        applying::apply(&estate.client(), NAMESPACE, secret).await.map(drop)
    }
}

pub(crate) async fn a_certificate_of_ones_own_will_do(estate: Estate) -> Result<()> {
    install(&estate, false).await?;
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
