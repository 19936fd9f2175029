//! A changed set reaches its running pods: the real server, real controllers, simulated kubelets.

use std::cell::Cell;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use outrigger::sidecarset::api::SidecarSet;
use serde_json::json;

use crate::changing::{
    Seen, all_ready_with, annotation, change, change_image, counted, event, event_of_set, image, is_observed, log, planned_again, progress,
    rolled_out, runs, told, watch_set, with_image,
};
use crate::injection::{apply_set, injects, served};
use crate::support::{Cluster, Sandbox, deployment, is_ready};

pub(crate) async fn a_rollout_of_sixty_never_takes_more_than_a_tenth_away(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "sixty", 60, json!({"maxUnavailable": "10%"})).await?;
    let seen = Seen::default();
    let done = |pods: &[&Pod]| {
        seen.look(pods, "log:2");
        all_ready_with(pods, 60, "log:2")
    };
    let change = async { change_image(&sandbox, "log:2").await.map(drop) };
    sandbox.watch::<Pod>().labels("app=web").until_after("all run the new image", change, done).await?;
    seen.at_most_down(6)
}

/// Returns when exactly so many of the pods have the image.
async fn new_ones(sandbox: &Sandbox, count: usize, image: &str) -> Result<Vec<Pod>> {
    sandbox.pods("app=web", &format!("{count} pods have {image}"), |pods| with_image(pods, image) == count).await
}

pub(crate) async fn a_partition_holds_until_it_is_lowered(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "partition", 10, json!({"maxUnavailable": "50%", "partition": 6})).await?;
    change_image(&sandbox, "log:2").await?;
    let set = counted(&sandbox, "log", [10, 4, 4, 10]).await?;
    ensure!(told(&set)?.0 == "Partition", "{:?}", progress(&set));
    planned_again(&sandbox, "log").await?;
    new_ones(&sandbox, 4, "log:2").await?;
    change(&sandbox, "log", json!({"updateStrategy": {"partition": "25%"}})).await?;
    // A quarter of ten is rounded up.
    counted(&sandbox, "log", [10, 7, 7, 10]).await?;
    planned_again(&sandbox, "log").await?;
    new_ones(&sandbox, 7, "log:2").await?;
    change(&sandbox, "log", json!({"updateStrategy": {"partition": 0}})).await?;
    let set = counted(&sandbox, "log", [10, 10, 10, 10]).await?;
    ensure!(told(&set)?.0 == "AllPodsUpdatedAndReady", "{:?}", progress(&set));
    Ok(())
}

pub(crate) async fn a_paused_rollout_goes_on_when_it_is_resumed(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "paused", 6, json!({"maxUnavailable": 1})).await?;
    let change_it = async { change_image(&sandbox, "log:2").await.map(drop) };
    let begun = |pods: &[&Pod]| with_image(pods, "log:2") >= 2;
    sandbox.watch::<Pod>().labels("app=web").until_after("two pods are changed", change_it, begun).await?;
    change(&sandbox, "log", json!({"updateStrategy": {"paused": true}})).await?;
    let is_at_rest = |set: &SidecarSet| is_observed(set) && set.status.as_ref().is_some_and(|status| status.ready_pods == 6);
    let paused = watch_set(&sandbox, "log").until_it("the paused rollout is at rest", is_at_rest).await?;
    let updated = paused.status.as_ref().context("no status")?.updated_pods;
    ensure!((2..=3).contains(&updated) && told(&paused)?.0 == "Paused", "{updated} {:?}", progress(&paused));
    planned_again(&sandbox, "log").await?;
    new_ones(&sandbox, usize::try_from(updated)?, "log:2").await?;
    change(&sandbox, "log", json!({"updateStrategy": {"paused": false}})).await?;
    counted(&sandbox, "log", [6, 6, 6, 6]).await.map(drop)
}

pub(crate) async fn a_set_of_type_not_update_leaves_running_pods_alone(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = rolled_out(&cluster, "not-update", 3, json!({"type": "NotUpdate"})).await?;
    change_image(&sandbox, "log:2").await?;
    let set = counted(&sandbox, "log", [3, 0, 0, 3]).await?;
    ensure!(told(&set)?.0 == "NotUpdate", "{:?}", progress(&set));
    planned_again(&sandbox, "log").await?;
    for pod in sandbox.ready_pods("app=web", 3).await? {
        ensure!(image(&pod, "log") == "log:1" && pod.metadata.generation == Some(1), "{:?}", pod.metadata);
    }
    injects(&sandbox, &server, "log:2").await?;
    sandbox.create(&deployment("late").replicas(1).label("tier", "front").build()).await?;
    let late = sandbox.ready_pods("app=late", 1).await?;
    ensure!(late.iter().all(|pod| image(pod, "log") == "log:2"), "a new pod has the old image");
    Ok(())
}

