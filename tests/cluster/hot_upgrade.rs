//! Hot upgrades from end to end. The kubelets of these tests are quick ones (see `stages.yaml`): with a slow one the pod is reported as
//! not ready while the twin comes up, as it would be for any container that is restarted.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::changing::{annotation, change, counted, image, planned_again, progress, runs, told};
use crate::injection::{apply_set, served};
use crate::outrigger::Outrigger;
use crate::support::{Cluster, Sandbox, deployment, is_ready};

const EMPTY: &str = "empty:1";

fn mesh(image: &str) -> Value {
    json!([{"name": "mesh", "image": format!("registry.example/{image}"),
        "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": format!("registry.example/{EMPTY}")}}])
}

async fn meshed(cluster: &Arc<Cluster>, purpose: &str, replicas: i32) -> Result<(Sandbox, Outrigger)> {
    let (sandbox, server) = served(cluster, purpose).await?;
    apply_set(&sandbox, &server, "mesh", json!({"containers": mesh("mesh:1"), "updateStrategy": {"maxUnavailable": 1}})).await?;
    let web = deployment("web").replicas(replicas).label("tier", "front").annotation("outrigger.test/restarts", "quick").build();
    sandbox.create(&web).await?;
    sandbox.ready_pods("app=web", usize::try_from(replicas)?).await?;
    Ok((sandbox, server))
}

/// What a pod says of its twins.
struct Twins<'p> {
    /// Name and image of the container that works, by the pod's annotation.
    working: (String, &'p str),
    other: (String, &'p str),
    pod: &'p Pod,
}

impl<'p> Twins<'p> {
    fn of(pod: &'p Pod) -> Result<Self> {
        let map = annotation(pod, "kruise.io/sidecarset-working-hotupgrade-container")?;
        let working = map["mesh"].as_str().context("no working container of mesh")?.to_owned();
        let other = if working == "mesh-1" { "mesh-2" } else { "mesh-1" };
        Ok(Self { other: (other.to_owned(), image(pod, other)), working: (working.clone(), image(pod, &working)), pod })
    }

    fn version(&self, prefix: &str, container: &str) -> Result<u64> {
        let version = self.pod.annotations().get(&format!("{prefix}.sidecarset.kruise.io/{container}"));
        Ok(version.with_context(|| format!("no {prefix} of {container}"))?.parse()?)
    }

    /// Own and other's version of the working container, then of the other.
    fn versions(&self) -> Result<[u64; 4]> {
        let (working, other) = (&self.working.0, &self.other.0);
        Ok([
            self.version("version", working)?,
            self.version("versionalt", working)?,
            self.version("version", other)?,
            self.version("versionalt", other)?,
        ])
    }

    /// Whether this image works, the other twin is idle, and both run what they should.
    fn is_at_rest(&self, wanted: &str) -> bool {
        let are_running = [&self.working, &self.other].iter().all(|(name, image)| runs(self.pod, name, image));
        self.working.1 == wanted && self.other.1 == EMPTY && are_running
    }
}

fn are_at_rest(pods: &[&Pod], count: usize, wanted: &str) -> bool {
    pods.len() == count && pods.iter().all(|pod| is_ready(pod) && Twins::of(pod).is_ok_and(|twins| twins.is_at_rest(wanted)))
}

pub(crate) async fn three_hot_upgrades_take_turns_and_no_pod_is_ever_down(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = meshed(&cluster, "hot", 3).await?;
    let most_down = Cell::new(0);
    let both_live = RefCell::new(BTreeSet::new());
    let mut last_version = 1;
    for (round, working) in [(2, "mesh-2"), (3, "mesh-1"), (4, "mesh-2")] {
        let wanted = format!("mesh:{round}");
        let change_it = async { change(&sandbox, "mesh", json!({"containers": mesh(&wanted)})).await.map(drop) };
        let done = |pods: &[&Pod]| {
            most_down.set(most_down.get().max(pods.iter().filter(|pod| !is_ready(pod)).count()));
            for twins in pods.iter().filter_map(|pod| Twins::of(pod).ok()) {
                if twins.working.1 == wanted && twins.other.1 == format!("mesh:{}", round - 1) {
                    both_live.borrow_mut().insert((round, twins.pod.name_any()));
                }
            }
            are_at_rest(pods, 3, &wanted)
        };
        let pods = sandbox.watch::<Pod>().labels("app=web").until_after(&format!("all work with {wanted}"), change_it, done).await?;
        let mut newest = 0;
        for twins in pods.iter().map(Twins::of) {
            let twins = twins?;
            let [own, alt, other, other_alt] = twins.versions()?;
            ensure!(twins.working.0 == working, "{} works in round {round}", twins.working.0);
            ensure!(own > last_version && alt == 0 && other == 0 && other_alt == own, "{:?}", twins.versions()?);
            newest = newest.max(own);
        }
        last_version = newest;
        counted(&sandbox, "mesh", [3, 3, 3, 3]).await?;
    }
    ensure!(most_down.get() == 0, "{} pods were down at once", most_down.get());
    ensure!(both_live.borrow().len() == 9, "not every pod had two live twins in each round: {both_live:?}");
    Ok(())
}

pub(crate) async fn a_hot_upgrade_to_a_bad_image_is_taken_back_by_the_previous_one(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, _server) = meshed(&cluster, "hot-bad", 3).await?;
    change(&sandbox, "mesh", json!({"containers": mesh("invalid:2")})).await?;
    let stuck = counted(&sandbox, "mesh", [3, 1, 0, 2]).await?;
    ensure!(told(&stuck)?.0 == "RollingUpdate", "{:?}", progress(&stuck));
    planned_again(&sandbox, "mesh").await?;
    // What served before still does.
    let serves = |pods: &[&Pod]| {
        let bad: Vec<_> = pods.iter().filter_map(|pod| Twins::of(pod).ok()).filter(|twins| twins.working.1 == "invalid:2").collect();
        bad.len() == 1 && bad.iter().all(|twins| twins.working.0 == "mesh-2" && twins.other.1 == "mesh:1")
    };
    sandbox.pods("app=web", "one pod has the bad image beside the one that serves", serves).await?;
    change(&sandbox, "mesh", json!({"containers": mesh("mesh:1")})).await?;
    let back = sandbox.pods("app=web", "all work with the previous image", |pods| are_at_rest(pods, 3, "mesh:1")).await?;
    for pod in &back {
        let [_, alt, other, _] = Twins::of(pod)?.versions()?;
        ensure!(alt == 0 && other == 0, "{:?}", pod.annotations());
    }
    counted(&sandbox, "mesh", [3, 3, 3, 3]).await?;
    change(&sandbox, "mesh", json!({"containers": mesh("mesh:3")})).await?;
    sandbox.pods("app=web", "the next upgrade succeeds", |pods| are_at_rest(pods, 3, "mesh:3")).await?;
    counted(&sandbox, "mesh", [3, 3, 3, 3]).await.map(drop)
}
