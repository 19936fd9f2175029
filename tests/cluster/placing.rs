//! Spreads in a real cluster: how they are made, where pods are, and what is seen meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::outrigger::manifests::{Rendering, files};
use ::outrigger::spread::api::{SubsetStatus, WorkloadSpread};
use ::outrigger::spread::mark::Mark;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::control_plane::eventually;
use crate::definitions::define;
use crate::nodes::ZONES;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox, is_ready};
use crate::watching::Watch;

/// The annotation by which a pod says where it was placed.
pub(crate) const MATCHED: &str = "apps.kruise.io/matched-workloadspread";
/// The annotation that says which pods go first.
pub(crate) const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
pub(crate) const DEPLOYMENT: [&str; 2] = ["apps/v1", "Deployment"];

/// The webhooks of `outrigger manifests --strict`: no pod is made while nobody says where it belongs.
pub(crate) fn strict_webhooks() -> Result<String> {
    let rendered = files(&Rendering { strict: true, ..Rendering::default() })?;
    let file = rendered.into_iter().find(|file| file.path == Path::new("webhooks.yaml"));
    Ok(file.context("no webhooks.yaml")?.text)
}

/// A sandbox whose pods are placed by a server of ours, one of the replicas that all tests share, or not made at all.
pub(crate) async fn placed_by_server(cluster: &Arc<Cluster>, purpose: &str) -> Result<(Sandbox, Outrigger)> {
    placed_by_server_of(cluster, purpose, "outrigger-system").await
}

/// The same with a server whose own namespace is `namespace`, and which therefore leads.
pub(crate) async fn placed_by_server_of(cluster: &Arc<Cluster>, purpose: &str, namespace: &str) -> Result<(Sandbox, Outrigger)> {
    define(cluster).await?;
    let sandbox = cluster.sandbox(purpose).await?;
    let server = Outrigger::start(cluster, namespace, &[]).await?;
    sandbox.install_webhooks(&strict_webhooks()?, server.endpoint()).await?;
    Ok((sandbox, server))
}

/// A subset named after its zone that takes so many pods; as many as come if `most` is null.
pub(crate) fn zone(name: &str, most: impl Into<Value>) -> Value {
    let expression = json!({"key": "topology.kubernetes.io/zone", "operator": "In", "values": [name]});
    let mut subset = json!({"name": name, "requiredNodeSelector": {"matchExpressions": [expression]}});
    let most = most.into();
    if !most.is_null() {
        subset["maxReplicas"] = most;
    }
    subset
}

/// The three zones in their order, with these limits.
pub(crate) fn zones<V: Into<Value>>(limits: [V; 3]) -> Vec<Value> {
    ZONES.iter().zip(limits).map(|(name, most)| zone(name, most)).collect()
}

/// Makes a spread called as the workload; further members of its spec are merged in.
pub(crate) async fn make_spread(sandbox: &Sandbox, workload: [&str; 2], name: &str, subsets: &[Value], more: Value) -> Result<()> {
    let [version, kind] = workload;
    let mut spec = json!({"targetRef": {"apiVersion": version, "kind": kind, "name": name}, "subsets": subsets});
    json_patch::merge(&mut spec, &more);
    let spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": name}, "spec": spec});
    sandbox.apply_yaml(&spread.to_string()).await.map(drop)
}

/// The same, and returns when these servers place pods by it.
pub(crate) async fn in_force<'s>(
    sandbox: &Sandbox,
    servers: impl IntoIterator<Item = &'s Outrigger>,
    workload: [&str; 2],
    name: &str,
    subsets: &[Value],
) -> Result<()> {
    make_spread(sandbox, workload, name, subsets, json!({})).await?;
    for server in servers {
        places(sandbox, server, workload, name).await?;
    }
    Ok(())
}

