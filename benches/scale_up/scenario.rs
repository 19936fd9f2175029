//! The scenario: one Deployment whose pods are placed, and one whose pods are left alone, grow in turns.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::Options;
use crate::nodes::ZONES;
use crate::placing::{DEPLOYMENT, counted, in_force, placed_by_server, subset_of, subsets, tally, watch_spread, zone_of, zones};
use crate::support::{Cluster, Sandbox, deployment};

/// Simulated kubelets on a shared machine are slow.
const PATIENCE: Duration = Duration::from_mins(20);

/// What one growth took.
struct Growth {
    made: Duration,
    scheduled: Duration,
    /// Versions of the spread; 0 where there is none.
    writes: usize,
}

pub(crate) async fn run(cluster: &Arc<Cluster>, options: &Options) -> Result<()> {
    let (placed, server) = placed_by_server(cluster, "placed").await?;
    let free = cluster.sandbox("free").await?;
    for pods in &options.pods {
        let name = format!("web-{pods}");
        for sandbox in [&placed, &free] {
            sandbox.create(&deployment(&name).replicas(0).build()).await?;
        }
        let limits = [pods * 2 / 5, pods * 3 / 10];
        in_force(&placed, [&server], DEPLOYMENT, &name, &zones([json!(limits[0]), json!(limits[1]), Value::Null])).await?;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for round in 1..=options.rounds {
            let alone = grow(&free, &name, *pods).await?;
            let exact = [limits[0], limits[1], pods - limits[0] - limits[1]];
            let growth = counted_growth(&placed, &name, *pods, exact).await?;
            println!("0 to {pods}, round {round}: without {}; with {}, {} writes", shown(&alone), shown(&growth), growth.writes);
            with.push(growth);
            without.push(alone);
        }
        let ratio = |took: fn(&Growth) -> Duration| median(&without, took).as_secs_f64() / median(&with, took).as_secs_f64();
        let (made, scheduled) = (ratio(|growth| growth.made), ratio(|growth| growth.scheduled));
        println!("0 to {pods}: {made:.2} of the speed until all exist, {scheduled:.2} until all have nodes");
    }
    Ok(())
}

fn shown(growth: &Growth) -> String {
    format!("{:.2} s ({:.2} s with nodes)", growth.made.as_secs_f64(), growth.scheduled.as_secs_f64())
}

fn median(growths: &[Growth], took: fn(&Growth) -> Duration) -> Duration {
    let mut all: Vec<_> = growths.iter().map(took).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

async fn scale(sandbox: &Sandbox, name: &str, replicas: usize) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    sandbox.api::<Deployment>().patch(name, &PatchParams::default(), &patch).await.map(drop)?;
    Ok(())
}

/// Lets the Deployment grow from nothing and shrink to nothing again.
async fn grow(sandbox: &Sandbox, name: &str, pods: usize) -> Result<Growth> {
    let growth = up(sandbox, name, pods).await?.0;
    down(sandbox, name).await?;
    Ok(growth)
}

async fn up(sandbox: &Sandbox, name: &str, pods: usize) -> Result<(Growth, Vec<Pod>)> {
    let begin = RefCell::new(None);
    let made = RefCell::new(None);
    let change = async {
        begin.replace(Some(Instant::now()));
        scale(sandbox, name, pods).await
    };
    let done = |seen: &[&Pod]| {
        if seen.len() == pods && made.borrow().is_none() {
            made.replace(Some(Instant::now()));
        }
        seen.len() == pods && seen.iter().all(|pod| zone_of(pod).is_some())
    };
    let watch = sandbox.watch::<Pod>().labels(&format!("app={name}")).within(PATIENCE);
    let seen = watch.until_after(&format!("{pods} pods have nodes"), change, done).await?;
    let begin = begin.into_inner().context("it never began")?;
    let made = made.into_inner().context("they were never made")?.duration_since(begin);
    Ok((Growth { made, scheduled: begin.elapsed(), writes: 0 }, seen))
}

async fn down(sandbox: &Sandbox, name: &str) -> Result<()> {
    scale(sandbox, name, 0).await?;
    let watch = sandbox.watch::<Pod>().labels(&format!("app={name}")).within(PATIENCE);
    watch.until("all pods are gone", |pods| pods.is_empty()).await.map(drop)
}

/// The same where pods are placed: exactly, and with the writes that it took.
async fn counted_growth(sandbox: &Sandbox, name: &str, pods: usize, wanted: [usize; 3]) -> Result<Growth> {
    // Nothing is left of the round before.
    counted(sandbox, name, &[0, 0, 0]).await?;
    let versions = RefCell::new(BTreeSet::new());
    let replicas: Vec<_> = wanted.iter().map(|count| i32::try_from(*count).unwrap_or(i32::MAX)).collect();
    let watching = watch_spread(sandbox, name).within(PATIENCE).until("all pods are counted", |spreads| {
        let Some(spread) = spreads.first() else { return false };
        versions.borrow_mut().insert(spread.resource_version());
        let waits = spread.status.iter().flat_map(|status| status.versioned_subset_statuses.values().flatten());
        let mut waits = waits.map(|subset| subset.creating_pods.len() + subset.deleting_pods.len());
        subsets(spread).iter().map(|subset| subset.replicas).eq(replicas.iter().copied()) && waits.all(|count| count == 0)
    });
    let growing = async {
        let (growth, seen) = up(sandbox, name, pods).await?;
        let places = tally(&seen, |pod| (subset_of(pod), zone_of(pod)));
        for (zone, count) in ZONES.into_iter().zip(wanted) {
            let found = places.get(&(Some(zone.to_owned()), Some(zone))).copied().unwrap_or_default();
            ensure!(found == count, "{places:?}, not {wanted:?}");
        }
        anyhow::Ok(growth)
    };
    let (growth, _) = tokio::try_join!(growing, watching)?;
    down(sandbox, name).await?;
    // The first version was there before.
    Ok(Growth { writes: versions.into_inner().len().saturating_sub(1), ..growth })
}
