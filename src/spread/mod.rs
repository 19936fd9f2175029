//! WorkloadSpread: every pod of a workload in its place, exactly. Pure.
//!
//! A new pod ([`claim`]): the first subset with room, taken by writing its name or an id into the spread's status. What that makes of
//! the pod is [`inject`]. A pod that goes gives back its place before it is gone ([`claim`], too).
//!
//! Whoever is one too many, because another one was noted and never came, waits until that is certain ([`crew`]).
//!
//! The reconciler ([`plan`]) counts the pods that there are, forgets what did not come, and says in which order pods are to go:
//!
//! ```text
//! picture → group: which pod is where → count: places left, notes that are over  ─┐
//!  (adopt: where strangers fit)         adaptive: which subsets are closed        ├→ plan: status, costs, pods that move on
//!                                       cost: how dear each pod is               ─┘  tell: what is said of it
//! ```

pub mod adaptive;
pub mod adopt;
pub mod api;
pub mod choose;
pub mod claim;
pub mod cost;
pub mod count;
pub mod crew;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod group;
pub mod index;
pub mod inject;
pub mod keys;
pub mod mark;
pub mod paths;
pub mod picture;
pub mod plan;
pub mod pod;
pub mod schema;
pub mod tell;
pub mod v1alpha1;
pub mod validate;
pub mod whitelist;
