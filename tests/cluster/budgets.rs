//! What budgets guard against in a real cluster, and what they never hold up.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, ResourceRequirements};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::binaries;
use crate::guarding::{Refusal, ask, counted, evict, evict_with, linked_pods, make_budget, one_client, path, watch_budget};
use crate::injection::{WEBHOOKS, define, served_with};
use crate::outrigger::Outrigger;
use crate::reviews::load;
use crate::support::{Cluster, deployment};

pub(crate) async fn an_eviction_without_room_is_answered_429_in_words(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = served_with(&cluster, "words", &[]).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": 0})).await?;
    sandbox.create(&deployment("web").replicas(2).build()).await?;
    let pods = linked_pods(&sandbox, "web", 2).await?;
    counted(&sandbox, "web", [2, 2, 0]).await?;
    let pod = pods.first().context("no pod")?;
    let refusal = evict(&one_client(&cluster).await?, &sandbox, pod).await?.err().context("it is evicted")?;
    ensure!((refusal.code, refusal.reason.as_str(), refusal.retry_after) == (429, "TooManyRequests", 5), "{refusal:?}");
    let words = format!(
        "denied the request: podunavailablebudget.policy.kruise.io \"web\" is forbidden: pod {pod:?} cannot be evicted now: \
         2 of 2 pods are available, 2 are needed; try again in 5 s"
    );
    ensure!(refusal.message.ends_with(&words), "{}", refusal.message);
    Ok(())
}

pub(crate) async fn three_hundred_reviews_take_exactly_what_there_is_in_few_writes(cluster: Arc<Cluster>) -> Result<()> {
    const OWN: &str = "crowded-reviews";
    define(&cluster).await?;
    let sandbox = cluster.sandbox("reviews").await?;
    let servers = try_join_all((0..3).map(|_| Outrigger::start(&cluster, OWN, &[]))).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": 150})).await?;
    // No webhook is called for these: the reconciler links them.
    sandbox.create(&deployment("web").replicas(300).build()).await?;
    let pods = linked_pods(&sandbox, "web", 300).await?;
    let all: Vec<_> = servers.iter().collect();
    let one: Vec<_> = servers.iter().take(1).collect();
    for servers in [&*all, &*one] {
        // What was admitted and does not happen is given back.
        counted(&sandbox, "web", [300, 300, 150]).await?;
        let load = load(&sandbox, &pods, servers).await?;
        binaries::say(&format!("{} servers: {load}", servers.len()))?;
        ensure!(load.allowed == 150, "{} are allowed", load.allowed);
        ensure!((2..=60).contains(&load.writes), "{} writes", load.writes);
    }
    Ok(())
}

pub(crate) async fn a_pod_on_its_way_out_goes_while_our_server_is_down(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served_with(&cluster, "down", &[]).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": 1})).await?;
    sandbox.create(&deployment("web").replicas(2).build()).await?;
    let pods = linked_pods(&sandbox, "web", 2).await?;
    counted(&sandbox, "web", [2, 2, 1]).await?;
    let (gone, kept) = (pods.first().context("no pod")?, pods.last().context("no pod")?);
    let client = one_client(&cluster).await?;
    // A finalizer keeps it for as long as the test likes.
    let finalizers = |names: Value| json!({"metadata": {"finalizers": names}});
    ask(&client, &Method::PATCH, &path(&sandbox, gone), &finalizers(json!(["outrigger.test/kept"]))).await?.map_err(refused)?;
    evict(&client, &sandbox, gone).await?.map_err(refused)?;
    server.kill()?;
    let refusal = evict(&client, &sandbox, kept).await?.err().context("it is evicted although nobody was asked")?;
    let told = "nobody can tell whether PodUnavailableBudget web can spare this pod";
    ensure!(refusal.code == 403 && refusal.message.contains(told), "{refusal:?}");
    ask(&client, &Method::PATCH, &path(&sandbox, gone), &finalizers(Value::Null)).await?.map_err(refused)?;
    sandbox.watch::<Pod>().named(gone).until("the kubelet removes it", none).await.map(drop)
}