pub(crate) async fn only_pods_that_the_update_selector_names_are_updated(cluster: Arc<Cluster>) -> Result<()> {
    let strategy = json!({"maxUnavailable": "100%", "selector": {"matchLabels": {"canary": "yes"}}});
    let (sandbox, _server) = rolled_out(&cluster, "selector", 3, strategy).await?;
    sandbox.create(&deployment("canary").replicas(2).label("tier", "front").label("canary", "yes").build()).await?;
    sandbox.ready_pods("app=canary", 2).await?;
    change_image(&sandbox, "log:2").await?;
    let set = counted(&sandbox, "log", [5, 2, 2, 5]).await?;
    ensure!(told(&set)?.0 == "NotSelected", "{:?}", progress(&set));
    planned_again(&sandbox, "log").await?;
    sandbox.pods("canary=yes", "the canaries are new", |pods| all_ready_with(pods, 2, "log:2")).await?;
    new_ones(&sandbox, 0, "log:2").await?;
    change(&sandbox, "log", json!({"updateStrategy": {"selector": null}})).await?;
    counted(&sandbox, "log", [5, 5, 5, 5]).await.map(drop)
}

pub(crate) async fn two_sets_that_change_at_once_both_reach_the_pods(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = rolled_out(&cluster, "two-sets", 8, json!({"maxUnavailable": 2})).await?;
    let mesh = |version: &str| json!([{"name": "mesh", "image": format!("registry.example/mesh:{version}")}]);
    apply_set(&sandbox, &server, "mesh", json!({"containers": mesh("1"), "updateStrategy": {"maxUnavailable": 2}})).await?;
    sandbox.create(&deployment("both").replicas(8).label("tier", "front").build()).await?;
    sandbox.ready_pods("app=both", 8).await?;
    let most_down = Cell::new(0);
    let change_both =
        async { tokio::try_join!(change_image(&sandbox, "log:2"), change(&sandbox, "mesh", json!({"containers": mesh("2")}))).map(drop) };
    let done = |pods: &[&Pod]| {
        most_down.set(most_down.get().max(pods.iter().filter(|pod| !is_ready(pod)).count()));
        all_ready_with(pods, 8, "log:2") && pods.iter().all(|pod| runs(pod, "mesh", "mesh:2"))
    };
    let pods = sandbox.watch::<Pod>().labels("app=both").until_after("both are new everywhere", change_both, done).await?;
    ensure!((1..=4).contains(&most_down.get()), "{} pods were down at once", most_down.get());
    let log = counted(&sandbox, "log", [16, 16, 16, 16]).await?;
    let mesh = counted(&sandbox, "mesh", [8, 8, 8, 8]).await?;
    for pod in &pods {
        let (notes, states) =
            (annotation(pod, "kruise.io/sidecarset-hash")?, annotation(pod, "kruise.io/sidecarset-inplace-update-state")?);
        for (set, container) in [(&log, "log"), (&mesh, "mesh")] {
            let (note, state) = (&notes[set.name_any()], &states[set.name_any()]);
            let latest = set.status.as_ref().and_then(|status| status.latest_revision.clone());
            ensure!(note["controllerRevision"].as_str() == latest.as_deref() && note["sidecarList"] == json!([container]), "{notes}");
            let before = state["lastContainerStatuses"][container]["imageID"].as_str().context("no image of before")?;
            ensure!(before.contains(&format!("{container}@sha256")) && state["revision"] == note["hash"], "{states}");
        }
    }
    Ok(())
}

pub(crate) async fn a_bad_image_takes_no_more_than_the_limit_away_and_a_good_one_mends_it(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "bad-image", 8, json!({"maxUnavailable": 2})).await?;
    let seen = Seen::default();
    let change_it = async {
        change_image(&sandbox, "invalid:2").await?;
        counted(&sandbox, "log", [8, 2, 0, 6]).await?;
        let stuck = planned_again(&sandbox, "log").await?;
        ensure!(told(&stuck)?.0 == "RollingUpdate", "{:?}", progress(&stuck));
        change_image(&sandbox, "log:3").await.map(drop)
    };
    let done = |pods: &[&Pod]| {
        seen.look(pods, "invalid:2");
        all_ready_with(pods, 8, "log:3")
    };
    sandbox.watch::<Pod>().labels("app=web").until_after("a good image mends it", change_it, done).await?;
    ensure!(seen.order().len() == 2, "{:?} got the bad image", seen.order());
    seen.at_most_down(2)?;
    counted(&sandbox, "log", [8, 8, 8, 8]).await.map(drop)
}

