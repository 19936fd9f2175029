//! The scenarios, in the order in which they are measured.
#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a bench prints, and its figures are rounded anyway")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::outrigger::sidecarset::api::{SidecarSet, SidecarSetStatus};
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::definitions::DEFINITIONS;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox, deployment};
use crate::{Options, applying, measure, nodes};

const WEBHOOKS: &str = include_str!("../../manifests/webhooks.yaml");
const OWN: &str = "outrigger-system";
const SET: &str = "log";
const RECONCILES: &str = "outrigger_reconciles_total";
/// Simulated kubelets on a shared machine are slow.
const PATIENCE: Duration = Duration::from_mins(30);

pub(crate) async fn run(cluster: &Arc<Cluster>, options: &Options) -> Result<()> {
    applying::apply(&cluster.client(), "", large_node(options.pods.max(options.more_pods))?).await?;
    let sandbox = cluster.sandbox("scale").await?;
    for mut document in DEFINITIONS.map(applying::documents).into_iter().collect::<Result<Vec<_>>>()?.concat() {
        // The two versions are converted by a server in the cluster; here only the stored one is asked for.
        document
            .as_object_mut()
            .and_then(|document| document.get_mut("spec")?.as_object_mut()?.insert("conversion".to_owned(), json!({"strategy": "None"})));
        applying::apply(&cluster.client(), "", document).await?;
    }
    applying::established(&cluster.client(), "sidecarsets.apps.kruise.io").await?;
    let server = Outrigger::start(cluster, OWN, &[]).await?;
    sandbox.install_webhooks(WEBHOOKS, server.endpoint()).await?;
    let empty = at_rest(&server).await?;
    fill(&sandbox, options).await?;
    let full = at_rest(&server).await?;
    println!("memory: {:.1} MB with no pods, {:.1} MB with {} pods", megabytes(empty), megabytes(full), options.pods);
    roll_out(&sandbox, &server, options).await?;
    if options.more_pods > options.pods {
        more_pods(&sandbox, &server, options).await?;
    }
    drop(server);
    if options.sets > 0 {
        many_sets(&sandbox, options).await?;
    }
    Ok(())
}

/// A node for so many pods.
fn large_node(pods: usize) -> Result<Value> {
    let mut node = nodes::objects().into_iter().nth(1).context("no worker")?;
    let resources = json!({"cpu": "100000", "memory": "100000Gi", "ephemeral-storage": "100000Gi", "pods": pods.to_string()});
    for (path, value) in [
        ("/metadata/name", json!("worker-large")),
        ("/metadata/labels/kubernetes.io~1hostname", json!("worker-large")),
        ("/status/addresses", json!([{"type": "InternalIP", "address": "172.18.0.99"}])),
        ("/status/allocatable", resources.clone()),
        ("/status/capacity", resources),
    ] {
        *node.pointer_mut(path).with_context(|| format!("a node without {path}"))? = value;
    }
    Ok(node)
}

/// A set, and a Deployment whose pods it injects.
async fn fill(sandbox: &Sandbox, options: &Options) -> Result<()> {
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": SET}, "spec": {
        "selector": {"matchLabels": {"tier": "front"}}, "containers": [{"name": "log", "image": "registry.example/log:1"}],
        "updateStrategy": {"maxUnavailable": options.max_unavailable}}});
    sandbox.apply_yaml(&set.to_string()).await?;
    let replicas = i32::try_from(options.pods)?;
    let began = Instant::now();
    sandbox.create(&deployment("web").replicas(replicas).label("tier", "front").build()).await?;
    until(sandbox, options.pods, |status, pods| status.ready_pods == pods && status.updated_pods == pods).await?;
    println!("setting up: {} pods ready after {:.1} s", options.pods, began.elapsed().as_secs_f64());
    Ok(())
}

/// A new image for all pods.
async fn roll_out(sandbox: &Sandbox, server: &Outrigger, options: &Options) -> Result<()> {
    let client = sandbox.cluster.client();
    let counted = async || -> Result<[u64; 5]> {
        Ok([
            measure::requests(&client, "PATCH", "pods", "").await?,
            measure::requests(&client, "PATCH", "sidecarsets", "status").await?,
            measure::requests(&client, "POST", "controllerrevisions", "").await?,
            measure::requests(&client, "PUT", "pods", "").await?,
            measure::requests(&client, "LIST", "pods", "").await?,
        ])
    };
    let (before, cpu, began) = (counted().await?, measure::cpu(server.process.pid)?, Instant::now());
    let spec = json!({"spec": {"containers": [{"name": "log", "image": "registry.example/log:2"}]}});
    Api::<SidecarSet>::all(client.clone()).patch(SET, &PatchParams::default(), &Patch::Merge(spec)).await?;
    until(sandbox, options.pods, |status, pods| status.updated_ready_pods == Some(pods) && status.observed_generation == Some(2)).await?;
    let (took, cpu) = (began.elapsed(), measure::cpu(server.process.pid)?.saturating_sub(cpu));
    let after = counted().await?;
    let mut counts = after.into_iter().zip(before).map(|(after, before)| after - before);
    let [pods, statuses, revisions, puts, lists] = std::array::from_fn(|_| counts.next().unwrap_or_default());
    let old = sandbox.api::<Pod>().list(&ListParams::default().labels("tier=front")).await?;
    let is_new =
        |pod: &Pod| pod.spec.iter().flat_map(|spec| &spec.containers).any(|one| one.image.as_deref() == Some("registry.example/log:2"));
    ensure!(old.items.iter().all(is_new), "pods are left behind");
    println!("rollout of {} pods, maxUnavailable {}: {:.1} s", options.pods, options.max_unavailable, took.as_secs_f64());
    let a_pod = cpu.as_secs_f64() * 1e3 / options.pods as f64;
    println!("  CPU of the server: {:.2} s, {a_pod:.3} ms a pod", cpu.as_secs_f64());
    println!(
        "  writes: {pods} patches and {puts} updates of pods, {statuses} of the status ({:.2} a second), {revisions} revisions; {lists} lists of pods",
        statuses as f64 / took.as_secs_f64()
    );
    println!("  memory: {:.1} MB", megabytes(measure::resident(server.process.pid)?));
    Ok(())
}

