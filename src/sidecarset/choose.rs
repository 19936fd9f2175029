//! How many of the waiting pods are updated now: what the partition keeps back, and what `maxUnavailable` lets go down.

#[cfg(test)]
mod tests;

use super::api::UpdateStrategy;
use crate::base::intstr::{AmountError, max_unavailable_rounded_up, partition_rounded_up};

/// A pod that waits for the new revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its position among the pods that the set matches.
    pub position: usize,
    /// It is consistent and ready for the set: to update it takes something away from its users.
    pub is_available: bool,
}

/// What bounds a round of updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How many matched pods keep the old revision.
    pub partition: usize,
    /// Matched pods of the old revision that are not waiting: not upgradable, not selected, or not settled.
    pub kept_back: usize,
    /// How many pods may be unavailable.
    pub max_unavailable: usize,
    /// How many are.
    pub unavailable: usize,
}

/// What is updated in this round, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Positions of the pods to update, in order.
    pub positions: Vec<usize>,
    /// Waiting pods that keep the old revision.
    pub held_by_partition: usize,
    /// Waiting pods that go on waiting until others are available again.
    pub held_by_max_unavailable: usize,
}

/// A limit that cannot be read. Nothing may be updated then: the reference goes on with 0 instead, which for a partition
/// means everything.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LimitsError {
    /// How many pods are to keep the old revision.
    #[error("spec.updateStrategy.partition: {0}")]
    Partition(AmountError),
    /// How many pods may be unavailable.
    #[error("spec.updateStrategy.maxUnavailable: {0}")]
    MaxUnavailable(AmountError),
}

impl Limits {
    /// The limits of a strategy for a set that matches so many pods. Without a partition none is kept, and without
    /// `maxUnavailable` one may be unavailable. The counts of pods are 0: they are the caller's to add.
    pub fn of(strategy: &UpdateStrategy, matched: usize) -> Result<Self, LimitsError> {
        let partition = strategy.partition.as_ref().map_or(Ok(0), |amount| partition_rounded_up(amount, matched));
        let max_unavailable = strategy.max_unavailable.as_ref().map_or(Ok(1), |amount| max_unavailable_rounded_up(amount, matched));
        Ok(Self {
            partition: partition.map_err(LimitsError::Partition)?,
            max_unavailable: max_unavailable.map_err(LimitsError::MaxUnavailable)?,
            ..Self::default()
        })
    }
}

/// Takes from the waiting pods, which stand in the order in which they are to be updated, those whose turn it is.
///
/// Old pods that are kept back anyway count for the partition, and only the rest of it is kept from the end. (The reference
/// keeps back as many again.) Of what remains, pods that are down already cost nothing and are all taken; available ones
/// until no more may be unavailable. (The reference looks no further than the first that may not go.)
pub fn take(waiting_in_order: &[Candidate], limits: &Limits) -> Taken {
    let held_by_partition = limits.partition.saturating_sub(limits.kept_back).min(waiting_in_order.len());
    let mut budget = limits.max_unavailable.saturating_sub(limits.unavailable);
    let mut taken = Taken { held_by_partition, ..Taken::default() };
    for candidate in waiting_in_order.iter().take(waiting_in_order.len() - held_by_partition) {
        if candidate.is_available && budget == 0 {
            taken.held_by_max_unavailable += 1;
            continue;
        }
        budget -= usize::from(candidate.is_available);
        taken.positions.push(candidate.position);
    }
    taken
}
