//! SidecarSet: containers that are added to the pods a set selects, at admission.
//!
//! A set is compiled once ([`index::Entry`], [`content::Content`]) and filed where pods find it ([`index::SetIndex`]).
//! A new pod is first matched ([`select::select`]), then injected ([`inject::inject`]). A set itself is given its defaults
//! ([`default::defaulted`]) and judged ([`validate::validate`]) when it is written.

pub mod api;
pub mod conflict;
pub mod content;
pub mod default;
pub mod expression;
pub mod hash;
pub mod hot_upgrade;
pub mod index;
pub mod inject;
pub mod keys;
pub mod metadata;
pub mod notes;
pub mod place;
#[cfg(test)]
mod recorded;
pub mod resources;
pub mod revision;
pub mod schema;
pub mod select;
pub mod shape;
pub mod shared;
pub mod v1alpha1;
pub mod validate;
pub mod whitelist;
