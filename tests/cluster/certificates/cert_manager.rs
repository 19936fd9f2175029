//! Certificates by cert-manager: what is rendered for it, its real CA injector, and a Secret as it makes one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use outrigger::server::authority::{Certificate, certificates};
use serde_json::json;

use super::{HOST, NAMESPACE, carried, carrier, is_signed_by, secrets};
use crate::control_plane::eventually;
use crate::estate::Estate;
use crate::installing::available;
use crate::keys::Identity;
use crate::support::deployment;
use crate::tools::{kubectl, kustomization};
use crate::{applying, cainjector};

/// The Secret of the rendered Certificate.
const SERVING: &str = "outrigger-serving-cert";
const CONVERSIONS: &str = "outrigger-conversion.outrigger-system.svc";
/// The injector, and a kubelet with what it mounts.
const SOON: Duration = Duration::from_mins(1);

/// What cert-manager issues for the rendered Certificate: with the CA beside it, and the annotation that says whose it is.
fn issued(identity: &Identity) -> Secret {
    let data = [("ca.crt", &identity.authority), ("tls.crt", &identity.certificate), ("tls.key", &identity.key)];
    let annotations = [("cert-manager.io/certificate-name".to_owned(), "outrigger-webhook".to_owned())];
    Secret {
        metadata: ObjectMeta { name: Some(SERVING.to_owned()), annotations: Some(annotations.into()), ..ObjectMeta::default() },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(data.map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes()))).into()),
        ..Secret::default()
    }
}

fn authority(identity: &Identity) -> Result<Certificate> {
    let all = certificates(identity.authority.as_bytes()).map_err(anyhow::Error::msg)?;
    all.into_iter().next().context("no authority")
}

/// Returns when every hook and every definition carries this CA; the injector keeps the one before beside it.
async fn injected(estate: &Estate, ca: &Certificate) -> Result<()> {
    eventually("bundles by the injector", SOON, async || {
        let all = carried(estate).await?;
        ensure!(all.iter().all(|(_, bundle)| bundle.contains(ca)), "{all:?}");
        Ok(())
    })
    .await
}

pub(crate) async fn the_real_injector_writes_our_bundles_and_we_follow_a_new_certificate(estate: Estate) -> Result<()> {
    for definition in cainjector::definitions()? {
        applying::apply(&estate.client(), "", definition).await?;
    }
    let injector = cainjector::start(&estate.plane)?;
    let first = Identity::for_hosts("cert-manager", &[HOST, CONVERSIONS])?;
    let metadata = ObjectMeta { name: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() };
    Api::all(estate.client()).create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    secrets(&estate).create(&PostParams::default(), &issued(&first)).await?;
    let site = kustomization(&estate.plane, &["cert-manager"])?;
    kubectl(&estate.plane, &["apply", "--server-side", "--force-conflicts", "-k", &site.display().to_string()]).await?;
    injected(&estate, &authority(&first)?).await.with_context(|| injector.log_tail())?;
    available(&estate).await?;
    let sandbox = estate.sandbox("injected").await?;
    sandbox.create(&deployment("web").replicas(2).build()).await?;
    sandbox.ready_pods("app=web", 2).await?;
    // It is issued again, by another CA.
    let second = Identity::for_hosts("cert-manager", &[HOST, CONVERSIONS])?;
    let renewed = json!({"data": issued(&second).data});
    secrets(&estate).patch(SERVING, &PatchParams::default(), &Patch::Merge(renewed)).await?;
    injected(&estate, &authority(&second)?).await.with_context(|| injector.log_tail())?;
    for server in estate.kubelet.servers() {
        let ca = authority(&second)?;
        eventually("the new certificate", SOON, async || is_signed_by(&server, &ca).await).await?;
    }
    sandbox.create(&deployment("later").replicas(2).build()).await?;
    sandbox.ready_pods("app=later", 2).await?;
    // No write of ours: neither a bundle nor a CA.
    for (kind, plural) in [
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    ] {
        let found = carrier(&estate, kind, plural).get("outrigger").await?;
        let managers: Vec<_> = found.metadata.managed_fields.iter().flatten().filter_map(|entry| entry.manager.clone()).collect();
        ensure!(managers.iter().any(|name| name == "cert-manager-cainjector"), "{managers:?}");
        ensure!(managers.iter().all(|name| name != "outrigger-certificates"), "{managers:?}");
    }
    ensure!(secrets(&estate).get_opt("outrigger-authority").await?.is_none(), "a CA was made that nobody needs");
    Ok(())
}
