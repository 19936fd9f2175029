//! A changed set reaches its running pods: the real server, real controllers, simulated kubelets.

use std::cell::Cell;
use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use outrigger::sidecarset::api::SidecarSet;
use serde_json::{Value, json};

use crate::injection::{apply_set, served};
use crate::support::{Cluster, Sandbox, deployment, is_ready};

/// The image of a container, as the spec wants it.
fn image<'p>(pod: &'p Pod, container: &str) -> &'p str {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.filter(|one| one.name == container).find_map(|one| one.image.as_deref()).unwrap_or_default()
}

fn spec(image: &str, strategy: Value) -> Value {
    json!({"containers": [{"name": "log", "image": image}], "updateStrategy": strategy})
}

/// Changes the stored set of the sandbox.
async fn change(sandbox: &Sandbox, set: &str, spec: Value) -> Result<()> {
    let name = format!("{set}-{}", sandbox.namespace);
    let sets = Api::<SidecarSet>::all(sandbox.cluster.client());
    sets.patch(&name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
    Ok(())
}

pub(crate) async fn a_rollout_of_sixty_never_takes_more_than_a_tenth_away(cluster: Arc<Cluster>) -> Result<()> {
    let (sandbox, server) = served(&cluster, "sixty").await?;
    apply_set(&sandbox, &server, "log", spec("registry.example/log:1", json!({"maxUnavailable": "10%"}))).await?;
    sandbox.create(&deployment("web").replicas(60).label("tier", "front").build()).await?;
    sandbox.ready_pods("app=web", 60).await?;
    change(&sandbox, "log", json!({"containers": [{"name": "log", "image": "registry.example/log:2"}]})).await?;
    let most_down = Cell::new(0);
    let done = |pods: &[&Pod]| {
        let down = pods.iter().filter(|pod| !is_ready(pod)).count();
        most_down.set(most_down.get().max(down));
        pods.len() == 60 && down == 0 && pods.iter().all(|pod| image(pod, "log") == "registry.example/log:2")
    };
    sandbox.pods("app=web", "all run the new image", done).await?;
    ensure!((1..=6).contains(&most_down.get()), "{} pods were down at once", most_down.get());
    Ok(())
}
