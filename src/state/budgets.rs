//! How budgets get into the picture.

use std::sync::Arc;

use super::{Snapshot, State};
use crate::{
    base::workload::Owner,
    budget::{api::PodUnavailableBudget, index::Budget, subject::Subject},
    plan::Key,
};

impl State {
    /// A budget was made or changed.
    pub fn apply_budget(&mut self, budget: PodUnavailableBudget) {
        let budget = Budget::compile(budget);
        let key = key(&budget.namespace, &budget.name);
        if self.budgets.apply(budget).1 {
            self.touched.insert(key);
        }
    }

    /// A budget as it is after a request of ours. What is later stays, and what is gone stays gone.
    pub fn assume_budget(&mut self, budget: Budget) {
        let key = key(&budget.namespace, &budget.name);
        if self.budgets.assume(budget) {
            self.touched.insert(key);
        }
    }

    /// A budget as it has become here, where there is nobody else who changes it.
    pub fn replace_budget(&mut self, budget: Budget) {
        self.budgets.replace(budget);
    }

    /// A budget was deleted.
    pub fn delete_budget(&mut self, namespace: &str, name: &str) {
        if let Some(gone) = self.budgets.remove(namespace, name) {
            self.touched.insert(key(&gone.namespace, &gone.name));
        }
    }

    /// These are all budgets that there are; of one that is known in a later version, that stays.
    pub fn reset_budgets(&mut self, budgets: Vec<PodUnavailableBudget>) {
        let mut before: Vec<_> = self.budgets.all().map(|budget| (Arc::clone(&budget.namespace), Arc::clone(&budget.name))).collect();
        for budget in budgets {
            let budget = Budget::compile(budget);
            before.retain(|(namespace, name)| (namespace, name) != (&budget.namespace, &budget.name));
            self.touched.insert(key(&budget.namespace, &budget.name));
            self.budgets.apply(budget);
        }
        for (namespace, name) in before {
            self.delete_budget(&namespace, &name);
        }
    }
}

fn key(namespace: &Arc<str>, name: &Arc<str>) -> Key {
    Key::Budget { namespace: Arc::clone(namespace), name: Arc::clone(name) }
}

impl Snapshot<'_> {
    /// The pod of this name, as far as known.
    pub fn subject(&self, _namespace: &str, _name: &str) -> Option<Arc<Subject>> {
        None
    }

    /// Whose a pod is: its controller, the controller of that, and so on, as far as known.
    pub fn owners_of(&self, subject: &Subject) -> Vec<Owner> {
        subject.controller.iter().map(|owner| (**owner).clone()).collect()
    }
}
