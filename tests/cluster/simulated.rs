//! The simulated cluster behaves like a real one, as far as the other tests rely on it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::applying;
use crate::nodes::ZONES;
use crate::support::{Cluster, Sandbox, deployment, is_ready};

pub(crate) async fn a_deployment_comes_up_on_simulated_nodes(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("deployment").await?;
    sandbox.create(&deployment("web").replicas(20).label("tier", "front").build()).await?;
    let pods = sandbox.ready_pods("app=web,tier=front", 20).await?;
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
    ensure!(pods.iter().all(|pod| phase(pod).as_deref() == Some("Running")), "not all run: {pods:?}");
    ensure!(pods.iter().all(|pod| node_of(pod) != Some("control-plane")), "the taint is not respected");
    Ok(())
}

pub(crate) async fn pods_can_be_spread_over_three_zones(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("zones").await?;
    let constraint = json!([{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "spread"}},
    }]);
    let constraint = serde_json::from_value(constraint)?;
    sandbox.create(&deployment("spread").replicas(9).pod(|pod| pod.topology_spread_constraints = constraint).build()).await?;
    let pods = sandbox.ready_pods("app=spread", 9).await?;

    let nodes = cluster.watch::<Node>().until("the nodes are there", |nodes| nodes.len() == 4).await?;
    let zones: BTreeMap<String, String> =
        nodes.iter().filter_map(|node| Some((node.name_any(), node.labels().get("topology.kubernetes.io/zone")?.clone()))).collect();
    let mut count = BTreeMap::new();
    for pod in &pods {
        let zone = node_of(pod).and_then(|node| zones.get(node)).context("a pod outside of all zones")?;
        *count.entry(zone.as_str()).or_insert(0) += 1;
    }
    assert_eq!(count, BTreeMap::from(ZONES.map(|zone| (zone, 3))));
    Ok(())
}

pub(crate) async fn a_stateful_set_comes_up_with_its_volumes(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("stateful").await?;
    sandbox
        .apply_yaml(
            "
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: main, image: registry.example/db:1, volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
",
        )
        .await?;
    let pods = sandbox.ready_pods("app=db", 3).await?;
    assert_eq!(pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["db-0", "db-1", "db-2"]);
    let bound = |claim: &PersistentVolumeClaim| claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
    let claims = sandbox.watch::<PersistentVolumeClaim>().until("volumes are bound", |claims| claims.iter().all(|claim| bound(claim)));
    assert_eq!(claims.await?.len(), 3);
    Ok(())
}

pub(crate) async fn pods_carry_the_volume_of_a_service_account_token(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("token").await?;
    let pod = sandbox.create(&single_pod("registry.example/main:1")?).await?;
    let spec = pod.spec.context("a pod without a spec")?;
    let has_token = |sources: Vec<_>| {
        let mut sources = sources.into_iter();
        sources.any(|source: k8s_openapi::api::core::v1::VolumeProjection| source.service_account_token.is_some())
    };
    let volume = spec.volumes.into_iter().flatten().find(|volume| volume.name.starts_with("kube-api-access-"));
    let volume = volume.context("no token volume")?;
    ensure!(volume.projected.and_then(|projected| projected.sources).is_some_and(has_token), "no token in {}", volume.name);
    let container = spec.containers.into_iter().next().context("no container")?;
    ensure!(container.volume_mounts.into_iter().flatten().any(|mount| mount.name == volume.name), "it is not mounted");
    Ok(())
}

pub(crate) async fn an_image_changed_in_place_restarts_its_container(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("in-place").await?;
    sandbox.create(&single_pod("registry.example/main:1")?).await?;
    let before = container_of(&sandbox, 0).await?;
    let newer = json!({"spec": {"containers": [{"name": "main", "image": "registry.example/main:2"}]}});
    sandbox.api::<Pod>().patch("single", &PatchParams::default(), &Patch::Strategic(newer)).await?;
    let after = container_of(&sandbox, 1).await?;
    assert_eq!(after.image, "registry.example/main:2");
    assert_ne!(after.image_id, before.image_id);
    Ok(())
}

pub(crate) async fn a_quick_kubelet_restarts_a_container_and_nobody_sees_it_down(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("quick").await?;
    let mut pod = single_pod("registry.example/main:1")?;
    pod.metadata.annotations.get_or_insert_default().insert("outrigger.test/restarts".to_owned(), "quick".to_owned());
    sandbox.create(&pod).await?;
    container_of(&sandbox, 0).await?;
    let change = async {
        let newer = json!({"spec": {"containers": [{"name": "main", "image": "registry.example/main:2"}]}});
        sandbox.api::<Pod>().patch("single", &PatchParams::default(), &Patch::Strategic(newer)).await?;
        Ok(())
    };
    let was_down = Cell::new(false);
    let restarts = |pod: &Pod| -> i32 {
        pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).map(|one| one.restart_count).sum()
    };
    let done = |pods: &[&Pod]| {
        was_down.set(was_down.get() || pods.iter().any(|pod| !is_ready(pod)));
        pods.iter().map(|pod| restarts(pod)).sum::<i32>() == 1
    };
    sandbox.watch::<Pod>().named("single").until_after("its container was restarted", change, done).await?;
    ensure!(!was_down.get(), "the pod was reported as not ready");
    assert_eq!(container_of(&sandbox, 1).await?.image, "registry.example/main:2");
    Ok(())
}

pub(crate) async fn a_custom_resource_can_follow_its_definition(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("custom").await?;
    let applied = sandbox
        .apply_yaml(
            "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: jobs.harness.outrigger.test}
spec:
  group: harness.outrigger.test
  scope: Namespaced
  names: {kind: Job, listKind: JobList, plural: jobs, singular: job}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: harness.outrigger.test/v1
kind: Job
metadata: {name: first}
spec: {replicas: 3}
",
        )
        .await?;
    applying::established(&cluster.client(), "jobs.harness.outrigger.test").await?;
    let job = applied.last().context("nothing was applied")?;
    assert_eq!(job.namespace().as_ref(), Some(&sandbox.namespace));
    assert_eq!(job.data.pointer("/spec/replicas"), Some(&json!(3)));
    Ok(())
}

pub(crate) async fn a_wait_in_vain_says_what_it_saw(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("vain").await?;
    sandbox.create(&single_pod("registry.example/invalid:1")?).await?;
    let wait = sandbox.watch::<Pod>().within(Duration::from_secs(3)).until("pigs fly", |_| false);
    let error = wait.await.err().context("the wait succeeded")?.to_string();
    ensure!(error.contains("not within 3 s: pigs fly; last seen: 1 objects"), "{error}");
    ensure!(error.contains("ImagePullBackOff"), "{error}");
    Ok(())
}

fn single_pod(image: &str) -> Result<Pod> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": "single", "labels": {"app": "single"}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }))?)
}

/// The status of the single pod's container when it is ready after that many restarts.
async fn container_of(sandbox: &Sandbox, restarts: i32) -> Result<k8s_openapi::api::core::v1::ContainerStatus> {
    let statuses = |pod: &Pod| pod.status.clone().and_then(|status| status.container_statuses).unwrap_or_default();
    let what = format!("its container is ready after {restarts} restarts");
    let done = |pod: &Pod| statuses(pod).iter().any(|status| status.ready && status.restart_count == restarts);
    let pod = sandbox.watch::<Pod>().named("single").until_it(&what, done).await?;
    statuses(&pod).pop().context("no container")
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}
