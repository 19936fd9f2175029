//! SidecarSet: containers that are added to the pods a set selects, at admission.

pub mod api;
pub mod default;
pub mod expression;
pub mod hash;
pub mod metadata;
#[cfg(test)]
mod recorded;
pub mod resources;
pub mod revision;
pub mod schema;
pub mod shape;
pub mod v1alpha1;
