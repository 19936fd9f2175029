//! Several servers that place pods, one of which is killed. Alone: the leader has to be one of them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::forwarder::Forwarder;
use crate::injection::define;
use crate::keys::Identity;
use crate::leaders::leading;
use crate::outrigger::Outrigger;
use crate::placing::{DEPLOYMENT, Limits, counted, in_force, is_active, places, priced, settled, strict_webhooks, zones};
use crate::spreads::scaling::scale;
use crate::support::{Cluster, Sandbox, deployment};
use crate::webhooks::Endpoint;

const OWN: &str = "spread-replicas";

/// Two servers behind one address.
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
        for _ in 0..2 {
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

    /// Kills the leader, or the other one, with signal 9, and starts another server in its place.
    async fn kill(&mut self, sandbox: &Sandbox, is_leader: bool, gone: &mut Vec<String>) -> Result<()> {
        let leader = leading(&sandbox.cluster, OWN, gone).await?;
        let at = self.servers.iter().position(|(name, _)| (*name == leader) == is_leader).context("there is no such server")?;
        let (name, server) = self.servers.remove(at);
        server.kill()?;
        gone.push(name);
        self.one_more(&sandbox.cluster).await?;
        let (_, newest) = self.servers.last().context("no server")?;
        places(sandbox, newest, DEPLOYMENT, "web").await
    }
}

/// Returns when so many pods have been made, of those that are there now.
async fn half_way(sandbox: &Sandbox, count: usize) -> Result<()> {
    let enough = |pods: &[&Pod]| pods.iter().filter(|pod| is_active(pod)).count() >= count;
    sandbox.pods("app=web", &format!("{count} pods are made"), enough).await.map(drop)
}

pub(crate) async fn servers_killed_in_the_middle_of_a_scale_up_cost_no_place(cluster: Arc<Cluster>) -> Result<()> {
    define(&cluster).await?;
    let sandbox = cluster.sandbox("killed-spread").await?;
    let mut replicas = Replicas::start(&cluster).await?;
    sandbox.install_webhooks(&strict_webhooks()?, &replicas.endpoint()).await?;
    sandbox.create(&deployment("web").replicas(0).build()).await?;
    let servers = replicas.servers.iter().map(|(_, server)| server);
    in_force(&sandbox, servers, DEPLOYMENT, "web", &zones([json!(80), json!(60), Value::Null])).await?;
    let limits = Limits::of(&[("zone-a", 80), ("zone-b", 60)]);
    let course = async {
        let mut gone = Vec::new();
        scale(&sandbox, "web", 200).await?;
        half_way(&sandbox, 40).await?;
        replicas.kill(&sandbox, true, &mut gone).await?;
        settled(&sandbox, "web", [80, 60, 60]).await?;
        priced(&sandbox, "web").await?;
        scale(&sandbox, "web", 30).await?;
        settled(&sandbox, "web", [30, 0, 0]).await?;
        scale(&sandbox, "web", 200).await?;
        half_way(&sandbox, 100).await?;
        replicas.kill(&sandbox, false, &mut gone).await?;
        ensure!(gone.len() == 2, "{gone:?}");
        settled(&sandbox, "web", [80, 60, 60]).await
    };
    limits.kept_during(&sandbox, "web", course).await?;
    limits.were_reached()?;
    // Pods that were noted and never came, because who was to answer died, are waited for for 30 s.
    let rest = tokio::time::timeout(Duration::from_mins(1), counted(&sandbox, "web", &[80, 60, 60])).await;
    rest.context("the spread does not come to rest")??;
    Ok(())
}
