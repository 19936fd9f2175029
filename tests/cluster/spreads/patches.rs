//! What a place makes of a pod, under the eyes of the API server's own admission and of other webhooks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::eventually;
use crate::definitions::DEFINITIONS;
use crate::injection::apply_set;
use crate::loopback::{CONFIGURATION, TlsListener, mark};
use crate::placing::{DEPLOYMENT, counted, in_force, placed_by_server, placed_by_server_of, places, settled, subset_of, zone, zones};
use crate::support::{Cluster, Sandbox, deployment};

/// The priority is the API server's to fill in.
pub(crate) async fn a_patch_with_a_priority_class_gets_its_priority(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "priority").await?;
    let class = format!("spot-{}", sandbox.namespace);
    let object = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": class}, "value": -7});
    applying::apply(&cluster.client(), "", object).await?;
    let main = json!({"name": "main", "env": [{"name": "PLACE", "value": "spot"}], "resources": {"requests": {"cpu": "50m"}}});
    let patch = json!({"metadata": {"labels": {"place": "spot"}, "annotations": {"place": "spot"}},
        "spec": {"priorityClassName": class, "containers": [main]}});
    let mut spot = zone("zone-b", Value::Null);
    spot["patch"] = patch;
    in_force(&sandbox, [&server], DEPLOYMENT, "web", &[zone("zone-a", 1), spot]).await?;
    sandbox.create(&deployment("web").replicas(3).build()).await?;
    for pod in settled(&sandbox, "web", [1, 2, 0]).await? {
        let is_spot = subset_of(&pod).as_deref() == Some("zone-b");
        let (labels, annotations) = (pod.labels().get("place"), pod.annotations().get("place"));
        ensure!([labels, annotations].map(|value| value.map(String::as_str)) == [is_spot.then_some("spot"); 2], "{:?}", pod.metadata);
        let spec = pod.spec.context("no spec")?;
        ensure!(spec.priority == Some(if is_spot { -7 } else { 0 }), "{:?} {:?}", spec.priority_class_name, spec.priority);
        ensure!((spec.priority_class_name == Some(class.clone())) == is_spot, "{:?}", spec.priority_class_name);
        let [container] = spec.containers.as_slice() else { bail!("{:?}", spec.containers) };
        ensure!(container.image.as_deref() == Some("registry.example/main:1"), "{container:?}");
        ensure!(container.env.iter().flatten().any(|one| one.name == "PLACE") == is_spot, "{container:?}");
    }
    Ok(())
}

/// The hook is called again when one behind it has changed the pod. Every place is needed: who took two would leave pods without one.
pub(crate) async fn a_pod_that_is_shown_twice_takes_one_place(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "twice").await?;
    let sidecar = json!({"name": "log", "image": "registry.example/log:1"});
    apply_set(&sandbox, &server, "log", json!({"containers": [sidecar], "updateStrategy": {"type": "NotUpdate"}})).await?;
    let (listener, endpoint) = TlsListener::bind().await?;
    let listening = async { axum::serve(listener, Router::new().route("/mark", post(mark))).await };
    let test = async {
        // Hooks are called in the order of the names of their configurations.
        sandbox.install_webhooks(&CONFIGURATION.replace("name: stand-in}", "name: zz-behind}"), &endpoint).await?;
        in_force(&sandbox, [&server], DEPLOYMENT, "web", &zones([json!(4), json!(4), json!(4)])).await?;
        sandbox.create(&deployment("web").replicas(12).label("tier", "front").build()).await?;
        let pods = settled(&sandbox, "web", [4, 4, 4]).await?;
        for pod in &pods {
            let names: Vec<_> = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str()).collect();
            ensure!(names == ["main", "log"] || names == ["log", "main"], "{names:?}");
            ensure!(pod.labels().contains_key("marked"), "nobody came behind");
            let affinity = json!(pod.spec.as_ref().and_then(|spec| spec.affinity.clone())).to_string();
            ensure!(affinity.matches("topology.kubernetes.io/zone").count() == 1, "{affinity}");
        }
        counted(&sandbox, "web", &[4, 4, 4]).await.map(drop)
    };
    tokio::select! {
        ended = listening => bail!("the server ended: {ended:?}"),
        tested = test => tested,
    }
}

/// The definition, with its conversions sent to `server`.
fn converting(server: &crate::outrigger::Outrigger) -> Result<Value> {
    let mut definition = original()?;
    let client = definition.pointer_mut("/spec/conversion/webhook/clientConfig").context("no conversion")?;
    let endpoint = server.endpoint();
    *client = json!({"url": endpoint.url("/convert"), "caBundle": BASE64_STANDARD.encode(&endpoint.authority_pem)});
    Ok(definition)
}

fn original() -> Result<Value> {
    let all = DEFINITIONS.map(applying::documents).into_iter().collect::<Result<Vec<_>>>()?.concat();
    all.into_iter().find(|document| document["metadata"]["name"] == "workloadspreads.apps.kruise.io").context("no definition")
}

/// Alone: the definition is changed.
pub(crate) async fn a_spread_of_the_older_version_places_pods(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server_of(&cluster, "older", "spread-older").await?;
    applying::apply(&cluster.client(), "", converting(&server)?).await?;
    let tested = older_spread(&sandbox, &server).await;
    // Other tests want the definition as it is rendered.
    applying::apply(&cluster.client(), "", original()?).await?;
    tested
}

async fn older_spread(sandbox: &Sandbox, server: &crate::outrigger::Outrigger) -> Result<()> {
    let mut subsets = zones([json!(1), json!(2), Value::Null]);
    for subset in &mut subsets {
        let term = subset["requiredNodeSelector"].take();
        let subset = subset.as_object_mut().context("a subset")?;
        subset.remove("requiredNodeSelector");
        subset.insert("requiredNodeSelectorTerm".to_owned(), term);
    }
    let spread = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "WorkloadSpread", "metadata": {"name": "web"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "subsets": subsets}});
    let applied = eventually("conversions of the new definition", Duration::from_secs(30), async || {
        sandbox.apply_yaml(&spread.to_string()).await.map(drop)
    });
    applied.await?;
    places(sandbox, server, DEPLOYMENT, "web").await?;
    sandbox.create(&deployment("web").replicas(4).build()).await?;
    let pods: Vec<Pod> = settled(sandbox, "web", [1, 2, 1]).await?;
    ensure!(pods.len() == 4);
    counted(sandbox, "web", &[1, 2, 1]).await?;
    let client = sandbox.cluster.client();
    let path = |version: &str| format!("/apis/apps.kruise.io/{version}/namespaces/{}/workloadspreads/web", sandbox.namespace);
    let read = async |version: &str| {
        client.request::<Value>(axum::http::Request::get(path(version)).body(Vec::new())?).await.map_err(anyhow::Error::from)
    };
    let (older, newer) = (read("v1alpha1").await?, read("v1beta1").await?);
    ensure!(older["spec"]["subsets"][0]["requiredNodeSelectorTerm"] == newer["spec"]["subsets"][0]["requiredNodeSelector"], "{older}");
    ensure!(older["status"]["subsetStatuses"] == newer["status"]["subsetStatuses"], "{older} {newer}");
    Ok(())
}
