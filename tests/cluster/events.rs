//! What those are told who look after the objects concerned, in a real cluster.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::changing::{change_image, counted as counted_set, event, event_of_set, is_observed, rolled_out, watch_set, with_image};
use crate::guarding::{counted, evict, evict_with, linked_pods, make_budget, one_client};
use crate::injection::{apply_set, served};
use crate::placing::{DEPLOYMENT, make_spread, placed_by_server, zone};
use crate::support::{Cluster, Sandbox, deployment};

/// The in-place state of a pod's sidecars.
const STATE: &str = "kruise.io/sidecarset-inplace-update-state";

async fn told(sandbox: &Sandbox, about: &str, reason: &str) -> Result<Vec<Event>> {
    event(sandbox.api::<Event>(), about, reason).await?;
    let events = sandbox.api::<Event>().list(&ListParams::default()).await?.items.into_iter();
    let is_it = |event: &Event| {
        event.reason.as_deref() == Some(reason) && event.regarding.as_ref().is_some_and(|object| object.name.as_deref() == Some(about))
    };
    Ok(events.filter(is_it).collect())
}

pub(crate) async fn a_container_that_takes_the_place_of_another_is_told_of_its_set_and_of_the_workload(
    cluster: Arc<Cluster>,
) -> Result<()> {
    let (sandbox, server) = served(&cluster, "conflict").await?;
    apply_set(&sandbox, &server, "taken", json!({"containers": [{"name": "main", "image": "registry.example/log:1"}]})).await?;
    sandbox.create(&deployment("web").replicas(1).label("tier", "front").build()).await?;
    sandbox.watch::<Pod>().until("there is a pod", |all| !all.is_empty()).await?;
    // Of the first pod it may not have been known yet whose its ReplicaSet is.
    let more = Patch::Merge(json!({"spec": {"replicas": 3}}));
    sandbox.api::<Deployment>().patch("web", &PatchParams::default(), &more).await?;
    let events = told(&sandbox, "web", "InjectionConflict").await?;
    let note = events.first().and_then(|event| event.note.clone()).unwrap_or_default();
    let set = format!("taken-{}", sandbox.namespace);
    ensure!(note == format!("SidecarSet {set}: container main takes the place of the pod's own container of that name"), "{note}");
    let is_it = |event: &Event| event.regarding.as_ref().is_some_and(|it| it.uid.is_some() && it.kind.as_deref() == Some("Deployment"));
    ensure!(events.len() == 1 && events.iter().all(is_it), "{events:?}");
    event(Api::<Event>::namespaced(cluster.client(), "default"), &set, "InjectionConflict").await
}

pub(crate) async fn a_budget_that_refuses_tells_so_once_of_the_pod_and_of_itself(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = served(&cluster, "refusing").await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": 0})).await?;
    sandbox.create(&deployment("web").replicas(2).build()).await?;
    let pods = linked_pods(&sandbox, "web", 2).await?;
    counted(&sandbox, "web", [2, 2, 0]).await?;
    let client = one_client(&cluster).await?;
    let pod = pods.first().context("no pod")?;
    for _ in 0..3 {
        ensure!(evict(&client, &sandbox, pod).await?.is_err());
    }
    let dry = json!({"deleteOptions": {"dryRun": ["All"]}});
    ensure!(evict_with(&client, &sandbox, pods.get(1).context("one pod")?, dry).await?.is_err());
    let of_budget = told(&sandbox, "web", "DisruptionRefused").await?;
    let of_pod = told(&sandbox, pod, "PubPreventPodDeletion").await?;
    ensure!((of_budget.len(), of_pod.len()) == (1, 1), "{of_budget:?} {of_pod:?}");
    ensure!(of_pod.iter().all(|event| event.reporting_controller.as_deref() == Some("pub-controller")), "{of_pod:?}");
    // The API server takes the count as it is written when it happens again after a while.
    let name = of_budget.iter().map(ResourceExt::name_any).next().context("no event")?;
    let series = json!({"series": {"count": 3, "lastObservedTime": "2026-02-03T04:05:06.000007Z"}});
    let counted = sandbox.api::<Event>().patch(&name, &PatchParams::default(), &Patch::Merge(&series)).await?;
    ensure!(counted.series.is_some_and(|series| series.count == 3));
    let all = sandbox.api::<Event>().list(&ListParams::default()).await?;
    let of_others = all.iter().filter(|event| event.regarding.as_ref().is_some_and(|object| object.name.as_ref() == pods.get(1)));
    ensure!(of_others.filter(|event| event.reason.as_deref() == Some("PubPreventPodDeletion")).count() == 0, "a dry run was told");
    Ok(())
}

pub(crate) async fn a_spread_that_is_full_tells_so(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = placed_by_server(&cluster, "full").await?;
    make_spread(&sandbox, DEPLOYMENT, "web", &[zone("zone-a", 1)], json!({})).await?;
    sandbox.create(&deployment("web").replicas(3).build()).await?;
    let events = told(&sandbox, "web", "NoPlace").await?;
    ensure!(
        events.len() == 1 && events.iter().all(|event| event.reporting_controller.as_deref() == Some("workloadspread-controller")),
        "{events:?}"
    );
    Ok(())
}

pub(crate) async fn a_rollout_that_is_stuck_tells_which_pods_and_why(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "stuck", 3, json!({"maxUnavailable": 1})).await?;
    change_image(&sandbox, "invalid:2").await?;
    counted_set(&sandbox, "log", [3, 1, 0, 2]).await?;
    let pods = sandbox.pods("app=web", "one has the bad image", |pods| with_image(pods, "invalid:2") == 1).await?;
    let pod = pods.iter().find(|pod| with_image(&[pod], "invalid:2") == 1).context("no such pod")?;
    // Ten minutes have passed, as far as the pod says.
    let state = pod.annotations().get(STATE).context("no state")?;
    let mut states: Value = serde_json::from_str(state)?;
    for state in states.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        if let Some(members) = state.as_object_mut() {
            members.insert("updateTimestamp".to_owned(), "2026-01-01T00:00:00Z".into());
        }
    }
    let annotations = json!({"metadata": {"annotations": {STATE: states.to_string()}}});
    sandbox.api::<Pod>().patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&annotations)).await?;
    let set = watch_set(&sandbox, "log").within(Duration::from_secs(10)).until_it("it is counted", is_observed).await?;
    event_of_set(&set, &cluster, "RolloutStuck").await?;
    let events = Api::<Event>::namespaced(cluster.client(), "default").list(&ListParams::default()).await?;
    let is_it = |event: &&Event| {
        event.reason.as_deref() == Some("RolloutStuck") && event.regarding.as_ref().is_some_and(|object| object.uid == set.metadata.uid)
    };
    let note = events.iter().find(is_it).and_then(|event| event.note.clone()).unwrap_or_default();
    let wanted = format!(
        "not available since: {}/{}; container log of {} is not ready; other pods wait",
        sandbox.namespace,
        pod.name_any(),
        pod.name_any()
    );
    ensure!(note.contains(&wanted), "{note}");
    Ok(())
}
