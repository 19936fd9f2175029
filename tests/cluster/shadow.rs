//! A server that only watches, beside one that was there before: it agrees where both see the same, tells where not, and writes nothing.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use outrigger::budget::api::PodUnavailableBudget;
use outrigger::manifests::{self, Rendering};
use serde_json::{Value, json};

use crate::applying;
use crate::control_plane::{AUDIT_LOG, eventually};
use crate::guarding::{ask, counted, linked_pods, make_budget, one_client, path};
use crate::injection::{WEBHOOKS, apply_set, served};
use crate::keys::Identity;
use crate::outrigger::Outrigger;
use crate::placing::{DEPLOYMENT, in_force, settled, zones};
use crate::rights;
use crate::support::{Cluster, Sandbox, deployment};

const ACCOUNT: &str = "outrigger-shadow";
const READS: [&str; 3] = ["get", "list", "watch"];

/// A shadow with an account that may only read.
struct Shadow {
    server: Outrigger,
    /// Its own namespace.
    namespace: String,
}

impl Shadow {
    /// Its hooks are asked after those of others, for they come later by name.
    async fn beside(sandbox: &Sandbox, name: &str, flags: &[&str]) -> Result<Self> {
        let cluster = &sandbox.cluster;
        let namespace = format!("{name}-{}", sandbox.label);
        let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        applying::apply(&cluster.client(), "", home).await?;
        let kubeconfig = rights::granted(&cluster.plane, &namespace, ACCOUNT, &reading(&namespace)?).await?;
        let flags: Vec<&str> = ["--shadow"].iter().chain(flags).copied().collect();
        let identity = Identity::for_loopback(name)?;
        let server = Outrigger::start_with(&identity, cluster, (&namespace, &kubeconfig), &flags).await?;
        sandbox.install_webhooks(&hooks(name)?, server.endpoint()).await?;
        Ok(Self { server, namespace })
    }

