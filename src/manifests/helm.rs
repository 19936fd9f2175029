//! The chart: what is rendered for kustomize, with values of the user in places. With its default values it is the same installation, but
//! for the namespace, which Helm makes.

mod deployment;
mod template;

use serde_json::json;

use self::template::Template;
use super::{
    DEFINITIONS, File, HEADER, ManifestError, NAME, Rendering, SERVING_CERT, access, definitions, evictions, file, kustomize, monitoring,
    network, protection, server, webhooks, yaml,
};
use crate::{
    handlers::TABLE,
    protection::keys::{ALWAYS, LABEL},
};

/// The namespace of a release.
const NAMESPACE: &str = "{{ .Release.Namespace }}";
/// What a user may choose, with a word on each.
const VALUES: &str = include_str!("helm/values.yaml");
/// Which values are refused.
const SCHEMA: &str = include_str!("helm/values.schema.json");
/// Said after an installation.
const NOTES: &str = include_str!("helm/NOTES.txt");
/// Parts of templates that have a name.
const PARTS: &str = include_str!("helm/parts.tpl");
/// What is watched and shown. Files of a chart are no templates: what is in braces there is for Prometheus and Grafana.
const MONITORING: &str = include_str!("helm/monitoring.yaml");
/// The certificate is made by the replicas.
const SELF_MANAGED: &str = r#"eq .Values.certificates.mode "selfManaged""#;
/// It is mounted.
const MOUNTED: &str = r#"ne .Values.certificates.mode "selfManaged""#;
/// cert-manager makes it.
const CERT_MANAGER: &str = r#"eq .Values.certificates.mode "certManager""#;

/// Where cert-manager is told whose authority it is to write: a condition, a title, a line, an end.
const INJECTED: [&str; 4] = [
    r#"{{- if eq .Values.certificates.mode "certManager" }}"#,
    "annotations:",
    r#"  cert-manager.io/inject-ca-from: "{{ .Release.Namespace }}/outrigger-webhook""#,
    "{{- end }}",
];

/// An item for each port of the API server.
const PORTS: &str =
    r#"{{- range .Values.networkPolicy.apiServerPorts }}{{- list (dict "protocol" "TCP" "port" (int .)) | toYaml | nindent 4 }}{{- end }}"#;
/// What no schema can say in words that help.
const REFUSED: &str = "{{- include \"outrigger.refused\" . }}\n";

/// The files of the chart, under `helm/outrigger`.
pub(super) fn files() -> Result<Vec<File>, ManifestError> {
    let rendering = Rendering { namespace: NAMESPACE.to_owned(), ..Rendering::default() };
    let mut files = vec![
        file(&path("Chart.yaml"), &[about()]),
        file(&path("values.yaml"), &[VALUES.to_owned()]),
        file(&path("high-availability.yaml"), &[high_availability(&rendering)?]),
        plain("values.schema.json", SCHEMA),
        plain("templates/_parts.tpl", PARTS),
        plain("templates/NOTES.txt", NOTES),
        templates("rbac", &rights(&rendering)?),
        templates("authority", &under(&access::authority(&rendering)?, &format!("and .Values.rbac.create ({SELF_MANAGED})"))),
        templates("service", &[yaml(&server::service(&rendering))?, yaml(&server::conversion_service(&rendering))?]),
        templates("deployment", &replicas(&rendering)?),
        templates("webhooks", &hooks(&rendering)?),
        templates("before-uninstall", &before_uninstall(&rendering)?),
        templates("evictions", &evicted(&rendering)?),
        templates("protection", &under(&protection::documents()?, ".Values.deletionProtection.policy")),
        templates("cert-manager", &certificates(&rendering)?),
        templates("network-policy", &network_policy(&rendering)?),
        templates("monitoring", &[MONITORING.to_owned()]),
        plain("monitoring/dashboard.json", monitoring::DASHBOARD),
        plain("monitoring/prometheus-rule.yaml", monitoring::RULES),
        plain("monitoring/service-monitor.yaml", monitoring::SERVICE_MONITOR),
    ];
    for (name, definition) in DEFINITIONS.iter().zip(definitions(&rendering)?) {
        files.push(templates(&format!("crds/{name}"), &[kept(name, &definition.text)?]));
    }
    Ok(files)
}

