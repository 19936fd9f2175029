//! Budgets in a real cluster: how they are made, how pods are evicted, and what is seen meanwhile.

use std::cell::Cell;
use std::time::Duration;

use ::outrigger::budget::api::PodUnavailableBudget;
use anyhow::{Context, Result, ensure};
use http::{Method, Request};
use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};

use crate::support::{Cluster, Sandbox, is_ready};
use crate::watching::Watch;

/// The annotation that links a pod to its budget.
const LINK: &str = "pub.kruise.io/related-pub";

/// Makes a budget of the pods labelled `app=NAME`; further members of its spec are merged in.
pub(crate) async fn make_budget(sandbox: &Sandbox, name: &str, spec: Value) -> Result<()> {
    let mut whole = json!({"selector": {"matchLabels": {"app": name}}});
    json_patch::merge(&mut whole, &spec);
    let budget =
        json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "metadata": {"name": name}, "spec": whole});
    sandbox.apply_yaml(&budget.to_string()).await.map(drop)
}

/// A watch of a budget.
pub(crate) fn watch_budget(sandbox: &Sandbox, name: &str) -> Watch<PodUnavailableBudget> {
    Watch::over(Api::<PodUnavailableBudget>::namespaced(sandbox.cluster.client(), &sandbox.namespace)).named(name)
}

/// Returns the budget when it has counted its pods: total, available, allowed.
pub(crate) async fn counted(sandbox: &Sandbox, name: &str, wanted: [i32; 3]) -> Result<PodUnavailableBudget> {
    let is_so = |budget: &PodUnavailableBudget| {
        budget.status.as_ref().is_some_and(|status| {
            status.observed_generation == budget.metadata.generation
                && [status.total_replicas, status.current_available, status.unavailable_allowed] == wanted
        })
    };
    watch_budget(sandbox, name).until_it(&format!("budget {name} counts {wanted:?}"), is_so).await
}

/// Returns the names of the pods when there are so many, all ready and linked to the budget of their name.
pub(crate) async fn linked_pods(sandbox: &Sandbox, name: &str, count: usize) -> Result<Vec<String>> {
    let is_linked = |pod: &Pod| pod.annotations().get(LINK).is_some_and(|budget| budget == name);
    let done = |pods: &[&Pod]| pods.len() == count && pods.iter().all(|pod| is_ready(pod) && is_linked(pod));
    let watch = sandbox.watch::<Pod>().labels(&format!("app={name}")).within(Duration::from_mins(2));
    let pods = watch.until(&format!("{count} pods are ready and linked"), done).await?;
    Ok(pods.iter().map(ResourceExt::name_any).collect())
}

/// Why something was refused, as the API server says it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// Seconds; 0 if nothing is said.
    pub(crate) retry_after: u32,
}

/// A client of its own connection that sends each request once.
pub(crate) async fn one_client(cluster: &Cluster) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(cluster.plane.kubeconfig())?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Asks for the eviction of a pod, through the eviction API.
pub(crate) async fn evict(client: &Client, sandbox: &Sandbox, pod: &str) -> Result<Result<(), Refusal>> {
    evict_with(client, sandbox, pod, json!({})).await
}

/// The same with further members of the eviction.
pub(crate) async fn evict_with(client: &Client, sandbox: &Sandbox, pod: &str, more: Value) -> Result<Result<(), Refusal>> {
    let mut eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": sandbox.namespace}});
    json_patch::merge(&mut eviction, &more);
    ask(client, &Method::POST, &format!("{}/eviction", path(sandbox, pod)), &eviction).await
}

/// Where a pod of the sandbox is.
pub(crate) fn path(sandbox: &Sandbox, pod: &str) -> String {
    format!("/api/v1/namespaces/{}/pods/{pod}", sandbox.namespace)
}

/// Sends a request, and gives what the API server has against it. A patch is a merge patch, or a JSON patch if it is a list.
pub(crate) async fn ask(client: &Client, method: &Method, path: &str, body: &Value) -> Result<Result<(), Refusal>> {
    let kind = match *method {
        Method::PATCH if body.is_array() => "application/json-patch+json",
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body.to_string().into_bytes())?;
    match client.request::<Value>(request).await {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) => {
            let retry_after = status.details.as_ref().map(|details| details.retry_after_seconds).unwrap_or_default();
            Ok(Err(Refusal { code: status.code, reason: status.reason.clone(), message: status.message.clone(), retry_after }))
        }
        Err(error) => Err(error).with_context(|| format!("{method} {path}")),
    }
}

/// The fewest pods that were available at any moment since it first looked.
#[derive(Default)]
pub(crate) struct Fewest(Cell<Option<usize>>);

impl Fewest {
    /// Looks at the pods as they are at this moment.
    pub(crate) fn look(&self, pods: &[&Pod]) {
        let available = pods.iter().filter(|pod| is_available(pod)).count();
        self.0.set(Some(self.0.get().map_or(available, |fewest| fewest.min(available))));
    }

    /// An error if there were ever fewer, or if there were always more: then nothing was put to the test.
    pub(crate) fn was(&self, limit: usize) -> Result<()> {
        ensure!(self.0.get() == Some(limit), "at the worst moment {:?} pods were available, not {limit}", self.0.get());
        Ok(())
    }
}

/// Ready, and not about to go.
pub(crate) fn is_available(pod: &Pod) -> bool {
    is_ready(pod) && pod.metadata.deletion_timestamp.is_none()
}
