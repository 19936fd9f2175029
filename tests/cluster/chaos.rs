//! What users meet with while we are killed, hang, are cut off, serve an expired certificate, or start together with everything else:
//! pods outside our guard come, go and are evicted all the time, what is guarded stays, and works again soon after we are back.
//! The table in `docs/operate.md` is made of what these tests print.

mod crowd;
mod usage;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use self::crowd::Crowd;
use self::usage::{FREE, GUARDED, Usage, ensure_none_failed, told};
use crate::binaries::say;
use crate::control_plane::eventually;
use crate::estate::{Estate, OURS, Server};
use crate::installing::{self, HOSTS, SET};
use crate::keys::Authority;
use crate::support::{Sandbox, deployment};
use crate::watching::Watch;

const BUDGET: &str = "
apiVersion: policy.kruise.io/v1beta1
kind: PodUnavailableBudget
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  maxUnavailable: 2
";

/// Reviews a second in a rolling restart. Server and client without optimization need ten times as long for each, on the same cores.
const A_SECOND: u32 = if cfg!(debug_assertions) { 50 } else { 500 };

/// An installation that is in use.
struct Scene {
    estate: Estate,
    usage: Usage,
    _namespaces: [Sandbox; 2],
}

impl Scene {
    async fn set(estate: Estate, is_strict: bool) -> Result<Self> {
        installing::install(&estate, is_strict).await?;
        Self::use_it(estate).await
    }

    /// With all that is installed already.
    async fn use_it(estate: Estate) -> Result<Self> {
        let (free, guarded) = (estate.sandbox("free").await?, estate.sandbox("guarded").await?);
        // A configuration is obeyed a moment after it was applied.
        eventually("set", Duration::from_secs(20), async || free.apply_yaml(SET).await.map(drop)).await?;
        eventually("budget", Duration::from_secs(20), async || guarded.apply_yaml(BUDGET).await.map(drop)).await?;
        guarded.create(&deployment("web").replicas(4).build()).await?;
        let is_linked = |pod: &&Pod| pod.annotations().contains_key("pub.kruise.io/related-pub");
        let pods = guarded.ready_pods("app=web", 4).await?;
        ensure!(pods.iter().all(|pod| is_linked(&pod)), "a pod is not linked to its budget");
        let names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
        let usage = Usage::begin(&free, &guarded, &names, "mesh").await?;
        let scene = Self { estate, usage, _namespaces: [free, guarded] };
        let begun = Instant::now();
        scene.until_works(begun).await.context("before anything happened")?;
        Ok(scene)
    }

    /// Returns when every kind of request succeeds that needs us.
    async fn until_works(&self, from: Instant) -> Result<()> {
        eventually("recovery", Duration::from_mins(2), async || {
            for what in GUARDED.iter().chain(&FREE) {
                self.usage.recovered(what, from).with_context(|| format!("{what}: {}", told(&self.usage.since(from))))?;
            }
            Ok(())
        })
        .await
    }

    /// Lets users meet with it until each kind of request was made so many times.
    async fn lasts(&self, from: Instant, requests: usize) -> Result<()> {
        eventually("requests", Duration::from_mins(2), async || {
            for what in GUARDED.iter().chain(&FREE) {
                ensure!(self.usage.count(what, from) >= requests, "{what}: {}", told(&self.usage.since(from)));
            }
            Ok(())
        })
        .await
    }

    /// What happened between `from` and now, in which nothing that is guarded may have passed and nothing else may have failed.
    fn outage(&self, case: &str, from: Instant) -> Result<()> {
        let seen = self.usage.since(from);
        say(&format!("{case}, for {:.0} s:{}", from.elapsed().as_secs_f64(), told(&seen)))?;
        ensure_none_failed(&seen, &FREE)?;
        ensure_none_failed(&seen, &["create-meshed"])?;
        for what in GUARDED {
            let seen = seen.get(what).with_context(|| format!("nothing was done: {what}"))?;
            ensure!(seen.failed == seen.count, "{what}: something passed: {seen:?}");
        }
        Ok(())
    }

