//! Who may talk to the server, and whom it talks to, for clusters whose network plug-in obeys such rules.

use serde_json::{Value, json};

use super::{ManifestError, NAME, Rendering, own, yaml};

/// The namespace from which metrics are collected.
const MONITORING: &str = "monitoring";

/// Where API servers listen, behind their Service and by themselves.
const API_SERVER: [u16; 2] = [443, 6443];

/// Reviews may come from anywhere, for an API server is no pod that a selector could name; metrics may be read from one namespace. Probes
/// need no rule: a pod's own node is always let in. Out it goes to the API server, by whatever address that has, and to the names of the cluster.
pub(super) fn policy(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    policy_to(rendering, &API_SERVER.map(|port| tcp(&json!(port))))
}

/// The same with other ports of the API server.
pub(super) fn policy_to(rendering: &Rendering, api_server: &[Value]) -> Result<Vec<String>, ManifestError> {
    let spec = json!({
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"ports": [tcp(&json!("https"))]},
            {
                "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}}],
                "ports": [tcp(&json!("admin"))],
            },
        ],
        "egress": [
            {"ports": api_server},
            {"ports": [{"protocol": "UDP", "port": 53}, tcp(&json!(53))]},
        ],
    });
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": own(rendering, NAME), "spec": spec});
    Ok(vec![yaml(&policy)?])
}

fn tcp(port: &Value) -> Value {
    json!({"protocol": "TCP", "port": port})
}
