//! What budgets guard against in a real cluster, and what they never hold up.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::json;

use crate::binaries;
use crate::guarding::{counted, evict, linked_pods, make_budget, one_client};
use crate::injection::{define, served_with};
use crate::outrigger::Outrigger;
use crate::reviews::load;
use crate::support::{Cluster, deployment};

pub(crate) async fn an_eviction_without_room_is_answered_429_in_words(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = served_with(&cluster, "words", &[]).await?;
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

pub(crate) async fn three_hundred_reviews_take_exactly_what_there_is_in_few_writes(cluster: Arc<Cluster>) -> Result<()> {
    const OWN: &str = "crowded-reviews";
    define(&cluster).await?;
    let sandbox = cluster.sandbox("reviews").await?;
    let servers = try_join_all((0..3).map(|_| Outrigger::start(&cluster, OWN, &[]))).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": 150})).await?;
    // No webhook is called for these: the reconciler links them.
    sandbox.create(&deployment("web").replicas(300).build()).await?;
    let pods = linked_pods(&sandbox, "web", 300).await?;
    let servers: Vec<_> = servers.iter().collect();
    for servers in [&servers[..], &servers[..1]] {
        // What was admitted and does not happen is given back.
        counted(&sandbox, "web", [300, 300, 150]).await?;
        let load = load(&sandbox, &pods, servers).await?;
        binaries::say(&format!("{} servers: {load}", servers.len()))?;
        ensure!(load.allowed == 150, "{} are allowed", load.allowed);
        ensure!((2..=60).contains(&load.writes), "{} writes", load.writes);
    }
    Ok(())
}
