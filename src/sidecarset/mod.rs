//! SidecarSet: containers that are added to the pods a set selects, at admission, and kept up to date while they run.
//!
//! A set is given its defaults ([`default::defaulted`]) and judged ([`validate::validate`]) when it is written. It is compiled
//! once ([`index::Entry`], [`content::Content`]) and filed where pods find it ([`index::SetIndex`]). A new pod is first matched
//! ([`select::select`]), then injected ([`inject::inject`]). What a set was is recorded ([`history::register`]), so that it can
//! be found and injected again ([`revision`]).
//!
//! What is to be done about a set and its running pods is [`plan::plan`]: the pods ([`member::Member`]) are put in order
//! ([`order::Order`]), the next few of them taken ([`choose::take`]) and changed ([`upgrade`], [`change::Change`]); how far
//! that has come, and what keeps the others, is the [`status`].

pub mod api;
pub mod change;
pub mod choose;
pub mod condition;
pub mod conflict;
pub mod content;
pub mod default;
pub mod expression;
#[cfg(test)]
mod fixtures;
pub mod hash;
pub mod history;
pub mod hot_upgrade;
pub mod index;
pub mod inject;
pub mod keys;
pub mod marks;
pub mod member;
pub mod metadata;
pub mod notes;
pub mod order;
pub mod place;
pub mod plan;
#[cfg(test)]
mod recorded;
pub mod resources;
pub mod revision;
pub mod rollout;
pub mod schema;
pub mod select;
pub mod shape;
pub mod shared;
pub mod status;
pub mod stuck;
pub mod tell;
pub mod upgrade;
pub mod v1alpha1;
pub mod validate;
pub mod whitelist;
