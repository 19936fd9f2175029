//! How spreads get into the picture.

use std::sync::Arc;

use super::{Snapshot, State};
use crate::{
    plan::Key,
    spread::{api::WorkloadSpread, index::Spread},
};

impl State {
    /// A spread was made or changed.
    pub fn apply_spread(&mut self, spread: WorkloadSpread) {
        let spread = Spread::compile(spread);
        let (key, namespace, is_terminating) = (key(&spread.namespace, &spread.name), Arc::clone(&spread.namespace), spread.is_terminating);
        let (before, is_changed) = self.spreads.apply(spread);
        if is_changed {
            self.touched.insert(key);
        }
        // Another one may have had its pods, or have them now.
        if before.is_none_or(|before| before.is_terminating != is_terminating) {
            self.touch_spreads_in(&namespace, |_| true);
        }
    }

    /// A spread as it is after a request of ours. What is later stays, and what is gone stays gone.
    pub fn assume_spread(&mut self, spread: Spread) {
        let key = key(&spread.namespace, &spread.name);
        if self.spreads.assume(spread) {
            self.touched.insert(key);
        }
    }

    /// A spread as it has become here, where there is nobody else who changes it.
    pub fn replace_spread(&mut self, spread: Spread) {
        self.spreads.replace(spread);
    }

    /// A spread was deleted.
    pub fn delete_spread(&mut self, namespace: &str, name: &str) {
        if let Some(gone) = self.spreads.remove(namespace, name) {
            self.touched.insert(key(&gone.namespace, &gone.name));
            self.leave_namespace_without_spreads(&gone.namespace);
            // Another one may have its pods now.
            self.touch_spreads_in(&gone.namespace, |_| true);
        }
    }

    /// These are all spreads that there are; of one that is known in a later version, that stays.
    pub fn reset_spreads(&mut self, spreads: Vec<WorkloadSpread>) {
        let mut before: Vec<_> = self.spreads.all().map(|spread| (Arc::clone(&spread.namespace), Arc::clone(&spread.name))).collect();
        for spread in spreads {
            let spread = Spread::compile(spread);
            before.retain(|(namespace, name)| (namespace, name) != (&spread.namespace, &spread.name));
            self.touched.insert(key(&spread.namespace, &spread.name));
            self.spreads.apply(spread);
        }
        for (namespace, name) in before {
            self.delete_spread(&namespace, &name);
        }
    }
}

pub(super) fn key(namespace: &Arc<str>, name: &Arc<str>) -> Key {
    Key::Spread { namespace: Arc::clone(namespace), name: Arc::clone(name) }
}

impl Snapshot<'_> {
    /// How many pods the target of a spread should have, if that can be told from what is mirrored.
    pub fn total_of(&self, spread: &Spread) -> Option<i32> {
        let target = spread.rules.target.as_ref().filter(|_| spread.rules.paths.is_empty())?;
        let owner = target.owner();
        self.workloads.get(&spread.namespace, &owner).map(|workload| workload.wanted())
    }

    /// How many pods the target of a spread should have, from the object itself.
    pub fn total_in(&self, _: &Spread, _: &serde_json::Value) -> i32 {
        0
    }
}
