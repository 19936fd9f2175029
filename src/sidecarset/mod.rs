//! SidecarSet: containers that are added to the pods a set selects, at admission.
//!
//! A set is compiled once ([`index::Entry`], [`content::Content`]) and filed where pods find it ([`index::SetIndex`]).
//! A new pod is first matched ([`select::select`]), then injected ([`inject::inject`]).

pub mod api;
pub mod expression;
pub mod resources;
pub mod schema;
pub mod select;
pub mod shape;
pub mod shared;
pub mod v1alpha1;
