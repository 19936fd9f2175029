//! SidecarSet: containers that are added to the pods a set selects, at admission.

pub mod api;
pub mod expression;
pub mod resources;
pub mod schema;
