//! Label selectors. (`apimachinery/pkg/apis/meta/v1/validation/validation.go`, `apimachinery/pkg/labels/selector.go`)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{metadata::check_labels, shown};
use crate::base::{
    field::{Error, Path, Shown, sentence},
    go_text::quoted,
    names::{label_value_problems, qualified_name_problems},
};

/// A selector that selects something, and can be compiled.
pub(super) fn check(selector: &LabelSelector, path: &Path, errors: &mut Vec<Error>) {
    if let Some(labels) = &selector.match_labels {
        check_labels(labels, &path.child("matchLabels"), errors);
    }
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        check_expression(expression, &path.child("matchExpressions").index(index), errors);
    }
    if is_empty(selector) {
        errors.push(Error::invalid(path, shown(selector), "empty selector is not valid for sidecarset."));
    } else if problem(selector).is_some() {
        errors.push(Error::invalid(&path.child("selector"), shown(selector), ""));
    }
}

/// Whether nothing is asked.
pub(super) fn is_empty(selector: &LabelSelector) -> bool {
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
pub(super) fn problem(selector: &LabelSelector) -> Option<String> {
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
            errors.push(Error::invalid(&path, shown(&values), "values set must be empty for exists and does not exist"));
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
