//! What watches an installation: for Prometheus' operator, and for Grafana. Apart from the base, since a cluster may have neither.

use std::path::Path;

use super::{File, HEADER, Rendering};
use crate::base::installation::NAMESPACE;

/// What Prometheus scrapes.
pub(super) const SERVICE_MONITOR: &str = include_str!("monitoring/service-monitor.yaml");
/// The alerts.
pub(super) const RULES: &str = include_str!("monitoring/prometheus-rule.yaml");
/// The dashboard, in JSON. What is in braces there and in the alerts is for Grafana and Prometheus.
pub(super) const DASHBOARD: &str = include_str!("monitoring/dashboard.json");
/// What puts them together.
const KUSTOMIZATION: &str = include_str!("monitoring/kustomization.yaml");

/// The files, under `monitoring`, in the namespace of the installation.
pub(super) fn files(rendering: &Rendering) -> Vec<File> {
    let here = |name: &str| Path::new("monitoring").join(name);
    let objects =
        [("kustomization.yaml", KUSTOMIZATION), ("service-monitor.yaml", SERVICE_MONITOR), ("prometheus-rule.yaml", RULES)].into_iter();
    let objects =
        objects.map(|(name, text)| File { path: here(name), text: format!("{HEADER}{}", text.replace(NAMESPACE, &rendering.namespace)) });
    // JSON takes no line of ours, and a dashboard asks in which namespace.
    objects.chain([File { path: here("dashboard.json"), text: DASHBOARD.to_owned() }]).collect()
}
