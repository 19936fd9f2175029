//! Servers under test have the account and the rights that are rendered for them, and no others; and what the API server refused them for
//! want of a right is found at the end, in its audit log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::PostParams;
use kube::{Api, Client};
use outrigger::manifests::{self, Rendering};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::applying;
use crate::control_plane::{AUDIT_LOG, ControlPlane, eventually};
use crate::watching::Watch;

/// The account of every server, in its own namespace.
pub(crate) const ACCOUNT: &str = "outrigger";
/// Its rules are collected by a controller.
const COLLECTED: &str = "outrigger-counted";

/// A kubeconfig for servers whose own namespace this is. Their rights are in force when this returns.
pub(crate) async fn kubeconfig(plane: &ControlPlane, namespace: &str) -> Result<PathBuf> {
    static MADE: Mutex<BTreeSet<PathBuf>> = Mutex::const_new(BTreeSet::new());
    let path = plane.folder.join(format!("account-{namespace}"));
    // Held until the account is there: two tests may want the same one.
    let mut made = MADE.lock().await;
    if !made.contains(&path) {
        grant(&plane.client(), namespace).await.with_context(|| format!("rights of servers in {namespace}"))?;
        write(plane, namespace, ACCOUNT, &path).await?;
        made.insert(path.clone());
    }
    Ok(path)
}

/// A kubeconfig for an account of a namespace with the rules of these roles and no others. They are in force when this returns.
pub(crate) async fn granted(plane: &ControlPlane, namespace: &str, account: &str, roles: &[Value]) -> Result<PathBuf> {
    let client = plane.client();
    let home = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}});
    applying::apply(&client, namespace, home).await?;
    let subjects = json!([{"kind": "ServiceAccount", "name": account, "namespace": namespace}]);
    for role in roles {
        let (mut role, kind) = (role.clone(), role.get("kind").and_then(Value::as_str).context("no kind")?);
        let api_version = "rbac.authorization.k8s.io/v1";
        let metadata = json!({"name": format!("{account}-{namespace}")});
        let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": format!("{account}-{namespace}")});
        let binding = json!({"apiVersion": api_version, "kind": format!("{kind}Binding"), "metadata": metadata, "roleRef": role_ref, "subjects": subjects});
        let last = role.pointer("/rules").and_then(Value::as_array).and_then(|rules| rules.last()).cloned().context("no rules")?;
        json_patch::merge(&mut role, &json!({"metadata": {"name": format!("{account}-{namespace}"), "namespace": null}}));
        applying::apply(&client, namespace, role).await?;
        applying::apply(&client, namespace, binding).await?;
        in_force(&client, (namespace, account), serde_json::from_value(last)?).await?;
    }
    let path = plane.folder.join(format!("account-{account}-{namespace}"));
    write(plane, namespace, account, &path).await?;
    Ok(path)
}

