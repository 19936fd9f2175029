//! A zone whose nodes take no pods. Alone: other tests want their nodes, and the status is followed over time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::outrigger::spread::api::WorkloadSpread;
use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::placing::{DEPLOYMENT, Limits, make_spread, placed_by_server_of, places, settled, subset_of, subsets, watch_spread, zones};
use crate::spreads::scaling::scale;
use crate::support::{Cluster, Sandbox, deployment};

/// After so many seconds without a node a pod is moved on.
const CRITICAL: u64 = 5;

async fn cordon(cluster: &Cluster, node: &str, is_closed: bool) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"unschedulable": is_closed}}));
    Api::<Node>::all(cluster.client()).patch(node, &PatchParams::default(), &patch).await.map(drop)?;
    Ok(())
}

pub(crate) async fn pods_without_a_node_are_moved_on_and_come_back_after_a_time(cluster: Arc<Cluster>) -> Result<()> {
    let tested = Box::pin(moved_on_and_back(&cluster)).await;
    // Whatever happened: the node is not this test's own.
    cordon(&cluster, "worker-1", false).await?;
    tested
}

async fn moved_on_and_back(cluster: &Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server_of(cluster, "adaptive", "spread-adaptive").await?;
    let strategy = json!({"scheduleStrategy": {"type": "Adaptive", "adaptive": {"rescheduleCriticalSeconds": CRITICAL}}});
    make_spread(&sandbox, DEPLOYMENT, "web", &zones([json!(4), json!(4), Value::Null]), strategy).await?;
    places(&sandbox, &server, DEPLOYMENT, "web").await?;
    cordon(cluster, "worker-1", true).await?;
    let limits = Limits::of(&[("zone-a", 4), ("zone-b", 4)]);
    let course = async {
        let begin = Instant::now();
        sandbox.create(&deployment("web").replicas(10).build()).await?;
        // They are placed where nobody takes them, and are moved past the second subset, which is full, to the last.
        let is_stuck = |pods: &[&Pod]| pods.iter().filter(|pod| subset_of(pod).as_deref() == Some("zone-a")).count() == 4;
        sandbox.pods("app=web", "four pods are where there is no node", is_stuck).await?;
        settled(&sandbox, "web", [0, 4, 6]).await?;
        let took = begin.elapsed();
        ensure!((Duration::from_secs(CRITICAL)..Duration::from_secs(CRITICAL + 12)).contains(&took), "moved after {took:?}");
        closed(&sandbox, true).await?;
        // Closed is closed, also when the node is back.
        cordon(cluster, "worker-1", false).await?;
        scale(&sandbox, "web", 11).await?;
        settled(&sandbox, "web", [0, 4, 7]).await?;
        five_minutes_later(&sandbox).await?;
        closed(&sandbox, false).await?;
        scale(&sandbox, "web", 17).await?;
        settled(&sandbox, "web", [4, 4, 9]).await
    };
    limits.kept_during(&sandbox, "web", course).await.map(drop)
}

/// Returns when the first subset is closed, or open.
async fn closed(sandbox: &Sandbox, is_closed: bool) -> Result<()> {
    let wanted = if is_closed { ("False", "PodUnschedulable") } else { ("True", "Sufficient") };
    let is_so = |spread: &WorkloadSpread| {
        let first = subsets(spread).first();
        let condition = first.and_then(|subset| subset.conditions.iter().find(|condition| condition.type_ == "Schedulable"));
        let revisions = spread.status.iter().flat_map(|status| status.versioned_subset_statuses.values()).filter_map(|array| array.first());
        let mut closed = revisions.map(|subset| subset.conditions.iter().any(|condition| condition.status == "False"));
        condition.is_some_and(|condition| (condition.status.as_str(), condition.reason.as_str()) == wanted)
            && closed.all(|one| one == is_closed)
    };
    watch_spread(sandbox, "web").until_it(&format!("the first subset is {wanted:?}"), is_so).await.map(drop)
}

/// Makes the status say that the first subset was closed five minutes ago.
async fn five_minutes_later(sandbox: &Sandbox) -> Result<()> {
    let spreads = Api::<WorkloadSpread>::namespaced(sandbox.cluster.client(), &sandbox.namespace);
    let mut status = spreads.get("web").await?.status.context("no status")?;
    let all = status.versioned_subset_statuses.values_mut().flatten().chain(&mut status.subset_statuses);
    for condition in all.flat_map(|subset| &mut subset.conditions).filter(|condition| condition.status == "False") {
        condition.last_transition_time.0 -= SignedDuration::from_secs(301);
    }
    let patch = json!({"status": {"subsetStatuses": status.subset_statuses, "versionedSubsetStatuses": status.versioned_subset_statuses}});
    spreads.patch_status("web", &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)?;
    Ok(())
}
