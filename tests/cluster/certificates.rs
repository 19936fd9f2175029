//! Certificates on an estate: those that replicas keep by themselves, and those of cert-manager.

pub(crate) mod cert_manager;
pub(crate) mod trouble;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use outrigger::base::installation::DEFINITIONS;
use outrigger::server::authority::{Certificate, certificates};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::applying;
use crate::estate::{Estate, Server};
use crate::installing::{NAMESPACE, available, rendered};
use crate::support::{Sandbox, deployment};
use crate::watching::Watch;

const HOST: &str = "outrigger-webhook.outrigger-system.svc";
const SECRET: &str = "outrigger-authority";

/// Installs what is rendered, with so many replicas and these flags besides; every hook refuses what it is not asked about.
async fn install(estate: &Estate, replicas: usize, flags: &[&str]) -> Result<()> {
    for mut document in rendered(false)? {
        for hook in document.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
            set(hook, "/failurePolicy", json!("Fail"))?;
        }
        if document.get("kind").is_some_and(|kind| kind == "Deployment") {
            set(&mut document, "/spec/replicas", json!(replicas))?;
            let args = document.pointer_mut("/spec/template/spec/containers/0/args").and_then(Value::as_array_mut).context("no args")?;
            args.extend(flags.iter().map(|flag| json!(flag)));
        }
        applying::apply(&estate.client(), NAMESPACE, document).await?;
    }
    available(estate).await
}

fn set(object: &mut Value, path: &str, value: Value) -> Result<()> {
    *object.pointer_mut(path).with_context(|| format!("no {path}"))? = value;
    Ok(())
}

fn secrets(estate: &Estate) -> Api<Secret> {
    Api::namespaced(estate.client(), NAMESPACE)
}

/// The CAs in our Secret, the one that signs first.
fn held(secret: &Secret) -> Vec<Certificate> {
    let bundle = secret.data.as_ref().and_then(|data| data.get("ca.crt"));
    bundle.and_then(|bundle| certificates(&bundle.0).ok()).unwrap_or_default()
}

/// What every hook and every definition of ours carries, by what it is.
async fn carried(estate: &Estate) -> Result<Vec<(String, Vec<Certificate>)>> {
    let client = estate.client();
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone()).get("outrigger").await?;
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get("outrigger").await?;
    let mutating = mutating.webhooks.into_iter().flatten().map(|hook| (hook.name, hook.client_config.ca_bundle));
    let validating = validating.webhooks.into_iter().flatten().map(|hook| (hook.name, hook.client_config.ca_bundle));
    let mut all: Vec<_> = mutating.chain(validating).collect();
    for name in DEFINITIONS {
        let definition = Api::<CustomResourceDefinition>::all(client.clone()).get(name).await?;
        let conversion = definition.spec.conversion.and_then(|conversion| conversion.webhook?.client_config);
        all.push((name.to_owned(), conversion.and_then(|config| config.ca_bundle)));
    }
    Ok(all.into_iter().map(|(name, bundle)| (name, bundle.and_then(|pem| certificates(&pem.0).ok()).unwrap_or_default())).collect())
}

/// An error unless a server shows a certificate that this CA has signed.
async fn is_signed_by(server: &Server, ca: &Certificate) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.reviews));
    let root = reqwest::Certificate::from_der(&ca.der)?;
    let http = reqwest::Client::builder().add_root_certificate(root).no_proxy().resolve(HOST, address).build()?;
    let asked = http.get(format!("https://{HOST}:{}/", server.reviews)).timeout(Duration::from_secs(5)).send().await;
    asked.map(drop).with_context(|| format!("{} is not believed", server.pod))
}

/// Requests that our hooks have a say in, one after another until `stop`; how many there were. The first that fails is the end.
async fn requests(sandbox: &Sandbox, number: usize, stop: &CancellationToken) -> Result<usize> {
    let older = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("apps.kruise.io", "v1alpha1", "SidecarSet"), "sidecarsets");
    let sets = Api::<DynamicObject>::all_with(sandbox.cluster.client(), &older);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let template = deployment("asked").build().spec.template;
    let mut count = 0;
    while !stop.is_cancelled() {
        let mut pod = Pod { spec: template.spec.clone(), ..Pod::default() };
        pod.metadata.name = Some(format!("asked-{number}"));
        sandbox.create_dry_run(&pod).await.with_context(|| format!("pod {count} of worker {number}"))?;
        let set: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": format!("asked-{number}")},
            "spec": {"namespace": sandbox.namespace, "selector": {"matchLabels": {"no": "pod"}}, "containers": [{"name": "log", "image": "log:1"}]},
        }))?;
        sets.create(&dry, &set).await.with_context(|| format!("set {count} of worker {number}"))?;
        count += 2;
    }
    Ok(count)
}

