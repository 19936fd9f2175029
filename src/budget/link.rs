//! Which budget guards a pod: the one that it is linked to, by an annotation.

use std::sync::Arc;

use super::index::Budget;
use crate::base::{selector::Labels, workload::Owner};

/// The budget that a pod is to be linked to: one that names a workload which the pod belongs to, else one that selects it; of several
/// the first by name. Budgets that are being deleted link nobody. `budgets` is in order of names, `owners` goes from the pod's
/// controller upwards.
pub fn choose<'b>(budgets: impl IntoIterator<Item = &'b Arc<Budget>>, labels: &impl Labels, owners: &[Owner]) -> Option<&'b Arc<Budget>> {
    let mut by_selector = None;
    for budget in budgets.into_iter().filter(|budget| !budget.is_terminating) {
        if budget.rules.selects(labels, owners) {
            if budget.rules.target.is_some() {
                return Some(budget);
            }
            by_selector = by_selector.or(Some(budget));
        }
    }
    by_selector
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn budget(name: &str, spec: &Value, is_terminating: bool) -> Arc<Budget> {
        let deleted = if is_terminating { json!("2026-01-02T03:04:05Z") } else { Value::Null };
        let object = json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "spec": spec,
            "metadata": {"name": name, "namespace": "shop", "deletionTimestamp": deleted}});
        Arc::new(Budget::compile(serde_json::from_value(object).unwrap()))
    }

    fn chosen(budgets: &[Arc<Budget>], kind: &str) -> Option<String> {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let owner = Owner { group: "apps".into(), version: "v1".into(), kind: kind.into(), name: "web".into(), uid: "u".into() };
        choose(budgets, &labels, &[owner]).map(|budget| budget.name.to_string())
    }

    #[test]
    fn a_named_workload_goes_before_a_selector_and_then_the_first_name() {
        let selector = json!({"selector": {"matchLabels": {"app": "web"}}});
        let target = json!({"targetRef": {"apiVersion": "apps/v1beta2", "kind": "Deployment", "name": "web"}});
        let all = [budget("a", &selector, false), budget("b", &selector, false), budget("c", &target, true), budget("d", &target, false)];
        assert_eq!(chosen(&all, "Deployment").as_deref(), Some("d"));
        assert_eq!(chosen(&all, "StatefulSet").as_deref(), Some("a"));
        assert_eq!(chosen(&all[1..], "StatefulSet").as_deref(), Some("b"));
        assert_eq!(chosen(&all[2..3], "Deployment"), None, "it is being deleted");
    }

    #[test]
    fn a_budget_that_selects_nobody_in_particular_links_nobody() {
        let all = [budget("a", &json!({"selector": {}}), false), budget("b", &json!({}), false)];
        assert_eq!(chosen(&all, "Deployment"), None);
    }
}
