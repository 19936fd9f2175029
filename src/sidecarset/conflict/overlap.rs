use std::collections::HashMap;

use crate::base::selector::{Requirement, Selector};

/// Whether some object may match both selectors, as the reference sees it: asking that a label exists counts as asking for one
/// that a selector silent about it does not match. Stored sets live side by side because of that, so it stays.
pub fn overlap(one: &Selector, other: &Selector) -> bool {
    !(excludes(one, other) || excludes(other, one))
}

/// What one selector asks of a label.
#[derive(Default)]
struct Asked<'s> {
    /// It may have any value.
    any: bool,
    /// It has one of these; of two conditions the values are thrown together.
    values: Vec<&'s str>,
}

fn excludes(one: &Selector, other: &Selector) -> bool {
    let mut asked: HashMap<&str, Asked<'_>> = HashMap::new();
    for requirement in one.requirements() {
        match requirement {
            Requirement::In(key, values) => asked.entry(key).or_default().values.extend(values.iter().map(String::as_str)),
            Requirement::Exists(key) => asked.entry(key).or_default().any = true,
            Requirement::NotIn(..) | Requirement::DoesNotExist(_) => {}
        }
    }
    other.requirements().iter().any(|requirement| {
        let among = |values: &[String], value: &str| values.iter().any(|one| one == value);
        match (requirement, asked.get(requirement.key())) {
            (Requirement::In(_, values), Some(asked)) => !asked.any && !asked.values.iter().any(|value| among(values, value)),
            (Requirement::NotIn(_, values), Some(asked)) => !asked.any && asked.values.iter().all(|value| among(values, value)),
            (Requirement::Exists(_), asked) => asked.is_none(),
            (Requirement::DoesNotExist(_), asked) => asked.is_some(),
            (Requirement::In(..) | Requirement::NotIn(..), None) => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn selector(json: Value) -> Selector {
        Selector::compile(&serde_json::from_value(json).unwrap()).unwrap()
    }

    fn label(key: &str, value: &str) -> Value {
        json!({"matchLabels": {key: value}})
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
    }

    #[test]
    fn selectors_overlap_as_the_reference_sees_it() {
        for (one, other, want) in [
            (label("a", "h"), label("a", "h"), true),
            (label("a", "h"), label("a", "i"), false),
            (label("a", "h"), label("b", "i"), true),
            (json!({"matchLabels": {"a": "h", "b": "i", "c": "j"}}), json!({"matchLabels": {"a": "h", "b": "x", "c": "j"}}), false),
            (label("a", "h"), expression("a", "In", &["h", "i", "j"]), true),
            (label("a", "h"), expression("a", "In", &["i", "j"]), false),
            (expression("a", "NotIn", &["h", "i"]), label("a", "h"), false),
            (label("a", "h"), expression("a", "Exists", &[]), true),
            (expression("a", "DoesNotExist", &[]), label("a", "h"), false),
            (expression("a", "Exists", &[]), label("b", "h"), false),
            (expression("a", "Exists", &[]), expression("a", "NotIn", &["h"]), false),
            (expression("a", "DoesNotExist", &[]), expression("a", "NotIn", &["h"]), true),
        ] {
            assert_eq!(overlap(&selector(one.clone()), &selector(other.clone())), want, "{one} {other}");
            assert_eq!(overlap(&selector(other.clone()), &selector(one.clone())), want, "{other} {one}");
        }
    }
}
