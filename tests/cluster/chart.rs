//! The Helm chart, by a real Helm: it is the same installation as the kustomization, it is upgraded without a failed request, and when it
//! goes, its webhooks go first.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use outrigger::sidecarset::api::SidecarSet;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::applying;
use crate::estate::Estate;
use crate::installing::{BUDGET, NAMESPACE, SET, injected, tried};
use crate::support::{Cluster, Object, Sandbox};
use crate::tools::{committed, copy, helm, kubectl, kustomization};

/// Helm asks no cluster for its version when it only renders.
const VERSION: &str = "--kube-version=v1.36.0";

type Objects = BTreeMap<(String, String, String), Value>;

/// What is rendered, without what is different on purpose: Helm makes the namespace, keeps the definitions when it uninstalls, and must
/// be able to take the webhook configurations away.
fn objects(yaml: &str) -> Result<Objects> {
    let mut objects = Objects::new();
    for mut object in applying::documents(yaml)? {
        let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (word("/kind"), word("/metadata/namespace"), word("/metadata/name"));
        let masked = match key.0.as_str() {
            "Namespace" => continue,
            "CustomResourceDefinition" => Some(("annotations", "helm.sh/resource-policy")),
            kind if kind.ends_with("WebhookConfiguration") => Some(("labels", "policy.kruise.io/delete-protection")),
            _ => None,
        };
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut).context("no metadata")?;
        if let Some((member, name)) = masked
            && let Some(found) = metadata.get_mut(member).and_then(Value::as_object_mut)
        {
            found.remove(name);
            if found.is_empty() {
                metadata.remove(member);
            }
        }
        ensure!(objects.insert(key.clone(), alike(object)).is_none(), "{key:?} is there twice");
    }
    Ok(objects)
}

/// Kustomize writes 1.0 as 1, and puts its variables first, whose order says nothing.
fn alike(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(alike).collect(),
        Value::Object(members) => Value::Object(members.into_iter().map(|(name, member)| member_alike(name, member)).collect()),
        other => other,
    }
}

fn member_alike(name: String, member: Value) -> (String, Value) {
    let mut member = alike(member);
    if let Some(variables) = member.as_array_mut().filter(|_| name == "env") {
        variables.sort_by_key(ToString::to_string);
    }
    (name, member)
}

fn the_same(from: &Objects, other: &Objects) -> Result<()> {
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    ensure!(names(from) == names(other), "{:?}\n{:?}", names(from), names(other));
    for (key, object) in from {
        ensure!(other.get(key) == Some(object), "{key:?}\n{object}\n{}", other.get(key).unwrap_or(&Value::Null));
    }
    Ok(())
}

pub(crate) async fn the_chart_is_the_kustomization_with_values(cluster: Arc<Cluster>) -> Result<()> {
    let (plane, chart) = (&cluster.plane, committed("helm/outrigger"));
    let (chart, available) = (chart.display().to_string(), chart.join("high-availability.yaml").display().to_string());
    let pairs: [(&[&str], &[&str]); 6] = [
        (&[], &[]),
        (&["cert-manager"], &["--set=certificates.mode=certManager"]),
        (&["own-certificate"], &["--set=certificates.mode=secret"]),
        (&["high-availability"], &["--values", &available]),
        (&["strict"], &["--set=strict=true"]),
        (&["network-policy", "cert-manager"], &["--set=networkPolicy.enabled=true", "--set=certificates.mode=certManager"]),
    ];
    for (components, values) in pairs {
        let folder = kustomization(plane, components)?.display().to_string();
        let kustomized = kubectl(plane, &["kustomize", &folder]).await?;
        let fixed = ["template", "outrigger", &chart, "--namespace", NAMESPACE, "--no-hooks", VERSION];
        let templated = helm(plane, &[&fixed, values].concat()).await?;
        the_same(&objects(&kustomized)?, &objects(&templated)?).with_context(|| format!("{components:?}, {values:?}"))?;
    }
    Ok(())
}

