//! How the other files are put together, and what is changed about them where an installation wants it otherwise: components, which
//! go together in any number. Overlays would not do: one may not lie inside its base, and does not go with another.
//!
//! Kinds of cert-manager have no Rust types here; they are written as JSON, and so are patches.

use serde_json::{Value, json};

use super::{
    AUTHORITY, CONVERSION_SERVICE, DEFINITIONS, File, ManifestError, NAME, Rendering, SERVICE, SERVING_CERT, evictions, file, network, yaml,
};
use crate::handlers::{Registration, TABLE, Unanswered};

/// Where the certificate is mounted that others make.
const CERTIFICATES: &str = "/certs";
/// What every API server knows of an object.
const WEBHOOKS: &str = "admissionregistration.k8s.io/v1";
/// The same.
const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The kustomization of an installation, and the components.
pub(super) fn files(rendering: &Rendering, installation: &[File]) -> Result<Vec<File>, ManifestError> {
    let components = [
        Component {
            name: "own-certificate",
            does: "The certificate comes from the Secret `outrigger-serving-cert`, which somebody else makes and renews.",
            components: &[],
            resources: Vec::new(),
            patches: vec![("deployment.yaml", vec![yaml(&mounted(rendering))?]), ("without-authority.yaml", without_authority(rendering)?)],
        },
        Component {
            name: "cert-manager",
            does: "Certificates by cert-manager, which has to be there already.",
            components: &["own-certificate"],
            resources: vec![("certificate.yaml", certificates(rendering)?)],
            patches: vec![("inject-ca.yaml", inject_ca(rendering, TABLE)?)],
        },
        Component {
            name: "high-availability",
            does: "Three replicas, each on a node of its own where there are three.",
            components: &[],
            resources: Vec::new(),
            patches: vec![("deployment.yaml", vec![yaml(&three(rendering))?])],
        },
        Component {
            name: "strict",
            does: "Pods are refused while no replica answers, instead of coming up without their sidecars.",
            components: &[],
            resources: Vec::new(),
            patches: vec![("webhooks.yaml", vec![yaml(&strict(TABLE))?]), ("evictions.yaml", vec![yaml(&evictions::strict())?])],
        },
        Component {
            name: "network-policy",
            does: "Who may talk to the server and whom it talks to. Metrics are read from the namespace `monitoring`.",
            components: &[],
            resources: vec![("network-policy.yaml", network::policy(rendering)?)],
            patches: Vec::new(),
        },
    ];
    let files = components.into_iter().flat_map(Component::files);
    Ok([file("kustomization.yaml", &[base(installation)])].into_iter().chain(files).collect())
}

/// Everything, as an installation has it that wants nothing special.
fn base(installation: &[File]) -> String {
    let resources: Vec<String> = installation.iter().map(|file| format!("- {}\n", file.path.display())).collect();
    let resources = resources.concat();
    format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}")
}

