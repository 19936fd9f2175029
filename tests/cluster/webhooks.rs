//! Rendered webhook configurations, made to call a server on loopback for the objects of one sandbox.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::discovery::{self, Scope};
use outrigger::manifests::{self, Rendering};
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::eventually;
use crate::support::{SANDBOX_LABEL, Sandbox};

/// A label of `ConfigMap`s that only exist in dry runs: see `probe`.
const PROBE_LABEL: &str = "outrigger.test/probe";

/// A server on loopback and the authority of its certificate.
pub(crate) struct Endpoint {
    pub(crate) port: u16,
    pub(crate) authority_pem: String,
}

impl Endpoint {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }
}

impl Sandbox {
    /// Applies the webhook configurations of a rendered YAML text and returns when the API server obeys them.
    ///
    /// Each calls `endpoint` in place of its service. Tests run beside each other, so each hook is narrowed to this sandbox: by
    /// `namespaceSelector`, and by `objectSelector` if it is called for a kind without namespaces.
    pub(crate) async fn install_webhooks(&self, rendered: &str, endpoint: &Endpoint) -> Result<()> {
        for mut configuration in applying::documents(rendered)? {
            let kind = configuration.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            ensure!(kind.ends_with("WebhookConfiguration"), "a {kind} cannot be narrowed to one sandbox");
            let name = configuration.pointer_mut("/metadata/name").context("a configuration without a name")?;
            let unique = format!("{}-{}", name.as_str().unwrap_or_default(), self.label);
            *name = unique.clone().into();
            let hooks = configuration.pointer_mut("/webhooks").and_then(Value::as_array_mut);
            let hooks = hooks.context("a configuration without webhooks")?;
            for hook in hooks.iter_mut() {
                lead_to(hook, endpoint)?;
                self.narrow(hook).await?;
            }
            let mark = format!("{}.{}", self.label, kind.to_lowercase());
            hooks.push(probe(&mark));
            applying::apply(&self.cluster.client(), "", configuration).await?;
            self.obeyed(&mark).await.with_context(|| format!("{kind} {unique}"))?;
        }
        self.refuse_unjudged_evictions().await
    }

    /// Applies the policy that belongs to the hook of evictions, for this sandbox alone.
    async fn refuse_unjudged_evictions(&self) -> Result<()> {
        let files = manifests::files(&Rendering::default())?;
        let file = files.iter().find(|file| file.path.as_os_str() == "evictions.yaml").context("no policy of evictions")?;
        for mut object in applying::documents(&file.text)? {
            for name in ["/metadata/name", "/spec/policyName"] {
                if let Some(name) = object.pointer_mut(name) {
                    *name = format!("{}-{}", name.as_str().unwrap_or_default(), self.label).into();
                }
            }
            if let Some(constraints) = object.pointer_mut("/spec/matchConstraints") {
                add_label_selector(constraints, "namespaceSelector", SANDBOX_LABEL, &self.label)?;
            }
            applying::apply(&self.cluster.client(), "", object).await?;
        }
        Ok(())
    }

    async fn narrow(&self, hook: &mut Value) -> Result<()> {
        add_label_selector(hook, "namespaceSelector", SANDBOX_LABEL, &self.label)?;
        if self.is_for_a_kind_without_namespaces(hook).await? {
            add_label_selector(hook, "objectSelector", SANDBOX_LABEL, &self.label)?;
        }
        Ok(())
    }

    async fn is_for_a_kind_without_namespaces(&self, hook: &Value) -> Result<bool> {
        let strings = |rule: &Value, key: &str| -> Vec<String> {
            let values = rule.get(key).and_then(Value::as_array).into_iter().flatten();
            values.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        for rule in hook.get("rules").and_then(Value::as_array).into_iter().flatten() {
            let resources = strings(rule, "resources");
            // The core group's only kind without namespaces that anybody guards is the namespace, which has labels to select by.
            for group in strings(rule, "apiGroups").iter().filter(|group| !group.is_empty() && *group != "*") {
                let group = discovery::group(&self.cluster.client(), group).await.with_context(|| format!("API group {group}"))?;
                let mut kinds = group.recommended_resources().into_iter();
                if kinds.any(|(kind, capabilities)| capabilities.scope == Scope::Cluster && resources.contains(&kind.plural)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The API server learns of a configuration a moment after it is stored, and does not say when. The probe tells.
    async fn obeyed(&self, mark: &str) -> Result<()> {
        let mut object = ConfigMap::default();
        object.metadata.name = Some("probe".to_owned());
        object.metadata.labels.get_or_insert_default().insert(PROBE_LABEL.to_owned(), mark.to_owned());
        eventually("effect of the configuration", Duration::from_secs(20), async || match self.create_dry_run(&object).await {
            Err(error) if format!("{error:#}").contains(&format!("probe.{mark}")) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => bail!("the probe is not refused"),
        })
        .await
    }
}

/// Has a hook, or a conversion, call a server on loopback in place of its service.
pub(crate) fn lead_to(hook: &mut Value, endpoint: &Endpoint) -> Result<()> {
    let client = hook.get_mut("clientConfig").and_then(Value::as_object_mut).context("a webhook without clientConfig")?;
    let service = client.remove("service").context("a webhook that calls no service")?;
    let path = service.get("path").and_then(Value::as_str).unwrap_or("/");
    client.insert("url".to_owned(), endpoint.url(path).into());
    client.insert("caBundle".to_owned(), BASE64_STANDARD.encode(&endpoint.authority_pem).into());
    Ok(())
}

fn add_label_selector(hook: &mut Value, selector: &str, key: &str, value: &str) -> Result<()> {
    let hook = hook.as_object_mut().context("a webhook is not an object")?;
    let selector = hook.entry(selector).or_insert_with(|| json!({})).as_object_mut().context("a selector is not an object")?;
    let labels = selector.entry("matchLabels").or_insert_with(|| json!({})).as_object_mut().context("labels are not an object")?;
    labels.insert(key.to_owned(), value.into());
    Ok(())
}

/// A hook that refuses the probe because nobody answers it. As soon as it does, its whole configuration is in force.
fn probe(mark: &str) -> Value {
    json!({
        "name": format!("probe.{mark}"),
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 1,
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "objectSelector": {"matchLabels": {PROBE_LABEL: mark}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}],
    })
}
