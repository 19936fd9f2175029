//! Pods come, go and finish while a rollout is under way.

use std::cell::Cell;
use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::changing::{all_ready_with, change_image, counted, image, rolled_out, with_image};
use crate::support::{Cluster, Sandbox, is_ready};

async fn scale(sandbox: &Sandbox, replicas: i32) -> Result<()> {
    let body = json!({"spec": {"replicas": replicas}});
    sandbox.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(body)).await?;
    Ok(())
}

fn job() -> Result<Job> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": "import"},
        "spec": {"completions": 3, "parallelism": 3, "template": {
            "metadata": {"labels": {"app": "import", "tier": "front"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/main:1"}]},
        }},
    }))?)
}

pub(crate) async fn counts_come_out_right_when_pods_come_go_and_finish_meanwhile(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "traffic", 10, json!({"maxUnavailable": 2})).await?;
    sandbox.create(&job()?).await?;
    sandbox.ready_pods("app=import", 3).await?;
    let begun = |pods: &[&Pod]| with_image(pods, "log:2") >= 2;
    let change_it = async { change_image(&sandbox, "log:2").await.map(drop) };
    sandbox.watch::<Pod>().labels("app").until_after("the rollout has begun", change_it, begun).await?;
    let most = Cell::new(0);
    let up = |pods: &[&Pod]| {
        most.set(most.get().max(pods.len()));
        pods.len() == 16 && with_image(pods, "log:2") >= 8
    };
    sandbox.watch::<Pod>().labels("app=web").until_after("there are more, and more are new", scale(&sandbox, 16), up).await?;
    let down = |pods: &[&Pod]| all_ready_with(pods, 6, "log:2");
    sandbox.watch::<Pod>().labels("app=web").until_after("six are left, all new", scale(&sandbox, 6), down).await?;
    let is_complete = |job: &Job| job.status.as_ref().is_some_and(|status| status.succeeded == Some(3));
    sandbox.watch::<Job>().named("import").until_it("the job completes", is_complete).await?;
    // The finished pods still exist, but nobody waits for them.
    counted(&sandbox, "log", [6, 6, 6, 6]).await?;
    let finished = sandbox.pods("app=import", "the job's pods are there", |pods| pods.len() == 3).await?;
    ensure!(finished.iter().all(|pod| !is_ready(pod) && image(pod, "log").starts_with("log:")), "{finished:?}");
    Ok(())
}