async fn write(plane: &ControlPlane, namespace: &str, account: &str, path: &Path) -> Result<()> {
    let token = token(&plane.client(), namespace, account).await?;
    let (port, authority) = plane.api_server();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "server",
        "clusters": [{"name": "cluster", "cluster": {"server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority}}],
        "users": [{"name": "account", "user": {"token": token}}],
        "contexts": [{"name": "server", "context": {"cluster": "cluster", "user": "account"}}],
    });
    fs::write(path, kubeconfig.to_string()).with_context(|| path.display().to_string())
}

/// A token of a service account, good for some hours.
pub(crate) async fn token(client: &Client, namespace: &str, account: &str) -> Result<String> {
    let spec = TokenRequestSpec { expiration_seconds: Some(4 * 3600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let granted = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    granted.status.and_then(|status| status.token).context("a token request without a token")
}

/// Applies what is rendered for a namespace. Bindings of the whole cluster get names of their own: many namespaces have servers here.
async fn grant(client: &Client, namespace: &str) -> Result<()> {
    let rendering = Rendering { namespace: namespace.to_owned(), ..Rendering::default() };
    let files = manifests::installation(&rendering)?;
    let files = files.iter().filter(|file| ["rbac.yaml", "authority.yaml"].iter().any(|name| file.path == Path::new(name)));
    let mut last_rules = Vec::new();
    for mut object in files.map(|file| applying::documents(&file.text)).collect::<Result<Vec<_>>>()?.concat() {
        if object.get("kind").is_some_and(|kind| kind == "ClusterRoleBinding") {
            let name = object.pointer_mut("/metadata/name").context("a binding without a name")?;
            *name = format!("{}-{namespace}", name.as_str().unwrap_or_default()).into();
        }
        last_rules.extend(object.get("rules").and_then(Value::as_array).and_then(|rules| rules.last()).cloned());
        applying::apply(client, namespace, object).await?;
    }
    let is_collected = |role: &ClusterRole| role.rules.as_ref().is_some_and(|rules| !rules.is_empty());
    Watch::over(Api::<ClusterRole>::all(client.clone())).named(COLLECTED).until_it("rules are collected", is_collected).await?;
    // One of those that only this role gives.
    let collected = PolicyRule {
        api_groups: Some(vec!["apps".to_owned()]),
        resources: Some(vec!["daemonsets".to_owned()]),
        verbs: vec!["list".to_owned()],
        ..PolicyRule::default()
    };
    for rule in last_rules.into_iter().map(serde_json::from_value).chain([Ok(collected)]) {
        in_force(client, (namespace, ACCOUNT), rule?).await?;
    }
    Ok(())
}

/// Returns when an account of this namespace has the right: the API server learns of roles and bindings a moment after they are stored.
pub(crate) async fn in_force(client: &Client, (namespace, account): (&str, &str), rule: PolicyRule) -> Result<()> {
    let first = |words: Option<Vec<String>>| words.unwrap_or_default().into_iter().next();
    let asked = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        group: first(rule.api_groups),
        resource: first(rule.resources),
        verb: first(Some(rule.verbs)),
        name: first(rule.resource_names),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(format!("system:serviceaccount:{namespace}:{account}")),
        resource_attributes: Some(asked),
        ..SubjectAccessReviewSpec::default()
    };
    eventually("such right", Duration::from_secs(20), async || {
        ensure!(is_allowed(client, &spec).await?, "{:?}", spec.resource_attributes);
        Ok(())
    })
    .await
}

/// Fails with all that servers asked for without the right to it.
pub(crate) async fn nobody_was_refused(plane: &ControlPlane) -> Result<()> {
    let path = plane.folder.join(AUDIT_LOG);
    let log = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let refused: BTreeMap<String, SubjectAccessReviewSpec> =
        log.lines().filter_map(|line| refusal(&serde_json::from_str(line).ok()?)).collect();
    let mut lines = Vec::new();
    for (line, spec) in refused {
        // An API server that has just started refuses for a moment what it allows: it does not know its own roles yet. And a server that
        // ends while it is uninstalled has no account any more.
        if has_account(&plane.client(), &spec).await? && !is_allowed(&plane.client(), &spec).await? {
            lines.push(line);
        }
    }
    ensure!(lines.is_empty(), "servers had no right to what they asked for:\n{}", lines.join("\n"));
    Ok(())
}

/// Whether the account is there still that was refused.
async fn has_account(client: &Client, spec: &SubjectAccessReviewSpec) -> Result<bool> {
    let user = spec.user.as_deref().and_then(|user| user.strip_prefix("system:serviceaccount:")?.split_once(':'));
    let Some((namespace, name)) = user else { return Ok(true) };
    Ok(Api::<ServiceAccount>::namespaced(client.clone(), namespace).get_opt(name).await?.is_some())
}

async fn is_allowed(client: &Client, spec: &SubjectAccessReviewSpec) -> Result<bool> {
    let review = SubjectAccessReview { spec: spec.clone(), ..SubjectAccessReview::default() };
    let answer = Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Who was refused what, if this event of an audit log is about that: in words, and as a question.
fn refusal(event: &Value) -> Option<(String, SubjectAccessReviewSpec)> {
    let word = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let is_refused = word("/annotations/authorization.k8s.io~1decision")? == "forbid";
    let user = word("/user/username").filter(|user| is_refused && user.ends_with(&format!(":{ACCOUNT}")))?;
    let attributes = ResourceAttributes {
        group: word("/objectRef/apiGroup"),
        resource: word("/objectRef/resource"),
        subresource: word("/objectRef/subresource"),
        namespace: word("/objectRef/namespace"),
        name: word("/objectRef/name"),
        verb: word("/verb"),
        ..ResourceAttributes::default()
    };
    let line = format!("{user}: {} {}", word("/verb")?, word("/requestURI")?);
    let spec = SubjectAccessReviewSpec { user: Some(user), resource_attributes: Some(attributes), ..SubjectAccessReviewSpec::default() };
    Some((line, spec))
}

/// A test of the finding itself.
pub(crate) fn a_refused_request_is_found_in_the_audit_log() -> Result<()> {
    let event = |user: &str, decision: &str| {
        json!({
            "user": {"username": user}, "verb": "list", "requestURI": "/api/v1/secrets",
            "annotations": {"authorization.k8s.io/decision": decision},
        })
    };
    let found = refusal(&event("system:serviceaccount:shop:outrigger", "forbid")).map(|(line, _)| line);
    ensure!(found.as_deref() == Some("system:serviceaccount:shop:outrigger: list /api/v1/secrets"), "{found:?}");
    ensure!(refusal(&event("system:serviceaccount:shop:outrigger", "allow")).is_none());
    ensure!(refusal(&event("system:serviceaccount:shop:default", "forbid")).is_none());
    Ok(())
}
