//! Budgets in a real cluster: what is counted, of workloads that come, change and are of kinds that nobody knew before.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use outrigger::budget::api::PodUnavailableBudget;
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::eventually;
use crate::injection::define;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox, deployment};

/// A sandbox with a server whose own namespace it is.
async fn served(cluster: &Arc<Cluster>, purpose: &str) -> Result<(Sandbox, Outrigger)> {
    define(cluster).await?;
    let sandbox = cluster.sandbox(purpose).await?;
    let server = Outrigger::start(cluster, &sandbox.namespace, &[]).await?;
    Ok((sandbox, server))
}

async fn make(sandbox: &Sandbox, name: &str, spec: Value) -> Result<()> {
    let object =
        json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "metadata": {"name": name}, "spec": spec});
    sandbox.create::<PodUnavailableBudget>(&serde_json::from_value(object)?).await.map(drop)
}

fn by_label(app: &str, need: &Value) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": app}}});
    json_patch::merge(&mut spec, need);
    spec
}

fn by_name(api_version: &str, kind: &str, name: &str, need: &Value) -> Value {
    let mut spec = json!({"targetRef": {"apiVersion": api_version, "kind": kind, "name": name}});
    json_patch::merge(&mut spec, need);
    spec
}

/// Waits until a budget says so: total, desired, current and allowed.
async fn counted(sandbox: &Sandbox, name: &str, expected: [i32; 4]) -> Result<PodUnavailableBudget> {
    let is_so = |budget: &PodUnavailableBudget| {
        let counts = |status: &outrigger::budget::api::PodUnavailableBudgetStatus| {
            [status.total_replicas, status.desired_available, status.current_available, status.unavailable_allowed]
        };
        budget.status.as_ref().map(counts) == Some(expected)
    };
    sandbox.watch::<PodUnavailableBudget>().named(name).until_it(&format!("{name} is {expected:?}"), is_so).await
}

async fn linked(sandbox: &Sandbox, app: &str, count: usize, budget: &str) -> Result<()> {
    let is_linked = |pod: &&Pod| {
        ["pub.kruise.io/related-pub", "kruise.io/related-pub"]
            .iter()
            .all(|key| pod.annotations().get(*key).map(String::as_str) == Some(budget))
    };
    let all = |pods: &[&Pod]| pods.len() == count && pods.iter().all(is_linked);
    sandbox.pods(&format!("app={app}"), &format!("{count} pods are linked to {budget}"), all).await.map(drop)
}

async fn scale(sandbox: &Sandbox, name: &str, replicas: i32) -> Result<()> {
    let change = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    sandbox.api::<Deployment>().patch(name, &PatchParams::default(), &change).await?;
    Ok(())
}

/// What `kubectl get pub NAME` prints: title and cell of each column.
async fn columns(sandbox: &Sandbox, name: &str) -> Result<Vec<(String, Value)>> {
    let path = format!("/apis/policy.kruise.io/v1beta1/namespaces/{}/podunavailablebudgets/{name}", sandbox.namespace);
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let request = axum::http::Request::get(path).header("Accept", accept).body(Vec::new())?;
    let table: Value = sandbox.cluster.client().request(request).await?;
    let titles = table["columnDefinitions"].as_array().context("no columns")?.iter().filter_map(|column| column["name"].as_str());
    let cells = table["rows"][0]["cells"].as_array().context("no row")?;
    Ok(titles.map(str::to_owned).zip(cells.iter().cloned()).collect())
}

