//! A stand-in for the manager of the reference, as far as it shows outside: its webhook configurations, which it writes anew from their
//! annotation, and its hand on definitions. (reference: `protection-and-infra.md` B.5, B.6, B.7)

use anyhow::{Context, Result};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};

use crate::applying;
use crate::support::{Cluster, Object};

pub(super) const NAMESPACE: &str = "kruise-system";
pub(super) const ACCOUNT: &str = "kruise-manager";
pub(super) const DEPLOYMENT: &str = "kruise-controller-manager";
/// Mutating and validating.
const CONFIGURATIONS: [&str; 2] = ["kruise-mutating-webhook-configuration", "kruise-validating-webhook-configuration"];
const KRUISE: &str = "apps.kruise.io";

/// Which of the two, name, path, group, resource, operations.
type Hook = (usize, &'static str, &'static str, &'static str, &'static str, &'static [&'static str]);
const WRITES: &[&str] = &["CREATE", "UPDATE"];
const ALL: &[&str] = &["CREATE", "UPDATE", "DELETE"];
const DELETES: &[&str] = &["DELETE"];

const HOOKS: &[Hook] = &[
    (0, "mpod.kb.io", "/mutate-pod", "", "pods", &["CREATE"]),
    (0, "mcloneset.kb.io", "/mutate-apps-kruise-io-cloneset", KRUISE, "clonesets", WRITES),
    (0, "mdaemonset.kb.io", "/mutate-apps-kruise-io-daemonset", KRUISE, "daemonsets", WRITES),
    (0, "msidecarset.kb.io", "/mutate-apps-kruise-io-sidecarset", KRUISE, "sidecarsets", WRITES),
    (0, "mstatefulset.kb.io", "/mutate-apps-kruise-io-statefulset", KRUISE, "statefulsets", WRITES),
    (1, "vpod.kb.io", "/validate-pod", "", "pods", &["UPDATE", "DELETE"]),
    (1, "vpodeviction.kb.io", "/validate-pod", "", "pods/eviction", &["CREATE"]),
    (1, "vsidecarset.kb.io", "/validate-apps-kruise-io-sidecarset", KRUISE, "sidecarsets", WRITES),
    (1, "vworkloadspread.kb.io", "/validate-apps-kruise-io-workloadspread", KRUISE, "workloadspreads", WRITES),
    (
        1,
        "vpodunavailablebudget.kb.io",
        "/validate-policy-kruise-io-podunavailablebudget",
        "policy.kruise.io",
        "podunavailablebudgets",
        WRITES,
    ),
    (1, "vnamespace.kb.io", "/validate-namespace", "", "namespaces", DELETES),
    (
        1,
        "vcustomresourcedefinition.kb.io",
        "/validate-customresourcedefinition",
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        DELETES,
    ),
    (1, "vbuiltindeployment.kb.io", "/validate-apps-deployment", "apps", "deployments", DELETES),
    (1, "vbuiltinreplicaset.kb.io", "/validate-apps-replicaset", "apps", "replicasets", DELETES),
    (1, "vbuiltinstatefulset.kb.io", "/validate-apps-statefulset", "apps", "statefulsets", DELETES),
    (1, "vservice.kb.io", "/validate-service", "", "services", DELETES),
    (1, "vingress.kb.io", "/validate-ingress", "networking.k8s.io", "ingresses", DELETES),
    (1, "vcloneset.kb.io", "/validate-apps-kruise-io-cloneset", KRUISE, "clonesets", ALL),
    (1, "vstatefulset.kb.io", "/validate-apps-kruise-io-statefulset", KRUISE, "statefulsets", ALL),
    (1, "vuniteddeployment.kb.io", "/validate-apps-kruise-io-uniteddeployment", KRUISE, "uniteddeployments", ALL),
    (1, "vdaemonset.kb.io", "/validate-apps-kruise-io-daemonset", KRUISE, "daemonsets", WRITES),
    (1, "vresourcedistribution.kb.io", "/validate-apps-kruise-io-resourcedistribution", KRUISE, "resourcedistributions", WRITES),
];

/// All that it has at first: its home, its Deployment, its hooks, and definitions of the version up to 1.8.
pub(super) async fn install(cluster: &Cluster) -> Result<()> {
    let client = cluster.client();
    let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"control-plane": "openkruise"}}});
    applying::apply(&client, "", home).await?;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}});
    applying::apply(&client, NAMESPACE, account).await?;
    // More than it really has.
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}]});
    applying::apply(&client, "", binding).await?;
    let labels = json!({"control-plane": "controller-manager"});
    let container = json!({"name": "manager", "image": "openkruise/kruise-manager:v1.8.0", "args": ["--enable-leader-election"]});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": DEPLOYMENT}, "spec": {"replicas": 0,
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}});
    applying::apply(&client, NAMESPACE, deployment).await?;
    for (group, kind, plural, scope) in [
        (KRUISE, "SidecarSet", "sidecarsets", "Cluster"),
        (KRUISE, "WorkloadSpread", "workloadspreads", "Namespaced"),
        ("policy.kruise.io", "PodUnavailableBudget", "podunavailablebudgets", "Namespaced"),
    ] {
        applying::apply(&client, "", definition(group, kind, plural, scope)).await?;
        applying::established(&client, &format!("{plural}.{group}")).await?;
    }
    for (at, kind) in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].into_iter().enumerate() {
        let hooks: Vec<Value> = HOOKS.iter().filter(|hook| hook.0 == at).map(hook).collect();
        let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": CONFIGURATIONS[at], "annotations": {"template": ""}}, "webhooks": hooks});
        applying::apply(&client, "", configuration).await?;
    }
    Ok(())
}

