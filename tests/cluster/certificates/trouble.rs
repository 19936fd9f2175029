//! The Secret of the CA is broken, deleted, replaced.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{NAMESPACE, SECRET, carried, carrier, held, install, is_signed_by, secrets};
use crate::applying;
use crate::control_plane::eventually;
use crate::estate::{Estate, Server};
use crate::installing::{available, rendered};
use crate::support::deployment;
use crate::tools::kubectl;

const SOON: Duration = Duration::from_secs(20);

/// Status and text of `/readyz`.
async fn readiness(server: &Server) -> Result<(u16, String)> {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let answer = http.get(format!("http://127.0.0.1:{}/readyz", server.admin)).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// Returns when the server says this, with this status.
async fn says(server: &Server, status: u16, text: &str) -> Result<()> {
    eventually("such an answer", SOON, async || {
        let (found, told) = readiness(server).await?;
        ensure!(found == status && told.contains(text), "{} answers {found}: {told}", server.pod);
        Ok(())
    })
    .await
}

pub(crate) async fn a_broken_secret_stops_nobody_who_runs_and_whoever_starts_says_why_it_waits(estate: Estate) -> Result<()> {
    install(&estate, 2, &[]).await?;
    let whole = secrets(&estate).get(SECRET).await?;
    let ca = held(&whole).first().cloned().context("no CA")?;
    let garbage = json!({"data": {"ca.key": ByteString(b"garbage".to_vec())}});
    secrets(&estate).patch(SECRET, &PatchParams::default(), &Patch::Merge(garbage)).await?;
    for server in estate.kubelet.servers() {
        says(&server, 200, "warning: certificate authority: Secret outrigger-system/outrigger-authority cannot be used: ca.key: ").await?;
        is_signed_by(&server, &ca).await?;
    }
    let pods = Api::<Pod>::namespaced(estate.client(), NAMESPACE);
    let before = estate.kubelet.servers();
    let gone = before.first().context("no server")?.pod.clone();
    pods.delete(&gone, &DeleteParams::default()).await?;
    let new = std::cell::RefCell::new(None);
    eventually("a pod in its place", SOON, async || {
        let servers = estate.kubelet.servers();
        let found = servers.into_iter().find(|server| before.iter().all(|old| old.pod != server.pod));
        new.replace(Some(found.context("none")?));
        Ok(())
    })
    .await?;
    let new = new.into_inner().context("no server")?;
    says(&new, 503, "certificate: Secret outrigger-system/outrigger-authority cannot be used: ca.key: ").await?;
    // The other one answers meanwhile.
    let sandbox = estate.sandbox("broken").await?;
    sandbox.create(&deployment("web").replicas(3).build()).await?;
    sandbox.ready_pods("app=web", 3).await?;
    let found = secrets(&estate).get(SECRET).await?;
    ensure!(found.data.iter().flatten().any(|(name, value)| name == "ca.key" && value.0 == b"garbage"), "garbage was overwritten");
    let mended = json!({"data": whole.data});
    secrets(&estate).patch(SECRET, &PatchParams::default(), &Patch::Merge(mended)).await?;
    says(&new, 200, "ok").await?;
    is_signed_by(&new, &ca).await?;
    available(&estate).await
}

/// Who deletes it wants another CA; it comes without a gap.
pub(crate) async fn a_secret_that_is_deleted_is_put_back_and_all_go_on(estate: Estate) -> Result<()> {
    install(&estate, 2, &["--ca-validity=10m", "--leaf-validity=3m", "--ca-settle=2s"]).await?;
    let before = held(&secrets(&estate).get(SECRET).await?).first().cloned().context("no CA")?;
    secrets(&estate).delete(SECRET, &DeleteParams::default()).await?;
    let sandbox = estate.sandbox("deleted").await?;
    let (stop, exchanged) = (tokio_util::sync::CancellationToken::new(), async |stop: &tokio_util::sync::CancellationToken| {
        let is_next = |secret: &Secret| held(secret).first().is_some_and(|signing| *signing != before) && held(secret).contains(&before);
        let watch = crate::watching::Watch::over(secrets(&estate)).named(SECRET).within(SOON);
        let secret = watch.until_it("the next CA signs, and the old one is trusted", is_next).await?;
        stop.cancel();
        anyhow::Ok(secret)
    });
    let (secret, count) = tokio::try_join!(exchanged(&stop), super::requests(&sandbox, 0, &stop))?;
    ensure!(count > 0, "no request");
    let signing = held(&secret).first().cloned().context("no CA")?;
    for server in estate.kubelet.servers() {
        eventually("a new certificate", SOON, async || is_signed_by(&server, &signing).await).await?;
    }
    let all = carried(&estate).await?;
    ensure!(all.iter().all(|(_, bundle)| bundle.contains(&before) && bundle.contains(&signing)), "{all:?}");
    let pods = Api::<Pod>::namespaced(estate.client(), NAMESPACE).list(&ListParams::default()).await?;
    let restarts = pods.iter().flat_map(|pod| pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()));
    ensure!(restarts.map(|container| container.restart_count).sum::<i32>() == 0, "a server was restarted");
    Ok(())
}

/// The limit that docs/certificates.md tells of, and the two ways around it.
pub(crate) async fn a_hook_that_a_new_version_drops_is_removed_client_side_or_by_hand(estate: Estate) -> Result<()> {
    install(&estate, 1, &[]).await?;
    let is_mutating = |document: &Value| document.get("kind").is_some_and(|kind| kind == "MutatingWebhookConfiguration");
    let mut older = rendered(false)?.into_iter().find(is_mutating).context("no configuration")?;
    let path = estate.plane.folder.join("hooks.json");
    let client_side = async |document: &Value| {
        std::fs::write(&path, document.to_string())?;
        kubectl(&estate.plane, &["apply", "-f", &path.display().to_string()]).await.map(drop)
    };
    client_side(&older).await?;
    for _ in 0..2 {
        let mut newer = older.clone();
        let hooks = newer.pointer_mut("/webhooks").and_then(Value::as_array_mut).context("no hooks")?;
        hooks.pop();
        let left = hooks.len();
        let refused = applying::apply(&estate.client(), NAMESPACE, newer.clone()).await.err().context("it was not refused")?;
        ensure!(format!("{refused:#}").contains(&format!("webhooks[{left}].sideEffects: Required value")), "{refused:#}");
        let api = carrier(&estate, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations");
        if left % 2 == 0 {
            client_side(&newer).await?;
        } else {
            let removed = format!(r#"[{{"op": "remove", "path": "/webhooks/{left}"}}]"#);
            kubectl(&estate.plane, &["patch", "mutatingwebhookconfiguration", "outrigger", "--type=json", "-p", &removed]).await?;
            applying::apply(&estate.client(), NAMESPACE, newer.clone()).await?;
        }
        let found = api.get("outrigger").await?;
        let found = found.data.get("webhooks").and_then(Value::as_array).context("no hooks")?;
        ensure!(found.len() == left, "{found:?}");
        ensure!(found.iter().all(|hook| hook.pointer("/clientConfig/caBundle").is_some()), "{found:?}");
        older = newer;
    }
    Ok(())
}
