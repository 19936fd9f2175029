//! A node is drained of pods that a budget guards, while a Deployment makes them anew elsewhere.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Node, Pod, Toleration};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::guarding::{Fewest, counted, evict, linked_pods, make_budget, one_client};
use crate::injection::served_with;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox, deployment, is_ready};
use crate::tools::kubectl;
use crate::{applying, nodes};

const PODS: usize = 30;
/// Both the label and the taint of the nodes of a sandbox.
const ONLY: &str = "outrigger.test/only";
const PATIENCE: Duration = Duration::from_secs(150);

/// Two nodes of the sandbox's own, and on the first of them thirty pods of a Deployment of which three may be unavailable.
struct Stage {
    sandbox: Sandbox,
    nodes: [String; 2],
    _server: Outrigger,
}

impl Stage {
    async fn set_up(cluster: &Arc<Cluster>, purpose: &str) -> Result<Self> {
        let (sandbox, server) = served_with(cluster, purpose, &[]).await?;
        let nodes = ["one", "two"].map(|number| format!("{}-{number}", sandbox.namespace));
        for (name, address) in nodes.iter().zip(100u8..) {
            applying::apply(&cluster.client(), "", node(&sandbox, name, address)?).await?;
        }
        let stage = Self { sandbox, nodes, _server: server };
        let [first, second] = &stage.nodes;
        stage.cordon(second, true).await?;
        make_budget(&stage.sandbox, "web", json!({"maxUnavailable": "10%"})).await?;
        let (key, label) = (ONLY.to_owned(), stage.sandbox.namespace.clone());
        let web = deployment("web").replicas(i32::try_from(PODS)?).pod(|pod| {
            pod.node_selector = Some([(key.clone(), label.clone())].into());
            pod.tolerations = Some(vec![Toleration { key: Some(key), value: Some(label), ..Default::default() }]);
        });
        stage.sandbox.create(&web.build()).await?;
        linked_pods(&stage.sandbox, "web", PODS).await?;
        counted(&stage.sandbox, "web", [30, 30, 3]).await?;
        stage.cordon(second, false).await?;
        ensure!(stage.on(first).await?.len() == PODS, "the pods are not on {first}");
        Ok(stage)
    }

    async fn cordon(&self, node: &str, is_cordoned: bool) -> Result<()> {
        let body = json!({"spec": {"unschedulable": is_cordoned}});
        let nodes = Api::<Node>::all(self.sandbox.cluster.client());
        nodes.patch(node, &PatchParams::default(), &Patch::Merge(body)).await.map(drop).context("cordoning")
    }

    /// The pods on a node.
    async fn on(&self, node: &str) -> Result<Vec<Pod>> {
        let there = ListParams::default().labels("app=web").fields(&format!("spec.nodeName={node}"));
        Ok(self.sandbox.api::<Pod>().list(&there).await?.items)
    }

    /// Drains the first node; fails if the drain does, or if ever more than a tenth of the pods is unavailable.
    async fn is_drained_by(&self, drain: impl Future<Output = Result<()>>) -> Result<()> {
        let (fewest, [first, _]) = (Fewest::default(), &self.nodes);
        let is_on_first = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_ref() == Some(first));
        let done = |pods: &[&Pod]| {
            fewest.look(pods);
            pods.len() == PODS && pods.iter().all(|pod| is_ready(pod) && !is_on_first(pod))
        };
        let watch = self.sandbox.watch::<Pod>().labels("app=web").within(PATIENCE);
        watch.until_after("all pods are elsewhere", drain, done).await?;
        fewest.was(PODS - PODS / 10)
    }
}

/// A node that takes pods of the sandbox only.
fn node(sandbox: &Sandbox, name: &str, address: u8) -> Result<Value> {
    let mut node = nodes::objects().into_iter().nth(1).context("no worker")?;
    let taint = json!([{"key": ONLY, "value": sandbox.namespace, "effect": "NoSchedule"}]);
    for (path, value) in [
        ("/metadata/name", json!(name)),
        ("/metadata/labels", json!({"kubernetes.io/hostname": name, ONLY: sandbox.namespace})),
        ("/spec/taints", taint),
        ("/status/addresses", json!([{"type": "InternalIP", "address": format!("172.18.1.{address}")}])),
    ] {
        *node.pointer_mut(path).with_context(|| format!("a node without {path}"))? = value;
    }
    Ok(node)
}

/// Drains as `kubectl drain` does: no more pods, then the eviction of each that is there; where there is no room for it now, again a
/// while later.
async fn drain(stage: &Stage, client: &Client) -> Result<()> {
    let [node, _] = &stage.nodes;
    stage.cordon(node, true).await?;
    let pods = stage.on(node).await?;
    try_join_all(pods.iter().map(|pod| evict_in_time(stage, client, pod))).await.map(drop)
}

async fn evict_in_time(stage: &Stage, client: &Client, pod: &Pod) -> Result<()> {
    let (name, uid) = (pod.name_any(), pod.uid());
    while let Err(refusal) = evict(client, &stage.sandbox, &name).await? {
        match refusal.code {
            404 => break,
            429 => tokio::time::sleep(Duration::from_secs(refusal.retry_after.into())).await,
            _ => bail!("{name}: {refusal:?}"),
        }
    }
    let is_gone = |pods: &[&Pod]| pods.iter().all(|pod| pod.uid() != uid);
    stage.sandbox.watch::<Pod>().named(&name).until(&format!("{name} is gone"), is_gone).await.map(drop)
}

pub(crate) async fn a_drain_of_thirty_guarded_pods_ends_by_itself(cluster: Arc<Cluster>) -> Result<()> {
    let stage = Stage::set_up(&cluster, "drain").await?;
    let client = one_client(&cluster).await?;
    stage.is_drained_by(drain(&stage, &client)).await
}

pub(crate) async fn kubectl_drains_a_node_of_thirty_guarded_pods(cluster: Arc<Cluster>) -> Result<()> {
    let stage = Stage::set_up(&cluster, "kubectl").await?;
    let [node, _] = &stage.nodes;
    let drained = async { kubectl(&cluster.plane, &["drain", node, "--timeout=140s"]).await.map(drop) };
    stage.is_drained_by(drained).await
}
