//! The ControllerRevisions of a set, as they are kept in our namespace.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::changing::{annotation, change, change_image, counted, log, planned_again, rolled_out, watch_set};
use crate::support::{Cluster, Sandbox};
use crate::watching::Watch;

const CUSTOM_VERSION: &str = "apps.kruise.io/sidecarset-custom-version";

/// Number and name of each revision of the set `log`, when `done` holds for their numbers.
async fn revisions(sandbox: &Sandbox, numbers: &[i64]) -> Result<BTreeMap<i64, ControllerRevision>> {
    let api = Api::<ControllerRevision>::namespaced(sandbox.cluster.client(), "outrigger-system");
    let selector = format!("kruise.io/sidecarset-name=log-{}", sandbox.namespace);
    let are_these = |revisions: &[&ControllerRevision]| {
        let mut present: Vec<i64> = revisions.iter().filter_map(|revision| revision.revision).collect();
        present.sort_unstable();
        present == numbers
    };
    let revisions = Watch::over(api).labels(&selector).until(&format!("the revisions are {numbers:?}"), are_these).await?;
    Ok(revisions.into_iter().filter_map(|revision| Some((revision.revision?, revision))).collect())
}

fn image_of(revision: &ControllerRevision) -> Option<String> {
    let data = serde_json::to_value(&revision.data).ok()?;
    Some(data.pointer("/spec/containers/0/image")?.as_str()?.trim_start_matches("registry.example/").to_owned())
}

pub(crate) async fn a_rollback_makes_the_old_revision_the_newest_again(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "rollback", 2, json!({"maxUnavailable": 2})).await?;
    let first = revisions(&sandbox, &[1]).await?.remove(&1).context("no first revision")?;
    change_image(&sandbox, "log:2").await?;
    counted(&sandbox, "log", [2, 2, 2, 2]).await?;
    change_image(&sandbox, "log:1").await?;
    let set = counted(&sandbox, "log", [2, 2, 2, 2]).await?;
    let history = revisions(&sandbox, &[2, 3]).await?;
    let newest = history.get(&3).context("no third revision")?;
    ensure!(newest.name_any() == first.name_any() && newest.uid() == first.uid(), "{history:?}");
    ensure!(image_of(newest).as_deref() == Some("log:1"), "{newest:?}");
    ensure!(set.status.and_then(|status| status.latest_revision) == Some(first.name_any()), "the status names another revision");
    let owner =
        newest.owner_references().iter().any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref() && owner.controller == Some(true));
    ensure!(owner, "{:?}", newest.metadata);
    for pod in sandbox.ready_pods("app=web", 2).await? {
        let note = annotation(&pod, "kruise.io/sidecarset-hash")?;
        ensure!(note[set.metadata.name.as_deref().unwrap_or_default()]["controllerRevision"] == json!(first.name_any()), "{note}");
    }
    Ok(())
}

pub(crate) async fn old_revisions_go_but_not_those_that_are_needed(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "history", 2, json!({"maxUnavailable": 2})).await?;
    change(&sandbox, "log", json!({"revisionHistoryLimit": 3, "updateStrategy": {"paused": true}})).await?;
    for version in 2..=4 {
        change(&sandbox, "log", json!({"customVersion": format!("v{version}"), "containers": [log(&format!("log:{version}"))]})).await?;
        counted(&sandbox, "log", [2, 0, 0, 2]).await?;
    }
    // The first is noted on the pods.
    revisions(&sandbox, &[1, 3, 4]).await?;
    // The third is what new pods get.
    change(&sandbox, "log", json!({"injectionStrategy": {"revision": {"customVersion": "v3", "policy": "Always"}}})).await?;
    change(&sandbox, "log", json!({"customVersion": "v5", "containers": [log("log:5")]})).await?;
    counted(&sandbox, "log", [2, 0, 0, 2]).await?;
    let history = revisions(&sandbox, &[1, 3, 5]).await?;
    let versions: Vec<_> = history.values().map(|revision| revision.labels().get(CUSTOM_VERSION).map(String::as_str)).collect();
    ensure!(versions == [None, Some("v3"), Some("v5")], "{versions:?}");
    // Another name for the same content is no other revision.
    change(&sandbox, "log", json!({"customVersion": "v5-final"})).await?;
    planned_again(&sandbox, "log").await?;
    let history = revisions(&sandbox, &[1, 3, 5]).await?;
    let newest = history.get(&5).context("no fifth revision")?;
    ensure!(newest.labels().get(CUSTOM_VERSION).map(String::as_str) == Some("v5-final"), "{:?}", newest.metadata);
    // When pods and injection have gone on, so does the history.
    let go_on = json!({"revisionHistoryLimit": 1, "injectionStrategy": null, "updateStrategy": {"paused": false}});
    change(&sandbox, "log", go_on).await?;
    counted(&sandbox, "log", [2, 2, 2, 2]).await?;
    revisions(&sandbox, &[5]).await?;
    let latest = watch_set(&sandbox, "log").until_it("the set exists", |_| true).await?;
    ensure!(latest.status.and_then(|status| status.latest_revision) == Some(newest.name_any()));
    Ok(())
}
