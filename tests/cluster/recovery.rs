//! The API server goes away and comes back. These tests run alone: they disturb all others.

use std::sync::Arc;

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::support::{Cluster, Sandbox, deployment, is_ready};

pub(crate) async fn a_watch_recovers_when_the_api_server_was_killed(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("killed").await?;
    sandbox.create(&deployment("web").replicas(3).build()).await?;
    sandbox.ready_pods("app=web", 3).await?;
    let interruption = async {
        cluster.plane.kill_api_server().await?;
        scale_after_the_restart(&sandbox).await
    };
    see_it_through(&sandbox, interruption).await
}

pub(crate) async fn a_watch_recovers_when_the_api_server_was_stopped(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("stopped").await?;
    sandbox.create(&deployment("web").replicas(3).build()).await?;
    sandbox.ready_pods("app=web", 3).await?;
    let interruption = async {
        cluster.plane.stop_api_server().await?;
        scale_after_the_restart(&sandbox).await
    };
    see_it_through(&sandbox, interruption).await
}

async fn scale_after_the_restart(sandbox: &Sandbox) -> Result<()> {
    cluster_is_gone(sandbox).await?;
    sandbox.cluster.plane.start_api_server().await?;
    let more = json!({"spec": {"replicas": 8}});
    sandbox.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(more)).await?;
    Ok(())
}

async fn cluster_is_gone(sandbox: &Sandbox) -> Result<()> {
    let answer = sandbox.api::<Pod>().get_opt("any").await;
    anyhow::ensure!(answer.is_err(), "the API server still answers: {answer:?}");
    Ok(())
}

/// One and the same watch sees the pods before the interruption and those that come after it.
async fn see_it_through(sandbox: &Sandbox, interruption: impl Future<Output = Result<()>>) -> Result<()> {
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let begun = std::cell::Cell::new(Some(begun));
    let watch = sandbox.pods("app=web", "the 8 pods after the restart are ready", |pods| {
        if let Some(begun) = begun.take() {
            // The receiver waits in the other half of the join below.
            let _ = begun.send(pods.len());
        }
        pods.len() == 8 && pods.iter().all(|pod| is_ready(pod))
    });
    let interruption = async {
        assert_eq!(has_begun.await?, 3, "the watch begins with the pods of before");
        interruption.await
    };
    let (pods, ()) = tokio::try_join!(watch, interruption)?;
    assert_eq!(pods.len(), 8);
    Ok(())
}
