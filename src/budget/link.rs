//! Which budget guards a pod: the one that it is linked to, by an annotation.

use std::sync::Arc;

use super::index::Budget;
use crate::base::{selector::Labels, workload::Owner};

/// The budget that a pod is to be linked to: one that names a workload which the pod belongs to, the highest of those; else one that
/// selects it; of several the first by name. Budgets that are being deleted link nobody. `budgets` is in order of names, `owners` goes
/// from the pod's controller upwards.
pub fn choose<'b>(budgets: impl IntoIterator<Item = &'b Arc<Budget>>, labels: &impl Labels, owners: &[Owner]) -> Option<&'b Arc<Budget>> {
    let height = |budget: &Budget| match &budget.rules.target {
        Some(target) => owners.iter().rposition(|owner| target.is(owner)).map(|position| position + 1),
        None => budget.rules.selects(labels, []).then_some(0),
    };
    let alive = budgets.into_iter().filter(|budget| !budget.is_terminating);
    let mut best = None;
    for (budget, height) in alive.filter_map(|budget| Some((budget, height(budget)?))) {
        if best.is_none_or(|(_, highest)| height > highest) {
            best = Some((budget, height));
        }
    }
    best.map(|(budget, _)| budget)
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

    /// As the reference does, for which a `ReplicaSet` of a Deployment stands for that.
    #[test]
    fn the_highest_workload_that_is_named_goes_before_those_below_it() {
        let of =
            |name: &str, kind: &str| budget(name, &json!({"targetRef": {"apiVersion": "apps/v1", "kind": kind, "name": "web"}}), false);
        let owner = |kind: &str| Owner { group: "apps".into(), kind: kind.into(), name: "web".into(), ..Owner::default() };
        let all = [of("below", "ReplicaSet"), of("upper", "Deployment")];
        let owners = [owner("ReplicaSet"), owner("Deployment")];
        let chosen = |owners: &[Owner]| choose(&all, &BTreeMap::new(), owners).map(|budget| budget.name.to_string());
        assert_eq!([chosen(&owners), chosen(&owners[..1])], [Some("upper".to_owned()), Some("below".to_owned())]);
    }

    #[test]
    fn a_budget_that_selects_nobody_in_particular_links_nobody() {
        let all = [budget("a", &json!({"selector": {}}), false), budget("b", &json!({}), false)];
        assert_eq!(chosen(&all, "Deployment"), None);
    }
}
