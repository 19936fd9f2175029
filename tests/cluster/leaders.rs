//! The leader dies or goes in the middle of a rollout. These tests run alone, so that they know who stands for election.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::changing::{Seen, all_ready_with, change_image, counted, furnish, image, with_image};
use crate::control_plane::eventually;
use crate::injection::served_from;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox};
use crate::watching::Watch;

/// Replicas of one deployment. The first answers the sandbox's webhooks.
struct Replicas {
    namespace: String,
    flags: &'static [&'static str],
    servers: Vec<(String, Outrigger)>,
}

impl Replicas {
    async fn start(cluster: &Arc<Cluster>, purpose: &str, count: usize, flags: &'static [&'static str]) -> Result<(Sandbox, Self)> {
        // Leases of their own: a long one that a failed test leaves behind is nobody else's trouble.
        let namespace = format!("{purpose}-system");
        let (sandbox, server) = served_from(cluster, purpose, &namespace, &[flags, &["--pod-name=replica-1"]].concat()).await?;
        let mut replicas = Self { namespace, flags, servers: vec![("replica-1".to_owned(), server)] };
        while replicas.servers.len() < count {
            replicas.one_more(cluster).await?;
        }
        Ok((sandbox, replicas))
    }

    async fn one_more(&mut self, cluster: &Cluster) -> Result<()> {
        let name = format!("replica-{}", self.servers.len() + 1);
        let own = format!("--pod-name={name}");
        let server = Outrigger::start(cluster, &self.namespace, &[self.flags, &[own.as_str()]].concat()).await?;
        self.servers.push((name, server));
        Ok(())
    }

    /// Returns the name of the replica that leads as soon as it is none of these.
    async fn leader(&self, cluster: &Cluster, gone: &[String]) -> Result<String> {
        leading(cluster, &self.namespace, gone).await
    }

    fn server(&self, name: &str) -> Result<&Outrigger> {
        let (_, server) = self.servers.iter().find(|(other, _)| other == name).with_context(|| format!("there is no {name}"))?;
        Ok(server)
    }
}

/// Returns the name of the replica that leads in this namespace as soon as it is none of these.
pub(crate) async fn leading(cluster: &Cluster, namespace: &str, gone: &[String]) -> Result<String> {
    let leases = Api::<Lease>::namespaced(cluster.client(), namespace);
    let leads = |lease: &Lease| holder(lease).is_some_and(|holder| !gone.contains(&holder));
    let lease = Watch::over(leases).named("outrigger").within(Duration::from_secs(20)).until_it("a replica leads", leads).await?;
    holder(&lease).context("no holder")
}

fn holder(lease: &Lease) -> Option<String> {
    let identity = lease.spec.as_ref()?.holder_identity.as_deref()?;
    let (pod, _) = identity.rsplit_once('_')?;
    Some(pod.to_owned())
}

/// What each pod was seen to be: its images, and what it noted of its set.
#[derive(Default)]
struct Lives(RefCell<BTreeMap<String, BTreeSet<(String, String)>>>);

impl Lives {
    fn look(&self, pods: &[&Pod]) {
        let mut lives = self.0.borrow_mut();
        for pod in pods {
            let note = pod.annotations().get("kruise.io/sidecarset-hash").cloned().unwrap_or_default();
            lives.entry(pod.name_any()).or_default().insert((image(pod, "log").to_owned(), note));
        }
    }

    /// An error unless each pod was changed exactly once.
    fn changed_once(&self, pods: &[Pod]) -> Result<()> {
        for (name, states) in self.0.borrow().iter() {
            ensure!(states.len() == 2, "{name} was {} things: {states:?}", states.len());
        }
        for pod in pods {
            ensure!(pod.metadata.generation == Some(2), "{} has generation {:?}", pod.name_any(), pod.metadata.generation);
        }
        Ok(())
    }
}

pub(crate) async fn a_leader_killed_three_times_in_a_rollout_costs_nothing(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, mut replicas) = Replicas::start(&cluster, "killed-leaders", 3, &[]).await?;
    let (_, first) = replicas.servers.first().context("no server")?;
    furnish(&sandbox, first, 60, &json!({"maxUnavailable": "10%"})).await?;
    let (progress, mut seen_progress) = tokio::sync::watch::channel(0);
    let kills = async {
        let mut gone = Vec::new();
        change_image(&sandbox, "log:2").await?;
        for updated in [6, 20, 36] {
            seen_progress.wait_for(|now| *now >= updated).await?;
            let leader = replicas.leader(&cluster, &gone).await?;
            replicas.server(&leader)?.kill()?;
            gone.push(leader);
            replicas.one_more(&cluster).await?;
        }
        let last = replicas.leader(&cluster, &gone).await?;
        ensure!(gone.iter().collect::<BTreeSet<_>>().len() == 3 && !gone.contains(&last), "{gone:?} {last}");
        Ok(())
    };
    let (seen, lives) = (Seen::default(), Lives::default());
    let done = |pods: &[&Pod]| {
        seen.look(pods, "log:2");
        lives.look(pods);
        progress.send_replace(with_image(pods, "log:2"));
        all_ready_with(pods, 60, "log:2")
    };
    let watch = sandbox.watch::<Pod>().labels("app=web").within(Duration::from_mins(2));
    let pods = watch.until_after("all run the new image", kills, done).await?;
    seen.at_most_down(6)?;
    lives.changed_once(&pods)?;
    counted(&sandbox, "log", [60, 60, 60, 60]).await.map(drop)
}

pub(crate) async fn a_leader_that_is_stopped_hands_over_at_once(cluster: Arc<Cluster>) -> Result<()> {
    // Who waits for such a lease to run out fails here.
    let flags = &["--leader-elect-lease-duration=60s", "--leader-elect-renew-deadline=40s"];
    let (sandbox, replicas) = Replicas::start(&cluster, "stopped-leader", 2, flags).await?;
    let (_, first) = replicas.servers.first().context("no server")?;
    furnish(&sandbox, first, 12, &json!({"maxUnavailable": 2})).await?;
    let (progress, mut seen_progress) = tokio::sync::watch::channel(0);
    let stop = async {
        change_image(&sandbox, "log:2").await?;
        seen_progress.wait_for(|now| *now >= 4).await?;
        let leader = replicas.leader(&cluster, &[]).await?;
        replicas.server(&leader)?.terminate()?;
        let next = tokio::time::timeout(Duration::from_secs(5), replicas.leader(&cluster, std::slice::from_ref(&leader))).await;
        let next = next.with_context(|| format!("{leader} did not hand over within 5 s"))??;
        eventually("term of the replica that holds the lease", Duration::from_secs(5), async || {
            ensure!(replicas.server(&next)?.metric("outrigger_leader").await? > 0.5, "{next} does not lead");
            Ok(())
        })
        .await
    };
    let (seen, lives) = (Seen::default(), Lives::default());
    let done = |pods: &[&Pod]| {
        seen.look(pods, "log:2");
        lives.look(pods);
        progress.send_replace(with_image(pods, "log:2"));
        all_ready_with(pods, 12, "log:2")
    };
    let pods = sandbox.watch::<Pod>().labels("app=web").until_after("all run the new image", stop, done).await?;
    seen.at_most_down(2)?;
    lives.changed_once(&pods)?;
    counted(&sandbox, "log", [12, 12, 12, 12]).await.map(drop)
}
