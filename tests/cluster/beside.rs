//! docs/migrate.md, played: our features are taken over, the manager of the reference keeps its others, and everything goes back.
//!
//! The commands are those of the page. One of them is carried out otherwise: what is rendered is applied with its hooks and conversions led to
//! a server on loopback.

mod original;

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::{eventually, without_proxy};
use crate::estate::Estate;
use crate::guarding::linked_pods;
use crate::keys;
use crate::outrigger::Outrigger;
use crate::placing::{settled, zones};
use crate::supervisor::Program;
use crate::support::{Cluster, Sandbox, deployment};
use crate::webhooks::{Endpoint, lead_to};

const PAGE: &str = include_str!("../../docs/migrate.md");
const APPLY: &str = "kubectl apply --server-side --force-conflicts -f site/outrigger.yaml";
const DEFINITIONS: [&str; 3] = ["sidecarsets.apps.kruise.io", "workloadspreads.apps.kruise.io", "podunavailablebudgets.policy.kruise.io"];

/// The commands under a heading of the page, in their order.
fn commands(heading: &str) -> Result<String> {
    let (_, section) = PAGE.split_once(&format!("\n### {heading}")).with_context(|| format!("no heading {heading:?}"))?;
    let section = section.split("\n##").next().unwrap_or_default();
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    ensure!(!blocks.is_empty(), "no commands under {heading:?}");
    Ok(blocks.concat())
}

/// A folder in which a user works, beside a checkout of this repository.
struct Desk<'c> {
    cluster: &'c Cluster,
    folder: PathBuf,
}

impl<'c> Desk<'c> {
    fn in_cluster(cluster: &'c Cluster) -> Result<Self> {
        let folder = cluster.plane.folder.join("desk");
        fs::create_dir(&folder)?;
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests"), folder.join("manifests"))?;
        Ok(Self { cluster, folder })
    }

    /// Runs what the page says under a heading.
    async fn follow(&self, heading: &str) -> Result<()> {
        self.run(&commands(heading)?).await.with_context(|| heading.to_owned())
    }

    #[expect(clippy::disallowed_methods, reason = "a user's shell has a PATH")]
    async fn run(&self, script: &str) -> Result<()> {
        let plane = &self.cluster.plane;
        let folder_of = |program: &Path| program.parent().map(|folder| folder.display().to_string()).context("no folder");
        let paths =
            [folder_of(plane.binaries.path("kubectl")?)?, folder_of(Path::new(env!("CARGO_BIN_EXE_outrigger")))?, env::var("PATH")?];
        let variables = [
            ("PATH", paths.join(":")),
            ("HOME", self.folder.display().to_string()),
            ("KUBECONFIG", plane.kubeconfig().display().to_string()),
        ];
        let name = format!("commands-{}", keys::suffix()?);
        let process = plane.supervisor.run(Program {
            name: name.clone(),
            path: "sh".into(),
            args: ["-exc", script].map(str::to_owned).to_vec(),
            env: without_proxy().chain(variables.map(|(variable, value)| (variable.to_owned(), value))).collect(),
            folder: self.folder.clone(),
            log: plane.folder.join(format!("{name}.log")),
        })?;
        eventually("end of the commands", Duration::from_mins(2), async || match process.ended()? {
            None => bail!("they go on"),
            Some(_) => Ok(()),
        })
        .await?;
        let ended = process.ended()?.unwrap_or_default();
        ensure!(ended.ends_with(": 0"), "the commands ended ({ended}){}", process.log_tail());
        Ok(())
    }

    /// What the page has applied, but that our server is led to where it listens; it is started in between.
    async fn apply(&self) -> Result<Outrigger> {
        ensure!(commands("Step 3")?.trim() == APPLY, "the page says something else");
        let documents = applying::documents(&fs::read_to_string(self.folder.join("site/outrigger.yaml"))?)?;
        let is_hook = |document: &Value| document["kind"].as_str().is_some_and(|kind| kind.ends_with("WebhookConfiguration"));
        for mut document in documents.iter().filter(|document| !is_hook(document)).cloned() {
            if document["kind"] == "Deployment" {
                document["spec"]["replicas"] = json!(0);
            }
            applying::apply(&self.cluster.client(), original::NAMESPACE, document).await?;
        }
        let server = Outrigger::start(self.cluster, original::NAMESPACE, &[]).await?;
        for mut document in documents {
            if lead(&mut document, server.endpoint())? {
                applying::apply(&self.cluster.client(), "", document).await?;
            }
        }
        Ok(server)
    }
}

/// Leads hooks and conversions to a server on loopback; whether the document has any.
fn lead(document: &mut Value, endpoint: &Endpoint) -> Result<bool> {
    let mut is_led = false;
    for hook in document.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        lead_to(hook, endpoint)?;
        is_led = true;
    }
    if let Some(webhook) = document.pointer_mut("/spec/conversion/webhook") {
        lead_to(webhook, endpoint)?;
        is_led = true;
    }
    Ok(is_led)
}