/// A folder beside the base.
struct Component {
    name: &'static str,
    /// A sentence.
    does: &'static str,
    /// Others that it needs.
    components: &'static [&'static str],
    resources: Vec<(&'static str, Vec<String>)>,
    patches: Vec<(&'static str, Vec<String>)>,
}

impl Component {
    fn files(self) -> Vec<File> {
        let name = self.name;
        let kustomization = file(&format!("{name}/kustomization.yaml"), &[self.kustomization()]);
        let others = self.resources.into_iter().chain(self.patches);
        let others = others.map(|(path, documents)| file(&format!("{name}/{path}"), &documents));
        [kustomization].into_iter().chain(others).collect()
    }

    fn kustomization(&self) -> String {
        let Self { name, does, .. } = self;
        let list = |title: &str, lines: Vec<String>| if lines.is_empty() { String::new() } else { format!("{title}:\n{}", lines.concat()) };
        let components = list("components", self.components.iter().map(|name| format!("- ../{name}\n")).collect());
        let resources = list("resources", self.resources.iter().map(|(path, _)| format!("- {path}\n")).collect());
        let patches = list("patches", self.patches.iter().map(|(path, _)| format!("- path: {path}\n")).collect());
        format!(
            "# {does} In a kustomization of your own:\n#   resources: [<this repository>/manifests]\n\
             #   components: [<this repository>/manifests/{name}]\n\
             apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n{components}{resources}{patches}"
        )
    }
}

/// A root that signs itself, and the serving certificate that it signs: the serving certificate can then be renewed
/// without a moment in which replicas and API server disagree about the CA.
pub(super) fn certificates(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let hosts = [SERVICE, CONVERSION_SERVICE].map(|service| format!("{service}.{}.svc", rendering.namespace));
    let root = json!({
        "isCA": true,
        "commonName": "outrigger-ca",
        "secretName": "outrigger-ca",
        "duration": "87600h",
        "privateKey": {"algorithm": "ECDSA", "size": 256},
        "issuerRef": {"kind": "Issuer", "name": "outrigger-self-signed"},
    });
    let serving = json!({
        "secretName": SERVING_CERT,
        "dnsNames": hosts,
        "duration": "2160h",
        "usages": ["digital signature", "server auth"],
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "issuerRef": {"kind": "Issuer", "name": "outrigger-ca"},
    });
    let documents = [
        object(rendering, "Issuer", "outrigger-self-signed", &json!({"selfSigned": {}})),
        object(rendering, "Certificate", "outrigger-ca", &root),
        object(rendering, "Issuer", "outrigger-ca", &json!({"ca": {"secretName": "outrigger-ca"}})),
        object(rendering, "Certificate", SERVICE, &serving),
    ];
    Ok(documents.iter().map(yaml).collect::<Result<_, _>>()?)
}

/// Patches that tell cert-manager where the CA's certificate is to be written.
fn inject_ca(rendering: &Rendering, table: &[Registration]) -> Result<Vec<String>, ManifestError> {
    let webhooks = [(true, "MutatingWebhookConfiguration"), (false, "ValidatingWebhookConfiguration")];
    let registered = webhooks.iter().filter(|(mutates, _)| table.iter().any(|row| row.mutates == *mutates));
    let mut targets: Vec<_> = registered.map(|(_, kind)| (WEBHOOKS, *kind, NAME)).collect();
    targets.extend(DEFINITIONS.map(|name| ("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)));
    let certificate = format!("{}/{SERVICE}", rendering.namespace);
    let patches = targets.into_iter().map(|(api_version, kind, name)| {
        let annotations = json!({"cert-manager.io/inject-ca-from": certificate});
        yaml(&json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "annotations": annotations}}))
    });
    Ok(patches.collect::<Result<_, _>>()?)
}

/// The certificate as files, by variables and not by arguments: variables of several patches go together.
pub(super) fn mounted(rendering: &Rendering) -> Value {
    let file = |name: &str, file: &str| json!({"name": name, "value": format!("{CERTIFICATES}/{file}")});
    let container = json!({
        "name": NAME,
        "env": [file("OUTRIGGER_TLS_CERT_FILE", "tls.crt"), file("OUTRIGGER_TLS_KEY_FILE", "tls.key")],
        "volumeMounts": [{"name": "certs", "mountPath": CERTIFICATES, "readOnly": true}],
    });
    let volumes = json!([{"name": "certs", "secret": {"secretName": SERVING_CERT}}]);
    deployment(rendering, &json!({"template": {"spec": {"containers": [container], "volumes": volumes}}}))
}

/// The rights of replicas that make their certificates themselves.
fn without_authority(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let gone = |kind: &str, namespace: Option<&str>| {
        let metadata = namespace.map_or_else(|| json!({"name": AUTHORITY}), |namespace| json!({"name": AUTHORITY, "namespace": namespace}));
        yaml(&json!({"$patch": "delete", "apiVersion": RBAC, "kind": kind, "metadata": metadata}))
    };
    let ours = Some(rendering.namespace.as_str());
    Ok(vec![gone("Role", ours)?, gone("RoleBinding", ours)?, gone("ClusterRole", None)?, gone("ClusterRoleBinding", None)?])
}

/// A node that is gone takes one of three. A replica waits for a node of its own only among nodes that take it, and beside those
/// of its own revision: neither a broken node nor a rolling update holds it up.
pub(super) fn three(rendering: &Rendering) -> Value {
    let selector = json!({"matchLabels": {"app.kubernetes.io/name": NAME}});
    let apart = |key: &str, unsatisfiable: &str| {
        json!({
            "topologyKey": key,
            "maxSkew": 1,
            "whenUnsatisfiable": unsatisfiable,
            "nodeTaintsPolicy": "Honor",
            "matchLabelKeys": ["pod-template-hash"],
            "labelSelector": selector,
        })
    };
    let constraints = json!([
        {"$patch": "replace"},
        apart("kubernetes.io/hostname", "DoNotSchedule"),
        apart("topology.kubernetes.io/zone", "ScheduleAnyway"),
    ]);
    deployment(rendering, &json!({"replicas": 3, "template": {"spec": {"topologySpreadConstraints": constraints}}}))
}

/// The hooks that let everything pass while nobody answers.
fn strict(table: &[Registration]) -> Value {
    let admitting = table.iter().filter(|row| row.mutates && row.unanswered == Unanswered::Admit);
    let webhooks: Vec<Value> = admitting.map(|row| json!({"name": row.name, "failurePolicy": "Fail"})).collect();
    json!({"apiVersion": WEBHOOKS, "kind": "MutatingWebhookConfiguration", "metadata": {"name": NAME}, "webhooks": webhooks})
}

fn deployment(rendering: &Rendering, spec: &Value) -> Value {
    let metadata = json!({"name": NAME, "namespace": rendering.namespace});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
}

fn object(rendering: &Rendering, kind: &str, name: &str, spec: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": rendering.namespace, "labels": {"app.kubernetes.io/name": NAME}});
    json!({"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
}
