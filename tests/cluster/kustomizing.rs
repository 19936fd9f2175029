//! The kustomization and its components, by a real kubectl: all can be applied, alone and together, and what runs then is admitted at the
//! `restricted` level.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

use crate::applying;
use crate::chart::nothing_holds_anything_up;
use crate::estate::Estate;
use crate::installing::{BUDGET, HOSTS, NAMESPACE, SET, available, certificate, injected};
use crate::keys::Identity;
use crate::tools::{committed, kubectl, kustomization};

const COMPONENTS: [&str; 5] = ["cert-manager", "high-availability", "network-policy", "own-certificate", "strict"];

/// Kinds of cert-manager, as far as an API server has to know them to take them.
async fn know_cert_manager(estate: &Estate) -> Result<()> {
    for (kind, plural) in [("Issuer", "issuers"), ("Certificate", "certificates")] {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.cert-manager.io")},
            "spec": {
                "group": "cert-manager.io", "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
            },
        });
        applying::apply(&estate.client(), "", definition).await?;
    }
    Ok(())
}

pub(crate) async fn every_component_can_be_applied_alone_and_all_together(estate: Estate) -> Result<()> {
    let plane = &estate.plane;
    know_cert_manager(&estate).await?;
    // In a dry run nothing can be put into a namespace that is not there.
    kubectl(plane, &["apply", "--server-side", "-f", &committed("namespace.yaml").display().to_string()]).await?;
    for components in COMPONENTS.iter().map(|name| vec![*name]).chain([vec![]]) {
        let folder = kustomization(plane, &components)?.display().to_string();
        let applied = kubectl(plane, &["apply", "--server-side", "--dry-run=server", "-k", &folder]).await?;
        let (all, fine) =
            (applied.lines().count(), applied.lines().filter(|line| line.ends_with(" serverside-applied (server dry run)")).count());
        ensure!(all == fine && all > 20, "{components:?}:\n{applied}");
    }

    certificate(&estate, &Identity::for_hosts("outrigger", &HOSTS)?).await?;
    let together = ["own-certificate", "high-availability", "network-policy", "strict"];
    let folder = kustomization(plane, &together)?.display().to_string();
    kubectl(plane, &["apply", "--server-side", "-k", &folder]).await?;
    available(&estate).await?;
    is_as_it_was_asked_for(&estate).await?;
    only_restricted_pods_are_admitted(&estate).await
}

/// The first block of code in this language below a heading of the documentation.
fn block(heading: &str, language: &str) -> Result<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/install.md"))?;
    let (_, below) = page.split_once(&format!("\n{heading}\n")).with_context(|| format!("no heading {heading}"))?;
    let (_, block) = below.split_once(&format!("```{language}\n")).with_context(|| format!("no {language} below {heading}"))?;
    Ok(block.split("```").next().unwrap_or_default().to_owned())
}

/// The commands below a heading.
fn commands(heading: &str) -> Result<Vec<String>> {
    let commands: Vec<String> = block(heading, "console")?.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect();
    ensure!(!commands.is_empty(), "no commands below {heading}");
    Ok(commands)
}

/// Runs them where the manifests and the user's own folder are.
async fn run(estate: &Estate, site: &Path, commands: Vec<String>) -> Result<()> {
    for command in commands {
        let in_site = |word: &str| match word.split('/').next() {
            Some("manifests" | "production") => site.join(word).display().to_string(),
            _ => word.to_owned(),
        };
        let words: Vec<String> = command.split_whitespace().map(in_site).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (tool, args) = words.split_first().context("an empty command")?;
        ensure!(*tool == "kubectl", "{command}");
        kubectl(&estate.plane, args).await.with_context(|| command.clone())?;
    }
    Ok(())
}

/// What the documentation says, word by word.
pub(crate) async fn kubectl_installs_and_uninstalls_as_the_documentation_says(estate: Estate) -> Result<()> {
    let own = kustomization(&estate.plane, &[])?;
    let site = own.parent().context("a kustomization in no folder")?;
    fs::create_dir(site.join("production"))?;
    fs::write(site.join("production/kustomization.yaml"), block("## kubectl", "yaml")?)?;
    run(&estate, site, commands("## kubectl")?).await?;
    let image = Api::<Deployment>::namespaced(estate.client(), NAMESPACE).get("outrigger").await?.spec.template.spec;
    let image = image.and_then(|pod| pod.containers.first()?.image.clone());
    ensure!(image.as_deref() == Some("your.registry/outrigger:0.1.0"), "{image:?}");
    let sandbox = estate.sandbox("documented").await?;
    sandbox.apply_yaml(SET).await?;
    sandbox.apply_yaml(BUDGET).await?;
    injected(&sandbox).await?;
    run(&estate, site, commands("## Verify")?).await?;
    // A second time changes nothing, and the authority stays where it was written.
    run(&estate, site, commands("## kubectl")?).await?;
    run(&estate, site, commands("### Uninstall with kubectl")?).await?;
    nothing_holds_anything_up(&sandbox).await
}

async fn is_as_it_was_asked_for(estate: &Estate) -> Result<()> {
    let pods = Api::<Pod>::namespaced(estate.client(), NAMESPACE).list(&ListParams::default()).await?.items;
    ensure!(pods.len() == 3, "{} replicas", pods.len());
    let class = Api::<PriorityClass>::all(estate.client()).get("outrigger").await?;
    ensure!(pods.iter().all(|pod| pod.spec.as_ref().and_then(|spec| spec.priority) == class.value), "pods have another priority");
    let nodes: std::collections::BTreeSet<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    ensure!(nodes.len() == 3, "three replicas are on {nodes:?}");
    let budget = Api::<PodDisruptionBudget>::namespaced(estate.client(), NAMESPACE).get("outrigger").await?;
    ensure!(budget.spec.and_then(|spec| spec.max_unavailable).is_some());
    let hooks = Api::<MutatingWebhookConfiguration>::all(estate.client()).get("outrigger").await?.webhooks.unwrap_or_default();
    let pods = hooks.iter().find(|hook| hook.name == "mpod.outrigger.kruise.io").context("no hook of pods")?;
    ensure!(pods.failure_policy.as_deref() == Some("Fail"), "{:?}", pods.failure_policy);
    Ok(())
}

/// That ours run shows something only if others do not.
async fn only_restricted_pods_are_admitted(estate: &Estate) -> Result<()> {
    let pod = json!({"metadata": {"name": "rooted"}, "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]}});
    let pods = Api::<Pod>::namespaced(estate.client(), NAMESPACE);
    let refused = pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &serde_json::from_value(pod)?).await;
    let error = refused.err().context("a pod without any security context is admitted")?.to_string();
    ensure!(error.contains("violates PodSecurity \"restricted:latest\""), "{error}");
    Ok(())
}