pub(crate) async fn a_budget_follows_its_workload_whichever_was_there_first(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "budgets").await?;
    make(&sandbox, "early", by_label("early", &json!({"maxUnavailable": "25%"}))).await?;
    counted(&sandbox, "early", [0, 0, 0, 0]).await?;
    sandbox.create(&deployment("early").replicas(4).build()).await?;
    sandbox.create(&deployment("late").replicas(3).build()).await?;
    sandbox.ready_pods("app=late", 3).await?;
    make(&sandbox, "late", by_name("apps/v1", "Deployment", "late", &json!({"minAvailable": 2}))).await?;
    counted(&sandbox, "early", [4, 3, 4, 1]).await?;
    counted(&sandbox, "late", [3, 2, 3, 1]).await?;
    linked(&sandbox, "early", 4, "early").await?;
    linked(&sandbox, "late", 3, "late").await?;
    scale(&sandbox, "early", 8).await?;
    counted(&sandbox, "early", [8, 6, 8, 2]).await?;
    scale(&sandbox, "late", 0).await?;
    let late = counted(&sandbox, "late", [0, 0, 0, 0]).await?;
    let status = late.status.context("no status")?;
    ensure!(status.observed_generation == late.metadata.generation, "{status:?}");
    ensure!(status.conditions.iter().any(|one| one.type_ == "Enforcing" && one.status == "True"), "{status:?}");
    ensure!(server.metric("outrigger_budgets_not_enforcing").await? >= 0.0);
    let columns = columns(&sandbox, "early").await?;
    let shown: Vec<(&str, &Value)> = columns.iter().map(|(title, cell)| (title.as_str(), cell)).collect();
    let expected = [("Name", json!("early")), ("Allowed", json!(2)), ("Current", json!(8)), ("Desired", json!(6)), ("Total", json!(8))];
    ensure!(shown == expected.each_ref().map(|(title, cell)| (*title, cell)), "{shown:?}");
    Ok(())
}

pub(crate) async fn a_budget_counts_a_stateful_set(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = served(&cluster, "budgets-of-sets").await?;
    let labels = json!({"app": "db"});
    let containers = json!([{"name": "main", "image": "registry.example/main:1"}]);
    let set = json!({"metadata": {"name": "db"}, "spec": {"replicas": 3, "serviceName": "db", "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}}});
    sandbox.create::<StatefulSet>(&serde_json::from_value(set)?).await?;
    make(&sandbox, "db", by_name("apps/v1", "StatefulSet", "db", &json!({"maxUnavailable": 1}))).await?;
    counted(&sandbox, "db", [3, 2, 3, 1]).await?;
    linked(&sandbox, "db", 3, "db").await
}

/// A definition of a kind with a scale, in a group that only this sandbox has.
fn definition(group: &str) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let scale =
        json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("rollouts.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "rollouts", "singular": "rollout", "kind": "Rollout"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": {"scale": scale}}]}})
}

pub(crate) async fn a_budget_counts_a_kind_that_nobody_knew_before(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "budgets-of-kinds").await?;
    let (group, client) = (format!("{}.example.com", sandbox.namespace), cluster.client());
    let api_version = format!("{group}/v1");
    make(&sandbox, "shop", by_name(&api_version, "Rollout", "shop", &json!({"maxUnavailable": 0}))).await?;
    let says = |budget: &PodUnavailableBudget, status: &str, reason: &str| {
        let mut conditions = budget.status.iter().flat_map(|status| &status.conditions);
        conditions.any(|one| one.type_ == "Enforcing" && one.status == status && one.reason == reason)
    };
    let watch = || sandbox.watch::<PodUnavailableBudget>().named("shop");
    watch().until_it("it says that there is no such kind", |budget| says(budget, "False", "UnknownKind")).await?;
    // Our own watch may tell the server a moment later than the one of the test.
    eventually("the metric counts it", Duration::from_secs(10), async || {
        ensure!(server.metric("outrigger_budgets_not_enforcing").await? >= 1.0);
        Ok(())
    })
    .await?;
    applying::apply(&client, &sandbox.namespace, definition(&group)).await?;
    applying::established(&client, &format!("rollouts.{group}")).await?;
    let rollout = json!({"apiVersion": api_version, "kind": "Rollout", "metadata": {"name": "shop"}, "spec": {"replicas": 2}});
    let rollout = applying::apply(&client, &sandbox.namespace, rollout).await?;
    let owner = json!([{"apiVersion": api_version, "kind": "Rollout", "name": "shop", "uid": rollout.uid(), "controller": true}]);
    let labels = json!({"app": "shop"});
    let containers = json!([{"name": "main", "image": "registry.example/main:1"}]);
    let set = json!({"metadata": {"name": "shop-1", "ownerReferences": owner}, "spec": {"replicas": 2,
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}}});
    sandbox.create::<ReplicaSet>(&serde_json::from_value(set)?).await?;
    sandbox.ready_pods("app=shop", 2).await?;
    counted(&sandbox, "shop", [2, 2, 2, 0]).await?;
    watch().until_it("it guards them", |budget| says(budget, "True", "Enforced")).await?;
    linked(&sandbox, "shop", 2, "shop").await
}
