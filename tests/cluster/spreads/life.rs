//! What becomes of pods and places when spreads and pods come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::outrigger::spread::api::WorkloadSpread;
use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::guarding::{evict, one_client};
use crate::placing::{
    COST, DEPLOYMENT, Limits, MATCHED, counted, in_force, is_active, make_spread, placed_by_server, placed_by_server_of, priced,
    revision_of, settled, subset_of, tally, watch_spread, zone_of, zones,
};
use crate::spreads::scaling::scale;
use crate::support::{Cluster, Sandbox, deployment};

fn spreads(sandbox: &Sandbox) -> Api<WorkloadSpread> {
    Api::namespaced(sandbox.cluster.client(), &sandbox.namespace)
}

/// A pod of this ReplicaSet, as its controller would make it.
fn pod_of(set: &ReplicaSet) -> Result<Pod> {
    let template = set.spec.template.clone().context("no template")?;
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set.name_any(), "uid": set.uid(), "controller": true});
    let mut pod = Pod { metadata: template.metadata.unwrap_or_default(), spec: template.spec, status: None };
    pod.metadata.generate_name = Some(format!("{}-", set.name_any()));
    pod.metadata.owner_references = Some(vec![serde_json::from_value(owner)?]);
    Ok(pod)
}

pub(crate) async fn a_dry_run_shows_the_place_and_takes_nothing(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "dry-spread").await?;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(1), json!(2), json!(1)])).await?;
    sandbox.create(&deployment("web").replicas(2).build()).await?;
    settled(&sandbox, "web", [1, 1, 0]).await?;
    let before = counted(&sandbox, "web", &[1, 1, 0]).await?;
    let sets = sandbox.watch::<ReplicaSet>().until("the set is there", |sets| !sets.is_empty()).await?;
    let pod = pod_of(sets.first().context("no set")?)?;
    for _ in 0..5 {
        let shown = sandbox.create_dry_run(&pod).await?;
        ensure!(subset_of(&shown).as_deref() == Some("zone-b"), "{:?}", shown.metadata.annotations);
        let affinity = json!(shown.spec.and_then(|spec| spec.affinity)).to_string();
        ensure!(affinity.contains(r#""values":["zone-b"]"#), "{affinity}");
    }
    let after = spreads(&sandbox).get("web").await?;
    ensure!(after.status == before.status, "{:?}", after.status);
    let placed = sandbox.pods("app=web", "its pods", |pods| pods.len() == 2).await?;
    let client = one_client(&cluster).await?;
    for pod in &placed {
        let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
        sandbox.api::<Pod>().delete(&pod.name_any(), &dry).await?;
        let dry = json!({"deleteOptions": {"dryRun": ["All"]}});
        crate::guarding::evict_with(&client, &sandbox, &pod.name_any(), dry).await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    }
    let after = spreads(&sandbox).get("web").await?;
    ensure!(after.status == before.status, "{:?}", after.status);
    // The place that was shown is the one that is given.
    scale(&sandbox, "web", 3).await?;
    settled(&sandbox, "web", [1, 2, 0]).await.map(drop)
}

/// Where there is one, a limit keeps its meaning: whoever is deleted or evicted is followed by another in the same subset, at once.
pub(crate) async fn a_place_is_given_back_by_a_pod_that_goes(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "returned").await?;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(2), json!(2), Value::Null])).await?;
    let limits = Limits::of(&[("zone-a", 2), ("zone-b", 2)]);
    let course = async {
        sandbox.create(&deployment("web").replicas(5).build()).await?;
        let client = one_client(&cluster).await?;
        for round in 0..4 {
            let pods = settled(&sandbox, "web", [2, 2, 1]).await?;
            let gone =
                pods.iter().find(|pod| subset_of(pod).as_deref() == Some(["zone-a", "zone-b"][round % 2])).context("no pod")?.name_any();
            if round < 2 {
                evict(&client, &sandbox, &gone).await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
            } else {
                sandbox.api::<Pod>().delete(&gone, &DeleteParams::default()).await?;
            }
            let is_replaced = |pods: &[&Pod]| pods.len() == 5 && pods.iter().all(|pod| pod.name_any() != gone && is_active(pod));
            sandbox.pods("app=web", "another one is there", is_replaced).await?;
        }
        settled(&sandbox, "web", [2, 2, 1]).await
    };
    limits.kept_during(&sandbox, "web", course).await?;
    limits.were_reached()
}