fn definition(group: &str, kind: &str, plural: &str, scope: &str) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": schema}]}})
}

/// Nobody answers for it here.
fn hook(&(_, name, path, group, resource, operations): &Hook) -> Value {
    let versions: &[&str] = if group.ends_with("kruise.io") { &["v1alpha1", "v1beta1"] } else { &["v1"] };
    let mut hook = json!({"name": name, "admissionReviewVersions": ["v1", "v1beta1"], "sideEffects": "None", "failurePolicy": "Ignore",
        "timeoutSeconds": 1, "clientConfig": {"service": {"namespace": NAMESPACE, "name": "kruise-webhook-service", "path": path}},
        "rules": [{"apiGroups": [group], "apiVersions": versions, "resources": [resource], "operations": operations}]});
    if path.starts_with("/validate") && operations == DELETES {
        hook["objectSelector"] = json!({"matchExpressions": [{"key": "policy.kruise.io/delete-protection", "operator": "Exists"}]});
    }
    hook
}

/// What its controller does every minute; how many definitions it wrote. `served` are the paths that its gates leave.
pub(super) async fn sync(cluster: &Cluster, is_served: impl Fn(&str) -> bool) -> Result<usize> {
    rewrite::<MutatingWebhookConfiguration>(cluster, CONFIGURATIONS[0], &is_served).await?;
    rewrite::<ValidatingWebhookConfiguration>(cluster, CONFIGURATIONS[1], &is_served).await?;
    let definitions = Api::<CustomResourceDefinition>::all(cluster.client());
    let mut written = 0;
    for definition in definitions.list(&ListParams::default()).await? {
        let mut wanted = definition.clone();
        let Some(conversion) = wanted.spec.conversion.as_mut().filter(|conversion| conversion.strategy == "Webhook") else { continue };
        if !is_known(&definition) {
            continue;
        }
        let service = json!({"namespace": NAMESPACE, "name": "kruise-webhook-service", "port": 443, "path": "/convert"});
        let webhook = json!({"clientConfig": {"service": service}, "conversionReviewVersions": ["v1", "v1beta1"]});
        conversion.webhook = serde_json::from_value(webhook)?;
        definitions.replace(&definition.name_any(), &PostParams::default(), &wanted).await?;
        written += 1;
    }
    Ok(written)
}

/// Whether it would make itself the converter of a definition: it knows the first version.
pub(super) fn is_known(definition: &CustomResourceDefinition) -> bool {
    let first = definition.spec.versions.first().map(|version| version.name.as_str());
    definition.spec.group.ends_with("kruise.io") && matches!(first, Some("v1alpha1" | "v1beta1"))
}

async fn rewrite<K: Object + Resource<Scope = k8s_openapi::ClusterResourceScope>>(
    cluster: &Cluster,
    name: &str,
    is_served: &impl Fn(&str) -> bool,
) -> Result<()> {
    let api = Api::<K>::all(cluster.client());
    let mut configuration = serde_json::to_value(api.get(name).await?)?;
    let template = configuration["metadata"]["annotations"]["template"].as_str().unwrap_or_default();
    let template = if template.is_empty() { configuration["webhooks"].to_string() } else { template.to_owned() };
    let mut hooks: Vec<Value> = serde_json::from_str(&template)?;
    hooks.retain(|hook| hook["clientConfig"]["service"]["path"].as_str().is_some_and(is_served));
    configuration["metadata"]["annotations"]["template"] = template.into();
    configuration["webhooks"] = hooks.into();
    api.replace(name, &PostParams::default(), &serde_json::from_value(configuration)?).await?;
    Ok(())
}

/// The names of its hooks that the API server calls, and of those in its template; validating ones behind mutating ones.
pub(super) async fn hooks(cluster: &Cluster) -> Result<[Vec<String>; 2]> {
    let mutating = serde_json::to_value(Api::<MutatingWebhookConfiguration>::all(cluster.client()).get(CONFIGURATIONS[0]).await?)?;
    let validating = serde_json::to_value(Api::<ValidatingWebhookConfiguration>::all(cluster.client()).get(CONFIGURATIONS[1]).await?)?;
    let (mut live, mut templates) = (Vec::new(), Vec::new());
    let names = |hooks: &Value| {
        hooks.as_array().into_iter().flatten().filter_map(|hook| hook["name"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    for configuration in [mutating, validating] {
        live.extend(names(&configuration["webhooks"]));
        let template = configuration["metadata"]["annotations"]["template"].as_str().context("no template")?;
        templates.extend(names(&serde_json::from_str(template).unwrap_or_default()));
    }
    Ok([live, templates])
}

/// The names of all its hooks.
pub(super) fn all() -> Vec<&'static str> {
    HOOKS.iter().map(|hook| hook.1).collect()
}
