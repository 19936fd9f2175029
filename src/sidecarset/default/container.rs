use serde_json::{Map, Value};

use super::{super::shape, default_member, inner, items};
use crate::base::{image, quantity::Quantity};

/// Fills in what Kubernetes would fill in, as far as the reference does: no defaults for startup probes, for requests, and for the
/// ports of pods on the host's network. The hash is taken of the result, so it cannot be more either.
pub(super) fn apply(container: &mut Map<String, Value>) {
    for list in ["limits", "requests"] {
        round_up(inner(container, &["resources", list]));
    }
    shape::tidy(shape::CONTAINER, container);
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let pulled = if image::is_latest(image) { "Always" } else { "IfNotPresent" };
    default_member(container, "imagePullPolicy", pulled);
    default_member(container, "terminationMessagePath", "/dev/termination-log");
    default_member(container, "terminationMessagePolicy", "File");
    for port in items(container, "ports") {
        default_member(port, "protocol", "TCP");
    }
    for variable in items(container, "env") {
        if let Some(field) = inner(variable, &["valueFrom", "fieldRef"]) {
            default_member(field, "apiVersion", "v1");
        }
    }
    for probe in ["livenessProbe", "readinessProbe"] {
        default_probe(inner(container, &[probe]));
    }
    for hook in ["postStart", "preStop"] {
        default_request(inner(container, &["lifecycle", hook, "httpGet"]));
    }
}

/// Startup probes, which Kubernetes defaults in pods and the reference does not in sets.
pub(in crate::sidecarset) fn apply_to_startup(container: &mut Map<String, Value>) {
    default_probe(inner(container, &["startupProbe"]));
}

/// Kubernetes counts resources in thousandths.
fn round_up(amounts: Option<&mut Map<String, Value>>) {
    for amount in amounts.into_iter().flat_map(Map::values_mut) {
        let rounded =
            shape::quantity_text(amount).and_then(|text| Quantity::parse(&text).ok()).map(|quantity| quantity.round_up_to_milli());
        if let Some(rounded) = rounded {
            *amount = Value::String(rounded.to_string());
        }
    }
}

fn default_probe(probe: Option<&mut Map<String, Value>>) {
    let Some(probe) = probe else { return };
    for (name, default) in [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)] {
        default_member(probe, name, default);
    }
    default_request(inner(probe, &["httpGet"]));
}

fn default_request(request: Option<&mut Map<String, Value>>) {
    let Some(request) = request else { return };
    default_member(request, "path", "/");
    default_member(request, "scheme", "HTTP");
}
