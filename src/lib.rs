//! Outrigger: OpenKruise-compatible admission webhooks and reconcilers for Kubernetes.

pub mod admission;
pub mod base;
pub mod sidecarset;
