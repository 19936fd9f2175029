//! PodUnavailableBudget: how many pods of a workload, or of a selection, may be unavailable at a time.
//!
//! A budget is judged when it is written ([`validate`]), compiled and filed by namespace ([`index`]). A new pod is linked to the
//! budget that guards it ([`link`]). What would make a linked pod unavailable is held against the budgets it counts for ([`guard`]): a
//! unit of each has to be taken, and is taken by writing its status. What became of the pods, and so how much may be taken, is
//! counted by the reconciler ([`plan`]).
//!
//! The rule that keeps both exact: `unavailableAllowed` of a stored status is how many pods may still go *beside* those that it
//! records; a unit is taken and its pod recorded in one write; and a recorded pod is not counted as available until what was
//! admitted is seen to have happened, or can no longer happen.

pub mod api;
pub mod available;
pub mod change;
pub mod count;
pub mod desired;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod guard;
pub mod index;
pub mod keys;
pub mod link;
pub mod overlap;
pub mod picture;
pub mod plan;
pub mod records;
pub mod refusal;
pub mod schema;
pub mod subject;
pub mod tell;
pub mod v1alpha1;
pub mod validate;
