//! SidecarSet objects in a real cluster: what the API server itself refuses, what our webhooks make of what it lets through,
//! and both versions of one object.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::eventually;
use crate::injection::define;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, SANDBOX_LABEL, Sandbox};

const DEFINITION: &str = include_str!("../../manifests/crds/sidecarsets.apps.kruise.io.yaml");
const WEBHOOKS: &str = include_str!("../../manifests/webhooks.yaml");
const HASH: &str = "kruise.io/sidecarset-hash";
const VERSION_LABEL: &str = "apps.kruise.io/sidecarset-custom-version";

/// The sets of one test.
struct Sets {
    sandbox: Sandbox,
}

impl Sets {
    /// In a cluster that knows the kind, without webhooks.
    async fn defined(cluster: &Arc<Cluster>, purpose: &str) -> Result<Self> {
        let sandbox = cluster.sandbox(purpose).await?;
        define(cluster).await?;
        Ok(Self { sandbox })
    }

    /// Behind our webhooks. The server's own namespace is the sandbox.
    async fn served(cluster: &Arc<Cluster>, purpose: &str) -> Result<(Self, Outrigger)> {
        let sets = Self::defined(cluster, purpose).await?;
        define(cluster).await?;
        let server = Outrigger::start(cluster, &sets.sandbox.namespace, &[]).await?;
        sets.sandbox.install_webhooks(WEBHOOKS, server.endpoint()).await?;
        Ok((sets, server))
    }

    fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.sandbox.namespace)
    }

    fn api(&self, version: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("apps.kruise.io", version, "SidecarSet");
        Api::all_with(self.sandbox.cluster.client(), &ApiResource::from_gvk_with_plural(&kind, "sidecarsets"))
    }

    /// A good set, with one container of that name.
    fn set(&self, version: &str, name: &str) -> Value {
        json!({"apiVersion": format!("apps.kruise.io/{version}"), "kind": "SidecarSet",
            "metadata": {"name": self.name(name), "labels": {SANDBOX_LABEL: self.sandbox.label}},
            "spec": {"selector": {"matchLabels": {"app": self.name(name)}}, "containers": [{"name": name, "image": "log:1"}],
                // Sets of tests that run beside this one have the same names for their containers.
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.sandbox.namespace}}}})
    }

    async fn create(&self, version: &str, set: Value) -> Result<Value> {
        let object: DynamicObject = serde_json::from_value(set)?;
        let made = self.api(version).create(&PostParams::default(), &object).await?;
        Ok(serde_json::to_value(made)?)
    }

    /// What the API server says to that; an error if it takes it.
    async fn refusal(&self, version: &str, set: Value) -> Result<String> {
        match self.create(version, set.clone()).await {
            Ok(made) => bail!("{set} was taken: {made}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    async fn read(&self, version: &str, name: &str) -> Result<Value> {
        Ok(serde_json::to_value(self.api(version).get(&self.name(name)).await?)?)
    }

    async fn merge(&self, version: &str, name: &str, change: &Value) -> Result<Value> {
        let merged = self.api(version).patch(&self.name(name), &PatchParams::default(), &Patch::Merge(change)).await?;
        Ok(serde_json::to_value(merged)?)
    }
}

/// Two orders at once.
fn twice_ordered() -> Value {
    let weights = json!([{"weight": 1, "matchSelector": {"matchLabels": {"a": "b"}}}]);
    json!({"priorityStrategy": {"orderPriority": [{"orderedKey": "a"}], "weightPriority": weights}})
}

fn half_selected(kind: &str, partition: &Value) -> Value {
    json!({"type": kind, "selector": {"matchLabels": {"a": "b"}}, "partition": partition})
}

pub(crate) async fn a_bad_set_is_refused_while_our_webhooks_are_down(cluster: Arc<Cluster>) -> Result<()> {
    let sets = Sets::defined(&cluster, "rules").await?;
    let name = "metadata.name: must be at most 63 characters, without dots";
    let empty = "spec.selector: must select something";
    let idle = "spec: at least one container or init container is required";
    let both = "spec.updateStrategy: partition and selector exclude each other";
    for (pointer, value, message) in [
        ("/metadata/name", json!("n".repeat(64)), name),
        ("/metadata/name", json!("a.b"), name),
        ("/spec/selector", Value::Null, "spec.selector: is required"),
        ("/spec/selector", json!({}), empty),
        ("/spec/selector", json!({"matchLabels": {}, "matchExpressions": null}), empty),
        ("/spec/containers", Value::Null, idle),
        ("/spec/containers", json!([]), idle),
        ("/spec/updateStrategy", half_selected("", &json!("0%")), both),
        ("/spec/updateStrategy", half_selected("RollingUpdate", &json!(1)), both),
        ("/spec/updateStrategy", twice_ordered(), "orderPriority and weightPriority exclude each other"),
    ] {
        for version in ["v1beta1", "v1alpha1"] {
            let mut set = sets.set(version, "bad");
            set["spec"]["updateStrategy"] = json!({});
            *set.pointer_mut(pointer).context("no such member")? = value.clone();
            let said = sets.refusal(version, set).await?;
            ensure!(said.contains(message), "expected {message}\nfound {said}");
        }
    }
    Ok(())
}

pub(crate) async fn what_the_reference_admits_the_api_server_admits(cluster: Arc<Cluster>) -> Result<()> {
    let sets = Sets::defined(&cluster, "admitted").await?;
    let mut unchecked = twice_ordered();
    unchecked["type"] = json!("NotUpdate");
    for (name, strategy) in [
        ("unchecked", unchecked),
        ("other", half_selected("NotUpdate", &json!("50%"))),
        ("zero", half_selected("RollingUpdate", &json!(0))),
        ("none", Value::Null),
    ] {
        let mut set = sets.set("v1beta1", name);
        set["spec"]["updateStrategy"] = strategy;
        sets.create("v1beta1", set).await.context(name)?;
    }
    Ok(())
}

pub(crate) async fn a_set_is_filled_in_hashed_and_judged(cluster: Arc<Cluster>) -> Result<()> {
    let (sets, _server) = Sets::served(&cluster, "judged").await?;
    let made = sets.create("v1beta1", sets.set("v1beta1", "log")).await?;
    ensure!(made["spec"]["revisionHistoryLimit"] == 10 && made["spec"]["updateStrategy"]["type"] == "RollingUpdate", "{made}");
    ensure!(made["metadata"]["annotations"][HASH].is_string(), "{made}");
    let image = json!({"spec": {"containers": [{"name": "log", "image": "log:2"}]}});
    let updated = sets.merge("v1beta1", "log", &image).await?;
    ensure!(updated["metadata"]["annotations"][HASH] != made["metadata"]["annotations"][HASH], "{updated}");
    // A rule of ours, in the words that users of the reference know.
    let mut grown = sets.set("v1beta1", "log");
    grown["spec"] = json!({"containers": [{"name": "log", "image": "log:2"}, {"name": "more", "image": "more:1"}]});
    let refused = sets.merge("v1beta1", "log", &grown).await.err().context("a container was added")?;
    let refused = format!("{refused:#}");
    ensure!(refused.contains("spec.containers.name: Invalid value: \"more\": container more is not found"), "{refused}");
    Ok(())
}

pub(crate) async fn the_api_server_judges_containers_by_its_own_rules(cluster: Arc<Cluster>) -> Result<()> {
    let (sets, _server) = Sets::served(&cluster, "asked").await?;
    let mut set = sets.set("v1beta1", "log");
    set["spec"]["initContainers"] = json!([{"name": "first", "image": "first:1"}]);
    set["spec"]["containers"][0]["ports"] = json!([{"containerPort": 70_000}]);
    set["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"port": 80}, "tcpSocket": {"port": 80}});
    set["spec"]["initContainers"][0]["resources"] = json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}});
    set["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/a/../b"}}]);
    for version in ["v1beta1", "v1alpha1"] {
        set["apiVersion"] = json!(format!("apps.kruise.io/{version}"));
        let said = sets.refusal(version, set.clone()).await?;
        for part in [
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535",
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            "spec.initContainers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit",
            "spec.volumes[0].hostPath.path: Invalid value: ",
        ] {
            ensure!(said.contains(part), "expected {part}\nfound {said}");
        }
    }
    // Nothing was made to find that out, and a good set is taken.
    sets.create("v1beta1", sets.set("v1beta1", "log")).await?;
    let pods = sets.sandbox.api::<Pod>().list(&kube::api::ListParams::default()).await?;
    ensure!(pods.items.is_empty(), "{:?}", pods.items);
    Ok(())
}

