//! Places that need not be counted. (reference: `workloadspread.md` §5.2, §5.4)

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{api::Subset, claim::is_schedulable, index::Spread};

/// The subset of a StatefulSet's pod of this name: limits are stretches of ordinals, one behind the other, without those of subsets
/// whose pods find no nodes. `None` if the name has not been chosen yet, or all stretches end before the pod.
pub fn by_ordinal<'s>(spread: &'s Spread, name: &str) -> Option<&'s Arc<Subset>> {
    if name.is_empty() {
        return None;
    }
    let ordinal = i64::from(ordinal(name));
    let mut end = 0_i64;
    spread.rules.subsets.iter().filter(|subset| is_open(spread, &subset.name)).find(|subset| {
        end = end.saturating_add(match subset.max_replicas {
            Some(IntOrString::Int(limit)) => i64::from(limit.max(0)),
            // Validation knows no percentages of ordinals.
            Some(IntOrString::String(_)) => 0,
            None => i64::from(i32::MAX),
        });
        ordinal < end || (ordinal < 0 && end == 0)
    })
}

/// The number at the end of a name, behind a dash; -1 if there is none of 32 bits.
fn ordinal(name: &str) -> i32 {
    let digits = name.rsplit_once('-').map_or("", |(_, end)| end);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number).unwrap_or(-1)
}

/// Ordinals are the same for all revisions, and so are the marks.
fn is_open(spread: &Spread, subset: &str) -> bool {
    spread.status.subset_statuses.iter().find(|status| status.name == subset).is_none_or(is_schedulable)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spread(limits: &[Option<i32>], marked: &[&str]) -> Spread {
        let names = ["a", "b", "c", "d"];
        let subsets: Vec<_> = limits.iter().zip(names).map(|(limit, name)| json!({"name": name, "maxReplicas": limit})).collect();
        let statuses: Vec<Value> = names
            .iter()
            .map(|name| {
                let status = if marked.contains(name) { "False" } else { "True" };
                let condition = json!({"type": "Schedulable", "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
                json!({"name": name, "replicas": 0, "missingReplicas": 0, "conditions": [condition]})
            })
            .collect();
        let object = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": "ws"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}, "subsets": subsets},
            "status": {"subsetStatuses": statuses}});
        Spread::compile(serde_json::from_value(object).unwrap())
    }

    fn chosen(spread: &Spread, names: &[&str]) -> String {
        names.iter().map(|name| by_ordinal(spread, name).map_or("-", |subset| &subset.name)).collect()
    }

    #[test]
    fn each_limit_takes_the_next_stretch_of_ordinals() {
        let spread = spread(&[Some(2), Some(3)], &[]);
        assert_eq!(chosen(&spread, &["db-0", "db-1", "db-2", "db-4", "db-5", "db-001"]), "aabb-a");
    }

    #[test]
    fn a_subset_that_is_passed_over_takes_its_stretch_along() {
        let spread = spread(&[Some(2), Some(2), None], &["a"]);
        assert_eq!(chosen(&spread, &["db-0", "db-1", "db-2", "db-2147483647"]), "bbcc");
    }

    #[test]
    fn what_is_no_ordinal_stands_before_the_first() {
        let spread = spread(&[Some(0), Some(2), None], &[]);
        assert_eq!(chosen(&spread, &["db-x", "db1", "db-2147483648", "db-2147483647", "db-9-1", ""]), "aaacb-");
    }
}
