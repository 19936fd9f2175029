//! Sets that are changed, and what can be seen of them and of their pods while the change goes through.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use outrigger::sidecarset::api::SidecarSet;
use serde_json::{Value, json};

use crate::injection::{apply_set, injects, served};
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox, deployment, is_ready};
use crate::watching::Watch;

/// A sandbox with a set `log` (`registry.example/log:1`, this update strategy) and a Deployment `web` of so many ready pods that have it.
pub(crate) async fn rolled_out(cluster: &Arc<Cluster>, purpose: &str, replicas: i32, strategy: Value) -> Result<(Sandbox, Outrigger)> {
    let (sandbox, server) = served(cluster, purpose).await?;
    furnish(&sandbox, &server, replicas, &strategy).await?;
    Ok((sandbox, server))
}

/// Makes the set, then the Deployment, and waits for the pods. They note the set's first revision: nobody may lead for some seconds
/// after another test has ended, and what was changed again by then was never recorded.
pub(crate) async fn furnish(sandbox: &Sandbox, server: &Outrigger, replicas: i32, strategy: &Value) -> Result<()> {
    apply_set(sandbox, server, "log", spec("log:1", strategy)).await?;
    let latest = |set: &SidecarSet| set.status.as_ref().and_then(|status| status.latest_revision.clone());
    let set = watch_set(sandbox, "log").until_it("its first revision is recorded", |set| latest(set).is_some()).await?;
    injects(sandbox, server, &latest(&set).unwrap_or_default()).await?;
    sandbox.create(&deployment("web").replicas(replicas).label("tier", "front").build()).await?;
    sandbox.ready_pods("app=web", usize::try_from(replicas)?).await.map(drop)
}

/// A set with one sidecar, `log`.
pub(crate) fn spec(image: &str, strategy: &Value) -> Value {
    json!({"containers": [log(image)], "updateStrategy": strategy})
}

pub(crate) fn log(image: &str) -> Value {
    json!({"name": "log", "image": format!("registry.example/{image}")})
}

/// Changes the stored set of the sandbox: a merge patch of its spec.
pub(crate) async fn change(sandbox: &Sandbox, set: &str, spec: Value) -> Result<SidecarSet> {
    let sets = Api::<SidecarSet>::all(sandbox.cluster.client());
    let name = format!("{set}-{}", sandbox.namespace);
    Ok(sets.patch(&name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?)
}

/// Another image for the only sidecar, `log`.
pub(crate) async fn change_image(sandbox: &Sandbox, image: &str) -> Result<SidecarSet> {
    change(sandbox, "log", json!({"containers": [log(image)]})).await
}

/// A watch of the set of the sandbox.
pub(crate) fn watch_set(sandbox: &Sandbox, set: &str) -> Watch<SidecarSet> {
    sandbox.cluster.watch::<SidecarSet>().named(&format!("{set}-{}", sandbox.namespace))
}

/// Whether the status speaks of the set as it is.
pub(crate) fn is_observed(set: &SidecarSet) -> bool {
    set.status.as_ref().is_some_and(|status| status.observed_generation == set.metadata.generation)
}

/// Matched, updated, updated and ready, ready.
pub(crate) fn counts(set: &SidecarSet) -> [i32; 4] {
    let status = set.status.clone().unwrap_or_default();
    [status.matched_pods, status.updated_pods, status.updated_ready_pods.unwrap_or_default(), status.ready_pods]
}

/// Returns the set when its status speaks of it as it is, with these counts.
pub(crate) async fn counted(sandbox: &Sandbox, set: &str, wanted: [i32; 4]) -> Result<SidecarSet> {
    let what = format!("the status of {set} counts {wanted:?}");
    watch_set(sandbox, set).until_it(&what, |set| is_observed(set) && counts(set) == wanted).await
}

/// Returns when the reconciler has made a plan, carried it out and made another one: whatever was to be done at once is done.
pub(crate) async fn planned_again(sandbox: &Sandbox, set: &str) -> Result<SidecarSet> {
    let mut seen = watch_set(sandbox, set).until_it("the set exists", |_| true).await?;
    for _ in 0..2 {
        // This changes nothing but the generation.
        let limit = seen.spec.revision_history_limit.unwrap_or(10) + 1;
        let changed = change(sandbox, set, json!({"revisionHistoryLimit": limit})).await?;
        let is_seen = |set: &SidecarSet| is_observed(set) && set.metadata.generation >= changed.metadata.generation;
        seen = watch_set(sandbox, set).until_it("the changed set was looked at", is_seen).await?;
    }
    Ok(seen)
}

/// The condition that says how far the rollout is.
pub(crate) fn progress(set: &SidecarSet) -> Option<&Condition> {
    set.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == "Updated")
}

