//! In which order a rollout takes its pods, as a watch sees it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::changing::{Seen, all_ready_with, change, log, spec};
use crate::injection::{apply_set, served};
use crate::support::{Cluster, Sandbox};

/// Name, and the labels that the strategies below look at.
const PODS: [(&str, &str, &str, &str); 6] = [
    ("a", "none", "turn-3", "leader"),
    ("b", "gold", "turn-12", "leader"),
    ("c", "silver", "turn-1", "leader"),
    ("d", "none", "turn-20", "follower"),
    ("e", "gold", "turn-5", "follower"),
    ("f", "silver", "turn-9", "follower"),
];

async fn six_pods(sandbox: &Sandbox) -> Result<()> {
    for (name, grade, turn, role) in PODS {
        let pod = json!({"metadata": {"name": name, "labels": {"app": "six", "tier": "front", "grade": grade, "turn": turn, "role": role}},
            "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]}});
        sandbox.create(&serde_json::from_value::<Pod>(pod)?).await?;
    }
    sandbox.ready_pods("app=six", 6).await.map(drop)
}

/// Rolls an image out by this strategy, one pod at a time; the names of the pods in the order in which they got it.
async fn sequence(sandbox: &Sandbox, image: &str, strategy: Value) -> Result<Vec<String>> {
    let seen = Seen::default();
    let done = |pods: &[&Pod]| {
        seen.look(pods, image);
        all_ready_with(pods, 6, image)
    };
    let change = async { change(sandbox, "log", json!({"containers": [log(image)], "updateStrategy": strategy})).await.map(drop) };
    sandbox.watch::<Pod>().labels("app=six").until_after("all are new", change, done).await?;
    seen.at_most_down(1)?;
    Ok(seen.order())
}

pub(crate) async fn pods_are_updated_by_weight_then_by_number_then_scattered(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "order").await?;
    apply_set(&sandbox, &server, "log", spec("log:1", &json!({"maxUnavailable": 1}))).await?;
    six_pods(&sandbox).await?;
    let is = |grade: &str, weight: i32| json!({"weight": weight, "matchSelector": {"matchLabels": {"grade": grade}}});
    let weights = json!({"priorityStrategy": {"weightPriority": [is("silver", 20), is("gold", 50)]}});
    let order = sequence(&sandbox, "log:2", weights).await?;
    let grades = labels(&order, |pod| pod.1)?;
    ensure!(grades == ["gold", "gold", "silver", "silver", "none", "none"], "by weight: {order:?}");
    let numbers = json!({"priorityStrategy": {"weightPriority": null, "orderPriority": [{"orderedKey": "turn"}]}});
    let order = sequence(&sandbox, "log:3", numbers).await?;
    ensure!(order == ["d", "b", "f", "e", "a", "c"], "by number: {order:?}");
    let scattered = json!({"priorityStrategy": null, "scatterStrategy": [{"key": "role", "value": "leader"}]});
    let order = sequence(&sandbox, "log:4", scattered).await?;
    let roles = labels(&order, |pod| pod.3)?;
    // Made anew for those that are left after each pod, the order alternates; without it two leaders would begin.
    ensure!(roles == ["leader", "follower", "leader", "follower", "leader", "follower"], "scattered: {order:?}");
    // Without any strategy the order is that of Kubernetes, which the pods' readiness decides: pods that became ready last go first.
    let pods = sandbox.ready_pods("app=six", 6).await?;
    let order = sequence(&sandbox, "log:5", json!({"scatterStrategy": null})).await?;
    let since = |name: &String| pods.iter().find(|pod| pod.name_any() == *name).and_then(ready_since);
    ensure!(order.iter().map(since).is_sorted_by(|one, next| one >= next), "by readiness: {order:?}");
    Ok(())
}

fn labels(
    order: &[String],
    label: fn(&(&'static str, &'static str, &'static str, &'static str)) -> &'static str,
) -> Result<Vec<&'static str>> {
    let of = |name: &String| PODS.iter().find(|pod| pod.0 == name).map(label).with_context(|| format!("there is no pod {name}"));
    order.iter().map(of).collect()
}

fn ready_since(pod: &Pod) -> Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == "Ready")?.last_transition_time.clone()
}