    /// From the return on, until what is guarded can be done again; others must not have noticed.
    async fn comes_back(&self, case: &str, within: Duration) -> Result<()> {
        let back = Instant::now();
        self.until_works(back).await?;
        let seen = self.usage.since(back);
        ensure_none_failed(&seen, &FREE)?;
        let times = GUARDED.map(|what| self.usage.recovered(what, back).unwrap_or(Duration::MAX));
        let told: Vec<_> = GUARDED.iter().zip(times).map(|(what, time)| format!("{what} after {:.1} s", time.as_secs_f64())).collect();
        say(&format!("{case}, back: {}", told.join(", ")))?;
        ensure!(times.iter().all(|time| *time < within), "{case}: {}", told.join(", "));
        Ok(())
    }

    fn servers(&self) -> Vec<Server> {
        self.estate.kubelet.servers()
    }
}

pub(crate) async fn all_replicas_killed_hold_up_nothing_but_what_is_guarded(estate: Estate) -> Result<()> {
    let scene = Scene::set(estate, false).await?;
    let gone = Instant::now();
    scene.estate.kubelet.kill_all()?;
    let settled = Instant::now() + Duration::from_millis(500);
    scene.lasts(settled, 10).await?;
    scene.outage("all replicas killed", settled)?;
    ensure!(scene.usage.since(gone).get("create-meshed").is_some_and(|seen| seen.bare > 0), "who injected?");
    scene.estate.kubelet.release();
    scene.comes_back("all replicas killed", Duration::from_secs(30)).await
}

pub(crate) async fn servers_that_hang_hold_up_nothing_but_what_is_guarded(estate: Estate) -> Result<()> {
    let scene = Scene::set(estate, false).await?;
    let servers = scene.servers();
    servers.iter().try_for_each(|server| server.process.pause())?;
    let settled = Instant::now() + Duration::from_millis(500);
    scene.lasts(settled, 2).await?;
    scene.outage("all replicas hang", settled)?;
    servers.iter().try_for_each(|server| server.process.resume())?;
    scene.comes_back("all replicas hang", Duration::from_secs(30)).await
}

/// The API server goes on asking it on the connection that it has, until the kubelet finds that it is not alive.
pub(crate) async fn one_replica_that_hangs_is_replaced(estate: Estate) -> Result<()> {
    let scene = Scene::set(estate, false).await?;
    for server in scene.servers() {
        let paused = Instant::now();
        server.process.pause()?;
        eventually("end of the one that hangs", Duration::from_mins(2), async || {
            ensure!(server.process.ended()?.is_some(), "{}", told(&scene.usage.since(paused)));
            Ok(())
        })
        .await?;
        let killed = paused.elapsed();
        scene.until_works(Instant::now()).await?;
        let seen = scene.usage.since(paused);
        ensure_none_failed(&seen, &FREE)?;
        let within = GUARDED.iter().filter_map(|what| scene.usage.recovered(what, paused)).max().unwrap_or_default();
        let (killed, within) = (killed.as_secs_f64(), within.as_secs_f64());
        say(&format!("one of two hangs, killed after {killed:.0} s, everything works after {within:.1} s:{}", told(&seen)))?;
    }
    Ok(())
}

pub(crate) async fn a_network_that_is_gone_holds_up_nothing_but_what_is_guarded(estate: Estate) -> Result<()> {
    let scene = Scene::set(estate, false).await?;
    scene.estate.line.cut();
    let cut = Instant::now();
    // Our servers answer on: from memory, or that they cannot tell.
    scene.lasts(cut, 2).await?;
    let seen = scene.usage.since(cut);
    say(&format!("no network between servers and API server, for {:.0} s:{}", cut.elapsed().as_secs_f64(), told(&seen)))?;
    ensure_none_failed(&seen, &FREE)?;
    ensure_none_failed(&seen, &["create-meshed"])?;
    ensure!(seen.get("create-meshed").is_some_and(|seen| seen.bare == 0), "sidecars are known without the API server");
    for what in ["delete-guarded", "evict-guarded"] {
        ensure!(seen.get(what).is_some_and(|seen| seen.failed == seen.count), "{what}: something passed: {}", told(&seen));
    }
    scene.estate.line.mend();
    scene.comes_back("no network", Duration::from_secs(30)).await
}