/// Pods that were there first are counted where their nodes are; those that come are placed by what is left.
pub(crate) async fn a_spread_made_after_its_pods_counts_them(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "adopted").await?;
    sandbox.create(&deployment("web").replicas(6).build()).await?;
    let pods = sandbox.ready_pods("app=web", 6).await?;
    ensure!(pods.iter().all(|pod| subset_of(pod).is_none()), "there was no spread: {pods:?}");
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(8), json!(8), json!(8)])).await?;
    let is_adopted = |pod: &&Pod| zone_of(pod).is_some() && subset_of(pod).as_deref() == zone_of(pod);
    let pods = sandbox.pods("app=web", "all are adopted", |pods| pods.len() == 6 && pods.iter().all(is_adopted)).await?;
    let by_zone = tally(&pods, |pod| zone_of(pod).unwrap_or_default());
    let count = |zone: &str| by_zone.get(zone).copied().unwrap_or_default();
    let replicas = ["zone-a", "zone-b", "zone-c"].map(|zone| i32::try_from(count(zone)).unwrap_or_default());
    counted(&sandbox, "web", &replicas).await?;
    scale(&sandbox, "web", 24).await?;
    settled(&sandbox, "web", [8, 8, 8]).await.map(drop)
}

/// What pods say stays; nobody places new ones.
pub(crate) async fn a_spread_that_is_deleted_leaves_its_pods_as_they_are(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "deleted").await?;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(2), Value::Null, json!(0)])).await?;
    sandbox.create(&deployment("web").replicas(4).build()).await?;
    settled(&sandbox, "web", [2, 2, 0]).await?;
    let notes = |pods: &[Pod]| -> BTreeMap<_, _> {
        let note = |pod: &Pod| [MATCHED, COST].map(|key| pod.annotations().get(key).cloned());
        pods.iter().map(|pod| (pod.name_any(), note(pod))).collect()
    };
    let before = notes(&priced(&sandbox, "web").await?);
    spreads(&sandbox).delete("web", &DeleteParams::default()).await?;
    let forgotten = crate::control_plane::eventually("end of the spread", std::time::Duration::from_secs(10), async || {
        let sets = sandbox.watch::<ReplicaSet>().until("the set is there", |sets| !sets.is_empty()).await?;
        let shown = sandbox.create_dry_run(&pod_of(sets.first().context("no set")?)?).await?;
        ensure!(subset_of(&shown).is_none(), "{:?}", shown.metadata.annotations);
        Ok(())
    });
    forgotten.await?;
    scale(&sandbox, "web", 7).await?;
    let pods = sandbox.ready_pods("app=web", 7).await?;
    let (old, new): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| before.contains_key(&pod.name_any()));
    ensure!(notes(&old) == before, "{:?} was {before:?}", notes(&old));
    ensure!(new.len() == 3 && new.iter().all(|pod| subset_of(pod).is_none()), "{:?}", notes(&new));
    Ok(())
}

/// What the server prints for `kubectl get workloadspread NAME`: title and cell of each column.
async fn columns(sandbox: &Sandbox, name: &str) -> Result<Vec<(String, Value)>> {
    let path = format!("/apis/apps.kruise.io/v1beta1/namespaces/{}/workloadspreads/{name}", sandbox.namespace);
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let request = axum::http::Request::get(path).header("Accept", accept).body(Vec::new())?;
    let table: Value = sandbox.cluster.client().request(request).await?;
    let titles = table["columnDefinitions"].as_array().context("no columns")?.iter().filter_map(|column| column["name"].as_str());
    let cells = table["rows"][0]["cells"].as_array().context("no row")?;
    Ok(titles.map(str::to_owned).zip(cells.iter().cloned()).collect())
}

pub(crate) async fn kubectl_shows_how_the_subsets_stand(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "shown").await?;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(2), json!(4), Value::Null])).await?;
    sandbox.create(&deployment("web").replicas(3).build()).await?;
    settled(&sandbox, "web", [2, 1, 0]).await?;
    counted(&sandbox, "web", &[2, 1, 0]).await?;
    let columns = columns(&sandbox, "web").await?;
    let cell = |title: &str| columns.iter().find(|(name, _)| name == title).map(|(_, cell)| cell.clone());
    ensure!(cell("WorkloadName") == Some(json!("web")) && cell("WorkloadKind") == Some(json!("Deployment")), "{columns:?}");
    ensure!(cell("Subsets") == Some(json!("zone-a 2/2, zone-b 1/4, zone-c 0")), "{columns:?}");
    Ok(())
}