/// The memory with more pods, and what a new server has with all of them.
async fn more_pods(sandbox: &Sandbox, server: &Outrigger, options: &Options) -> Result<()> {
    let replicas = json!({"spec": {"replicas": options.more_pods}});
    sandbox.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(replicas)).await?;
    until(sandbox, options.more_pods, |status, pods| status.ready_pods == pods).await?;
    println!("memory: {:.1} MB with {} pods", megabytes(at_rest(server).await?), options.more_pods);
    let began = Instant::now();
    let second = Outrigger::start(&sandbox.cluster, OWN, &[]).await?;
    println!(
        "a second server: ready after {:.2} s, {:.1} MB, CPU {:.2} s",
        began.elapsed().as_secs_f64(),
        megabytes(measure::resident(second.process.pid)?),
        measure::cpu(second.process.pid)?.as_secs_f64()
    );
    Ok(())
}

/// From start to ready among many sets, and what a change of one pod touches.
async fn many_sets(sandbox: &Sandbox, options: &Options) -> Result<()> {
    let sets = Api::<SidecarSet>::all(sandbox.cluster.client());
    let make = |number: usize| {
        let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": format!("other-{number}")}, "spec": {
            "selector": {"matchLabels": {"app": format!("app-{number}")}}, "containers": [{"name": format!("log-{number}"), "image": "registry.example/log:1",
            "env": [{"name": "A", "value": "b"}], "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}}]}});
        let sets = sets.clone();
        async move { sets.create(&PostParams::default(), &serde_json::from_value(set)?).await.map(drop).context("making a set") }
    };
    stream::iter((0..options.sets).map(make)).buffer_unordered(16).try_for_each(|()| async { Ok(()) }).await?;
    let began = Instant::now();
    let server = Outrigger::start(&sandbox.cluster, OWN, &[]).await?;
    let ready = began.elapsed();
    println!(
        "{} sets: ready after {:.2} s, {:.1} MB",
        options.sets + 1,
        ready.as_secs_f64(),
        megabytes(measure::resident(server.process.pid)?)
    );
    let last = format!("other-{}", options.sets - 1);
    let began = Instant::now();
    quiet(&server).await?;
    println!(
        "  all sets reconciled for the first time after another {:.1} s (CPU {:.2} s in all)",
        began.elapsed().as_secs_f64(),
        measure::cpu(server.process.pid)?.as_secs_f64()
    );
    ensure!(sets.get(&last).await?.status.is_some(), "{last} has no status");
    let before = measure::own(&server, RECONCILES).await?;
    let pods = sandbox.api::<Pod>().list(&ListParams::default().labels("tier=front").limit(1)).await?;
    let name = pods.items.first().and_then(|pod| pod.metadata.name.clone()).context("no pod")?;
    let label = json!({"metadata": {"labels": {"touched": "true"}}});
    sandbox.api::<Pod>().patch(&name, &PatchParams::default(), &Patch::Merge(label)).await?;
    quiet(&server).await?;
    println!("  a change of one pod: {} sets looked at", measure::own(&server, RECONCILES).await? - before);
    Ok(())
}

/// Resident memory when the allocator has given back what was needed for a moment, which it does after ten seconds.
async fn at_rest(server: &Outrigger) -> Result<u64> {
    tokio::time::sleep(Duration::from_secs(15)).await;
    measure::resident(server.process.pid)
}

/// Returns when the server has looked at nothing for two seconds.
async fn quiet(server: &Outrigger) -> Result<()> {
    let mut seen = None;
    loop {
        let now = measure::own(server, RECONCILES).await?;
        if now > 0 && seen == Some(now) {
            return Ok(());
        }
        seen = Some(now);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Returns when the status of the set says so; asked for once in 200 ms, which costs the server nothing.
async fn until(sandbox: &Sandbox, pods: usize, done: impl Fn(&SidecarSetStatus, i32) -> bool) -> Result<()> {
    let sets = Api::<SidecarSet>::all(sandbox.cluster.client());
    let (began, pods) = (Instant::now(), i32::try_from(pods)?);
    loop {
        let status = sets.get(SET).await?.status.unwrap_or_default();
        if status.matched_pods == pods && done(&status, pods) {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "not within {} s: {status:?}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
