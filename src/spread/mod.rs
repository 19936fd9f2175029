//! WorkloadSpread: every pod of a workload in its place, exactly. Pure.
//!
//! A new pod ([`claim`]): the first subset with room, taken by writing its name or an id into the spread's status. What that makes of
//! the pod is [`inject`]. A pod that goes gives back its place before it is gone ([`claim`], too).
//!
//! The reconciler ([`plan`]) counts the pods that there are, forgets what did not come, and says in which order pods are to go.

pub mod api;
pub mod choose;
pub mod claim;
pub mod index;
pub mod inject;
pub mod keys;
pub mod mark;
pub mod pod;
pub mod schema;
pub mod v1alpha1;
pub mod validate;
pub mod whitelist;