pub(crate) async fn the_manager_keeps_its_other_features_and_gets_all_of_them_back(estate: Estate) -> Result<()> {
    let cluster = &estate.cluster;
    original::install(cluster).await?;
    original::sync(cluster, |_| true).await?;
    let desk = Desk::in_cluster(cluster)?;
    for step in ["Step 1", "Step 2"] {
        desk.follow(step).await?;
    }
    let server = desk.apply().await?;
    desk.follow("Step 4").await?;
    desk.follow("Step 5").await?;
    definitions_are_left_alone(cluster).await?;
    only_hooks_of_its_own_are_left(cluster).await?;
    let sandbox = estate.cluster.sandbox("shop").await?;
    our_features_work(&sandbox, &server).await?;
    the_manager_may_do_only_what_is_its_own(&sandbox).await?;

    desk.follow("Back 1").await?;
    desk.follow("Back 2").await?;
    desk.follow("Back 3").await?;
    desk.follow("Back 4").await?;
    everything_is_as_it_was(&sandbox).await
}

async fn definitions_are_left_alone(cluster: &Cluster) -> Result<()> {
    let api = Api::<CustomResourceDefinition>::all(cluster.client());
    for name in DEFINITIONS {
        let definition = api.get(name).await?;
        ensure!(!original::is_known(&definition), "{name} would be rewritten");
        let served: Vec<_> =
            definition.spec.versions.iter().filter(|version| version.served).map(|version| version.name.as_str()).collect();
        ensure!(served == ["v1beta1", "v1alpha1"], "{name}: {served:?}");
        let mut plain = definition;
        plain.spec.versions.remove(0);
        ensure!(original::is_known(&plain), "the patch of {name} is needless");
    }
    let gates = |path: &str| !matches!(path, "/mutate-pod" | "/validate-pod" | "/validate-service" | "/validate-ingress");
    let written = original::sync(cluster, gates).await?;
    ensure!(written == 0, "{written} definitions were rewritten");
    Ok(())
}

async fn only_hooks_of_its_own_are_left(cluster: &Cluster) -> Result<()> {
    let wanted = [
        "mcloneset.kb.io",
        "mdaemonset.kb.io",
        "mstatefulset.kb.io",
        "vcloneset.kb.io",
        "vstatefulset.kb.io",
        "vuniteddeployment.kb.io",
        "vdaemonset.kb.io",
        "vresourcedistribution.kb.io",
    ];
    let [live, templates] = original::hooks(cluster).await?;
    ensure!(live == wanted && templates == wanted, "{live:?} {templates:?}");
    let manager = Api::<Deployment>::namespaced(cluster.client(), original::NAMESPACE).get(original::DEPLOYMENT).await?;
    let args = manager.spec.template.spec.and_then(|spec| spec.containers.into_iter().next()?.args).unwrap_or_default();
    ensure!(args.last().is_some_and(|flag| flag.contains("PodWebhook=false,WorkloadSpread=false")), "{args:?}");
    Ok(())
}

fn of_version(cluster: &Cluster, group: &str, version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(cluster.client(), namespace, &resource),
        None => Api::all_with(cluster.client(), &resource),
    }
}

/// A subset in the words of the older version.
fn older(mut subset: Value) -> Value {
    let term = subset.as_object_mut().and_then(|subset| subset.remove("requiredNodeSelector")).unwrap_or_default();
    subset["requiredNodeSelectorTerm"] = term;
    subset
}

/// Objects are written in the older version, as the users of the original have them.
async fn our_features_work(sandbox: &Sandbox, server: &Outrigger) -> Result<()> {
    let namespace = &sandbox.namespace;
    let set = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": "log"}, "spec": {"namespace": namespace,
        "selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "log", "image": "registry.example/log:1"}]}});
    let subsets: Vec<Value> = zones([json!(1), json!(2), Value::Null]).into_iter().map(older).collect();
    let spread = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "WorkloadSpread", "metadata": {"name": "web"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "subsets": subsets}});
    let budget = json!({"apiVersion": "policy.kruise.io/v1alpha1", "kind": "PodUnavailableBudget", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 0}});
    eventually("the hooks and conversions", Duration::from_secs(30), async || {
        for object in [&set, &spread, &budget] {
            sandbox.apply_yaml(&object.to_string()).await?;
        }
        Ok(())
    })
    .await?;
    eventually("all three in the server's memory", Duration::from_secs(30), async || {
        crate::injection::injects_into(sandbox, server, &json!({"app": "web"}), "registry.example/log:1").await?;
        crate::placing::places(sandbox, server, crate::placing::DEPLOYMENT, "web").await
    })
    .await?;
    sandbox.create(&deployment("web").replicas(4).build()).await?;
    settled(sandbox, "web", [1, 2, 1]).await?;
    let pods = linked_pods(sandbox, "web", 4).await?;
    for pod in sandbox.ready_pods("app=web", 4).await? {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers).count();
        ensure!(containers == 2, "a pod with {containers} containers");
    }
    crate::guarding::counted(sandbox, "web", [4, 4, 0]).await?;
    let pod = pods.first().context("no pods")?;
    let refused = sandbox.api::<Pod>().delete(pod, &DeleteParams::default()).await.err().context("a guarded pod is deleted")?;
    ensure!(refused.to_string().contains("podunavailablebudget.policy.kruise.io \"web\" is forbidden"), "{refused}");
    Ok(())
}