fn path(name: &str) -> String {
    format!("helm/{NAME}/{name}")
}

/// A file in which a line of ours has no place.
fn plain(name: &str, text: &str) -> File {
    File { path: path(name).into(), text: text.to_owned() }
}

fn templates(name: &str, documents: &[String]) -> File {
    file(&path(&format!("templates/{name}.yaml")), documents)
}

fn about() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "apiVersion: v2\nname: {NAME}\ndescription: {}\ntype: application\nversion: {version}\nappVersion: {version:?}\n\
         kubeVersion: \">=1.30.0-0\"\n",
        env!("CARGO_PKG_DESCRIPTION")
    )
}

/// Values for three replicas.
fn high_availability(rendering: &Rendering) -> Result<String, ManifestError> {
    let patch = kustomize::three(rendering);
    let of = |pointer: &str| patch.pointer(pointer).cloned().unwrap_or_default();
    let mut constraints = of("/spec/template/spec/topologySpreadConstraints");
    if let Some(constraints) = constraints.as_array_mut() {
        constraints.retain(|constraint| constraint.get("$patch").is_none());
    }
    Ok(yaml(&json!({"replicas": of("/spec/replicas"), "topologySpreadConstraints": constraints}))?)
}

fn under(documents: &[String], condition: &str) -> Vec<String> {
    documents.iter().map(|document| Template::of(document).only_if(condition)).collect()
}

/// Each role with its binding can be left out that the server can do without.
fn rights(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let optional =
        [("outrigger-sidecar-terminator", "sidecarTerminator"), ("outrigger-counted", "counted"), ("outrigger-lifted", "lifted")];
    let documents = access::documents(rendering)?;
    let templates = documents.iter().map(|document| {
        if document.lines().any(|line| line == "kind: ServiceAccount") {
            let noted = ["{{- with .Values.serviceAccount.annotations }}", "annotations:", "  {{- toYaml . | nindent 4 }}", "{{- end }}"];
            return Ok(Template::of(document).begin("metadata:", &noted)?.text());
        }
        let part = optional.iter().find(|(name, _)| document.contains(&format!("\n  name: {name}\n")));
        let condition = part.map(|(_, value)| format!("and .Values.rbac.create .Values.rbac.{value}"));
        Ok(Template::of(document).only_if(condition.as_deref().unwrap_or(".Values.rbac.create")))
    });
    templates.collect()
}

fn replicas(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let class = Template::of(&yaml(&server::priority_class())?)
        .scalar("name: outrigger", ".Values.priorityClass.name")?
        .scalar("value: 1000000000", ".Values.priorityClass.value | int")?;
    let budget = Template::of(&yaml(&server::disruption_budget(rendering))?)
        .scalar("maxUnavailable: 1", ".Values.podDisruptionBudget.maxUnavailable")?;
    Ok(vec![
        class.only_if(".Values.priorityClass.create"),
        format!("{REFUSED}{}", deployment::template(rendering)?.text()),
        budget.only_if(".Values.podDisruptionBudget.enabled"),
    ])
}

