//! Deletion protection: what carries the label `policy.kruise.io/delete-protection` stays.
//!
//! `Always`: it stays until somebody takes the label off. `Cascading`: it stays as long as something hangs on it, such as replicas or
//! pods; what that is depends on the kind ([`kind`]). What is neither mirrored nor in the object itself is asked ([`count`]).
//!
//! For any kind at all `Always` is kept by a policy that the API server itself applies (`manifests`), with no server of ours.

pub mod count;
pub mod decide;
pub mod keys;
pub mod kind;
pub mod stored;
mod text;
pub mod until;