pub(crate) async fn a_pod_that_is_never_ready_does_not_hold_up_the_others(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "never-ready", 6, json!({"maxUnavailable": 2})).await?;
    let broken = json!({"metadata": {"name": "broken", "labels": {"app": "broken", "tier": "front"}},
        "spec": {"containers": [{"name": "main", "image": "registry.example/invalid:1"}]}});
    sandbox.create(&serde_json::from_value::<Pod>(broken)?).await?;
    sandbox
        .pods("app=broken", "it is down", |pods| pods.iter().any(|pod| pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some())))
        .await?;
    let seen = Seen::default();
    let done = |pods: &[&Pod]| {
        seen.look(pods, "log:2");
        all_ready_with(pods, 6, "log:2")
    };
    let change_it = async { change_image(&sandbox, "log:2").await.map(drop) };
    sandbox.watch::<Pod>().labels("app=web").until_after("the others are new", change_it, done).await?;
    seen.at_most_down(2)?;
    counted(&sandbox, "log", [7, 7, 6, 6]).await.map(drop)
}

fn upgradable(pod: &Pod) -> Option<String> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == "SidecarSetUpgradable").map(|condition| condition.status.clone())
}

pub(crate) async fn only_new_pods_get_more_than_a_new_image(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = rolled_out(&cluster, "only-image", 2, json!({"maxUnavailable": "100%"})).await?;
    let with_env = |image: &str| {
        let mut container = log(image);
        container["env"] = json!([{"name": "LEVEL", "value": "debug"}]);
        json!({"containers": [container]})
    };
    change(&sandbox, "log", with_env("log:2")).await?;
    let set = counted(&sandbox, "log", [2, 0, 0, 2]).await?;
    let (reason, message) = told(&set)?;
    ensure!(reason == "NotUpgradable" && message.contains("more than images changed"), "{message}");
    let is_told = |pods: &[&Pod]| pods.len() == 2 && pods.iter().all(|pod| upgradable(pod).as_deref() == Some("False"));
    let pods = sandbox.pods("app=web", "the pods say that they cannot", is_told).await?;
    ensure!(pods.iter().all(|pod| image(pod, "log") == "log:1" && pod.metadata.generation == Some(1)), "they were changed");
    event(sandbox.api(), &pods.first().context("no pod")?.name_any(), "SidecarSetNotUpgradable").await?;
    event_of_set(&set, &cluster, "NotUpgradablePods").await?;
    injects(&sandbox, &server, "LEVEL").await?;
    sandbox.create(&deployment("late").replicas(1).label("tier", "front").build()).await?;
    let late = sandbox.ready_pods("app=late", 1).await?;
    ensure!(late.iter().all(|pod| image(pod, "log") == "log:2"), "a new pod has the old content");
    change(&sandbox, "log", with_env("log:3")).await?;
    counted(&sandbox, "log", [3, 1, 1, 3]).await?;
    sandbox.pods("app=late", "the new pod can be updated", |pods| all_ready_with(pods, 1, "log:3")).await?;
    new_ones(&sandbox, 2, "log:1").await.map(drop)
}

pub(crate) async fn a_native_sidecar_is_updated_in_place_where_its_set_says_so(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "native-update").await?;
    let native = |version: &str| json!({"initContainers": [{"name": "mesh", "image": format!("registry.example/mesh:{version}"), "restartPolicy": "Always"}]});
    let annotation = [("outrigger.kruise.io/update-native-sidecars", "true")];
    crate::injection::apply_annotated_set(&sandbox, &server, "mesh", &annotation, native("1")).await?;
    sandbox.create(&deployment("web").replicas(3).label("tier", "front").build()).await?;
    sandbox.ready_pods("app=web", 3).await?;
    let most_down = Cell::new(0);
    let done = |pods: &[&Pod]| {
        most_down.set(most_down.get().max(pods.iter().filter(|pod| !is_ready(pod)).count()));
        pods.len() == 3 && pods.iter().all(|pod| is_ready(pod) && runs(pod, "mesh", "mesh:2"))
    };
    let change_it = async { change(&sandbox, "mesh", native("2")).await.map(drop) };
    let pods = sandbox.watch::<Pod>().labels("app=web").until_after("all run the new image", change_it, done).await?;
    ensure!(most_down.get() == 1, "{} pods were down at once", most_down.get());
    for pod in &pods {
        let restarts = |statuses: &Option<Vec<k8s_openapi::api::core::v1::ContainerStatus>>| -> Vec<(String, i32)> {
            statuses.iter().flatten().map(|status| (status.image.clone(), status.restart_count)).collect()
        };
        let status = pod.status.as_ref().context("no status")?;
        ensure!(
            restarts(&status.init_container_statuses) == [("registry.example/mesh:2".to_owned(), 1)],
            "{:?}",
            status.init_container_statuses
        );
        ensure!(restarts(&status.container_statuses).iter().all(|(_, restarts)| *restarts == 0), "{:?}", status.container_statuses);
    }
    counted(&sandbox, "mesh", [3, 3, 3, 3]).await.map(drop)
}