/// Returns when the server places pods of the workload: so the spread has reached its memory.
pub(crate) async fn places(sandbox: &Sandbox, server: &Outrigger, [version, kind]: [&str; 2], name: &str) -> Result<()> {
    let owner = json!({"apiVersion": version, "kind": kind, "name": name, "uid": "none", "controller": true});
    let object = json!({"metadata": {"name": format!("{name}-0"), "ownerReferences": [owner]}, "spec": {"containers": [{"name": "main"}]}});
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "seen", "operation": "CREATE",
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": sandbox.namespace, "dryRun": true, "object": object}});
    eventually("spread in the server's memory", Duration::from_secs(30), async || {
        let answer: Value = server.http().post(server.url("/mutate-pod")).json(&review).send().await?.json().await?;
        let patch = answer.pointer("/response/patch").and_then(Value::as_str).with_context(|| answer.to_string())?;
        let patch = String::from_utf8(BASE64_STANDARD.decode(patch)?)?;
        ensure!(patch.contains("matched-workloadspread"), "{patch}");
        Ok(())
    })
    .await
}

/// A watch of a spread.
pub(crate) fn watch_spread(sandbox: &Sandbox, name: &str) -> Watch<WorkloadSpread> {
    Watch::over(Api::<WorkloadSpread>::namespaced(sandbox.cluster.client(), &sandbox.namespace)).named(name)
}

/// The subsets of a spread, over all revisions.
pub(crate) fn subsets(spread: &WorkloadSpread) -> &[SubsetStatus] {
    spread.status.as_ref().map(|status| status.subset_statuses.as_slice()).unwrap_or_default()
}

/// Returns the spread when it has counted so many pods in its subsets, and nobody is waited for any more.
pub(crate) async fn counted(sandbox: &Sandbox, name: &str, wanted: &[i32]) -> Result<WorkloadSpread> {
    let is_so = |spread: &WorkloadSpread| {
        let is_observed = spread.status.as_ref().is_some_and(|status| status.observed_generation == spread.metadata.generation);
        is_observed && subsets(spread).iter().map(|subset| subset.replicas).eq(wanted.iter().copied()) && !is_waiting(spread)
    };
    watch_spread(sandbox, name).until_it(&format!("spread {name} counts {wanted:?}"), is_so).await
}

/// Whether pods are noted that are about to come or to go.
fn is_waiting(spread: &WorkloadSpread) -> bool {
    let mut all = spread.status.iter().flat_map(|status| status.versioned_subset_statuses.values().flatten());
    all.any(|subset| !subset.creating_pods.is_empty() || !subset.deleting_pods.is_empty())
}

/// The zone of a pod's node.
pub(crate) fn zone_of(pod: &Pod) -> Option<&'static str> {
    let number = pod.spec.as_ref()?.node_name.as_deref()?.strip_prefix("worker-")?.parse::<usize>().ok()?;
    ZONES.get(number.checked_sub(1)?).copied()
}

/// The subset that a pod says it was placed in.
pub(crate) fn subset_of(pod: &Pod) -> Option<String> {
    pod.annotations().get(MATCHED).and_then(|text| Mark::read(text)).map(|mark| mark.subset.to_string())
}

/// What pods of one template have in common; empty for those that have nothing.
pub(crate) fn revision_of(pod: &Pod) -> String {
    pod.labels().get("pod-template-hash").cloned().unwrap_or_default()
}

/// Neither finished nor about to go.
pub(crate) fn is_active(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// How many pods there are of each kind that `kind` tells apart.
pub(crate) fn tally<'p, K: Ord>(pods: impl IntoIterator<Item = &'p Pod>, kind: impl Fn(&Pod) -> K) -> BTreeMap<K, usize> {
    let mut count = BTreeMap::new();
    for pod in pods {
        *count.entry(kind(pod)).or_insert(0) += 1;
    }
    count
}

