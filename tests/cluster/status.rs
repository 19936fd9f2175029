//! The status of a set during a rollout and after it: what a user sees of it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use outrigger::sidecarset::api::SidecarSet;
use serde_json::{Value, json};

use crate::changing::{all_ready_with, change_image, counted, counts, event_of_set, is_observed, progress, rolled_out, told, watch_set};
use crate::support::{Cluster, Sandbox};

/// What the server prints for `kubectl get sidecarset NAME`: title and cell of each column.
async fn columns(sandbox: &Sandbox, name: &str) -> Result<Vec<(String, Value)>> {
    let path = format!("/apis/apps.kruise.io/v1beta1/sidecarsets/{name}");
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let request = axum::http::Request::get(path).header("Accept", accept).body(Vec::new())?;
    let table: Value = sandbox.cluster.client().request(request).await?;
    let titles = table["columnDefinitions"].as_array().context("no columns")?.iter().filter_map(|column| column["name"].as_str());
    let cells = table["rows"][0]["cells"].as_array().context("no row")?;
    Ok(titles.map(str::to_owned).zip(cells.iter().cloned()).collect())
}

pub(crate) async fn a_status_is_true_and_is_written_no_more_than_once_a_second(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = rolled_out(&cluster, "status", 16, json!({"maxUnavailable": 3})).await?;
    let before = counted(&sandbox, "log", [16, 16, 16, 16]).await?;
    let begin = Cell::new(None);
    let versions = RefCell::new(Vec::<SidecarSet>::new());
    let change_it = async {
        begin.set(Some(Instant::now()));
        change_image(&sandbox, "log:2").await.map(drop)
    };
    let done = |sets: &[&SidecarSet]| {
        let Some(set) = sets.first() else { return false };
        let mut versions = versions.borrow_mut();
        if versions.last().is_none_or(|last| last.resource_version() != set.resource_version()) {
            versions.push((*set).clone());
        }
        begin.get().is_some() && is_observed(set) && set.metadata.generation > before.metadata.generation && counts(set) == [16; 4]
    };
    watch_set(&sandbox, "log").until_after("the status says that all are updated", change_it, done).await?;
    let seconds = begin.get().context("it never began")?.elapsed().as_secs();
    // The first was there before, the second is the change itself.
    let versions = versions.into_inner();
    let writes = u64::try_from(versions.len())?.saturating_sub(2);
    ensure!((2..=seconds + 2).contains(&writes), "{writes} writes in {seconds} s");
    let updated: Vec<i32> = versions.iter().filter(|set| is_observed(set)).skip(1).map(|set| counts(set)[1]).collect();
    ensure!(updated.is_sorted(), "the count of updated pods falls: {updated:?}");
    sandbox.pods("app=web", "the pods are as the status says", |pods: &[&Pod]| all_ready_with(pods, 16, "log:2")).await?;
    it_is_true_in_the_end(&sandbox, &before).await
}

async fn it_is_true_in_the_end(sandbox: &Sandbox, before: &SidecarSet) -> Result<()> {
    let set = counted(sandbox, "log", [16, 16, 16, 16]).await?;
    let condition = progress(&set).context("no condition")?;
    ensure!(condition.status == "True" && condition.observed_generation == set.metadata.generation, "{condition:?}");
    let (reason, message) = told(&set)?;
    ensure!(
        (reason, message) == ("AllPodsUpdatedAndReady", "16 of 16 pods have the present revision, 16 of them are ready"),
        "{condition:?}"
    );
    let latest = |set: &SidecarSet| set.status.as_ref().and_then(|status| status.latest_revision.clone());
    ensure!(latest(&set).is_some() && latest(&set) != latest(before), "{:?}", set.status);
    event_of_set(&set, &sandbox.cluster, "RolloutCompleted").await?;
    let columns = columns(sandbox, &set.name_any()).await?;
    let shown: Vec<(&str, &Value)> = columns.iter().map(|(title, cell)| (title.as_str(), cell)).collect();
    let [(_, name), (_, matched), (_, updated), (_, ready), (_, age)] = shown[..] else { anyhow::bail!("{shown:?}") };
    let titles: Vec<_> = shown.iter().map(|(title, _)| *title).collect();
    ensure!(titles == ["Name", "MATCHED", "UPDATED", "READY", "AGE"], "{titles:?}");
    ensure!(*name == json!(set.name_any()) && [matched, updated, ready] == [&json!(16); 3] && age.is_string(), "{shown:?}");
    Ok(())
}