pub(crate) async fn what_watches_us_can_come_with_the_chart(cluster: Arc<Cluster>) -> Result<()> {
    let (plane, chart) = (&cluster.plane, committed("helm/outrigger").display().to_string());
    let on = ["serviceMonitor", "rules", "dashboard"].map(|part| format!("--set=monitoring.{part}=true"));
    let fixed = ["template", "outrigger", &chart, "--namespace", NAMESPACE, "--show-only", "templates/monitoring.yaml", VERSION];
    let on: Vec<&str> = fixed.into_iter().chain(on.iter().map(String::as_str)).collect();
    let templated = objects(&helm(plane, &on).await?)?;
    // Words in braces are for Prometheus and Grafana, and nobody else has put values there.
    let kustomized = kubectl(plane, &["kustomize", &committed("monitoring").display().to_string()]).await?;
    let mut wanted = objects(&kustomized)?;
    the_same(&wanted, &templated)?;

    // What an operator looks for stands on what it looks at, beside our own label.
    let labelled = [&on[..], &["--set=monitoring.labels.release=stack"]].concat();
    let templated = objects(&helm(plane, &labelled).await?)?;
    let mut count = 0;
    for ((kind, _, _), object) in &mut wanted {
        if ["ServiceMonitor", "PrometheusRule"].contains(&kind.as_str()) {
            let labels = object.pointer_mut("/metadata/labels").context("no labels")?;
            *labels = json!({"app.kubernetes.io/name": "outrigger", "release": "stack"});
            count += 1;
        }
    }
    ensure!(count == 2, "{count} are for the operator");
    the_same(&wanted, &templated)
}

pub(crate) async fn a_wrong_value_is_refused_by_its_name(cluster: Arc<Cluster>) -> Result<()> {
    let chart = committed("helm/outrigger").display().to_string();
    helm(&cluster.plane, &["lint", "--strict", &chart, VERSION]).await?;
    for (value, said) in [
        ("replica=3", "additional properties 'replica' not allowed"),
        ("certificates.mode=certmanager", "at '/certificates/mode': value must be one of"),
        ("featureGates.SidecarTerminator=yes", "at '/featureGates/SidecarTerminator': got string, want boolean"),
        ("networkPolicy.apiServerPorts={0}", "at '/networkPolicy/apiServerPorts/0': minimum: got 0, want 1"),
        // Without any, all ports would be allowed.
        ("networkPolicy.apiServerPorts=null", "at '/networkPolicy': missing property 'apiServerPorts'"),
        ("strict=true,replicas=0", "replicas: expected at least 1 where strict is true, found 0"),
        ("monitoring.labels.release=7", "at '/monitoring/labels/release': got number, want string"),
        ("podLabels.app\\.kubernetes\\.io/name=web", "podLabels: expected labels beside ours, found app.kubernetes.io/name"),
    ] {
        let refused = helm(&cluster.plane, &["template", &chart, VERSION, "--set", value]).await;
        let error = format!("{:#}", refused.err().with_context(|| format!("{value} is taken"))?);
        ensure!(error.contains(said), "{value}: {error}");
    }
    Ok(())
}

pub(crate) async fn ports_and_labels_of_the_user_stand_where_they_belong(cluster: Arc<Cluster>) -> Result<()> {
    let chart = committed("helm/outrigger").display().to_string();
    let chosen = "--set=networkPolicy.enabled=true,networkPolicy.apiServerPorts={8443},podLabels.team=shop,replicas=0";
    let rendered =
        helm(&cluster.plane, &["template", "outrigger", &chart, "--namespace", NAMESPACE, "--no-hooks", VERSION, chosen]).await?;
    let objects = objects(&rendered)?;
    let of = |kind: &str| {
        let key = (kind.to_owned(), NAMESPACE.to_owned(), "outrigger".to_owned());
        objects.get(&key).with_context(|| format!("there is no {kind}"))
    };
    let ports = of("NetworkPolicy")?.pointer("/spec/egress/0/ports");
    ensure!(ports == Some(&alike(json!([{"protocol": "TCP", "port": 8443}]))), "{ports:?}");
    let labels = of("Deployment")?.pointer("/spec/template/metadata/labels");
    ensure!(labels == Some(&json!({"app.kubernetes.io/name": "outrigger", "team": "shop"})), "{labels:?}");
    Ok(())
}

/// Makes pods until it is told to stop, none of which is stored. None may be refused, and where `injected`, each has its sidecar. Gives how
/// many there were.
async fn pods_are_made(sandbox: &Sandbox, with_sidecar: bool, stop: CancellationToken) -> Result<usize> {
    for made in 0.. {
        if stop.is_cancelled() {
            return Ok(made);
        }
        let containers = tried(sandbox).await.context("a pod was refused")?;
        ensure!(!with_sidecar || containers == 2, "a pod without its sidecar");
    }
    bail!("unreachable: it counts without end")
}

/// What Helm does while pods are made; how many.
async fn meanwhile(sandbox: &Sandbox, with_sidecar: bool, work: impl Future<Output = Result<String>>) -> Result<usize> {
    let stop = CancellationToken::new();
    let worked = async {
        let worked = work.await;
        stop.cancel();
        worked
    };
    let (made, _) = tokio::try_join!(pods_are_made(sandbox, with_sidecar, stop.clone()), worked)?;
    Ok(made)
}

