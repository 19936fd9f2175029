//! What the API server is told to trust: `caBundle` of our hooks and of the conversions of our kinds. Nothing else of those objects is
//! ever written, and only where a hook calls us.

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::future::join_all;
use kube::{
    Client,
    api::{GetParams, Patch, PatchParams},
    core::Request,
};
use serde_json::{Map, Value, json};

use super::apply::{Failure, send};

/// The name under which the API server notes our bundles, apart from all else that we write.
pub const MANAGER: &str = "outrigger-certificates";

/// How those are called that call us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callees {
    /// Our namespace.
    pub namespace: String,
    /// The services that lead to us.
    pub services: [String; 2],
    /// Hosts that do, for hooks with a `url` in place of a service.
    pub hosts: Vec<String>,
}

/// An object that carries bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Our `MutatingWebhookConfiguration`.
    Mutating,
    /// Our `ValidatingWebhookConfiguration`.
    Validating,
    /// A definition of a kind of ours.
    Definition,
}

impl Kind {
    /// The group and version, the kind, and the plural.
    pub const fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Mutating => ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            Self::Validating => ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
            Self::Definition => ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"),
        }
    }
}

/// One of them, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carrier {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.names().2, self.name)
    }
}

/// A hook that calls us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name; empty for a conversion.
    pub name: String,
    /// The bundle that it carries, decoded; empty if it carries none, or something that is no base64.
    pub bundle: Vec<u8>,
}

/// A carrier as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The version that it had.
    pub version: String,
    /// Its hooks that call us.
    pub hooks: Vec<Hook>,
    /// Who else has written a bundle there, as far as the API server notes it.
    pub rivals: Vec<String>,
}

/// The API server, for bundles.
#[derive(Clone)]
pub struct Bundles {
    /// Speaks to the API server; each request is sent once.
    pub client: Client,
    /// How the two webhook configurations are called.
    pub configuration: String,
    /// Whose hooks are ours.
    pub callees: Callees,
    /// The definitions whose conversions may be ours.
    pub definitions: &'static [&'static str],
}

impl Bundles {
    /// All that carry bundles, whether they exist or not.
    pub fn carriers(&self) -> Vec<Carrier> {
        let configurations = [Kind::Mutating, Kind::Validating].map(|kind| Carrier { kind, name: self.configuration.clone() });
        let definitions = self.definitions.iter().map(|name| Carrier { kind: Kind::Definition, name: (*name).to_owned() });
        configurations.into_iter().chain(definitions).collect()
    }

    /// All of them as they are at this moment; `None` for those that do not exist.
    pub async fn read(&self) -> Vec<(Carrier, Result<Option<Found>, Failure>)> {
        join_all(self.carriers().into_iter().map(async |carrier| {
            let found = self.read_one(&carrier).await;
            (carrier, found)
        }))
        .await
    }

    async fn read_one(&self, carrier: &Carrier) -> Result<Option<Found>, Failure> {
        let request = Request::new(root(carrier.kind)).get(&carrier.name, &GetParams::default());
        match send::<Value>(&self.client, request).await {
            Ok(object) => Ok(Some(found(carrier.kind, &object, &self.callees))),
            Err(Failure::Outdated(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Writes the bundle, a PEM text, to all hooks that were found, unless the object has changed since.
    pub async fn write(&self, carrier: &Carrier, found: &Found, bundle: &str) -> Result<(), Failure> {
        let body = applied(carrier, found, bundle);
        // What we own was perhaps somebody else's before: an injector's, that has gone.
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), force: true, ..PatchParams::default() };
        let request = Request::new(root(carrier.kind)).patch(&carrier.name, &parameters, &Patch::Apply(&body));
        send::<Value>(&self.client, request).await.map(drop)
    }
}

fn root(kind: Kind) -> String {
    let (group, _, plural) = kind.names();
    format!("/apis/{group}/{plural}")
}

/// What an object says of us.
fn found(kind: Kind, object: &Value, callees: &Callees) -> Found {
    let hook = |name: &str, client: &Value| {
        let bundle = client.get("caBundle").and_then(Value::as_str).and_then(|text| BASE64_STANDARD.decode(text).ok());
        is_ours(client, callees).then(|| Hook { name: name.to_owned(), bundle: bundle.unwrap_or_default() })
    };
    let hooks = match kind {
        Kind::Mutating | Kind::Validating => {
            let hooks = object.get("webhooks").and_then(Value::as_array).into_iter().flatten();
            hooks.filter_map(|one| hook(one.get("name")?.as_str()?, one.get("clientConfig")?)).collect()
        }
        Kind::Definition => object.pointer("/spec/conversion/webhook/clientConfig").and_then(|one| hook("", one)).into_iter().collect(),
    };
    let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    Found { version, hooks, rivals: rivals(object) }
}

/// Whether a hook calls us: by a service of ours, or a host of ours.
fn is_ours(client: &Value, callees: &Callees) -> bool {
    let text = |path: &str| client.pointer(path).and_then(Value::as_str);
    if let Some(url) = text("/url").and_then(|url| url.parse::<http::Uri>().ok()) {
        let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        return callees.hosts.iter().any(|ours| ours == host);
    }
    let is_in_our_namespace = text("/service/namespace") == Some(&callees.namespace);
    is_in_our_namespace && text("/service/name").is_some_and(|name| callees.services.iter().any(|ours| ours == name))
}

/// Field managers other than ours that have written a bundle.
fn rivals(object: &Value) -> Vec<String> {
    fn names_bundle(fields: &Value) -> bool {
        fields.as_object().is_some_and(|fields| fields.iter().any(|(key, value)| key == "f:caBundle" || names_bundle(value)))
    }
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let writers = entries.filter(|entry| entry.get("fieldsV1").is_some_and(names_bundle));
    writers.filter_map(|entry| entry.get("manager")?.as_str()).filter(|name| *name != MANAGER).map(str::to_owned).collect()
}

/// All that we want to own of an object, in the words of server-side apply. A hook that were left out would lose its bundle.
fn applied(carrier: &Carrier, found: &Found, bundle: &str) -> Value {
    let client = json!({"caBundle": BASE64_STANDARD.encode(bundle)});
    let (api_version, kind, _) = carrier.kind.names();
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    object.insert("metadata".to_owned(), json!({"name": carrier.name, "resourceVersion": found.version}));
    match carrier.kind {
        Kind::Mutating | Kind::Validating => {
            let hooks = found.hooks.iter().map(|hook| json!({"name": hook.name, "clientConfig": client})).collect();
            object.insert("webhooks".to_owned(), Value::Array(hooks));
        }
        Kind::Definition => {
            object.insert("spec".to_owned(), json!({"conversion": {"webhook": {"clientConfig": client}}}));
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests;
