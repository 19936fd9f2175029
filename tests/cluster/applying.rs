//! Server-side apply of whatever the YAML says.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use crate::control_plane::eventually;
use crate::watching::Watch;

const MANAGER: &str = "outrigger-tests";

/// The documents of a YAML text; empty ones are left out.
pub(crate) fn documents(yaml: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("not YAML")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Applies the object, in `namespace` if it is namespaced and names none itself.
pub(crate) async fn apply(client: &Client, namespace: &str, object: Value) -> Result<DynamicObject> {
    let mut object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().context("apiVersion and kind are missing")?;
    let (kind, scope) = discovered(client, &GroupVersionKind::try_from(&types)?).await?;
    let api: Api<DynamicObject> = match scope {
        Scope::Cluster => Api::all_with(client.clone(), &kind),
        Scope::Namespaced => {
            let namespace = object.metadata.namespace.get_or_insert_with(|| namespace.to_owned());
            Api::namespaced_with(client.clone(), namespace, &kind)
        }
    };
    let name = object.name_any();
    ensure!(!name.is_empty(), "a {} without a name cannot be applied", kind.kind);
    let params = PatchParams::apply(MANAGER).force();
    let applied = api.patch(&name, &params, &Patch::Apply(&object)).await.with_context(|| format!("applying {} {name}", kind.kind))?;
    if kind.kind == "CustomResourceDefinition" {
        established(client, &name).await?;
    }
    Ok(applied)
}

/// A new kind is discovered a moment after its definition is established.
async fn discovered(client: &Client, kind: &GroupVersionKind) -> Result<(ApiResource, Scope)> {
    let found = std::cell::RefCell::new(None);
    eventually("such kind", Duration::from_secs(10), async || {
        let (resource, capabilities) = discovery::pinned_kind(client, kind).await?;
        found.replace(Some((resource, capabilities.scope)));
        Ok(())
    })
    .await
    .with_context(|| format!("{}/{} {}", kind.group, kind.version, kind.kind))?;
    found.into_inner().context("discovery")
}

/// Waits until the kind that the definition describes is served.
pub(crate) async fn established(client: &Client, name: &str) -> Result<CustomResourceDefinition> {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let is_established = |definition: &CustomResourceDefinition| {
        let mut conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.any(|condition| condition.type_ == "Established" && condition.status == "True")
    };
    Watch::over(definitions).named(name).until_it("the definition is established", is_established).await
}
