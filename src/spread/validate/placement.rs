//! Where the pods of a subset may run: Kubernetes' own rules for terms about nodes and for tolerations.
//! (`pkg/apis/core/validation/validation.go`)

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, Toleration};

use crate::{
    base::{
        field::{Error, Path},
        names::{dns1123_subdomain_problems, label_value_problems, qualified_name_problems},
    },
    spread::api::Subset,
};

const OPERATOR: &str = "not a valid selector operator";

pub(super) fn check(subset: &Subset, path: &Path, errors: &mut Vec<Error>) {
    if let Some(term) = &subset.required_node_selector {
        check_term(term, true, &path.child("requiredNodeSelector"), errors);
    }
    for (index, preferred) in subset.preferred_node_selector.iter().enumerate() {
        let path = path.child("preferredNodeSelector").index(index);
        if !(1..=100).contains(&preferred.weight) {
            errors.push(Error::invalid(&path.child("weight"), preferred.weight, "must be in the range 1-100"));
        }
        check_term(&preferred.preference, false, &path.child("preference"), errors);
    }
    for (index, toleration) in subset.tolerations.iter().enumerate() {
        check_toleration(toleration, &path.child("tolerations").index(index), errors);
    }
}

/// Values that no label can have are a fault where nodes are required to have them.
fn check_term(term: &NodeSelectorTerm, is_required: bool, path: &Path, errors: &mut Vec<Error>) {
    for (index, expression) in term.match_expressions.iter().flatten().enumerate() {
        let path = path.child("matchExpressions").index(index);
        check_expression(expression, &path, errors);
        let values = expression.values.iter().flatten().enumerate().filter(|_| is_required);
        for (index, value) in values {
            let path = path.child("values").index(index);
            errors.extend(label_value_problems(value).into_iter().map(|problem| Error::invalid(&path, value, problem)));
        }
    }
    for (index, field) in term.match_fields.iter().flatten().enumerate() {
        check_field(field, &path.child("matchFields").index(index), errors);
    }
}

fn check_expression(expression: &NodeSelectorRequirement, path: &Path, errors: &mut Vec<Error>) {
    let count = expression.values.as_ref().map_or(0, Vec::len);
    let values = path.child("values");
    match expression.operator.as_str() {
        "In" | "NotIn" if count == 0 => {
            errors.push(Error::required(&values, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            errors.push(Error::forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "Gt" | "Lt" if count != 1 => {
            errors.push(Error::required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        operator => errors.push(Error::invalid(&path.child("operator"), operator, OPERATOR)),
    }
    check_key(&expression.key, path, errors);
}

fn check_field(field: &NodeSelectorRequirement, path: &Path, errors: &mut Vec<Error>) {
    let values = field.values.as_deref().unwrap_or_default();
    match field.operator.as_str() {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(Error::required(&path.child("values"), detail));
        }
        operator => errors.push(Error::invalid(&path.child("operator"), operator, OPERATOR)),
    }
    if field.key != "metadata.name" {
        errors.push(Error::invalid(&path.child("key"), &field.key, "not a valid field selector key"));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        let path = path.child("values").index(index);
        errors.extend(dns1123_subdomain_problems(value).into_iter().map(|problem| Error::invalid(&path, value, problem)));
    }
}

fn check_key(key: &str, path: &Path, errors: &mut Vec<Error>) {
    let path = path.child("key");
    errors.extend(qualified_name_problems(key).into_iter().map(|problem| Error::invalid(&path, key, problem)));
}

fn check_toleration(toleration: &Toleration, path: &Path, errors: &mut Vec<Error>) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let [key, operator, value, effect] = [&toleration.key, &toleration.operator, &toleration.value, &toleration.effect].map(text);
    let (of_operator, of_effect) = (path.child("operator"), path.child("effect"));
    if !key.is_empty() {
        check_key(&key, path, errors);
    } else if operator != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(Error::invalid(&of_operator, &operator, detail));
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        errors.push(Error::invalid(&of_effect, &effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"));
    }
    match operator.as_str() {
        "" | "Equal" => {
            let problems = label_value_problems(&value);
            errors.extend((!problems.is_empty()).then(|| Error::invalid(&of_operator, &value, problems.join(";"))));
        }
        "Exists" if value.is_empty() => {}
        "Exists" => errors.push(Error::invalid(&of_operator, &value, "value must be empty when `operator` is 'Exists'")),
        _ => errors.push(Error::not_supported(&of_operator, &operator, &["Equal", "Exists"])),
    }
    if !matches!(effect.as_str(), "" | "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        errors.push(Error::not_supported(&of_effect, &effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]));
    }
}
