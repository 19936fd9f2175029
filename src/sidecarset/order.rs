//! In which order the pods of a set are updated: first the order that every rollout has, then the user's priorities, then
//! the spreading of labelled pods. Each goes over what the one before left, and keeps its order where it says nothing.

mod default_order;
mod priority;
mod scatter;
#[cfg(test)]
mod tests;

use self::{priority::Priority, scatter::Scatter};
use super::api::UpdateStrategy;
use crate::base::observed::Pod;

/// The order of a set's rollout, compiled from its update strategy.
#[derive(Clone, Debug, Default)]
pub struct Order {
    priority: Priority,
    scatter: Scatter,
}

impl Order {
    /// Reads the order from a strategy. A weight whose selector is invalid counts for no pod.
    pub fn compile(strategy: &UpdateStrategy) -> Self {
        let priority = strategy.priority_strategy.as_ref().map(Priority::compile).unwrap_or_default();
        Self { priority, scatter: Scatter::compile(&strategy.scatter_strategy) }
    }

    /// The waiting pods in the order in which they are to be updated.
    ///
    /// `all` are the pods that the set matches, by namespace and name; `waiting` are positions in it, in any order. Each
    /// comes back once; a position that `all` does not have does not come back. Pods that nothing tells apart stay in the
    /// order of `all`, so that the same cluster gives the same rollout (the reference leaves them to chance).
    pub fn sort(&self, all: &[&Pod], mut waiting: Vec<usize>) -> Vec<usize> {
        waiting.retain(|position| *position < all.len());
        waiting.sort_unstable();
        waiting.dedup();
        waiting.sort_by_cached_key(|position| all.get(*position).map(|pod| default_order::key(pod)));
        self.priority.sort(all, &mut waiting);
        self.scatter.spread(all, waiting)
    }
}