/// When an object went, as the API server counts.
async fn first_deletion<K: Object>(api: Api<K>, name: &str) -> Result<u64> {
    let mut events = pin!(watcher(api, watcher::Config::default().fields(&format!("metadata.name={name}"))));
    while let Some(event) = events.try_next().await? {
        if let Event::Delete(object) = event {
            return Ok(object.resource_version().context("no version")?.parse()?);
        }
    }
    bail!("the watch of {name} has ended")
}

/// A chart in which a definition has changed.
fn changed(estate: &Estate) -> Result<PathBuf> {
    let chart = estate.plane.folder.join("changed");
    copy(&committed("helm/outrigger"), &chart)?;
    let path = chart.join("templates/crds/sidecarsets.apps.kruise.io.yaml");
    let text = fs::read_to_string(&path)?;
    let annotated = text.replacen("helm.sh/resource-policy: keep", "helm.sh/resource-policy: keep\n    example.com/edition: second", 1);
    ensure!(annotated != text);
    fs::write(path, annotated)?;
    Ok(chart)
}

pub(crate) async fn helm_installs_upgrades_and_uninstalls(estate: Estate) -> Result<()> {
    let (plane, chart) = (&estate.plane, committed("helm/outrigger").display().to_string());
    // Strict, so that a review without an answer is a pod that is refused.
    let fixed = ["--namespace", NAMESPACE, "--create-namespace", "--set=strict=true", "--wait", "--timeout", "180s"];
    helm(plane, &[&["install", "outrigger", &chart], &fixed[..]].concat()).await?;

    let sandbox = estate.sandbox("charted").await?;
    sandbox.apply_yaml(SET).await?;
    sandbox.apply_yaml(BUDGET).await?;
    injected(&sandbox).await?;
    let edition = changed(&estate)?.display().to_string();
    let upgrade = [&["upgrade", "--install", "outrigger", &edition, "--set=log.format=json", "--set=replicas=3"], &fixed[..]].concat();
    let made = meanwhile(&sandbox, true, helm(plane, &upgrade)).await?;
    ensure!(made > 20, "only {made} pods were made while Helm upgraded");
    let definitions = Api::<CustomResourceDefinition>::all(estate.client());
    let definition = definitions.get("sidecarsets.apps.kruise.io").await?;
    ensure!(
        definition.annotations().get("example.com/edition").is_some_and(|edition| edition == "second"),
        "the definition is the old one"
    );
    ensure!(estate.kubelet.servers().len() >= 3, "three replicas run");

    let uninstall = ["uninstall", "outrigger", "--namespace", NAMESPACE, "--wait", "--timeout", "180s"];
    let (client, services) = (estate.client(), Api::<Service>::namespaced(estate.client(), NAMESPACE));
    let (_, mutating, validating, service) = tokio::try_join!(
        meanwhile(&sandbox, false, helm(plane, &uninstall)),
        first_deletion(Api::<MutatingWebhookConfiguration>::all(client.clone()), "outrigger"),
        first_deletion(Api::<ValidatingWebhookConfiguration>::all(client.clone()), "outrigger"),
        first_deletion(services, "outrigger-webhook"),
    )?;
    ensure!(mutating < service && validating < service, "webhooks went at {mutating} and {validating}, their service at {service}");
    nothing_holds_anything_up(&sandbox).await?;
    // The definitions that were left are taken up again.
    helm(plane, &[&["install", "outrigger", &chart], &fixed[..]].concat()).await.map(drop)
}

/// Nothing of ours is asked any more, and what users have made is there.
pub(crate) async fn nothing_holds_anything_up(sandbox: &Sandbox) -> Result<()> {
    let client = sandbox.cluster.client();
    let ours = ListParams::default().labels("app.kubernetes.io/name=outrigger");
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone()).list(&ours).await?.items.len();
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone()).list(&ours).await?.items.len();
    let policies = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()).list(&ours).await?.items.len();
    ensure!((mutating, validating, policies) == (0, 0, 0), "left: {mutating}, {validating}, {policies}");
    // The sets and the budgets are there still, and what they are about goes its way without us.
    ensure!(Api::<SidecarSet>::all(client.clone()).get("mesh").await.is_ok(), "the set is gone");
    let budgets = kube::api::ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("policy.kruise.io", "v1beta1", "PodUnavailableBudget"),
        "podunavailablebudgets",
    );
    let budgets = Api::<DynamicObject>::namespaced_with(client, &sandbox.namespace, &budgets);
    ensure!(budgets.get("web").await.is_ok(), "the budget is gone");
    let pods = sandbox.api::<Pod>();
    let pod = pods.list(&ListParams::default().labels("app=web")).await?.items.into_iter().next().context("no pod")?;
    pods.evict(&pod.name_any(), &kube::api::EvictParams::default()).await.context("an eviction is refused")?;
    pods.delete_collection(&DeleteParams::default(), &ListParams::default()).await.map(drop).context("deletions are refused")
}