/// Counts as the reference leaves them are gone on with: pods that were noted and are there, that were noted and never came, that were
/// said to go and are still there, revisions of which nothing is left. Alone: the status is ours and nobody else's.
pub(crate) async fn a_status_of_the_reference_is_gone_on_with(cluster: Arc<Cluster>) -> Result<()> {
    const OWN: &str = "spread-takeover";
    let (sandbox, server) = placed_by_server_of(&cluster, "recorded-spread", OWN).await?;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(3), json!(3), Value::Null])).await?;
    sandbox.create(&deployment("web").replicas(5).build()).await?;
    let pods = settled(&sandbox, "web", [3, 2, 0]).await?;
    counted(&sandbox, "web", &[3, 2, 0]).await?;
    server.kill()?;
    let (revision, first) = (revision_of(pods.first().context("no pod")?), pods.first().map(ResourceExt::name_any));
    let newest = pods.iter().filter_map(ResourceExt::creation_timestamp).max().context("no time")?;
    // The clock of who noted it is fast.
    let (old, fresh) = ("2026-01-01T00:00:07Z", newest.0 + SignedDuration::from_secs(10));
    let recorded = json!([
        {"name": "zone-a", "replicas": 2, "missingReplicas": 0, "creatingPods": {"0b1e5a3c-1111-4222-8333-444455556666": old}},
        {"name": "zone-b", "replicas": 1, "missingReplicas": 1, "creatingPods": {"0b1e5a3c-9999-4222-8333-444455556666": fresh},
            "deletingPods": {first.unwrap_or_default(): old}},
        {"name": "zone-c", "replicas": 4, "missingReplicas": -1},
    ]);
    let status = json!({"status": {"summary": null, "observedGeneration": 1, "subsetStatuses": recorded,
        "versionedSubsetStatuses": {revision.clone(): recorded, "5d5f6c7b8d": [{"name": "zone-a", "replicas": 1, "missingReplicas": 2},
            {"name": "zone-b", "replicas": 0, "missingReplicas": 3}, {"name": "zone-c", "replicas": 0, "missingReplicas": -1}]}}});
    spreads(&sandbox).patch_status("web", &PatchParams::default(), &Patch::Merge(status)).await?;
    let server = crate::outrigger::Outrigger::start(&cluster, OWN, &[]).await?;
    sandbox.install_webhooks(&crate::placing::strict_webhooks()?, server.endpoint()).await?;
    let is_true = |spread: &WorkloadSpread| {
        let Some(status) = &spread.status else { return false };
        let arrays: Vec<_> = status.versioned_subset_statuses.iter().collect();
        let [(key, array)] = arrays.as_slice() else { return false };
        let counts: Vec<_> = array.iter().map(|subset| (subset.replicas, subset.missing_replicas, subset.creating_pods.len())).collect();
        // The fresh note is waited for.
        **key == revision && counts == [(3, 0, 0), (2, 0, 1), (0, -1, 0)]
    };
    watch_spread(&sandbox, "web").until_it("the status is true", is_true).await?;
    // Whoever was noted was to be the sixth: it has been lost, and this one waits for its place.
    scale(&sandbox, "web", 6).await?;
    settled(&sandbox, "web", [3, 3, 0]).await?;
    scale(&sandbox, "web", 8).await?;
    settled(&sandbox, "web", [3, 3, 2]).await.map(drop)
}

/// Another spread of the same workload is refused while the first is there, and `make_spread` says so.
pub(crate) async fn a_second_spread_of_a_workload_is_refused(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "second").await?;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(2), json!(4), Value::Null])).await?;
    let spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": "other"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "subsets": [{"name": "a"}]}});
    let refused = sandbox.apply_yaml(&spread.to_string()).await.err().context("it is made")?;
    ensure!(format!("{refused:#}").contains("web"), "{refused:#}");
    // Another workload is another matter.
    make_spread(&sandbox, DEPLOYMENT, "other", &[json!({"name": "a"})], json!({})).await
}
