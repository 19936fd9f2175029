//! Pods of other workloads than Deployments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::placing::{Limits, in_force, placed_by_server, settled, subset_of, tally, zone_of, zones};
use crate::support::{Cluster, is_ready};

/// Limits are stretches of ordinals, and nothing is counted: a pod that is made anew comes back to where it was.
pub(crate) async fn pods_of_a_stateful_set_are_placed_by_their_ordinals(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "ordinals").await?;
    in_force(&sandbox, [&server], ["apps/v1", "StatefulSet"], "db", &zones([json!(3), json!(2), Value::Null])).await?;
    let template =
        json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "main", "image": "registry.example/db:1"}]}});
    let set = json!({"metadata": {"name": "db"}, "spec": {"serviceName": "db", "replicas": 9, "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {"app": "db"}}, "template": template}});
    sandbox.create(&serde_json::from_value::<StatefulSet>(set)?).await?;
    let places = |pods: &[Pod]| pods.iter().map(|pod| (pod.name_any(), zone_of(pod))).collect::<BTreeMap<_, _>>();
    let all = places(&settled(&sandbox, "db", [3, 2, 4]).await?);
    for (name, ordinals) in [("zone-a", 0..3), ("zone-b", 3..5), ("zone-c", 5..9)] {
        for ordinal in ordinals {
            ensure!(all.get(&format!("db-{ordinal}")) == Some(&Some(name)), "{all:?}");
        }
    }
    let uid = |pods: &[&Pod]| pods.first().and_then(|pod| pod.uid());
    let old = sandbox.api::<Pod>().get("db-4").await?.uid();
    sandbox.api::<Pod>().delete("db-4", &DeleteParams::default()).await?;
    let anew = sandbox.watch::<Pod>().named("db-4");
    anew.until("it is made anew", |pods| uid(pods).is_some_and(|new| Some(new) != old) && pods.iter().all(|pod| is_ready(pod))).await?;
    ensure!(places(&settled(&sandbox, "db", [3, 2, 4]).await?) == all);
    let fewer = Patch::Merge(json!({"spec": {"replicas": 4}}));
    sandbox.api::<StatefulSet>().patch("db", &PatchParams::default(), &fewer).await?;
    settled(&sandbox, "db", [3, 1, 0]).await.map(drop)
}

/// A pod whose work is done has no place any more: the next one gets it.
pub(crate) async fn a_job_fills_the_places_of_pods_that_have_ended(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = placed_by_server(&cluster, "job").await?;
    in_force(&sandbox, [&server], ["batch/v1", "Job"], "load", &zones([json!(8), json!(8), Value::Null])).await?;
    let template = json!({"metadata": {"labels": {"app": "load"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/main:1"}]}});
    let job = json!({"metadata": {"name": "load"}, "spec": {"completions": 100, "parallelism": 20, "template": template}});
    let limits = Limits::of(&[("zone-a", 8), ("zone-b", 8)]);
    let completed = |job: &Job| job.status.as_ref().is_some_and(|status| status.succeeded == Some(100));
    let course = async {
        sandbox.create(&serde_json::from_value::<Job>(job)?).await?;
        sandbox.watch::<Job>().named("load").within(Duration::from_mins(2)).until_it("it is complete", completed).await
    };
    limits.kept_during(&sandbox, "load", course).await?;
    limits.were_reached()?;
    let pods = sandbox.pods("app=load", "its pods", |pods| pods.len() >= 100).await?;
    let used = tally(&pods, |pod| subset_of(pod).unwrap_or_default());
    let (first, last) = (used.get("zone-a").copied().unwrap_or_default(), used.get("zone-c").copied().unwrap_or_default());
    ensure!(!used.contains_key(""), "some have no place: {used:?}");
    // Five waves of twenty: of each the first subset may take eight.
    ensure!(first >= 30 && last <= 40, "places of pods that ended are not given to others: {used:?}");
    let astray = pods.iter().find(|pod| zone_of(pod) != subset_of(pod).as_deref());
    ensure!(astray.is_none(), "in another zone than its subset: {astray:?}");
    Ok(())
}