/// Returns the pods labelled `app=NAME` when there are exactly so many in each zone, ready, of one revision, in the subset that is called
/// as their zone; none is about to go.
pub(crate) async fn settled(sandbox: &Sandbox, name: &str, wanted: [usize; 3]) -> Result<Vec<Pod>> {
    let sum = wanted.iter().sum::<usize>();
    let wanted: BTreeMap<_, _> = ZONES.into_iter().zip(wanted).filter(|(_, count)| *count > 0).collect();
    let seen = RefCell::new(String::new());
    let done = |pods: &[&Pod]| {
        let places = tally(pods.iter().copied(), |pod| (subset_of(pod), zone_of(pod)));
        seen.replace(format!("{} pods, {} ready: {places:?}", pods.len(), pods.iter().filter(|pod| is_ready(pod)).count()));
        let is_right = places
            .iter()
            .all(|((subset, zone), count)| subset.as_deref() == *zone && zone.is_some_and(|zone| wanted.get(zone) == Some(count)));
        let revisions = tally(pods.iter().copied(), revision_of);
        is_right && pods.len() == sum && revisions.len() <= 1 && pods.iter().all(|pod| is_ready(pod) && is_active(pod))
    };
    let watch = sandbox.watch::<Pod>().labels(&format!("app={name}")).within(Duration::from_secs(100));
    let settled = watch.until(&format!("the pods of {name} are in {wanted:?}"), done).await;
    settled.with_context(|| seen.borrow().clone())
}

/// Returns when each pod labelled `app=NAME` says what it costs to remove it: from now on it matters which of them go first.
pub(crate) async fn priced(sandbox: &Sandbox, name: &str) -> Result<Vec<Pod>> {
    let has_cost = |pod: &&Pod| pod.annotations().contains_key(COST);
    sandbox.pods(&format!("app={name}"), "all pods have costs", |pods| pods.iter().all(has_cost)).await
}

/// What no subset of any revision may ever exceed.
pub(crate) struct Limits {
    most: RefCell<BTreeMap<String, usize>>,
    reached: RefCell<BTreeMap<String, usize>>,
    broken: Cell<Option<String>>,
}

impl Limits {
    pub(crate) fn of(limits: &[(&str, usize)]) -> Self {
        Self { most: RefCell::new(limits_by_name(limits)), reached: RefCell::default(), broken: Cell::new(None) }
    }

    /// From now on these hold.
    pub(crate) fn change(&self, limits: &[(&str, usize)]) {
        self.most.replace(limits_by_name(limits));
    }

    /// Whether a subset has more active pods of one revision than it may.
    fn look(&self, pods: &[&Pod]) -> bool {
        let (most, mut reached) = (self.most.borrow(), self.reached.borrow_mut());
        let active = pods.iter().copied().filter(|pod| is_active(pod));
        for ((revision, subset), count) in tally(active, |pod| (revision_of(pod), subset_of(pod))) {
            let Some(subset) = subset else { continue };
            if most.get(&subset).is_some_and(|most| count > *most) {
                self.broken.set(Some(format!("{subset} has {count} pods of revision {revision:?}, of {most:?}")));
                return true;
            }
            let highest = reached.entry(subset).or_default();
            *highest = count.max(*highest);
        }
        false
    }

    /// What comes out of `course`; an error as soon as a watch of the pods labelled `app=NAME` shows a subset over its limit.
    pub(crate) fn kept_during<T>(
        &self,
        sandbox: &Sandbox,
        name: &str,
        course: impl Future<Output = Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        let watch = sandbox.watch::<Pod>().labels(&format!("app={name}")).within(Duration::from_mins(3));
        let course = Box::pin(course);
        Box::pin(async move {
            tokio::select! {
                done = course => done,
                broken = watch.until("the end of the course", |pods| self.look(pods)) => {
                    broken?;
                    bail!("{}", self.broken.take().unwrap_or_default())
                }
            }
        })
    }

    /// An error unless each subset was full at some moment: else nothing was put to the test.
    pub(crate) fn were_reached(&self) -> Result<()> {
        let (most, reached) = (self.most.borrow(), self.reached.borrow());
        ensure!(most.iter().all(|(subset, most)| reached.get(subset) == Some(most)), "at most {reached:?} of {most:?}");
        Ok(())
    }
}

fn limits_by_name(limits: &[(&str, usize)]) -> BTreeMap<String, usize> {
    limits.iter().map(|(subset, most)| ((*subset).to_owned(), *most)).collect()
}
