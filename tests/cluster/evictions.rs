//! A crowd of evictions, three servers that answer them, and a killer: what a budget allows goes, and never more.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::Client;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;

use crate::forwarder::Forwarder;
use crate::guarding::{Fewest, counted, evict, linked_pods, make_budget, one_client, watch_budget};
use crate::injection::{WEBHOOKS, define};
use crate::keys::Identity;
use crate::leaders::leading;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox, deployment};
use crate::webhooks::Endpoint;

const OWN: &str = "crowd-system";
const PODS: usize = 300;
const ALLOWED: usize = 150;
/// How many evictions are asked for before the server that was killed first is back.
const FIRST: usize = 100;

/// Three servers behind one address.
struct Replicas {
    identity: Identity,
    forwarder: Forwarder,
    servers: Vec<(String, Outrigger)>,
    started: usize,
}

impl Replicas {
    async fn start(cluster: &Cluster) -> Result<Self> {
        let (identity, forwarder) = (Identity::for_loopback("outrigger")?, Forwarder::start(Vec::new()).await?);
        let mut replicas = Self { identity, forwarder, servers: Vec::new(), started: 0 };
        for _ in 0..3 {
            replicas.one_more(cluster).await?;
        }
        Ok(replicas)
    }

    async fn one_more(&mut self, cluster: &Cluster) -> Result<()> {
        self.started += 1;
        let name = format!("replica-{}", self.started);
        let server = Outrigger::start_as(&self.identity, cluster, OWN, &[&format!("--pod-name={name}")]).await?;
        self.servers.push((name, server));
        self.forwarder.point_to(self.servers.iter().map(|(_, server)| server.endpoint().port).collect());
        Ok(())
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint { port: self.forwarder.port, authority_pem: self.identity.authority.clone() }
    }

    /// Kills the leader with signal 9, and starts another server in its place. Until that is ready, a third of all connections meets
    /// nobody.
    async fn kill_the_leader(&mut self, cluster: &Cluster, gone: &mut Vec<String>) -> Result<()> {
        let leader = leading(cluster, OWN, gone).await?;
        let at = self.servers.iter().position(|(name, _)| *name == leader).with_context(|| format!("there is no {leader}"))?;
        let (_, server) = self.servers.remove(at);
        server.kill()?;
        gone.push(leader);
        self.one_more(cluster).await
    }
}

/// Evictions that are under way.
struct Crowd {
    /// The pods that nobody has asked for yet, and how many were asked for.
    left: Mutex<(Vec<String>, usize)>,
    /// How many may be asked for by now.
    open: watch::Sender<usize>,
    /// How many passed.
    passed: watch::Sender<usize>,
}

impl Crowd {
    /// Evicts until no pod is left.
    async fn join(&self, client: Client, sandbox: &Sandbox) -> Result<()> {
        let mut open = self.open.subscribe();
        loop {
            let Some((pod, number)) = self.next() else { return Ok(()) };
            open.wait_for(|open| number < *open).await?;
            if is_evicted(&client, sandbox, &pod).await? {
                self.passed.send_modify(|passed| *passed += 1);
            }
        }
    }

    fn next(&self) -> Option<(String, usize)> {
        let mut left = self.left.lock();
        let pod = left.0.pop()?;
        left.1 += 1;
        Some((pod, left.1 - 1))
    }
}

/// Whether the pod is evicted in the end. Who was not answered, because a server was killed, asks again.
async fn is_evicted(client: &Client, sandbox: &Sandbox, pod: &str) -> Result<bool> {
    loop {
        let Err(refusal) = evict(client, sandbox, pod).await? else { return Ok(true) };
        match refusal.code {
            429 if refusal.message.contains(" are needed") => return Ok(false),
            429 if refusal.message.contains("nobody can tell") => {}
            403 if refusal.message.contains("no replica of Outrigger answered") => {}
            _ => bail!("{pod}: {refusal:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// From now on no pod takes the place of one that goes.
async fn forbid_new_pods(sandbox: &Sandbox) -> Result<()> {
    let quota = json!({"metadata": {"name": "no-more"}, "spec": {"hard": {"pods": "1"}}});
    sandbox.create(&serde_json::from_value::<ResourceQuota>(quota)?).await?;
    let used = |quota: &ResourceQuota| quota.status.as_ref()?.used.as_ref()?.get("pods").map(|used| used.0.clone());
    let is_known = |quota: &ResourceQuota| used(quota).is_some_and(|used| used == PODS.to_string());
    sandbox.watch::<ResourceQuota>().named("no-more").until_it("the quota counts", is_known).await.map(drop)
}

pub(crate) async fn of_three_hundred_evictions_half_pass_while_servers_are_killed(cluster: Arc<Cluster>) -> Result<()> {
    define(&cluster).await?;
    let sandbox = cluster.sandbox("crowd").await?;
    let mut replicas = Replicas::start(&cluster).await?;
    sandbox.install_webhooks(WEBHOOKS, &replicas.endpoint()).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": ALLOWED})).await?;
    sandbox.create(&deployment("web").replicas(i32::try_from(PODS)?).build()).await?;
    let pods = linked_pods(&sandbox, "web", PODS).await?;
    counted(&sandbox, "web", [300, 300, 150]).await?;
    forbid_new_pods(&sandbox).await?;
    let clients = try_join_all((0..64).map(|_| one_client(&cluster))).await?;
    let crowd = Crowd { left: Mutex::new((pods, 0)), open: watch::Sender::new(FIRST), passed: watch::Sender::new(0) };
    let evictions = async { try_join_all(clients.into_iter().map(|client| crowd.join(client, &sandbox))).await.map(drop) };
    let kills = async {
        let (mut passed, mut gone) = (crowd.passed.subscribe(), Vec::new());
        passed.wait_for(|passed| *passed >= 30).await?;
        replicas.kill_the_leader(&cluster, &mut gone).await?;
        crowd.open.send_replace(PODS);
        passed.wait_for(|passed| *passed >= FIRST + 10).await?;
        replicas.kill_the_leader(&cluster, &mut gone).await
    };
    let fewest = Fewest::default();
    let done = |pods: &[&Pod]| {
        fewest.look(pods);
        pods.len() == PODS - ALLOWED
    };
    let both = async {
        futures::try_join!(evictions, kills)?;
        let passed = *crowd.passed.borrow();
        let budget = watch_budget(&sandbox, "web").until_it("there is the budget", |_| true).await?;
        ensure!(passed == ALLOWED, "{passed} evictions passed: {:?}", budget.status);
        Ok(())
    };
    let watch = sandbox.watch::<Pod>().labels("app=web").within(Duration::from_secs(90));
    watch.until_after("half of the pods are gone", both, done).await?;
    fewest.was(PODS - ALLOWED)?;
    at_rest(&sandbox).await
}

/// Returns when nothing is recorded any more, and nothing is allowed. No more pods are gone then.
async fn at_rest(sandbox: &Sandbox) -> Result<()> {
    let watch = watch_budget(sandbox, "web").within(Duration::from_secs(45));
    let is_at_rest = |budget: &::outrigger::budget::api::PodUnavailableBudget| {
        budget.status.as_ref().is_some_and(|status| {
            status.disrupted_pods.is_empty()
                && status.unavailable_pods.is_empty()
                && status.unavailable_allowed == 0
                && status.current_available == 150
        })
    };
    watch.until_it("nothing is recorded, nothing is allowed", is_at_rest).await?;
    let left = sandbox.pods("app=web", "those that are left", |pods| !pods.is_empty()).await?;
    ensure!(left.len() == PODS - ALLOWED, "{} pods are left", left.len());
    Ok(())
}
