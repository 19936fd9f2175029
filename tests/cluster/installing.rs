//! What is rendered, applied as it is to a cluster that has nothing of ours.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use outrigger::manifests::{self, Rendering};
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::eventually;
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

/// The document, with this merged into it under `path`.
fn with(mut document: Value, path: &str, value: &Value) -> Result<Value> {
    json_patch::merge(document.pointer_mut(path).context("no such path")?, value);
    Ok(document)
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

/// Applies what is rendered, and returns when our Deployment is available.
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

/// An installation with a certificate that the user has made.
pub(crate) struct Installation {
    authority: Authority,
}

/// The same, with a certificate that the user has made.
pub(crate) async fn install_with_certificate(estate: &Estate) -> Result<Installation> {
    let installation = Installation { authority: Authority::new("outrigger")? };
    for mut document in rendered(false)? {
        trust(&mut document, installation.authority.pem());
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        if kind == "Deployment" {
            // No pod before it is patched.
            let replicas = document.pointer("/spec/replicas").context("no replicas")?.clone();
            applying::apply(&estate.client(), NAMESPACE, with(document, "/spec/replicas", &json!(0))?).await?;
            let patch = with(mounted()?, "/spec", &json!({"replicas": replicas}))?;
            let deployments = Api::<Deployment>::namespaced(estate.client(), NAMESPACE);
            deployments.patch("outrigger", &PatchParams::default(), &Patch::Strategic(patch)).await?;
            continue;
        }
        applying::apply(&estate.client(), NAMESPACE, document).await?;
        if kind == "Namespace" {
            installation.serve(estate, true).await?;
        }
    }
    available(estate).await?;
    Ok(installation)
}

impl Installation {
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

pub(crate) async fn one_apply_is_all_it_takes(estate: Estate) -> Result<()> {
    install(&estate, false).await?;
    injects(&estate).await
}

pub(crate) async fn a_certificate_of_ones_own_will_do(estate: Estate) -> Result<()> {
    install_with_certificate(&estate).await?;
    injects(&estate).await
}

async fn injects(estate: &Estate) -> Result<()> {
    let sandbox = estate.sandbox("first").await?;
    // A configuration is obeyed a moment after it was written.
    eventually("set", Duration::from_secs(20), async || sandbox.apply_yaml(SET).await.map(drop)).await?;
    sandbox.create(&deployment("web").replicas(3).label("mesh", "on").build()).await?;
    for pod in sandbox.ready_pods("app=web", 3).await? {
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
