//! How the other files are put together, and the certificates for clusters that run cert-manager. Kinds of cert-manager
//! have no Rust types here; they are written as JSON.

use serde_json::{Value, json};

use super::{CONVERSION_SERVICE, DEFINITIONS, ManifestError, NAME, Rendering, SERVICE, SERVING_CERT, yaml};
use crate::handlers::Registration;

/// Everything but certificates.
pub(super) fn base() -> String {
    let definitions = DEFINITIONS.map(|name| format!("- crds/{name}.yaml\n")).concat();
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- namespace.yaml\n{definitions}- rbac.yaml\n\
         - service.yaml\n- deployment.yaml\n- webhooks.yaml\n- protection.yaml\n- evictions.yaml\n"
    )
}

/// A component and not an overlay: an overlay may not lie inside its base.
pub(super) const CERT_MANAGER: &str = "\
# Certificates by cert-manager. In a kustomization of your own:
#   resources: [<this repository>/manifests]
#   components: [<this repository>/manifests/cert-manager]
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources:
- certificate.yaml
patches:
- path: inject-ca.yaml
";

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
pub(super) fn inject_ca(rendering: &Rendering, table: &[Registration]) -> Result<Vec<String>, ManifestError> {
    let webhooks = [(true, "MutatingWebhookConfiguration"), (false, "ValidatingWebhookConfiguration")];
    let registered = webhooks.iter().filter(|(mutates, _)| table.iter().any(|row| row.mutates == *mutates));
    let mut targets: Vec<_> = registered.map(|(_, kind)| ("admissionregistration.k8s.io/v1", *kind, NAME)).collect();
    targets.extend(DEFINITIONS.map(|name| ("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)));
    let certificate = format!("{}/{SERVICE}", rendering.namespace);
    let patches = targets.into_iter().map(|(api_version, kind, name)| {
        let annotations = json!({"cert-manager.io/inject-ca-from": certificate});
        yaml(&json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "annotations": annotations}}))
    });
    Ok(patches.collect::<Result<_, _>>()?)
}

fn object(rendering: &Rendering, kind: &str, name: &str, spec: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": rendering.namespace, "labels": {"app.kubernetes.io/name": NAME}});
    json!({"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
}
