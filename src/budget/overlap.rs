//! Whether two selectors are in each other's way, as the reference sees it: they ask about the same labels, and agree on each. A
//! selector that asks about one label more is not compared, although it may select some of the same pods. Stored budgets live side by
//! side because of that, so it stays; a pod that several budgets select counts for each of them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::base::selector::{Requirement, Selector};

/// What a selector asks, one requirement a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked(BTreeMap<String, Requirement>);

impl Asked {
    /// What this selector asks: of several expressions about one label the last one, and `matchLabels` before any. `None` if it asks
    /// nothing, or cannot be compiled.
    pub fn of(selector: &LabelSelector) -> Option<Self> {
        let expressions = LabelSelector { match_labels: None, ..selector.clone() };
        let labels = LabelSelector { match_expressions: None, ..selector.clone() };
        let mut asked = BTreeMap::new();
        for part in [expressions, labels] {
            let part = Selector::compile(&part).ok()?;
            asked.extend(part.requirements().iter().map(|requirement| (requirement.key().to_owned(), requirement.clone())));
        }
        Some(Self(asked)).filter(|asked| !asked.0.is_empty())
    }

    /// Whether both ask about the same labels, and agree on each.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|(key, one)| other.0.get(key).is_some_and(|other| agree(one, other)))
    }
}

/// Whether a label can do for both. Of two that exclude values there is always one more.
fn agree(one: &Requirement, other: &Requirement) -> bool {
    use Requirement::{DoesNotExist, Exists, In, NotIn};
    match (one, other) {
        (In(_, some), In(_, others)) => some.iter().any(|value| others.contains(value)),
        (In(_, some), NotIn(_, excluded)) | (NotIn(_, excluded), In(_, some)) => !some.iter().all(|value| excluded.contains(value)),
        (In(..) | Exists(_), DoesNotExist(_)) | (DoesNotExist(_), In(..) | Exists(_)) => false,
        (In(..) | Exists(_), Exists(_)) | (Exists(_), In(..)) | (NotIn(..), _) | (_, NotIn(..)) | (DoesNotExist(_), DoesNotExist(_)) => {
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};
    use serde_json::{Value, json};

    use super::*;

    fn asked(json: &Value) -> Option<Asked> {
        Asked::of(&serde_json::from_value(json.clone()).unwrap())
    }

    fn expression(operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]})
    }

    #[test]
    fn two_requirements_of_one_label_agree_as_the_reference_says() {
        let (one, two, other) = (expression("In", &["a"]), expression("In", &["a", "b"]), expression("In", &["c"]));
        let (not_one, not_two) = (expression("NotIn", &["a"]), expression("NotIn", &["a", "b"]));
        let (exists, absent) = (expression("Exists", &[]), expression("DoesNotExist", &[]));
        for (mine, theirs, want) in [
            (&one, &two, true),
            (&one, &other, false),
            (&two, &not_one, true),
            (&two, &not_two, false),
            (&one, &exists, true),
            (&one, &absent, false),
            (&exists, &exists, true),
            (&exists, &not_one, true),
            (&exists, &absent, false),
            (&not_one, &not_two, true),
            (&not_one, &absent, true),
            (&absent, &absent, true),
        ] {
            assert_eq!(asked(mine).unwrap().overlaps(&asked(theirs).unwrap()), want, "{mine} {theirs}");
        }
    }

    #[test]
    fn only_selectors_about_the_same_labels_are_compared() {
        let broad = json!({"matchLabels": {"app": "a"}});
        let narrow = json!({"matchLabels": {"app": "a", "tier": "b"}});
        let elsewhere = json!({"matchLabels": {"tier": "b"}});
        for (mine, theirs) in [(&broad, &narrow), (&narrow, &broad), (&broad, &elsewhere)] {
            assert!(!asked(mine).unwrap().overlaps(&asked(theirs).unwrap()), "{mine} {theirs}");
        }
        assert!(asked(&narrow).unwrap().overlaps(&asked(&narrow).unwrap()));
    }

    #[test]
    fn of_several_requirements_of_one_label_one_counts() {
        let exists = json!({"key": "app", "operator": "Exists"});
        let absent = json!({"key": "app", "operator": "DoesNotExist"});
        let last = asked(&json!({"matchExpressions": [exists, absent]})).unwrap();
        assert!(!last.overlaps(&asked(&expression("Exists", &[])).unwrap()));
        let labels = asked(&json!({"matchLabels": {"app": "a"}, "matchExpressions": [absent]})).unwrap();
        assert!(labels.overlaps(&asked(&expression("In", &["a"])).unwrap()));
    }

    #[test]
    fn a_selector_that_asks_nothing_or_makes_no_sense_is_not_compared() {
        assert_eq!(asked(&json!({})), None);
        assert_eq!(asked(&expression("Is", &["a"])), None);
        assert_eq!(asked(&expression("In", &[])), None);
    }

    fn selector() -> impl Strategy<Value = Value> {
        let values = subsequence(vec!["a", "b", "c"], 0..3);
        let one = (prop_oneof![Just("k"), Just("l")], prop_oneof![Just("In"), Just("NotIn"), Just("Exists"), Just("DoesNotExist")], values);
        let expressions = proptest::collection::vec(one, 0..3).prop_map(|all| {
            let expression = |(key, operator, values): (&str, &str, Vec<&str>)| match operator {
                "In" | "NotIn" if values.is_empty() => json!({"key": key, "operator": operator, "values": ["a"]}),
                "In" | "NotIn" => json!({"key": key, "operator": operator, "values": values}),
                _ => json!({"key": key, "operator": operator}),
            };
            all.into_iter().map(expression).collect::<Value>()
        });
        (subsequence(vec!["k", "l"], 0..2), expressions).prop_map(|(labels, expressions)| {
            let labels: serde_json::Map<_, _> = labels.into_iter().map(|key| (key.to_owned(), json!("a"))).collect();
            json!({"matchLabels": labels, "matchExpressions": expressions})
        })
    }

    proptest! {
        #[test]
        fn overlap_is_symmetric_and_everything_overlaps_with_itself(mine in selector(), theirs in selector()) {
            let (Some(mine), Some(theirs)) = (asked(&mine), asked(&theirs)) else { return Ok(()) };
            prop_assert_eq!(mine.overlaps(&theirs), theirs.overlaps(&mine));
            prop_assert!(mine.overlaps(&mine));
        }
    }
}
