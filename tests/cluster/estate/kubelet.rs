//! A kubelet for our own pods: each runs as a real server of ours, with the arguments, environment, account and volumes that its pod has, is
//! probed as its pod says, restarted when it ends, and told to end when its pod is deleted. (KWOK leaves these pods alone, see stages.yaml.)

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use outrigger::cluster::watch::Pauses;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::container::Site;
use super::network::Sockets;
use crate::keys;
use crate::supervisor::{Process, Supervisor};

/// Which pods are run here.
pub(crate) const OURS: &str = "app.kubernetes.io/name=outrigger";

/// Ends when dropped, and all that it runs with it.
pub(crate) struct Kubelet {
    node: Arc<Node>,
    stop: CancellationToken,
}

/// What all pods have in common.
pub(super) struct Node {
    pub(super) client: Client,
    pub(super) supervisor: Arc<Supervisor>,
    /// Each pod has a folder in it.
    pub(super) folder: PathBuf,
    /// Where pods find the API server, and the authority of its certificate.
    pub(super) api_server: (u16, PathBuf),
    sockets: Sockets,
    running: Mutex<BTreeMap<String, Server>>,
    holds: AtomicBool,
    addresses: AtomicU8,
}

/// A pod that runs.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) pod: String,
    pub(crate) process: Arc<Process>,
    /// Its admin port on loopback.
    pub(crate) admin: u16,
    /// Where it answers reviews, on loopback.
    pub(crate) reviews: u16,
}

impl Kubelet {
    pub(crate) fn start(
        client: Client,
        supervisor: Arc<Supervisor>,
        folder: PathBuf,
        api_server: (u16, PathBuf),
        sockets: Sockets,
    ) -> Self {
        let (running, holds, addresses) = (Mutex::default(), AtomicBool::new(false), AtomicU8::new(1));
        let node = Arc::new(Node { client, supervisor, folder, api_server, sockets, running, holds, addresses });
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&node).follow(tasks.clone(), stop.child_token())));
        Self { node, stop }
    }

    /// All that run at the moment, by the name of their pods.
    pub(crate) fn servers(&self) -> Vec<Server> {
        self.node.running.lock().values().cloned().collect()
    }

    /// Kills all with signal 9; they stay down until `release`.
    pub(crate) fn kill_all(&self) -> Result<()> {
        self.node.holds.store(true, Ordering::Relaxed);
        self.servers().iter().try_for_each(|server| server.process.kill())
    }

    /// What was killed is started again.
    pub(crate) fn release(&self) {
        self.node.holds.store(false, Ordering::Relaxed);
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Node {
    async fn follow(self: Arc<Self>, tasks: TaskTracker, stop: CancellationToken) {
        let mut alive: BTreeMap<String, CancellationToken> = BTreeMap::new();
        let mut events =
            pin!(watcher(Api::<Pod>::all(self.client.clone()), watcher::Config::default().labels(OURS)).backoff(Pauses::default()));
        loop {
            let pod = match events.try_next().await {
                Ok(Some(Event::Apply(pod) | Event::InitApply(pod))) => pod,
                Ok(Some(Event::Delete(pod))) => {
                    alive.remove(&pod.uid().unwrap_or_default()).inspect(CancellationToken::cancel);
                    continue;
                }
                Ok(Some(_)) | Err(_) => continue,
                Ok(None) => return,
            };
            if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
                continue;
            }
            let going = alive.entry(pod.uid().unwrap_or_default()).or_insert_with(|| {
                let (going, node, pod) = (stop.child_token(), Arc::clone(&self), pod.clone());
                let told = going.clone();
                tasks.spawn(async move {
                    let name = pod.name_any();
                    if let Err(error) = Box::pin(node.live(pod, told)).await {
                        tracing::warn!(%error, pod = name, "a pod cannot be run");
                    }
                });
                going
            });
            if pod.metadata.deletion_timestamp.is_some() {
                going.cancel();
            }
        }
    }

    /// From the assignment to the node until the pod is gone.
    async fn live(self: Arc<Self>, pod: Pod, going: CancellationToken) -> Result<()> {
        let (name, api) = (pod.name_any(), Api::<Pod>::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default()));
        let life = Life {
            address: format!("10.250.0.{}", self.addresses.fetch_add(1, Ordering::Relaxed)),
            ports: (keys::free_port()?, keys::free_port()?),
            container: pod.spec.as_ref().and_then(|spec| spec.containers.first()).context("no container")?.clone(),
            grace: pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30),
            node: &self,
            api,
            pod,
        };
        let lived = going.run_until_cancelled(life.run()).await.unwrap_or(Ok(()));
        let server = self.running.lock().get(&name).cloned();
        if let Some(server) = server {
            let _ = server.process.terminate();
            let deadline = Instant::now() + Duration::from_secs(life.grace.unsigned_abs());
            while server.process.ended()?.is_none() && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            server.process.kill()?;
        }
        self.running.lock().remove(&name);
        let uid = Preconditions { uid: life.pod.uid(), resource_version: None };
        let now = DeleteParams { grace_period_seconds: Some(0), preconditions: Some(uid), ..DeleteParams::default() };
        // Whoever else deleted it has done what was wanted.
        let _ = life.api.delete(&name, &now).await;
        lived
    }
}