/// Reason and message of that condition.
pub(crate) fn told(set: &SidecarSet) -> Result<(&str, &str)> {
    let condition = progress(set).context("no condition Updated")?;
    Ok((&condition.reason, &condition.message))
}

/// Waits for an event about the object of this name.
pub(crate) async fn event(events: Api<Event>, about: &str, reason: &str) -> Result<()> {
    let is_it = |event: &&&Event| {
        event.reason.as_deref() == Some(reason)
            && event.regarding.as_ref().is_some_and(|regarding| regarding.name.as_deref() == Some(about))
    };
    let what = format!("there is an event {reason} about {about}");
    Watch::over(events).within(Duration::from_secs(20)).until(&what, |events| events.iter().any(|event| is_it(&event))).await.map(drop)
}

/// Waits for an event about the set: what has no namespace has its events in `default`.
pub(crate) async fn event_of_set(set: &SidecarSet, cluster: &Cluster, reason: &str) -> Result<()> {
    event(Api::namespaced(cluster.client(), "default"), &set.name_any(), reason).await
}

/// The image of a container of the pod, as the spec wants it, without the registry.
pub(crate) fn image<'p>(pod: &'p Pod, container: &str) -> &'p str {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let image = containers.filter(|one| one.name == container).find_map(|one| one.image.as_deref()).unwrap_or_default();
    image.trim_start_matches("registry.example/")
}

/// How many of the pods have this image in their sidecar `log`.
pub(crate) fn with_image(pods: &[&Pod], wanted: &str) -> usize {
    pods.iter().filter(|pod| image(pod, "log") == wanted).count()
}

/// Whether the container is to run this image, and does: a pod whose image was changed a moment ago is still ready with the old one.
pub(crate) fn runs(pod: &Pod, container: &str, wanted: &str) -> bool {
    let status = pod.status.as_ref();
    let statuses = status.into_iter().flat_map(|status| [&status.init_container_statuses, &status.container_statuses]).flatten().flatten();
    let mut running = statuses.filter(|status| status.name == container && status.ready && status.started == Some(true));
    image(pod, container) == wanted && running.any(|status| status.image.trim_start_matches("registry.example/") == wanted)
}

/// Whether there are so many pods, all of them ready and running this image.
pub(crate) fn all_ready_with(pods: &[&Pod], count: usize, wanted: &str) -> bool {
    pods.len() == count && pods.iter().all(|pod| is_ready(pod) && runs(pod, "log", wanted))
}

/// An annotation that holds JSON.
pub(crate) fn annotation(pod: &Pod, key: &str) -> Result<Value> {
    let text = pod.annotations().get(key).with_context(|| format!("{} has no annotation {key}", pod.name_any()))?;
    Ok(serde_json::from_str(text)?)
}

/// What a watch saw of pods that are changed: how many were down at once, and which got the new image in which order.
#[derive(Default)]
pub(crate) struct Seen(RefCell<Facts>);

#[derive(Default)]
struct Facts {
    most_down: usize,
    order: Vec<String>,
}

impl Seen {
    /// Looks at the pods as they are at this moment.
    pub(crate) fn look(&self, pods: &[&Pod], new_image: &str) {
        let mut facts = self.0.borrow_mut();
        facts.most_down = facts.most_down.max(pods.iter().filter(|pod| !is_ready(pod)).count());
        for pod in pods.iter().filter(|pod| image(pod, "log") == new_image) {
            let name = pod.name_any();
            if !facts.order.contains(&name) {
                facts.order.push(name);
            }
        }
    }

    pub(crate) fn order(&self) -> Vec<String> {
        self.0.borrow().order.clone()
    }

    /// An error unless some pods were down, and never more than these.
    pub(crate) fn at_most_down(&self, limit: usize) -> Result<()> {
        let most = self.0.borrow().most_down;
        ensure!((1..=limit).contains(&most), "{most} pods were down at once");
        Ok(())
    }
}
