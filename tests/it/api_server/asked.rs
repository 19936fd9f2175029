//! A request, as the scripted API server understands it.

use std::fmt;

use http::{Method, Uri};
use serde_json::Value;
use tokio::time::Instant;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// `pods`, `leases` …
    pub(crate) resource: String,
    pub(crate) namespace: String,
    /// Empty for a collection.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) sub_resource: String,
    /// The label selector of a list.
    pub(crate) selector: String,
    pub(crate) body: Value,
    /// When it was sent.
    pub(crate) at: Instant,
    /// What it was answered; 0 if nothing.
    pub(crate) status: u16,
    /// Whether it was done.
    pub(crate) is_stored: bool,
}

impl Asked {
    pub(super) fn new(method: &Method, uri: &Uri, body: Value) -> Self {
        let mut parts = uri.path().trim_matches('/').split('/');
        // `api/v1` or `apis/GROUP/VERSION`.
        let prefix = if parts.next() == Some("api") { 1 } else { 2 };
        let rest: Vec<&str> = parts.skip(prefix).collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let part = |at: usize| rest.get(at).copied().unwrap_or_default().to_owned();
        let query = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("labelSelector="));
        Self {
            method: method.clone(),
            resource: part(0),
            namespace: namespace.to_owned(),
            name: part(1),
            sub_resource: part(2),
            selector: query.unwrap_or_default().replace("%3D", "=").replace("%2C", ",").replace("%2F", "/"),
            body,
            at: Instant::now(),
            status: 0,
            is_stored: false,
        }
    }

    /// Where the object is, or would be if it is to be created.
    pub(super) fn key(&self) -> String {
        let name = if self.name.is_empty() { self.body["metadata"]["name"].as_str().unwrap_or_default() } else { &self.name };
        format!("{}/{}/{name}", self.resource, self.namespace)
    }

    /// Whether it is this: `PATCH pods`, `PATCH sidecarsets/status`, `GET pods` (a list has no name, and counts as one).
    pub(crate) fn is(&self, what: &str) -> bool {
        let (method, resource) = what.split_once(' ').unwrap();
        let (resource, sub_resource) = resource.split_once('/').unwrap_or((resource, ""));
        self.method.as_str() == method && self.resource == resource && self.sub_resource == sub_resource
    }

    /// Whether it is that, of this object.
    pub(crate) fn is_of(&self, what: &str, name: &str) -> bool {
        self.is(what) && self.name == name
    }

    /// Whether it lists pods.
    pub(crate) fn lists_pods(&self) -> bool {
        self.is_of("GET pods", "")
    }

    pub(crate) fn writes(&self) -> bool {
        self.method != Method::GET
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} at {:?}: {}", self.method, self.key(), self.sub_resource, self.at, self.status)
    }
}
