//! A server that only watches what OpenKruise does: it may read and nothing else, nobody waits for it, and it goes without a trace. It lives in
//! OpenKruise's namespace, where the revisions of its sets are.

use std::path::Path;

use serde_json::{Value, json};

use super::{File, ManifestError, NAME, Rendering, SERVICE, SERVING_CERT, file, installation, kustomize, yaml};

/// The namespace of OpenKruise.
const NAMESPACE: &str = "kruise-system";
/// The name of everything here. Webhook configurations are asked in the order of their names: those of OpenKruise come before.
const SHADOW: &str = "outrigger-shadow";
/// What it does.
const READS: [&str; 3] = ["get", "list", "watch"];
/// The files of an installation that a shadow has, too.
const KEPT: [&str; 4] = ["rbac.yaml", "service.yaml", "deployment.yaml", "webhooks.yaml"];
/// Rights that are of no use to one who only reads.
const LEFT_OUT: [&str; 2] = ["outrigger-lifted", "outrigger-sidecar-terminator"];

/// A kustomization of its own, and a component of it for certificates by cert-manager.
pub(super) fn files() -> Result<Vec<File>, ManifestError> {
    let rendering = Rendering { namespace: NAMESPACE.to_owned(), ..Rendering::default() };
    let whole = installation(&rendering)?;
    let mut files = vec![
        file("shadow/kustomization.yaml", &[kustomization()]),
        file("shadow/cert-manager/kustomization.yaml", &[COMPONENT.to_owned()]),
        file("shadow/cert-manager/certificate.yaml", &certificate(&rendering)?),
        file("shadow/cert-manager/inject-ca.yaml", &injected()?),
    ];
    for name in KEPT {
        let text = whole.iter().find(|file| file.path == Path::new(name)).map(|file| file.text.as_str()).unwrap_or_default();
        let mut documents = Vec::new();
        for object in serde_saphyr::from_multiple::<Value>(text)? {
            if let Some(object) = of_a_shadow(object, &rendering) {
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
        "# Watches what OpenKruise does, in its namespace, and changes nothing. The certificate is expected in the Secret\n\
         # {SHADOW}-serving-cert; with cert-manager, in a kustomization of your own:\n#   resources: [<this repository>/manifests/shadow]\n\
         #   components: [<this repository>/manifests/shadow/cert-manager]\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}"
    )
}

/// Certificates of a shadow.
const COMPONENT: &str = "\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources:
- certificate.yaml
patches:
- path: inject-ca.yaml
";

/// What a shadow has of an object of an installation, if it has it.
fn of_a_shadow(mut object: Value, rendering: &Rendering) -> Option<Value> {
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
        "ClusterRole" | "Role" => object.get_mut("rules").and_then(Value::as_array_mut).into_iter().for_each(only_reads),
        "Deployment" => watching(&mut object, rendering),
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

/// One replica, with its certificate in files: one that writes nothing makes none. It takes nobody's place on a node.
fn watching(deployment: &mut Value, rendering: &Rendering) {
    let mounted = kustomize::mounted(rendering);
    let container = "/spec/template/spec/containers/0";
    let of = |pointer: &str| mounted.pointer(pointer).cloned().unwrap_or_default();
    let shadow = json!({"name": "OUTRIGGER_SHADOW", "value": "true"});
    let (files, mounts) = (of(&format!("{container}/env")), of(&format!("{container}/volumeMounts")));
    if let Some(env) = deployment.pointer_mut(&format!("{container}/env")).and_then(Value::as_array_mut) {
        env.extend(files.as_array().into_iter().flatten().cloned().chain([shadow]));
    }
    if let Some(container) = deployment.pointer_mut(container).and_then(Value::as_object_mut) {
        container.insert("volumeMounts".to_owned(), mounts);
    }
    if let Some(pod) = deployment.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) {
        pod.remove("priorityClassName");
        pod.remove("topologySpreadConstraints");
        pod.insert("volumes".to_owned(), of("/spec/template/spec/volumes"));
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
            let tail = text.strip_prefix(NAME).filter(|tail| tail.is_empty() || ["-webhook", "-counted", "-serving-cert"].contains(tail));
            if let Some(tail) = tail {
                *text = format!("{SHADOW}{tail}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rename),
        Value::Object(members) => {
            let labels = members.get_mut("labels").and_then(Value::as_object_mut);
            labels.into_iter().for_each(|labels| drop(labels.remove(crate::protection::keys::LABEL)));
            members.iter_mut().filter(|(name, _)| *name != "image").for_each(|(_, member)| rename(member));
        }
        _ => {}
    }
}

fn certificate(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let object = |kind: &str, name: String, spec: Value| {
        let metadata = json!({"name": name, "namespace": rendering.namespace, "labels": {"app.kubernetes.io/name": SHADOW}});
        yaml(&json!({"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec}))
    };
    let issuer = format!("{SHADOW}-self-signed");
    let spec = json!({
        "secretName": SERVING_CERT.replacen(NAME, SHADOW, 1),
        "dnsNames": [format!("{SHADOW}-webhook.{}.svc", rendering.namespace)],
        "duration": "2160h",
        "usages": ["digital signature", "server auth"],
        "privateKey": {"algorithm": "ECDSA", "size": 256},
        "issuerRef": {"kind": "Issuer", "name": issuer},
    });
    Ok(vec![object("Issuer", issuer, json!({"selfSigned": {}}))?, object("Certificate", format!("{SHADOW}-webhook"), spec)?])
}

fn injected() -> Result<Vec<String>, ManifestError> {
    let patches = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].map(|kind| {
        let annotations = json!({"cert-manager.io/inject-ca-from": format!("{NAMESPACE}/{SHADOW}-webhook")});
        let metadata = json!({"name": SHADOW, "annotations": annotations});
        yaml(&json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata}))
    });
    Ok(patches.into_iter().collect::<Result<_, _>>()?)
}