pub(crate) async fn an_expired_certificate_holds_up_nothing_but_what_is_guarded(estate: Estate) -> Result<()> {
    let authority = Authority::new("outrigger")?;
    installing::install_with_certificate(&estate, &authority).await?;
    let scene = Scene::use_it(estate).await?;
    installing::certificate(&scene.estate, &authority.sign("outrigger", &HOSTS, false)?).await?;
    // Connections that are open are not looked at again.
    scene.estate.kubelet.kill_all()?;
    scene.estate.kubelet.release();
    eventually("servers", Duration::from_secs(30), async || {
        ensure!(scene.servers().iter().all(|server| server.process.still_runs().is_ok()), "not all run");
        Ok(())
    })
    .await?;
    let settled = Instant::now() + Duration::from_secs(3);
    scene.lasts(settled, 10).await?;
    scene.outage("certificate expired", settled)?;
    installing::certificate(&scene.estate, &authority.sign("outrigger", &HOSTS, true)?).await?;
    scene.comes_back("certificate expired", Duration::from_secs(30)).await
}

/// A power cut: nothing of the cluster runs, nothing of ours, and all comes back at the same moment, with hooks that let no pod pass without
/// us. Our own pods are gone, too, and have to be made anew.
pub(crate) async fn all_starts_at_once_with_strict_configurations(estate: Estate) -> Result<()> {
    let scene = Scene::set(estate, true).await?;
    scene.estate.kubelet.kill_all()?;
    scene.estate.plane.crash().await?;
    scene.estate.kubelet.release();
    scene.estate.plane.boot().await?;
    let back = Instant::now();
    let ours = Api::<Pod>::namespaced(scene.estate.client(), installing::NAMESPACE);
    ours.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default().labels(OURS)).await?;
    scene.until_works(back).await?;
    let seen = scene.usage.since(back);
    let times = GUARDED.iter().chain(&FREE).map(|what| (*what, scene.usage.recovered(what, back).unwrap_or(Duration::MAX)));
    let times: Vec<_> = times.collect();
    let lines: Vec<_> = times.iter().map(|(what, time)| format!("{what} after {:.1} s", time.as_secs_f64())).collect();
    say(&format!("everything starts at once, strict: {}{}", lines.join(", "), told(&seen)))?;
    ensure!(times.iter().all(|(_, time)| *time < Duration::from_mins(1)), "{}", lines.join(", "));
    // What is strict is strict: no pod slipped in without its sidecar.
    ensure!(seen.get("create-meshed").is_some_and(|seen| seen.bare == 0), "{}", told(&seen));
    Ok(())
}

pub(crate) async fn a_rolling_restart_under_load_fails_no_review(estate: Estate) -> Result<()> {
    let scene = Scene::set(estate, true).await?;
    let crowd = Crowd::begin(&scene.estate, &installing::authority(&scene.estate).await?, A_SECOND).await?;
    let begun = Instant::now();
    let deployments = Api::<Deployment>::namespaced(scene.estate.client(), installing::NAMESPACE);
    let restart = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}});
    deployments.patch("outrigger", &PatchParams::default(), &Patch::Merge(restart)).await?;
    installing::available(&scene.estate).await?;
    // The last of the old ones has to go, too.
    Watch::over(Api::<Pod>::namespaced(scene.estate.client(), installing::NAMESPACE))
        .labels(OURS)
        .until("no old pod is left", |pods| pods.iter().all(|pod| pod.annotations().contains_key("kubectl.kubernetes.io/restartedAt")))
        .await?;
    let took = begun.elapsed();
    let (answered, failures, slowest) = crowd.end().await;
    let seen = scene.usage.since(begun);
    say(&format!(
        "rolling restart within {:.0} s, {A_SECOND} reviews a second: {answered} reviews answered, {} failed, slowest {:.2} s; meanwhile:{}",
        took.as_secs_f64(),
        failures.len(),
        slowest.as_secs_f64(),
        told(&seen)
    ))?;
    ensure!(failures.is_empty(), "{} of {answered} failed: {:?}", failures.len(), failures.first());
    ensure_none_failed(&seen, &FREE)?;
    ensure_none_failed(&seen, &GUARDED)?;
    ensure_none_failed(&seen, &["create-meshed"])
}
