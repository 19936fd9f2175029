//! The user's priorities: weights of labelled pods, or the number in a label. (Reference: `pkg/util/updatesort`.)

use std::cmp::Reverse;

use crate::{
    base::{
        observed::Pod,
        selector::{Labels, Selector},
    },
    sidecarset::api::PriorityStrategy,
};

/// Which pods go before others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Priority {
    /// None.
    #[default]
    None,
    /// Those of the greater sum of weights.
    Weights(Vec<(i64, Selector)>),
    /// Those of the earlier key, then of the greater number in its value.
    Keys(Vec<String>),
}

impl Priority {
    /// Weights, if there are any, and keys otherwise: never both.
    pub(super) fn compile(strategy: &PriorityStrategy) -> Self {
        if !strategy.weight_priority.is_empty() {
            let terms = strategy.weight_priority.iter();
            let weight = |selector| Selector::compile(selector).ok();
            return Self::Weights(terms.filter_map(|term| Some((term.weight.into(), weight(&term.match_selector)?))).collect());
        }
        if strategy.order_priority.is_empty() {
            return Self::None;
        }
        Self::Keys(strategy.order_priority.iter().map(|term| term.ordered_key.clone()).collect())
    }

    /// Sorts positions in `all`; equals stay as they stand.
    pub(super) fn sort(&self, all: &[&Pod], waiting: &mut [usize]) {
        if *self != Self::None {
            waiting.sort_by_cached_key(|position| all.get(*position).map(|pod| self.key(&pod.labels)));
        }
    }

    /// What pods are sorted by, the smallest first: their level, and the greater number before the smaller.
    fn key(&self, labels: &impl Labels) -> (usize, Reverse<i64>) {
        match self {
            Self::None => (0, Reverse(0)),
            Self::Weights(terms) => {
                let weights = terms.iter().filter(|(_, selector)| selector.matches(labels)).map(|(weight, _)| weight);
                (0, Reverse(weights.sum()))
            }
            // A pod without any of the keys comes before those that have one.
            Self::Keys(keys) => {
                let found = (1..).zip(keys).find_map(|(level, key)| Some((level, labels.label(key)?)));
                found.map_or((0, Reverse(0)), |(level, value)| (level, Reverse(trailing_number(value))))
            }
        }
    }
}

/// The number that a label's value ends in; 0 if there is none or it is too large.
fn trailing_number(value: &str) -> i64 {
    let digits = value.len() - value.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    value.get(value.len() - digits..).and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    /// Whether a pod with the labels of the first goes before or beside one with those of the second.
    fn goes_first(strategy: Value, first: &Value, second: &Value) -> bool {
        let priority = Priority::compile(&serde_json::from_value(strategy).unwrap());
        let key = |labels: &Value| priority.key(&serde_json::from_value::<BTreeMap<String, String>>(labels.clone()).unwrap());
        key(first) <= key(second)
    }

    #[test]
    fn weights_decide_as_in_the_reference() {
        let term = |weight: i32, key: &str, value: &str| json!({"weight": weight, "matchSelector": {"matchLabels": {key: value}}});
        let strategy = json!({"weightPriority": [term(20, "key", "foo"), term(10, "key", "bar"), term(15, "other", "baz")]});
        let (none, foo, bar) = (json!({}), json!({"key": "foo"}), json!({"key": "bar"}));
        let both = json!({"key": "bar", "other": "baz"});
        for (first, second, expected) in [
            (&none, &none, true),
            (&foo, &foo, true),
            (&bar, &foo, false),
            (&none, &bar, false),
            (&none, &foo, false),
            (&foo, &both, false),
            (&both, &foo, true),
        ] {
            assert_eq!(goes_first(strategy.clone(), first, second), expected, "{first} {second}");
        }
        // Ten and five are less than twenty.
        let strategy = json!({"weightPriority": [term(20, "key", "foo"), term(10, "key", "bar"), term(5, "other", "baz")]});
        assert!(!goes_first(strategy, &both, &foo));
    }

    #[test]
    fn keys_decide_as_in_the_reference() {
        let strategy = json!({"orderPriority": [{"orderedKey": "key1"}, {"orderedKey": "key2"}]});
        let (none, of) = (json!({}), |key: &str, value: &str| json!({key: value}));
        for (first, second, expected) in [
            (&none, &none, true),
            (&of("key1", "o-10"), &of("key1", "o-5"), true),
            (&of("key1", "o-10"), &of("key1", "o-10"), true),
            (&of("key1", "o-10"), &of("key1", "o-20"), false),
            (&of("key2", "o-10"), &of("key1", "o-10"), false),
            (&of("key2", "o-20"), &of("key2", "o-10"), true),
            // Those without a key go before all others.
            (&of("key1", "o-99"), &none, false),
            (&none, &of("key1", "o-99"), true),
        ] {
            assert_eq!(goes_first(strategy.clone(), first, second), expected, "{first} {second}");
        }
    }

    #[test]
    fn a_weight_with_an_invalid_selector_counts_for_no_pod() {
        let wrong = json!({"matchExpressions": [{"key": "key", "operator": "Like", "values": ["foo"]}]});
        let strategy = json!({"weightPriority": [{"weight": 90, "matchSelector": wrong}, {"weight": 1, "matchSelector": {"matchLabels": {"key": "bar"}}}]});
        assert!(!goes_first(strategy, &json!({"key": "foo"}), &json!({"key": "bar"})));
    }

    #[test]
    fn weights_and_keys_are_never_combined() {
        let strategy = json!({"weightPriority": [{"weight": 1, "matchSelector": {"matchLabels": {"w": "1"}}}], "orderPriority": [{"orderedKey": "n"}]});
        assert!(
            goes_first(strategy.clone(), &json!({"n": "1"}), &json!({"n": "2"}))
                && goes_first(strategy, &json!({"n": "2"}), &json!({"n": "1"}))
        );
    }

    #[test]
    fn a_number_is_the_digits_at_the_end() {
        for (value, number) in [("o-10", 10), ("10", 10), ("10-o", 0), ("", 0), ("v007", 7), ("é5", 5), ("99999999999999999999", 0)] {
            assert_eq!(trailing_number(value), number, "{value}");
        }
    }
}
