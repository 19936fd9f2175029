//! Deployments that grow, shrink and change.

use std::sync::Arc;

use ::outrigger::spread::api::WorkloadSpread;
use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::binaries;
use crate::placing::{
    DEPLOYMENT, Limits, counted, in_force, is_active, placed_by_server, priced, revision_of, settled, subset_of, tally, watch_spread, zones,
};
use crate::support::{Cluster, Sandbox, deployment};

pub(crate) async fn scale(sandbox: &Sandbox, name: &str, replicas: usize) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    sandbox.api::<Deployment>().patch(name, &PatchParams::default(), &patch).await.map(drop)?;
    Ok(())
}

/// The last subset takes what the others have no room for; removed is what came last.
pub(crate) async fn two_hundred_pods_grow_shrink_and_grow_exactly(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "scaling").await?;
    sandbox.create(&deployment("web").replicas(0).build()).await?;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(80), json!(60), Value::Null])).await?;
    let limits = Limits::of(&[("zone-a", 80), ("zone-b", 60)]);
    let course = async {
        scale(&sandbox, "web", 200).await?;
        settled(&sandbox, "web", [80, 60, 60]).await?;
        let writes = server.metric("outrigger_claim_writes_total").await?;
        binaries::say(&format!("0 to 200: {writes} writes by claims"))?;
        // What goes first is only known when all pods are there.
        priced(&sandbox, "web").await?;
        scale(&sandbox, "web", 50).await?;
        settled(&sandbox, "web", [50, 0, 0]).await?;
        scale(&sandbox, "web", 200).await?;
        settled(&sandbox, "web", [80, 60, 60]).await
    };
    limits.kept_during(&sandbox, "web", course).await?;
    limits.were_reached()?;
    counted(&sandbox, "web", &[80, 60, 60]).await.map(drop)
}

/// Each revision has the limits for itself; what the old one has does not take away from the new one.
pub(crate) async fn a_rolling_update_ends_with_the_new_revision_in_its_places(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "rolling").await?;
    let mut web = deployment("web").replicas(60).build();
    web.spec.strategy = serde_json::from_value(json!({"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}))?;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(24), json!(20), Value::Null])).await?;
    let limits = Limits::of(&[("zone-a", 24), ("zone-b", 20)]);
    let course = async {
        sandbox.create(&web).await?;
        let old = settled(&sandbox, "web", [24, 20, 16]).await?;
        let containers = json!([{"name": "main", "image": "registry.example/main:2"}]);
        let newer = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
        sandbox.api::<Deployment>().patch("web", &PatchParams::default(), &newer).await?;
        let old = old.first().map(revision_of);
        let is_begun = |pods: &[&Pod]| pods.iter().any(|pod| Some(revision_of(pod)) != old);
        sandbox.pods("app=web", "there are new pods", is_begun).await?;
        settled(&sandbox, "web", [24, 20, 16]).await
    };
    let pods = limits.kept_during(&sandbox, "web", course).await?;
    ensure!(tally(&pods, revision_of).len() == 1);
    limits.were_reached()?;
    // The old revision is forgotten when nothing of it is left.
    counted(&sandbox, "web", &[24, 20, 16]).await?;
    let is_only = |spread: &WorkloadSpread| {
        let revisions = spread.status.iter().flat_map(|status| status.versioned_subset_statuses.keys());
        revisions.eq(tally(&pods, revision_of).keys())
    };
    watch_spread(&sandbox, "web").until_it("only the new revision is counted", is_only).await.map(drop)
}

/// Percentages are of what there should be: first of 20, then of 40, then of 10.
pub(crate) async fn percentages_follow_the_number_of_replicas(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "percent").await?;
    sandbox.create(&deployment("web").replicas(0).build()).await?;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!("30%"), json!("25%"), Value::Null])).await?;
    let limits = Limits::of(&[("zone-a", 6), ("zone-b", 5)]);
    let course = async {
        scale(&sandbox, "web", 20).await?;
        settled(&sandbox, "web", [6, 5, 9]).await?;
        limits.change(&[("zone-a", 12), ("zone-b", 10)]);
        scale(&sandbox, "web", 40).await?;
        settled(&sandbox, "web", [12, 10, 18]).await?;
        priced(&sandbox, "web").await?;
        scale(&sandbox, "web", 10).await
    };
    limits.kept_during(&sandbox, "web", course).await?;
    // What is too much of a subset goes first: 3 and 3 are left of those, as 30 % and 25 % of 10 are, and 4 of the last.
    let pods = sandbox.ready_pods("app=web", 10).await?;
    let places = tally(pods.iter().filter(|pod| is_active(pod)), |pod| subset_of(pod).unwrap_or_default());
    ensure!(places.values().sum::<usize>() == 10, "{places:?}");
    Ok(())
}
