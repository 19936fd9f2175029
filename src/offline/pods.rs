//! `outrigger inject`: what a pod, or the pod template of a workload, looks like after admission.
//!
//! A template is made into the pod that its controller would create and goes through the very handler that answers the
//! API server; the patch that comes back is applied as the API server would.

use jiff::Timestamp;
use serde_json::{Map, Value, json, value::RawValue};
use similar::TextDiff;

use super::{
    claims,
    documents::{Document, DocumentError},
};
use crate::{
    admission::{
        review::{Request, Resource},
        verdict::Outcome,
    },
    base::reasons::Reason,
    handlers::{Verdict, pod},
    state::State,
};

/// In which form the result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// YAML documents.
    Yaml,
    /// JSON documents.
    Json,
    /// What changes, as a unified diff of the YAML.
    Diff,
}

/// What became of one document.
#[derive(Clone, Debug)]
pub struct Injected {
    /// The document as it came.
    pub before: Value,
    /// The document after admission.
    pub after: Value,
    /// What the API server would tell the client.
    pub warnings: Vec<String>,
    /// Why each set applies or does not.
    pub reasons: Vec<Reason>,
}

/// Where the pod template of each kind lies, and the group of the API that the kind must be of.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("v1", "Pod", ""),
    ("apps/", "Deployment", "/spec/template"),
    ("apps/", "ReplicaSet", "/spec/template"),
    ("apps/", "StatefulSet", "/spec/template"),
    ("apps/", "DaemonSet", "/spec/template"),
    ("batch/", "Job", "/spec/template"),
    ("batch/", "CronJob", "/spec/jobTemplate/spec/template"),
    ("apps.kruise.io/", "CloneSet", "/spec/template"),
    ("apps.kruise.io/", "StatefulSet", "/spec/template"),
    ("apps.kruise.io/", "DaemonSet", "/spec/template"),
];

/// Takes one document through admission. Documents that hold no pod come back as they are.
pub fn inject(document: &Document, state: &State, now: Timestamp) -> Result<Injected, DocumentError> {
    let text = |pointer: &str| document.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    let unchanged =
        || Injected { before: document.value.clone(), after: document.value.clone(), warnings: Vec::new(), reasons: Vec::new() };
    if version.is_empty() || kind.is_empty() {
        return Err(document.error(if kind.is_empty() { "kind" } else { "apiVersion" }, "missing"));
    }
    let Some((_, _, place)) = TEMPLATES.iter().find(|(group, known, _)| *known == kind && version.starts_with(group)) else {
        return Ok(unchanged());
    };
    let field = place.trim_start_matches('/').replace('/', ".");
    let Some(template) = document.value.pointer(place).filter(|template| template.is_object()) else {
        return Err(document.error(field, "expected a pod template"));
    };
    let namespace = Some(text("/metadata/namespace")).filter(|name| !name.is_empty()).unwrap_or("default");
    let pod = as_pod(template, place.is_empty(), version, kind, text("/metadata/name"));
    let (mut after, warnings, reasons) = admit(&pod, namespace, state, now)
        .map_err(|message| document.error(Some(field).filter(|f| !f.is_empty()).unwrap_or_else(|| ".".to_owned()), message))?;
    let mut whole = document.value.clone();
    if !place.is_empty() {
        as_template(&mut after, template);
    }
    if let Some(slot) = whole.pointer_mut(place) {
        *slot = after;
    }
    Ok(Injected { before: document.value.clone(), after: whole, warnings, reasons })
}

/// The pod that a controller makes of a template: a pod's kind, metadata, and its maker as owner.
fn as_pod(template: &Value, is_pod: bool, version: &str, kind: &str, name: &str) -> Value {
    let mut pod = template.clone();
    if is_pod {
        return pod;
    }
    if let Some(members) = pod.as_object_mut() {
        members.insert("apiVersion".to_owned(), json!("v1"));
        members.insert("kind".to_owned(), json!("Pod"));
        let metadata = members.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if metadata.is_null() {
            *metadata = Value::Object(Map::new());
        }
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("ownerReferences".to_owned(), json!([{"apiVersion": version, "kind": kind, "name": name, "controller": true}]));
        }
    }
    pod
}

/// Takes away again what [`as_pod`] added.
fn as_template(pod: &mut Value, template: &Value) {
    let Some(members) = pod.as_object_mut() else { return };
    for added in ["apiVersion", "kind"] {
        match template.get(added) {
            Some(own) => drop(members.insert(added.to_owned(), own.clone())),
            None => drop(members.shift_remove(added)),
        }
    }
    let owners = template.pointer("/metadata/ownerReferences");
    if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
        match owners {
            Some(own) => drop(metadata.insert("ownerReferences".to_owned(), own.clone())),
            None => drop(metadata.shift_remove("ownerReferences")),
        }
        if metadata.is_empty() && template.get("metadata").is_none() {
            members.shift_remove("metadata");
        }
    }
}

fn admit(pod: &Value, namespace: &str, state: &State, now: Timestamp) -> Result<(Value, Vec<String>, Vec<Reason>), String> {
    let object = RawValue::from_string(pod.to_string()).map_err(|error| error.to_string())?;
    let request = Request {
        uid: "offline".into(),
        resource: Resource { group: "".into(), version: "v1".into(), resource: "pods".into() },
        sub_resource: "".into(),
        name: "".into(),
        namespace: namespace.into(),
        operation: "CREATE".into(),
        user_info: crate::admission::review::User::default(),
        object: Some(&object),
        old_object: None,
        options: None,
        dry_run: true,
    };
    let mut reasons = Vec::new();
    let decision = match pod::explain(&request, &state.snapshot(), now, &mut reasons) {
        Verdict::Claim(claims) => claims::trial(state, claims, now),
        other => other.unasked(&state.snapshot(), now),
    };
    match decision.outcome {
        Outcome::Deny(denial) => Err(format!("refused: {}", denial.message)),
        Outcome::Allow(edits) => {
            let mut after = pod.clone();
            let patch: json_patch::Patch = serde_json::from_str(&edits.to_json_patch()).map_err(|error| error.to_string())?;
            json_patch::patch(&mut after, &patch).map_err(|error| error.to_string())?;
            Ok((after, decision.warnings, reasons))
        }
    }
}

impl Injected {
    /// The document in the form that was asked for. Documents are separated by whoever prints them.
    pub fn shown(&self, output: Output) -> Result<String, String> {
        match output {
            Output::Yaml => yaml(&self.after),
            Output::Json => serde_json::to_string_pretty(&self.after).map(|text| text + "\n").map_err(|error| error.to_string()),
            Output::Diff => {
                let (before, after) = (yaml(&self.before)?, yaml(&self.after)?);
                Ok(TextDiff::from_lines(&before, &after).unified_diff().header("before", "after").to_string())
            }
        }
    }
}

fn yaml(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string(value).map(|text| if text.ends_with('\n') { text } else { text + "\n" }).map_err(|error| error.to_string())
}