/// That there is none.
fn none<K>(objects: &[&K]) -> bool {
    objects.is_empty()
}

#[expect(clippy::needless_pass_by_value, reason = "as errors are mapped")]
fn refused(refusal: Refusal) -> anyhow::Error {
    anyhow::anyhow!("{refusal:?}")
}

pub(crate) async fn a_dry_run_takes_nothing_and_a_review_of_the_older_version_does(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served_with(&cluster, "dry", &[]).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": 1})).await?;
    sandbox.create(&deployment("web").replicas(3).build()).await?;
    let pods = linked_pods(&sandbox, "web", 3).await?;
    counted(&sandbox, "web", [3, 3, 1]).await?;
    let [first, second, third] = pods.as_slice() else { anyhow::bail!("{pods:?}") };
    let client = one_client(&cluster).await?;
    for pod in [first, second, third] {
        evict_with(&client, &sandbox, pod, json!({"deleteOptions": {"dryRun": ["All"]}})).await?.map_err(refused)?;
        ask(&client, &Method::DELETE, &path(&sandbox, pod), &json!({"dryRun": ["All"]})).await?.map_err(refused)?;
    }
    let budget = watch_budget(&sandbox, "web").until_it("there is the budget", |_| true).await?;
    let status = budget.status.context("no status")?;
    ensure!(status.disrupted_pods.is_empty() && status.unavailable_allowed == 1, "{status:?}");
    // An API server that serves policy/v1beta1 sends the eviction as it came.
    let object = json!({"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": first, "namespace": sandbox.namespace}});
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "old", "operation": "CREATE",
        "kind": {"group": "policy", "version": "v1beta1", "kind": "Eviction"}, "subResource": "eviction", "object": object,
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": sandbox.namespace, "name": first}});
    let answer: Value = server.http().post(server.url("/validate-pod")).json(&review).send().await?.json().await?;
    ensure!(answer.pointer("/response/allowed") == Some(&json!(true)), "{answer}");
    counted(&sandbox, "web", [3, 2, 0]).await?;
    evict(&client, &sandbox, second).await?.err().context("a second one is evicted")?;
    // The one that may go can still be asked for, by the same name.
    evict(&client, &sandbox, first).await?.map_err(refused)
}

