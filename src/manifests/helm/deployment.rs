//! The Deployment of the chart: with all that a user may add, each behind its condition.

use serde_json::{Map, Value, json};

use super::{
    super::{ManifestError, Rendering, SERVING_CERT, kustomize, server, yaml},
    MOUNTED,
    template::Template,
};

/// Where the one container is.
const CONTAINER: &str = "/spec/template/spec/containers/0";
/// Members of the pod that are there only where the user gives them.
const OF_THE_POD: [&str; 4] = ["affinity", "imagePullSecrets", "nodeSelector", "tolerations"];
/// Variables that are there only where the user differs from the program's own choice: name, condition, value.
const VARIABLES: [(&str, &str, &str); 4] = [
    ("OUTRIGGER_LOG", r#"ne .Values.log.level "info""#, ".Values.log.level | quote"),
    ("OUTRIGGER_LOG_FORMAT", r#"ne .Values.log.format "text""#, ".Values.log.format | quote"),
    ("OUTRIGGER_FEATURE_GATES", ".Values.featureGates", r#"include "outrigger.featureGates" . | quote"#),
    ("OUTRIGGER_EVICTION_DENIAL_CODE", "ne (.Values.evictionDenialCode | int) 429", ".Values.evictionDenialCode | quote"),
];

pub(super) fn template(rendering: &Rendering) -> Result<Template, ManifestError> {
    let mut template = Template::of(&yaml(&whole(rendering)?)?)
        .scalar("replicas: 2", ".Values.replicas")?
        .scalar(&format!("image: {}", rendering.image), r#"include "outrigger.image" . | quote"#)?
        .scalar("imagePullPolicy: IfNotPresent", ".Values.image.pullPolicy")?
        .scalar("priorityClassName: outrigger", ".Values.priorityClass.name")?
        .scalar(&format!("secretName: {SERVING_CERT}"), ".Values.certificates.secretName")?
        .block("resources:", ".Values.resources")?
        .block("topologySpreadConstraints:", ".Values.topologySpreadConstraints")?
        .block("annotations:", ".Values.podAnnotations")?
        .block_if("annotations:", ".Values.podAnnotations")?
        .lines("labels: of-the-user", &added("podLabels", 8))?
        .lines("- arguments-of-the-user", &added("extraArgs", 8))?
        .lines("- name: variables-of-the-user", &added("extraEnv", 8))?
        .block_if("volumeMounts:", MOUNTED)?
        .block_if("volumes:", MOUNTED)?
        .block_if("- name: OUTRIGGER_TLS_CERT_FILE", MOUNTED)?
        .block_if("- name: OUTRIGGER_TLS_KEY_FILE", MOUNTED)?;
    for member in OF_THE_POD {
        let (title, value) = (format!("{member}:"), format!(".Values.{member}"));
        template = template.block(&title, &value)?.block_if(&title, &value)?;
    }
    for (name, condition, value) in VARIABLES {
        template = template.scalar(&format!("value: {name}"), value)?.block_if(&format!("- name: {name}"), condition)?;
    }
    Ok(template)
}

/// Items or members of the user beside ours.
fn added(value: &str, indent: usize) -> String {
    format!("{{{{- with .Values.{value} }}}}{{{{- toYaml . | nindent {indent} }}}}{{{{- end }}}}")
}

/// The rendered one, with a mark wherever something may be added.
fn whole(rendering: &Rendering) -> Result<Value, ManifestError> {
    let mut whole = serde_json::to_value(server::deployment(rendering))?;
    let mounted = kustomize::mounted(rendering);
    let taken = |pointer: String| mounted.pointer(&pointer).cloned().unwrap_or_default();
    let mark = json!({"mark": ""});
    members(&mut whole, "/spec/template/metadata", [("annotations", mark.clone())]);
    members(&mut whole, "/spec/template/metadata/labels", [("labels", json!("of-the-user"))]);
    members(&mut whole, "/spec/template/spec", OF_THE_POD.map(|member| (member, mark.clone())));
    members(&mut whole, "/spec/template/spec", [("volumes", taken("/spec/template/spec/volumes".to_owned()))]);
    let mounts = ("volumeMounts", taken(format!("{CONTAINER}/volumeMounts")));
    members(&mut whole, CONTAINER, [mounts]);
    let files = taken(format!("{CONTAINER}/env"));
    let variables = VARIABLES.iter().map(|(name, ..)| json!({"name": name, "value": name}));
    let variables = files.as_array().into_iter().flatten().cloned().chain(variables);
    items(&mut whole, &format!("{CONTAINER}/env"), variables.chain([json!({"name": "variables-of-the-user"})]));
    items(&mut whole, &format!("{CONTAINER}/args"), [json!("arguments-of-the-user")]);
    Ok(whole)
}

fn members<const N: usize>(object: &mut Value, at: &str, added: [(&str, Value); N]) {
    let found: Option<&mut Map<String, Value>> = object.pointer_mut(at).and_then(Value::as_object_mut);
    if let Some(found) = found {
        found.extend(added.map(|(name, value)| (name.to_owned(), value)));
    }
}

fn items(object: &mut Value, at: &str, added: impl IntoIterator<Item = Value>) {
    if let Some(found) = object.pointer_mut(at).and_then(Value::as_array_mut) {
        found.extend(added);
    }
}
