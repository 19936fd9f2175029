//! What would make a pod unavailable, held against the budgets it counts for.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    index::{Budget, Operation},
    subject::Subject,
};
use crate::admission::claim::{Claim, Taken};

/// A unit of a budget, wanted for a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Take {
    /// Namespace of budget and pod.
    pub namespace: Arc<str>,
    /// The budget.
    pub budget: Arc<str>,
    /// The pod.
    pub pod: Arc<Subject>,
    /// What is to happen to it.
    pub operation: Operation,
}

impl Claim for Take {
    type Object = Budget;

    fn take(&self, _: &mut Budget, _: Timestamp) -> Taken {
        Taken::Needless
    }

    fn give_back(&self, _: &mut Budget) -> bool {
        false
    }
}
