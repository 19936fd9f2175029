//! How spreads get into the picture.

use std::sync::Arc;

use super::{Snapshot, State};
use crate::{
    plan::Key,
    spread::{api::WorkloadSpread, index::Spread, whitelist::Whitelist},
};

impl State {
    /// A spread was made or changed.
    pub fn apply_spread(&mut self, spread: WorkloadSpread) {
        let spread = Spread::compile(spread);
        let key = key(&spread.namespace, &spread.name);
        if self.spreads.apply(spread).1 {
            self.touched.insert(key);
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

    /// The owner of the cluster has decided anew which workloads of other kinds may be spread: each spread may see others than before.
    pub(super) fn set_spread_whitelist(&mut self, whitelist: Whitelist) {
        if self.spread_whitelist != whitelist {
            self.spread_whitelist = whitelist;
            self.touched.extend(self.spreads.all().map(|spread| key(&spread.namespace, &spread.name)));
        }
    }

    /// A spread was deleted.
    pub fn delete_spread(&mut self, namespace: &str, name: &str) {
        if let Some(gone) = self.spreads.remove(namespace, name) {
            self.touched.insert(key(&gone.namespace, &gone.name));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::spread::whitelist::MEMBER;

    #[test]
    fn all_spreads_are_looked_at_again_when_the_whitelist_changes_and_not_when_it_is_told_again() {
        let mut state = State::default();
        state.apply_spread(
            serde_json::from_value(json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread",
            "metadata": {"name": "a", "namespace": "shop"}, "spec": {"subsets": []}}))
            .unwrap(),
        );
        assert_eq!(state.take_touched().len(), 1);
        let data = BTreeMap::from([(MEMBER.to_owned(), r#"{"workloads": [{"Group": "g", "Kind": "K"}]}"#.to_owned())]);
        state.apply_configuration(&data);
        assert!(state.take_touched().len() == 1 && state.snapshot().spread_whitelist.is_target("g", "K"));
        state.apply_configuration(&data);
        assert!(state.take_touched().is_empty());
        state.delete_configuration();
        assert!(state.take_touched().len() == 1 && !state.snapshot().spread_whitelist.is_target("g", "K"));
    }
}