/// Without the label that protects them: a policy would keep them from Helm, too, when it uninstalls.
fn hooks(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let selectors = ["{{- with .Values.namespaceSelector.matchExpressions }}", "{{- toYaml . | nindent 4 }}", "{{- end }}"];
    let bundle = [r#"{{- with include "outrigger.caBundle" . }}"#, "caBundle: {{ . }}", "{{- end }}"];
    let strict = webhooks::documents(&Rendering { strict: true, ..rendering.clone() }, TABLE)?;
    let templates = webhooks::documents(rendering, TABLE)?.into_iter().zip(strict).map(|(document, strict)| {
        let label = format!("    {LABEL}: {ALWAYS}\n");
        let unlabelled = either(&document, &strict, ".Values.strict").replacen(&label, "", 1);
        let template = Template::of(&unlabelled).begin("metadata:", &INJECTED)?.finish("clientConfig:", 2, &bundle)?;
        Ok(template.finish("namespaceSelector:", 2, &selectors)?.text())
    });
    templates.collect()
}

/// The first text, in which lines that the second has otherwise depend on a condition. Both have the same lines but for their values.
fn either(otherwise: &str, so: &str, condition: &str) -> String {
    let lines = otherwise.lines().zip(so.lines()).map(|(otherwise, so)| match (otherwise.split_once(": "), so.split_once(": ")) {
        (Some((name, otherwise)), Some((_, so))) if otherwise != so => {
            format!("{name}: {{{{ ternary {so:?} {otherwise:?} {condition} }}}}\n")
        }
        _ => format!("{otherwise}\n"),
    });
    lines.collect()
}

/// Before Helm takes away anything, these stand for our webhook configurations for a moment, without hooks, and go; and for what refuses
/// evictions that no hook has judged. Helm itself would take those away last, when no replica answers any more.
fn before_uninstall(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let stands_for = |document: &str, weight: i32| {
        let policy = "  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded";
        let weight = format!("  helm.sh/hook-weight: \"{weight}\"");
        Template::of(document).begin("metadata:", &["annotations:", "  helm.sh/hook: pre-delete", policy, &weight])
    };
    let mut documents = Vec::new();
    for document in evictions::documents(rendering)?.iter().filter(|document| document.contains("kind: ValidatingAdmissionPolicyBinding")) {
        documents.push(stands_for(document, -1)?.lines("- Deny", "- Audit")?.text());
    }
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let metadata = json!({"name": NAME, "labels": {"app.kubernetes.io/name": NAME}});
        let empty = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, "webhooks": []});
        documents.push(stands_for(&yaml(&empty)?, 0)?.text());
    }
    Ok(documents)
}

/// In the namespaces whose evictions the hook is asked about.
fn evicted(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let selectors = ["{{- with .Values.namespaceSelector.matchExpressions }}", "{{- toYaml . | nindent 6 }}", "{{- end }}"];
    let strict = evictions::documents(&Rendering { strict: true, ..rendering.clone() })?;
    let templates = evictions::documents(rendering)?.into_iter().zip(strict).map(|(document, strict)| {
        let template = Template::of(&either(&document, &strict, ".Values.strict"));
        let is_policy = document.contains("namespaceSelector:");
        let template = if is_policy { template.finish("namespaceSelector:", 2, &selectors)? } else { template };
        Ok(template.text())
    });
    templates.collect()
}

fn certificates(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let templates = kustomize::certificates(rendering)?.into_iter().map(|document| {
        let mut template = Template::of(&document);
        if document.contains(SERVING_CERT) {
            template = template.scalar(&format!("secretName: {SERVING_CERT}"), ".Values.certificates.secretName")?;
        }
        Ok(template.only_if(CERT_MANAGER))
    });
    templates.collect()
}

fn network_policy(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let templates = network::policy_to(rendering, &[json!("ports-of-the-user")])?.into_iter().map(|document| {
        let monitoring = "kubernetes.io/metadata.name: monitoring";
        let template =
            Template::of(&document).scalar(monitoring, ".Values.networkPolicy.monitoringNamespace")?.lines("- ports-of-the-user", PORTS)?;
        Ok(template.only_if(".Values.networkPolicy.enabled"))
    });
    templates.collect()
}

/// A definition, which stays when the chart goes: with it, all objects of its kind would go.
fn kept(name: &str, definition: &str) -> Result<String, ManifestError> {
    let definition = definition.strip_prefix(HEADER).unwrap_or(definition);
    let metadata = format!("metadata: {{labels: {{{LABEL}: {ALWAYS}}}, name: {name}}}");
    let begun = Template::of(definition).lines(&metadata, &format!("metadata:\n  labels: {{{LABEL}: {ALWAYS}}}\n  name: {name}"))?.text();
    let client = "clientConfig: {service:";
    let bundle = r#"{{- with include "outrigger.caBundle" . }}caBundle: {{ . }}, {{ end }}"#;
    let trusted = begun.replacen(client, &format!("clientConfig: {{ {bundle}service:"), 1);
    let annotations = ["annotations:", "  helm.sh/resource-policy: keep", INJECTED[0], INJECTED[2], INJECTED[3]];
    Ok(Template::of(&trusted).begin("metadata:", &annotations)?.only_if(".Values.crds.install"))
}