    async fn would(&self, hook: &str, would: &str) -> Result<f64> {
        self.server.metric(&format!(r#"outrigger_shadow_reviews_total{{hook="{hook}",would="{would}"}}"#)).await
    }

    /// Waits until it was so at least so often: an answer comes before it is counted.
    async fn says(&self, hook: &str, would: &str, times: f64) -> Result<()> {
        eventually(&format!("{times} reviews at {hook} {would}"), Duration::from_secs(20), async || {
            let found = self.would(hook, would).await?;
            ensure!(found >= times, "{found}{}", self.server.process.log_tail());
            Ok(())
        })
        .await
    }
}

/// What is rendered for a server, without all that is more than reading.
fn reading(namespace: &str) -> Result<Vec<Value>> {
    let files = manifests::files(&Rendering { namespace: namespace.to_owned(), ..Rendering::default() })?;
    let file = files.iter().find(|file| file.path == Path::new("rbac.yaml")).context("no rbac.yaml")?;
    let mut roles = applying::documents(&file.text)?;
    roles.retain(|role| role["kind"].as_str().is_some_and(|kind| kind.ends_with("Role")) && role["metadata"]["name"] == "outrigger");
    for role in &mut roles {
        for rule in role["rules"].as_array_mut().into_iter().flatten() {
            let verbs = rule["verbs"].as_array_mut().context("a rule without verbs")?;
            verbs.retain(|verb| READS.iter().any(|read| verb == read));
        }
        let kept = role["rules"].as_array_mut().context("a role without rules")?;
        kept.retain(|rule| rule["verbs"] != json!([]) && rule["resources"] != json!(["leases"]));
    }
    Ok(roles)
}

/// The hooks of a shadow: ours under another name, and nobody waits for them.
fn hooks(name: &str) -> Result<String> {
    let mut configurations = applying::documents(WEBHOOKS)?;
    for configuration in &mut configurations {
        configuration["metadata"]["name"] = json!(format!("outrigger-{name}"));
        for hook in configuration["webhooks"].as_array_mut().context("no webhooks")? {
            hook["failurePolicy"] = json!("Ignore");
            hook["timeoutSeconds"] = json!(2);
            if hook.get("reinvocationPolicy").is_some() {
                hook["reinvocationPolicy"] = json!("Never");
            }
        }
    }
    Ok(configurations.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n"))
}

pub(crate) async fn a_shadow_beside_another_server_agrees_tells_where_not_and_writes_nothing(cluster: Arc<Cluster>) -> Result<()> {
    // The names of configurations say who is asked first: this one before any shadow.
    let (sandbox, original) = served(&cluster, "beside").await?;
    in_force(&sandbox, [&original], DEPLOYMENT, "web", &zones([json!(1), json!(2), Value::Null])).await?;
    let agent = json!({"containers": [{"name": "log", "image": "registry.example/log:1", "env": [{"name": "A", "value": "1"}]}]});
    apply_set(&sandbox, &original, "log", agent).await?;
    make_budget(&sandbox, "web", json!({"maxUnavailable": 1})).await?;

    let shadow = Shadow::beside(&sandbox, "shadow", &[]).await?;
    let gates = "--feature-gates=WorkloadSpread=false,PodUnavailableBudgetDeleteGate=false";
    let blind = Shadow::beside(&sandbox, "shadow-blind", &[gates]).await?;
    let web = deployment("web").replicas(6).label("tier", "front").build();
    sandbox.create(&web).await?;
    settled(&sandbox, "web", [1, 2, 3]).await?;
    let pods = linked_pods(&sandbox, "web", 6).await?;
    counted(&sandbox, "web", [6, 6, 1]).await?;
    shadow.says("/mutate-pod", "allowed", 6.0).await?;
    blind.says("/mutate-pod", "left_out", 6.0).await?;
    for would in ["patched", "left_out", "denied", "failed"] {
        let found = shadow.would("/mutate-pod", would).await?;
        ensure!(found == 0.0, "{found} {would}{}", shadow.server.process.log_tail());
    }
    a_refusal_is_seen_by_both(&sandbox, &shadow, &pods).await?;

    // Now nobody comes first.
    original.kill()?;
    let bare = sandbox.create(&bare("bare")).await?;
    let containers = bare.spec.map(|spec| spec.containers.len()).unwrap_or_default();
    ensure!(containers == 1, "a shadow has injected");
    shadow.says("/mutate-pod", "patched", 1.0).await?;
    wrote_nothing(&cluster, &[&shadow, &blind]).await
}

async fn a_refusal_is_seen_by_both(sandbox: &Sandbox, shadow: &Shadow, pods: &[String]) -> Result<()> {
    let client = one_client(&sandbox.cluster).await?;
    let budgets = Api::<PodUnavailableBudget>::namespaced(sandbox.cluster.client(), &sandbox.namespace);
    let none = json!({"spec": {"maxUnavailable": 0}});
    budgets.patch("web", &PatchParams::default(), &Patch::Merge(none)).await?;
    counted(sandbox, "web", [6, 6, 0]).await?;
    let pod = pods.first().context("no pods")?;
    let refused = ask(&client, &Method::DELETE, &path(sandbox, pod), &json!({})).await?.err().context("it is deleted")?;
    ensure!(refused.code == 403, "{refused:?}");
    shadow.says("/validate-pod", "denied", 1.0).await?;
    ensure!(shadow.would("/validate-pod", "failed").await? < 0.5);
    Ok(())
}

fn bare(name: &str) -> k8s_openapi::api::core::v1::Pod {
    let pod = deployment(name).label("tier", "front").build().spec.template;
    let mut metadata = pod.metadata.unwrap_or_default();
    metadata.name = Some(name.to_owned());
    k8s_openapi::api::core::v1::Pod { metadata, spec: pod.spec, status: None }
}

/// By the API server's own account of what the shadows asked for: nothing but reads, and none in vain.
async fn wrote_nothing(cluster: &Cluster, shadows: &[&Shadow]) -> Result<()> {
    let log = fs::read_to_string(cluster.plane.folder.join(AUDIT_LOG))?;
    for shadow in shadows {
        let account = format!("system:serviceaccount:{}:{ACCOUNT}", shadow.namespace);
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let events: Vec<Value> = events.filter(|event| event["user"]["username"] == account).collect();
        ensure!(!events.is_empty(), "nothing is known of {account}");
        let is_fine = |event: &&Value| {
            let is_read = READS.iter().any(|verb| event["verb"] == *verb);
            is_read && event["annotations"]["authorization.k8s.io/decision"] == "allow"
        };
        let other: Vec<_> =
            events.iter().filter(|event| !is_fine(event)).map(|event| format!("{} {}", event["verb"], event["requestURI"])).collect();
        ensure!(other.is_empty(), "{account}: {other:?}");
        let leases = Api::<Lease>::namespaced(cluster.client(), &shadow.namespace).list(&ListParams::default()).await?;
        ensure!(leases.items.is_empty(), "a shadow stands for election");
    }
    Ok(())
}
