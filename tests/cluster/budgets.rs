//! What budgets guard against in a real cluster, and what they never hold up.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::guarding::{counted, evict, guarded, linked_pods, make_budget, one_client};
use crate::support::{Cluster, deployment};

pub(crate) async fn an_eviction_without_room_is_answered_429_in_words(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = guarded(&cluster, "words", &[]).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": 0})).await?;
    sandbox.create(&deployment("web").replicas(2).build()).await?;
    let pods = linked_pods(&sandbox, "web", 2).await?;
    counted(&sandbox, "web", [2, 2, 0]).await?;
    let pod = pods.first().context("no pod")?;
    let refusal = evict(&one_client(&cluster).await?, &sandbox, pod).await?.err().context("it is evicted")?;
    ensure!((refusal.code, refusal.reason.as_str(), refusal.retry_after) == (429, "TooManyRequests", 5), "{refusal:?}");
    let words = format!(
        "denied the request: podunavailablebudget.policy.kruise.io \"web\" is forbidden: pod {pod:?} cannot be evicted now: \
         2 of 2 pods are available, 2 are needed; try again in 5 s"
    );
    ensure!(refusal.message.ends_with(&words), "{}", refusal.message);
    Ok(())
}
