//! SidecarSet: containers that are added to the pods a set selects, at admission.
//!
//! A set is compiled once ([`index::Entry`], [`content::Content`]) and filed where pods find it ([`index::SetIndex`]).
//! A new pod is first matched ([`select::select`]), then injected ([`inject::inject`]).

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
