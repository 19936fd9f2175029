//! The scenario: one server, then three.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::Options;
use crate::definitions::define;
use crate::guarding::{counted, linked_pods, make_budget};
use crate::outrigger::Outrigger;
use crate::reviews::load;
use crate::support::{Cluster, deployment};

const OWN: &str = "outrigger-system";

pub(crate) async fn run(cluster: &Arc<Cluster>, options: &Options) -> Result<()> {
    define(cluster).await?;
    let sandbox = cluster.sandbox("crowd").await?;
    let mut servers = vec![Outrigger::start(cluster, OWN, &[]).await?];
    let (replicas, allowed) = (i32::try_from(options.pods)?, i32::try_from(options.pods / 2)?);
    make_budget(&sandbox, "web", json!({"maxUnavailable": allowed})).await?;
    // No webhook is called for these: the reconciler links them.
    sandbox.create(&deployment("web").replicas(replicas).build()).await?;
    let pods = linked_pods(&sandbox, "web", options.pods).await?;
    for count in [1, 3] {
        while servers.len() < count {
            servers.push(Outrigger::start(cluster, OWN, &[]).await?);
        }
        for round in 1..=options.rounds {
            // What was admitted in the round before, and did not happen, is given back after a while.
            counted(&sandbox, "web", [replicas, replicas, allowed]).await?;
            let load = load(&sandbox, &pods, &servers.iter().collect::<Vec<_>>()).await?;
            println!("servers: {count}, round {round}: {load}");
            ensure!(load.allowed == options.pods / 2, "the budget allows {allowed}");
        }
    }
    Ok(())
}
