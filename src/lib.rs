//! Outrigger: OpenKruise-compatible admission webhooks and reconcilers for Kubernetes.

pub mod base;
pub mod handlers;
pub mod manifests;
pub mod sidecarset;