/// A client with the manager's account.
async fn manager(cluster: &Cluster) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(cluster.plane.kubeconfig())?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    config.auth_info.impersonate = Some(format!("system:serviceaccount:{}:{}", original::NAMESPACE, original::ACCOUNT));
    Ok(Client::try_from(config)?)
}

async fn the_manager_may_do_only_what_is_its_own(sandbox: &Sandbox) -> Result<()> {
    let client = manager(&sandbox.cluster).await?;
    let ours = "are Outrigger's here";
    let sets = Api::<outrigger::sidecarset::api::SidecarSet>::all(client.clone());
    let counts = Patch::Merge(json!({"status": {"matchedPods": 77}}));
    // A policy is in force a moment after it is stored.
    eventually("the policy", Duration::from_secs(30), async || match sets.patch_status("log", &PatchParams::default(), &counts).await {
        Err(error) if error.to_string().contains(ours) => Ok(()),
        other => bail!("{other:?}"),
    })
    .await?;
    let pods = Api::<Pod>::namespaced(client.clone(), &sandbox.namespace);
    let name = sandbox.ready_pods("app=web", 4).await?.first().context("no pods")?.name_any();
    let rollout = json!({"metadata": {"annotations": {"kruise.io/sidecarset-hash": "{}"}}});
    let refused = pods.patch(&name, &PatchParams::default(), &Patch::Merge(rollout)).await.err().context("a rollout passes")?;
    ensure!(refused.to_string().contains(ours), "{refused}");
    let other = json!({"metadata": {"annotations": {"apps.kruise.io/inplace-update-state": "{}"}}});
    pods.patch(&name, &PatchParams::default(), &Patch::Merge(other)).await.context("an update of its own workloads")?;
    let revision = |labels: Value| {
        serde_json::from_value(
            json!({"metadata": {"name": keys::suffix()?, "namespace": original::NAMESPACE, "labels": labels}, "revision": 1, "data": {}}),
        )
        .context("a revision")
    };
    let revisions = Api::<k8s_openapi::api::apps::v1::ControllerRevision>::namespaced(client, original::NAMESPACE);
    let of_a_set = revisions.create(&PostParams::default(), &revision(json!({"kruise.io/sidecarset-name": "log"}))?).await;
    let refused = of_a_set.err().context("a revision of a set passes")?;
    ensure!(refused.to_string().contains(ours), "{refused}");
    revisions.create(&PostParams::default(), &revision(json!({}))?).await.context("a revision of a CloneSet")?;
    Ok(())
}

async fn everything_is_as_it_was(sandbox: &Sandbox) -> Result<()> {
    let cluster = &sandbox.cluster;
    original::sync(cluster, |_| true).await?;
    let [live, templates] = original::hooks(cluster).await?;
    ensure!(live == original::all() && templates == original::all(), "{live:?} {templates:?}");
    for name in DEFINITIONS {
        let definition = Api::<CustomResourceDefinition>::all(cluster.client()).get(name).await?;
        let versions: Vec<_> = definition.spec.versions.iter().map(|version| version.name.as_str()).collect();
        ensure!(versions == ["v1alpha1"], "{name}: {versions:?}");
    }
    let namespace = Some(sandbox.namespace.as_str());
    let set = of_version(cluster, "apps.kruise.io", "v1alpha1", "SidecarSet", None).get("log").await?;
    ensure!(set.data["status"]["matchedPods"] == 4, "{:?}", set.data["status"]);
    let spread = of_version(cluster, "apps.kruise.io", "v1alpha1", "WorkloadSpread", namespace).get("web").await?;
    ensure!(spread.data["spec"]["subsets"][0]["requiredNodeSelectorTerm"].is_object(), "{:?}", spread.data["spec"]);
    let budget = of_version(cluster, "policy.kruise.io", "v1alpha1", "PodUnavailableBudget", namespace).get("web").await?;
    ensure!(budget.data["status"]["totalReplicas"] == 4, "{:?}", budget.data["status"]);
    // Nobody of ours is asked any more.
    let pod = sandbox.api::<Pod>().list(&ListParams::default()).await?.items.first().context("no pods")?.name_any();
    sandbox.api::<Pod>().delete(&pod, &DeleteParams::default()).await.context("nobody guards it now")?;
    Ok(())
}