/// The times are so short that a whole exchange takes little more than a minute; what happens is the same as in two years.
pub(crate) async fn three_replicas_share_one_ca_and_exchange_it_under_load_without_one_failed_request(estate: Estate) -> Result<()> {
    install(&estate, 3, &["--ca-validity=60s", "--leaf-validity=20s", "--ca-settle=5s"]).await?;
    let secret = secrets(&estate).get(SECRET).await?;
    let first = held(&secret).first().cloned().context("no CA")?;
    let servers = estate.kubelet.servers();
    ensure!(servers.len() == 3, "{} servers", servers.len());
    for server in &servers {
        is_signed_by(server, &first).await?;
    }
    ensure!(secret.data.iter().flatten().all(|(name, _)| name.starts_with("ca.") || name.starts_with("next.")), "a certificate is stored");
    let (sandbox, stop) = (estate.sandbox("exchange").await?, CancellationToken::new());
    let exchanged = async {
        let is_gone = |secret: &Secret| !held(secret).is_empty() && !held(secret).contains(&first);
        let watch = Watch::over(secrets(&estate)).named(SECRET).within(Duration::from_mins(2));
        let secret = watch.until_it("the first CA is trusted no more", is_gone).await?;
        stop.cancel();
        anyhow::Ok(secret)
    };
    let load = futures::future::try_join_all((0..4).map(|number| requests(&sandbox, number, &stop)));
    let (secret, counts) = tokio::try_join!(exchanged, load)?;
    let count: usize = counts.iter().sum();
    ensure!(count > 200, "only {count} requests in a whole exchange");
    let second = held(&secret).first().cloned().context("no CA")?;
    for server in estate.kubelet.servers() {
        is_signed_by(&server, &second).await?;
        ensure!(is_signed_by(&server, &first).await.is_err(), "{} is still signed by the first CA", server.pod);
    }
    crate::binaries::say(&format!("{count} requests passed while a CA was exchanged"))
}

/// Writes by server-side apply that the API server has counted for webhook configurations and definitions.
async fn applies(estate: &Estate) -> Result<f64> {
    let request = axum::http::Request::get("/metrics").body(Vec::new())?;
    let text = estate.client().request_text(request).await?;
    let is_one = |line: &&str| {
        let is_of = |resource: &str| line.contains(&format!("resource=\"{resource}\""));
        line.starts_with("apiserver_request_total{")
            && line.contains("verb=\"APPLY\"")
            && ["mutatingwebhookconfigurations", "validatingwebhookconfigurations", "customresourcedefinitions"].into_iter().any(is_of)
    };
    let counts = text.lines().filter(is_one).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum())
}

/// An object of a configuration or a definition, as anybody reads and writes it.
fn carrier(estate: &Estate, kind: &str, plural: &str) -> Api<DynamicObject> {
    let (group, version) =
        if plural == "customresourcedefinitions" { ("apiextensions.k8s.io", "v1") } else { ("admissionregistration.k8s.io", "v1") };
    Api::all_with(estate.client(), &ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural))
}

fn without_bundles(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.shift_remove("caBundle");
            members.values_mut().for_each(without_bundles);
        }
        Value::Array(items) => items.iter_mut().for_each(without_bundles),
        _ => {}
    }
}

pub(crate) async fn what_is_applied_again_is_mended_at_once_and_who_edits_selectors_is_let_be(estate: Estate) -> Result<()> {
    install(&estate, 2, &[]).await?;
    let trusted = held(&secrets(&estate).get(SECRET).await?);
    let is_whole = async || {
        let all = carried(&estate).await?;
        ensure!(all.iter().all(|(_, bundle)| *bundle == trusted), "not all carry {trusted:?}: {all:?}");
        Ok(())
    };
    is_whole().await?;
    for (kind, plural, name) in [
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "outrigger"),
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "outrigger"),
        ("CustomResourceDefinition", "customresourcedefinitions", DEFINITIONS[0]),
    ] {
        let api = carrier(&estate, kind, plural);
        let mut stored = serde_json::to_value(api.get(name).await?)?;
        without_bundles(&mut stored);
        let before = std::time::Instant::now();
        let replaced: DynamicObject = serde_json::from_value(stored)?;
        api.replace(name, &PostParams::default(), &replaced).await?;
        crate::control_plane::eventually("caBundle", Duration::from_secs(5), is_whole).await.with_context(|| plural.to_owned())?;
        crate::binaries::say(&format!("{plural}: mended after {:.2} s", before.elapsed().as_secs_f32()))?;
    }
    selectors_are_let_be(&estate).await?;
    is_whole().await
}

/// Somebody edits a selector again and again.
async fn selectors_are_let_be(estate: &Estate) -> Result<()> {
    let before = applies(estate).await?;
    let api = carrier(estate, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations");
    let hook = api.get("outrigger").await?.data.pointer("/webhooks/0/name").cloned().context("no hook")?;
    for round in 0..100 {
        let selector = json!({"matchExpressions": [{"key": "control-plane", "operator": "NotIn", "values": [round.to_string()]}]});
        let body = json!({"webhooks": [{"name": hook, "namespaceSelector": selector}]});
        let parameters = kube::api::PatchParams { field_manager: Some("admissionsenforcer".to_owned()), ..Default::default() };
        api.patch("outrigger", &parameters, &kube::api::Patch::Strategic(body)).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let found = api.get("outrigger").await?;
    let value = found.data.pointer("/webhooks/0/namespaceSelector/matchExpressions/0/values/0");
    ensure!(value.is_some_and(|value| value == "99"), "the selector of the other controller was changed: {value:?}");
    let after = applies(estate).await?;
    ensure!((after - before).abs() < 0.5, "{} writes of ours while somebody edits a selector", after - before);
    Ok(())
}
