//! The rules of label selectors, in the words of Kubernetes. Whether an empty one means anything differs between fields.
//! (`apimachinery/pkg/apis/meta/v1/validation/validation.go`, `apimachinery/pkg/labels/selector.go`)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{
    field::{Error, Path, Shown, sentence},
    go_text::quoted,
    names::{label_value_problems, qualified_name_problems},
};

/// Keys, values and operators of a selector.
pub fn check(selector: &LabelSelector, path: &Path, errors: &mut Vec<Error>) {
    if let Some(labels) = &selector.match_labels {
        check_labels(labels, &path.child("matchLabels"), errors);
    }
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        check_expression(expression, &path.child("matchExpressions").index(index), errors);
    }
}

/// Keys and values of labels.
pub fn check_labels(labels: &BTreeMap<String, String>, path: &Path, errors: &mut Vec<Error>) {
    for (key, value) in labels {
        errors.extend(qualified_name_problems(key).into_iter().map(|problem| Error::invalid(path, key, problem)));
        errors.extend(label_value_problems(value).into_iter().map(|problem| Error::invalid(path, value, problem)));
    }
}

/// Whether nothing is asked.
pub fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty) && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

fn check_expression(expression: &LabelSelectorRequirement, path: &Path, errors: &mut Vec<Error>) {
    let values = expression.values.as_deref().unwrap_or_default();
    match expression.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.push(Error::required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.push(Error::forbidden(&path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => errors.push(Error::invalid(&path.child("operator"), operator, "not a valid selector operator")),
    }
    let (key, key_path) = (&expression.key, path.child("key"));
    errors.extend(qualified_name_problems(key).into_iter().map(|problem| Error::invalid(&key_path, key, problem)));
    for (index, value) in values.iter().enumerate() {
        let path = path.child("values").index(index);
        errors.extend(label_value_problems(value).into_iter().map(|problem| Error::invalid(&path, value, problem)));
    }
}

/// Why the selector cannot be compiled, as one sentence: the first requirement that is wrong, labels before expressions.
pub fn problem(selector: &LabelSelector) -> Option<String> {
    let of_label = |(key, value): (&String, &String)| requirement_problem(key, "=", std::slice::from_ref(value));
    let labels = selector.match_labels.iter().flatten().find_map(of_label);
    labels.or_else(|| {
        selector.match_expressions.iter().flatten().find_map(|expression| {
            let operator = expression.operator.as_str();
            if !matches!(operator, "In" | "NotIn" | "Exists" | "DoesNotExist") {
                return Some(format!("{} is not a valid label selector operator", quoted(operator)));
            }
            requirement_problem(&expression.key, operator, expression.values.as_deref().unwrap_or_default())
        })
    })
}

fn requirement_problem(key: &str, operator: &str, values: &[String]) -> Option<String> {
    let mut errors: Vec<Error> = Vec::new();
    let problems = qualified_name_problems(key);
    if !problems.is_empty() {
        errors.push(Error::invalid(&Path::new("key"), key, problems.join("; ")));
    }
    let path = Path::new("values");
    match (operator, values.is_empty()) {
        ("In" | "NotIn", true) => {
            errors.push(Error::invalid(&path, Shown::as_is("[]"), "for 'in', 'notin' operators, values set can't be empty"));
        }
        ("Exists" | "DoesNotExist", false) => {
            errors.push(Error::invalid(&path, Shown::json(&values), "values set must be empty for exists and does not exist"));
        }
        _ => {}
    }
    for (index, value) in values.iter().enumerate() {
        let problems = label_value_problems(value);
        if !problems.is_empty() {
            errors.push(Error::invalid(&path.index(index).key(key), value, problems.join("; ")));
        }
    }
    Some(sentence(&errors)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn selector(json: Value) -> LabelSelector {
        serde_json::from_value(json).unwrap()
    }

    fn found(json: Value) -> Vec<String> {
        let mut errors = Vec::new();
        check(&selector(json), &Path::new("s"), &mut errors);
        errors.iter().map(Error::to_string).collect()
    }

    #[test]
    fn a_good_selector_and_an_empty_one_break_no_rule() {
        assert_eq!(found(json!({})), [""; 0]);
        assert_eq!(found(json!({"matchLabels": {"a/b": ""}, "matchExpressions": [{"key": "c", "operator": "Exists"}]})), [""; 0]);
    }

    #[test]
    fn each_fault_is_said_at_its_place() {
        let expression =
            |operator: &str, values: Value| json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]});
        for (selector, begins) in [
            (json!({"matchLabels": {"-a": "b"}}), "s.matchLabels: Invalid value: \"-a\": name part must consist"),
            (json!({"matchLabels": {"a": "b c"}}), "s.matchLabels: Invalid value: \"b c\": a valid label must be"),
            (expression("In", json!([])), "s.matchExpressions[0].values: Required value: must be specified"),
            (expression("Exists", json!(["b"])), "s.matchExpressions[0].values: Forbidden: may not be specified"),
            (expression("Is", json!(["b"])), "s.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator"),
            (expression("In", json!(["b", "c d"])), "s.matchExpressions[0].values[1]: Invalid value: \"c d\""),
        ] {
            let found = found(selector.clone());
            assert!(found.len() == 1 && found[0].starts_with(begins), "{selector}: {found:?}");
        }
    }

    #[test]
    fn a_selector_that_cannot_be_compiled_says_why_in_one_sentence() {
        assert_eq!(problem(&selector(json!({"matchLabels": {"a": "b"}}))), None);
        let odd = selector(json!({"matchExpressions": [{"key": "a", "operator": "Is"}]}));
        assert_eq!(problem(&odd).unwrap(), "\"Is\" is not a valid label selector operator");
        let empty = selector(json!({"matchExpressions": [{"key": "a", "operator": "In"}]}));
        assert_eq!(problem(&empty).unwrap(), "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty");
    }

    #[test]
    fn absent_and_empty_parts_ask_nothing() {
        assert!(is_empty(&selector(json!({}))) && is_empty(&selector(json!({"matchLabels": {}, "matchExpressions": []}))));
        assert!(!is_empty(&selector(json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}))));
    }
}