pub(crate) async fn the_whitelist_of_annotations_is_followed(cluster: Arc<Cluster>) -> Result<()> {
    let (sets, _server) = Sets::served(&cluster, "whitelist").await?;
    let mut set = sets.set("v1beta1", "log");
    set["spec"]["patchPodMetadata"] = json!([{"annotations": {"allowed": "yes"}}]);
    let said = sets.refusal("v1beta1", set.clone()).await?;
    ensure!(said.contains("spec.patchPodMetadata: Required value"), "{said}");
    let rules = json!({"rules": [{"allowedAnnotationKeyExprs": ["^allowed$"]}]}).to_string();
    let mut map = ConfigMap::default();
    map.metadata.name = Some("kruise-configuration".to_owned());
    map.data = Some([("SidecarSet_PatchPodMetadata_WhiteList".to_owned(), rules)].into());
    sets.sandbox.create(&map).await?;
    eventually("the whitelist in force", Duration::from_secs(30), async || sets.create("v1beta1", set.clone()).await.map(drop)).await
}

/// The definition, with its conversions sent to `server`.
fn converting(server: &Outrigger) -> Result<Value> {
    let mut definition = applying::documents(DEFINITION)?.pop().context("no definition")?;
    let client = definition.pointer_mut("/spec/conversion/webhook/clientConfig").context("no conversion")?;
    let endpoint = server.endpoint();
    *client = json!({"url": endpoint.url("/convert"), "caBundle": BASE64_STANDARD.encode(&endpoint.authority_pem)});
    Ok(definition)
}

pub(crate) async fn a_set_reads_in_both_versions(cluster: Arc<Cluster>) -> Result<()> {
    let (sets, server) = Sets::served(&cluster, "versions").await?;
    applying::apply(&cluster.client(), "", converting(&server)?).await?;
    let mut older = sets.set("v1alpha1", "older");
    older["metadata"]["labels"][VERSION_LABEL] = json!("one");
    older["spec"]["namespace"] = json!("shop");
    older["spec"]["containers"][0]["futureField"] = json!({"deep": [1, "a", null, 1.5]});
    eventually("the conversions of the new definition", Duration::from_secs(30), async || {
        sets.create("v1alpha1", older.clone()).await.map(drop)
    })
    .await?;
    let newer = sets.read("v1beta1", "older").await?;
    ensure!(newer["spec"]["namespaceSelector"] == json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}}), "{newer}");
    ensure!(newer["spec"]["customVersion"] == "one" && newer["metadata"]["labels"].get(VERSION_LABEL).is_none(), "{newer}");
    ensure!(newer["spec"]["containers"][0]["futureField"] == json!({"deep": [1, "a", null, 1.5]}), "{newer}");
    let older = sets.read("v1alpha1", "older").await?;
    ensure!(older["metadata"]["labels"][VERSION_LABEL] == "one" && older["spec"].get("namespace").is_none(), "{older}");
    ensure!(older["metadata"]["annotations"] == newer["metadata"]["annotations"] && newer["metadata"]["annotations"][HASH].is_string());

    let mut set = sets.set("v1beta1", "newer");
    set["spec"]["customVersion"] = json!("two");
    sets.create("v1beta1", set).await?;
    let older = sets.read("v1alpha1", "newer").await?;
    ensure!(older["apiVersion"] == "apps.kruise.io/v1alpha1" && older["metadata"]["labels"][VERSION_LABEL] == "two", "{older}");
    sets.merge("v1alpha1", "newer", &json!({"spec": {"updateStrategy": {"partition": "50%"}}})).await?;
    let newer = sets.read("v1beta1", "newer").await?;
    ensure!(newer["spec"]["customVersion"] == "two" && newer["spec"]["updateStrategy"]["partition"] == "50%", "{newer}");

    let mine = kube::api::ListParams::default().labels(&format!("{SANDBOX_LABEL}={}", sets.sandbox.label));
    let listed = sets.api("v1alpha1").list(&mine).await?;
    ensure!(listed.items.len() == 2, "{listed:?}");
    // Other tests want the definition as it is rendered.
    applying::apply(&cluster.client(), "", applying::documents(DEFINITION)?.pop().context("no definition")?).await?;
    Ok(())
}