pub(crate) async fn what_is_scaled_down_or_deleted_with_its_owner_is_not_wedged(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = served_with(&cluster, "wedge", &[]).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": "50%"})).await?;
    sandbox.create(&deployment("web").replicas(6).build()).await?;
    linked_pods(&sandbox, "web", 6).await?;
    counted(&sandbox, "web", [6, 6, 3]).await?;
    let deployments = sandbox.api::<Deployment>();
    deployments.patch("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 2}}))).await?;
    sandbox.watch::<Pod>().labels("app=web").until("two pods are left", |pods| pods.len() == 2).await?;
    counted(&sandbox, "web", [2, 2, 1]).await?;
    deployments.delete("web", &DeleteParams::background()).await?;
    sandbox.watch::<Pod>().labels("app=web").until("all are collected", none).await?;
    sandbox.create(&deployment("web").replicas(2).build()).await?;
    linked_pods(&sandbox, "web", 2).await?;
    Api::<Namespace>::all(cluster.client()).delete(&sandbox.namespace, &DeleteParams::default()).await?;
    let namespaces = cluster.watch::<Namespace>().named(&sandbox.namespace);
    namespaces.until("the namespace is gone", none).await.map(drop)
}

pub(crate) async fn pods_of_pinned_images_are_guarded_by_a_server_that_was_restarted(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served_with(&cluster, "pinned", &[]).await?;
    let pinned = format!("registry.example/main@sha256:{}", "0123456789abcdef".repeat(4));
    make_budget(&sandbox, "web", json!({"minAvailable": 2})).await?;
    let web = deployment("web").replicas(3).pod(|pod| pod.containers.iter_mut().for_each(|one| one.image = Some(pinned.clone())));
    sandbox.create(&web.build()).await?;
    let pods = linked_pods(&sandbox, "web", 3).await?;
    let budget = counted(&sandbox, "web", [3, 3, 1]).await?;
    let conditions = budget.status.map(|status| status.conditions).unwrap_or_default();
    ensure!(conditions.iter().all(|condition| condition.type_ != "Enforcing" || condition.status == "True"), "{conditions:?}");
    server.kill()?;
    // One more of the replicas takes its place.
    let next = Outrigger::start(&cluster, "outrigger-system", &[]).await?;
    sandbox.install_webhooks(WEBHOOKS, next.endpoint()).await?;
    let client = one_client(&cluster).await?;
    let [first, second, _] = pods.as_slice() else { anyhow::bail!("{pods:?}") };
    evict(&client, &sandbox, first).await?.map_err(refused)?;
    let refusal = evict(&client, &sandbox, second).await?.err().context("a second one is evicted")?;
    ensure!(refusal.code == 429 && refusal.message.contains("2 are needed") && refusal.message.contains(first), "{refusal:?}");
    linked_pods(&sandbox, "web", 3).await?;
    counted(&sandbox, "web", [3, 3, 1]).await.map(drop)
}

pub(crate) async fn a_change_in_place_takes_a_unit_where_updates_are_guarded(cluster: Arc<Cluster>) -> Result<()> {
    const FLAG: &str = "--feature-gates=PodUnavailableBudgetUpdateGate=true";
    let (sandbox, _server) = served_with(&cluster, "update", &[FLAG]).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": 1})).await?;
    let resources = json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}});
    let resources: ResourceRequirements = serde_json::from_value(resources)?;
    let web = deployment("web").replicas(2).pod(|pod| pod.containers.iter_mut().for_each(|one| one.resources = Some(resources.clone())));
    sandbox.create(&web.build()).await?;
    let pods = linked_pods(&sandbox, "web", 2).await?;
    counted(&sandbox, "web", [2, 2, 1]).await?;
    let [first, second] = pods.as_slice() else { anyhow::bail!("{pods:?}") };
    let client = one_client(&cluster).await?;
    // What changes nothing that runs is free.
    let label = json!({"metadata": {"labels": {"seen": "yes"}}});
    ask(&client, &Method::PATCH, &path(&sandbox, first), &label).await?.map_err(refused)?;
    let container = |member: &str, value: Value| json!([{"op": "replace", "path": format!("/spec/containers/0/{member}"), "value": value}]);
    let image = container("image", json!("registry.example/main:2"));
    ask(&client, &Method::PATCH, &path(&sandbox, first), &image).await?.map_err(refused)?;
    let refusal = ask(&client, &Method::PATCH, &path(&sandbox, second), &image).await?.err().context("both are changed")?;
    ensure!(refusal.code == 403 && refusal.message.contains("cannot be changed now"), "{refusal:?}");
    // As a kubelet says that knows how to resize.
    let known = json!([{"op": "add", "path": "/status/containerStatuses/0/resources", "value": resources}]);
    ask(&client, &Method::PATCH, &format!("{}/status", path(&sandbox, second)), &known).await?.map_err(refused)?;
    let resize = container("resources", json!({"requests": {"cpu": "150m"}, "limits": {"cpu": "200m"}}));
    let resized = ask(&client, &Method::PATCH, &format!("{}/resize", path(&sandbox, second)), &resize).await?;
    let refusal = resized.err().context("it is resized")?;
    ensure!(refusal.code == 403 && refusal.message.contains("cannot be "), "{refusal:?}");
    // Ten seconds later the first one is back.
    counted(&sandbox, "web", [2, 2, 1]).await?;
    ask(&client, &Method::PATCH, &path(&sandbox, second), &image).await?.map_err(refused)
}
