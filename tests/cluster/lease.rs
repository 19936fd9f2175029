//! Leader election by the real API server's leases.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use outrigger::cluster::lease::election::{NAME, Times};
use outrigger::cluster::lease::identity::Identity;
use outrigger::cluster::lease::{Candidacy, Term};
use outrigger::telemetry::metrics::Metrics;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control_plane::eventually;
use crate::injection::define;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox};

const LEASE: Duration = Duration::from_secs(3);
const RENEW: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(300);
/// For a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

struct Replica {
    leadership: watch::Receiver<Option<Term>>,
    stop: CancellationToken,
    election: JoinHandle<()>,
}

impl Replica {
    fn start(sandbox: &Sandbox, name: &str) -> Result<Self> {
        let candidacy = Candidacy {
            client: sandbox.cluster.client(),
            namespace: sandbox.namespace.clone(),
            identity: Identity::new(Some(name), rustls::crypto::aws_lc_rs::default_provider().secure_random)?,
            times: Times::new(LEASE, RENEW, RETRY)?,
            wall: Arc::new(wall),
            metrics: Arc::new(Metrics::new()),
        };
        let (sender, leadership) = watch::channel(None);
        let stop = CancellationToken::new();
        let election = TaskTracker::new().spawn(candidacy.run(stop.clone(), sender));
        Ok(Self { leadership, stop, election })
    }

    async fn leads(&mut self) -> Result<Term> {
        let began = timeout(PATIENCE, self.leadership.wait_for(Option::is_some)).await.context("it does not lead")?;
        began?.clone().context("a term")
    }

    fn is_leader(&self) -> bool {
        self.leadership.borrow().as_ref().is_some_and(Term::is_current)
    }
}

#[expect(clippy::disallowed_methods, reason = "the lease shows the time of day")]
fn wall() -> Timestamp {
    Timestamp::now()
}

async fn holder(sandbox: &Sandbox) -> Result<Option<String>> {
    Ok(sandbox.api::<Lease>().get(NAME).await?.spec.and_then(|spec| spec.holder_identity))
}

pub(crate) async fn a_killed_leader_is_replaced_and_one_that_stops_hands_over_at_once(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("leaders").await?;
    let mut first = Replica::start(&sandbox, "first")?;
    first.leads().await?;
    let mut second = Replica::start(&sandbox, "second")?;
    sandbox
        .watch::<Lease>()
        .named(NAME)
        .until_it("a renewal", |lease| lease.spec.as_ref().is_some_and(|spec| spec.renew_time != spec.acquire_time))
        .await?;
    ensure!(first.is_leader() && !second.is_leader());

    let killed = Instant::now();
    first.election.abort();
    second.leads().await?;
    ensure!(killed.elapsed() + RETRY + Duration::from_secs(1) >= LEASE, "after {:?}: too early", killed.elapsed());
    ensure!(holder(&sandbox).await?.is_some_and(|holder| holder.starts_with("second_")));

    let mut third = Replica::start(&sandbox, "third")?;
    second.stop.cancel();
    second.election.await?;
    third.leads().await?;
    let spec = sandbox.api::<Lease>().get(NAME).await?.spec.context("a spec")?;
    ensure!(spec.lease_transitions == Some(2), "{spec:?}");
    Ok(())
}

pub(crate) async fn who_takes_the_lease_deposes_the_leader(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("seized").await?;
    let mut replica = Replica::start(&sandbox, "replica")?;
    let term = replica.leads().await?;
    let seize = json!({"spec": {"holderIdentity": "kubectl", "leaseDurationSeconds": 4}});
    let seized = Instant::now();
    sandbox.api::<Lease>().patch(NAME, &PatchParams::default(), &Patch::Merge(seize)).await?;
    timeout(PATIENCE, term.ended().cancelled()).await.context("it leads on")?;
    ensure!(holder(&sandbox).await?.as_deref() == Some("kubectl"));
    let again = replica.leads().await?;
    ensure!(again.number() == 2 && seized.elapsed() >= Duration::from_secs(4), "{:?}", seized.elapsed());
    Ok(())
}

/// What the election relies on, and what our scripted API server imitates.
pub(crate) async fn a_lease_is_only_replaced_by_who_has_seen_its_last_version(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("versions").await?;
    let (leases, parameters) = (sandbox.api::<Lease>(), PostParams::default());
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": NAME}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15},
    }))?;
    let first = leases.create(&parameters, &lease).await?;
    let mut changed = first.clone();
    changed.spec.get_or_insert_default().holder_identity = Some("b".to_owned());
    let second = leases.replace(NAME, &parameters, &changed).await?;
    ensure!(code(leases.replace(NAME, &parameters, &changed).await) == 409, "an old version is taken");
    ensure!(code(leases.create(&parameters, &lease).await) == 409, "it is made twice");
    ensure!(code(leases.replace(NAME, &parameters, &lease).await) == 422, "no version is taken");
    let same = leases.replace(NAME, &parameters, &second).await?;
    ensure!(same.metadata.resource_version == second.metadata.resource_version, "a write without a change is stored");
    leases.delete(NAME, &DeleteParams::default()).await?;
    let gone = code(leases.replace(NAME, &parameters, &second).await);
    ensure!(matches!(gone, 404 | 409), "a lease that is gone is replaced: {gone}");
    Ok(())
}

fn code(result: kube::Result<Lease>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(_) => 0,
    }
}

pub(crate) async fn a_server_leads_and_releases_its_lease_when_it_is_told_to_end(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("sigterm").await?;
    // It is ready only where its own kinds are known.
    define(&cluster).await?;
    let server = Outrigger::start(&cluster, &sandbox.namespace, &["--pod-name", "pod-of-mine", "--linger", "0"]).await?;
    let held = |lease: &Lease| {
        lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).is_some_and(|holder| holder.starts_with("pod-of-mine_"))
    };
    sandbox.watch::<Lease>().named(NAME).until_it("the server holds the lease", held).await?;
    // It knows a moment after the API server does.
    eventually("the server that counts itself as the leader", PATIENCE, async || {
        let metrics = server.http().get(server.admin_url("/metrics")).send().await?.text().await?;
        ensure!(metrics.contains("outrigger_leader 1\n"), "{metrics}");
        Ok(())
    })
    .await?;
    server.terminate()?;
    let released = |lease: &Lease| lease.spec.as_ref().is_some_and(|spec| spec.holder_identity.is_none());
    sandbox.watch::<Lease>().named(NAME).within(PATIENCE).until_it("the lease is released", released).await?;
    Ok(())
}
