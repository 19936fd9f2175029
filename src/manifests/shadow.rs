//! A server that only watches what OpenKruise does: but for its own certificate it may read and nothing else, nobody waits for it, and it
//! goes without a trace. It lives in OpenKruise's namespace, where the revisions of its sets are.

use std::path::Path;

use serde_json::{Value, json};

use super::{AUTHORITY, CONVERSION_SERVICE, File, ManifestError, NAME, Rendering, SERVICE, file, installation, yaml};
use crate::protection::keys::LABEL;

/// The namespace of OpenKruise.
const NAMESPACE: &str = "kruise-system";
/// The name of everything here. Webhook configurations are asked in the order of their names: those of OpenKruise come before.
const SHADOW: &str = "outrigger-shadow";
/// What it does.
const READS: [&str; 3] = ["get", "list", "watch"];
/// The files of an installation that a shadow has, too.
const KEPT: [&str; 5] = ["rbac.yaml", "authority.yaml", "service.yaml", "deployment.yaml", "webhooks.yaml"];
/// Rights that are of no use to one who only reads.
const LEFT_OUT: [&str; 2] = ["outrigger-lifted", "outrigger-sidecar-terminator"];

/// What its names are, for the server.
const NAMES: [(&str, &str); 5] = [
    ("OUTRIGGER_SHADOW", "true"),
    ("OUTRIGGER_AUTHORITY_SECRET", AUTHORITY),
    ("OUTRIGGER_WEBHOOK_CONFIGURATION", NAME),
    ("OUTRIGGER_WEBHOOK_SERVICE", SERVICE),
    // There is none: conversions are work, and are left to others.
    ("OUTRIGGER_CONVERSION_SERVICE", CONVERSION_SERVICE),
];

/// A kustomization of its own.
pub(super) fn files() -> Result<Vec<File>, ManifestError> {
    let rendering = Rendering { namespace: NAMESPACE.to_owned(), ..Rendering::default() };
    let whole = installation(&rendering)?;
    let mut files = vec![file("shadow/kustomization.yaml", &[kustomization()])];
    for name in KEPT {
        let text = whole.iter().find(|file| file.path == Path::new(name)).map(|file| file.text.as_str()).unwrap_or_default();
        let mut documents = Vec::new();
        for object in serde_saphyr::from_multiple::<Value>(text)? {
            if let Some(object) = of_a_shadow(object) {
                documents.push(yaml(&object)?);
            }
        }
        files.push(file(&format!("shadow/{name}"), &documents));
    }
    Ok(files)
}

fn kustomization() -> String {
    let resources = KEPT.map(|name| format!("- {name}\n")).concat();
    format!(
        "# Watches what OpenKruise does, in its namespace, and changes nothing.\napiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\nresources:\n{resources}"
    )
}

/// What a shadow has of an object of an installation, if it has it.
fn of_a_shadow(mut object: Value) -> Option<Value> {
    let kind = object.get("kind")?.as_str()?.to_owned();
    let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
    if LEFT_OUT.contains(&name.as_str()) || ["PriorityClass", "PodDisruptionBudget"].contains(&kind.as_str()) {
        return None;
    }
    // Conversions are work, and are left to others.
    if kind == "Service" && name != SERVICE {
        return None;
    }
    match kind.as_str() {
        "ClusterRole" | "Role" if name == AUTHORITY => {
            object.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten().for_each(own_trust);
        }
        "ClusterRole" | "Role" => object.get_mut("rules").and_then(Value::as_array_mut).into_iter().for_each(only_reads),
        "Deployment" => watching(&mut object),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten().for_each(unawaited);
        }
        _ => {}
    }
    rename(&mut object);
    Some(object)
}

fn only_reads(rules: &mut Vec<Value>) {
    for rule in rules.iter_mut() {
        if let Some(verbs) = rule.get_mut("verbs").and_then(Value::as_array_mut) {
            verbs.retain(|verb| READS.iter().any(|read| verb == read));
        }
    }
    let is_of_leases = |rule: &Value| rule.get("resources") == Some(&json!(["leases"]));
    rules.retain(|rule| rule.get("verbs") != Some(&json!([])) && !is_of_leases(rule));
}

/// Its Secret and its hooks are its own; definitions are not.
fn own_trust(rule: &mut Value) {
    let is_of_definitions = rule.get("resources") == Some(&json!(["customresourcedefinitions"]));
    if let Some(rule) = rule.as_object_mut().filter(|_| is_of_definitions) {
        rule.insert("verbs".to_owned(), json!(READS));
    }
}

/// One replica, which takes nobody's place on a node.
fn watching(deployment: &mut Value) {
    if let Some(env) = deployment.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut) {
        env.extend(NAMES.map(|(name, value)| json!({"name": name, "value": value})));
    }
    if let Some(pod) = deployment.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) {
        pod.remove("priorityClassName");
        pod.remove("topologySpreadConstraints");
    }
    if let Some(spec) = deployment.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".to_owned(), json!(1));
    }
}

fn unawaited(hook: &mut Value) {
    let Some(hook) = hook.as_object_mut() else { return };
    hook.insert("failurePolicy".to_owned(), json!("Ignore"));
    hook.insert("timeoutSeconds".to_owned(), json!(2));
    if let Some(policy) = hook.get_mut("reinvocationPolicy") {
        *policy = json!("Never");
    }
}

/// Every name of ours, wherever it stands, becomes one of the shadow's. What is not protected needs no label that says so.
fn rename(value: &mut Value) {
    match value {
        Value::String(text) => {
            let tail = text
                .strip_prefix(NAME)
                .filter(|tail| tail.is_empty() || ["-webhook", "-conversion", "-counted", "-authority"].contains(tail));
            if let Some(tail) = tail {
                *text = format!("{SHADOW}{tail}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rename),
        Value::Object(members) => {
            let labels = members.get_mut("labels").and_then(Value::as_object_mut);
            if let Some(labels) = labels {
                labels.remove(LABEL);
            }
            members.iter_mut().filter(|(name, _)| *name != "image").for_each(|(_, member)| rename(member));
        }
        _ => {}
    }
}
