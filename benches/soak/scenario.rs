//! The scenario: a cluster with something of everything, and a day's traffic.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a bench prints, and its figures are rounded anyway"
)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Connections;
use crate::definitions::define;
use crate::fixtures::sets;
use crate::guarding::{linked_pods, make_budget};
use crate::outrigger::Outrigger;
use crate::report::{self, Sample};
use crate::reviews::{About, Reviews};
use crate::support::{Cluster, Sandbox, deployment};
use crate::{Options, applying, measure};

const WEBHOOKS: &str = include_str!("../../manifests/webhooks.yaml");
const OWN: &str = "outrigger-system";
/// Guarded pods.
const GUARDED: usize = 60;
/// The most that the pods grow to that come and go.
const CHURN: usize = 30;
const COUNTERS: [&str; 3] = ["outrigger_claim_writes_total", "outrigger_reconciles_total", "outrigger_watch_restarts_total"];

pub(crate) async fn run(cluster: &Arc<Cluster>, options: &Options) -> Result<()> {
    define(cluster).await?;
    let sandbox = cluster.sandbox("soak").await?;
    let server = Outrigger::start(cluster, OWN, &["--log", "warn"]).await?;
    sandbox.install_webhooks(WEBHOOKS, server.endpoint()).await?;
    let reviews = furnish(&sandbox).await?;
    let (port, authority) = (server.endpoint().port, &server.endpoint().authority_pem);
    let connections = Connections::open(port, authority, options.connections).await?;
    let mut idle = Connections::open(port, authority, options.idle).await?;
    println!(
        "{} reviews a second for {} s, {} connections, {} idle ones",
        options.rate, options.seconds, options.connections, options.idle
    );

    let (before, cpu, began) = (counters(&server).await?, measure::cpu(server.process.pid)?, Instant::now());
    let end = began + Duration::from_secs(options.seconds);
    let soaking = connections.soak(&reviews, options.rate, options.seconds);
    let (answered, samples, cycles) = tokio::try_join!(soaking, watched(&server, end), churn(&sandbox, end))?;

    let (took, cpu) = (began.elapsed().as_secs_f64(), measure::cpu(server.process.pid)?.saturating_sub(cpu));
    println!("{} reviews in {took:.1} s: {:.0} a second", answered.len(), answered.len() as f64 / took);
    let failed = report::latencies(&answered);
    report::memory(&samples);
    println!(
        "CPU of the server: {:.1} s, {:.0} us a review with all that it does beside",
        cpu.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / answered.len() as f64
    );
    for ((name, before), after) in COUNTERS.iter().zip(before).zip(counters(&server).await?) {
        println!("{name}: {:.0}", after - before);
    }
    println!("pods that came and went: {}; idle connections that were closed: {}", cycles * CHURN, idle.closed());
    ensure!(failed == 0, "{failed} reviews failed");
    Ok(())
}

async fn counters(server: &Outrigger) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    for name in COUNTERS {
        values.push(server.metric(name).await.unwrap_or_default());
    }
    Ok(values)
}

/// Makes what reviews are about, and the reviews.
async fn furnish(sandbox: &Sandbox) -> Result<Reviews> {
    for number in [0, 1] {
        let mut set = sets::matching(number);
        if let Some(set) = set.as_object_mut() {
            set.remove("status");
            set.insert("metadata".to_owned(), json!({"name": format!("soak-{number}")}));
        }
        applying::apply(&sandbox.cluster.client(), "", set).await?;
    }
    let containers = json!([{"name": "log", "image": "registry.example/log:1"}]);
    let spec = json!({"selector": {"matchLabels": {"app": "churn"}}, "containers": containers});
    let churned = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "soak-churn"}, "spec": spec});
    applying::apply(&sandbox.cluster.client(), "", churned).await?;
    let subsets = json!([{"name": "own", "maxReplicas": 10}, {"name": "rest"}]);
    for name in ["placed", "churn"] {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
        let spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": name}, "spec": {"targetRef": target, "subsets": subsets}});
        sandbox.apply_yaml(&spread.to_string()).await?;
    }
    make_budget(sandbox, "guarded", json!({"maxUnavailable": "50%", "protectOperations": ["DELETE", "EVICT", "UPDATE"]})).await?;
    sandbox.create(&deployment("guarded").replicas(i32::try_from(GUARDED)?).label("seen", "once").build()).await?;
    sandbox.create(&deployment("other").replicas(10).build()).await?;
    sandbox.create(&deployment("placed").replicas(5).build()).await?;
    sandbox.create(&deployment("churn").replicas(0).build()).await?;
    linked_pods(sandbox, "guarded", GUARDED).await?;
    sandbox.ready_pods("app=other", 10).await?;
    sandbox.ready_pods("app=placed", 5).await?;
    let guarded = pods(sandbox, "app=guarded").await?;
    let others = pods(sandbox, "app=other").await?;
    let (owner, bystander) = (owner(sandbox, "placed").await?, owner(sandbox, "other").await?);
    Ok(Reviews::new(&About { namespace: &sandbox.namespace, guarded: &guarded, others: &others, owner, bystander }))
}

/// The reference to the `ReplicaSet` of a Deployment.
async fn owner(sandbox: &Sandbox, name: &str) -> Result<Value> {
    let sets = sandbox.api::<ReplicaSet>().list(&ListParams::default().labels(&format!("app={name}"))).await?;
    let set = sets.items.first().with_context(|| format!("no ReplicaSet of {name}"))?;
    let (name, uid) = (set.name_any(), set.uid());
    Ok(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true}))
}

async fn pods(sandbox: &Sandbox, labels: &str) -> Result<Vec<Value>> {
    let list = sandbox.api::<Pod>().list(&ListParams::default().labels(labels)).await?;
    let whole = |mut pod: Pod| {
        // A list leaves these out, a review does not.
        pod.metadata.managed_fields = None;
        let mut pod = serde_json::to_value(pod)?;
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        anyhow::Ok(pod)
    };
    list.items.into_iter().map(whole).collect()
}

/// Looks at the memory every ten seconds.
async fn watched(server: &Outrigger, end: Instant) -> Result<Vec<Sample>> {
    let began = Instant::now();
    let mut samples = Vec::new();
    while Instant::now() < end {
        samples.push(Sample { at: began.elapsed(), resident: measure::resident(server.process.pid)? });
        sleep(Duration::from_secs(10)).await;
    }
    Ok(samples)
}

/// Lets a Deployment of placed and injected pods grow and shrink; gives how often.
async fn churn(sandbox: &Sandbox, end: Instant) -> Result<usize> {
    let scale = async |replicas: usize| -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        sandbox.api::<Deployment>().patch("churn", &PatchParams::default(), &patch).await?;
        let watch = sandbox.watch::<Pod>().labels("app=churn").within(Duration::from_mins(3));
        watch.until(&format!("{replicas} pods"), |pods| pods.len() == replicas).await.map(drop)
    };
    let mut cycles = 0;
    while Instant::now() < end {
        scale(CHURN).await?;
        scale(0).await?;
        cycles += 1;
    }
    Ok(cycles)
}