/// One pod's life.
struct Life<'a> {
    node: &'a Node,
    pod: Pod,
    api: Api<Pod>,
    container: Container,
    address: String,
    /// Of reviews and of the admin port.
    ports: (u16, u16),
    grace: i64,
}

/// How a probe is asked.
struct Asked {
    url: String,
    period: Duration,
    timeout: Duration,
    failures: i32,
}

impl Life<'_> {
    async fn run(&self) -> Result<()> {
        let name = self.pod.name_any();
        let site = Site::of(self.node, &self.pod, &self.container, &self.address, self.ports).await?;
        {
            let mut sockets = self.node.sockets.lock();
            for port in self.container.ports.iter().flatten() {
                let end = if port.name.as_deref() == Some("https") { self.ports.0 } else { self.ports.1 };
                sockets.insert((self.address.clone(), port.container_port), end);
            }
        }
        for restarts in 0.. {
            site.mount().await;
            let process = Arc::new(self.node.supervisor.run(site.program())?);
            let server = Server { pod: name.clone(), process: Arc::clone(&process), admin: self.ports.1, reviews: self.ports.0 };
            self.node.running.lock().insert(name.clone(), server);
            let ended = tokio::select! {
                ended = self.probed(&process, restarts) => ended,
                refreshed = site.refresh() => refreshed,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, pod = name, "it is started again");
            }
            process.kill()?;
            self.report(false, restarts).await?;
            // A kubelet waits longer and longer; ten seconds are its first pause.
            tokio::time::sleep(Duration::from_millis(if restarts == 0 { 200 } else { 2000 })).await;
            while self.node.holds.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Probes until the container has ended, or is not alive by its own probe.
    async fn probed(&self, process: &Process, restarts: i32) -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let readiness = self.asked(self.container.readiness_probe.as_ref())?;
        let liveness = self.asked(self.container.liveness_probe.as_ref())?;
        let ready = async {
            let (mut failed, mut was) = (readiness.failures, None);
            loop {
                let answers = probe(&http, &readiness).await;
                failed = if answers { 0 } else { failed.saturating_add(1) };
                let is = answers || (failed < readiness.failures && was == Some(true));
                if was != Some(is) {
                    self.report(is, restarts).await?;
                    was = Some(is);
                }
                // Until the first success it is asked more often than a kubelet asks: that only makes tests shorter.
                tokio::time::sleep(if is { readiness.period } else { Duration::from_millis(100) }).await;
            }
        };
        let alive = async {
            let mut failed = 0;
            loop {
                tokio::time::sleep(liveness.period).await;
                failed = if probe(&http, &liveness).await { 0 } else { failed + 1 };
                ensure!(failed < liveness.failures, "it is not alive");
            }
        };
        let runs = async {
            loop {
                process.still_runs()?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            end = ready => end,
            end = alive => end,
            end = runs => end,
        }
    }

    fn asked(&self, probe: Option<&Probe>) -> Result<Asked> {
        let probe = probe.context("a container of ours has probes")?;
        let path = probe.http_get.as_ref().and_then(|get| get.path.clone()).context("a probe of ours asks by HTTP")?;
        let seconds = |value: Option<i32>, otherwise: u32| Duration::from_secs(value.map_or(otherwise, i32::unsigned_abs).into());
        Ok(Asked {
            url: format!("http://127.0.0.1:{}{path}", self.ports.1),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            failures: probe.failure_threshold.unwrap_or(3),
        })
    }

    async fn report(&self, is_ready: bool, restarts: i32) -> Result<()> {
        let status = status(&self.pod, &self.container, &self.address, is_ready, restarts);
        let name = self.pod.name_any();
        self.api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await?;
        Ok(())
    }
}

async fn probe(http: &reqwest::Client, asked: &Asked) -> bool {
    let answer = http.get(&asked.url).timeout(asked.timeout).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

fn status(pod: &Pod, container: &Container, address: &str, is_ready: bool, restarts: i32) -> Value {
    let truth = |value: bool| if value { "True" } else { "False" };
    let scheduled =
        pod.status.iter().flat_map(|status| status.conditions.iter().flatten()).find(|condition| condition.type_ == "PodScheduled");
    let own =
        ["Initialized", "ContainersReady", "Ready"].map(|name| json!({"type": name, "status": truth(is_ready || name == "Initialized")}));
    let conditions: Vec<_> = scheduled.map(|condition| json!(condition)).into_iter().chain(own).collect();
    json!({
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": conditions,
        "containerStatuses": [{
            "name": container.name, "image": container.image, "imageID": format!("{}@sha256:0", container.name),
            "ready": is_ready, "started": true, "restartCount": restarts, "state": {"running": {}},
        }],
    })
}
