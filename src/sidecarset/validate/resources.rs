//! Resources that are computed from those of the application containers.

use serde_json::Value as Json;

use super::shown;
use crate::{
    base::{
        field::{Error, Path},
        go_regex,
        quantity::{Format, Quantity},
    },
    sidecarset::{
        api::{ResourcesExpr, ResourcesPolicy, SidecarContainer},
        expression::{ExpressionError, Value, evaluate},
    },
};

/// More than any container has, and still no quantity that a product takes out of range.
const MUCH: i128 = 1 << 50;

pub(super) fn check(sidecar: &SidecarContainer, policy: &ResourcesPolicy, path: &Path, errors: &mut Vec<Error>) {
    let resources = sidecar.container.get("resources");
    let has = |list: &str| resources.and_then(|all| all.get(list)).and_then(Json::as_object).is_some_and(|list| !list.is_empty());
    if has("limits") || has("requests") {
        return errors.push(Error::invalid(path, shown(policy), "resourcesPolicy and resources cannot be configured together"));
    }
    let regex_path = path.child("targetContainersNameRegex");
    match policy.target_containers_name_regex.as_deref().unwrap_or_default() {
        "" => errors.push(Error::required(&regex_path, "invalid empty regex")),
        pattern => {
            if let Err(problem) = go_regex::compile(pattern) {
                errors.push(Error::invalid(&regex_path, pattern, format!("invalid regex pattern: {problem}")));
            }
        }
    }
    let expressions = &policy.resources_expr;
    if expressions.limits.is_none() && expressions.requests.is_none() {
        let detail = "at least one of limits or requests must be configured";
        errors.push(Error::invalid(&path.child("resourcesExpr"), shown(expressions), detail));
    }
    for (field, text, variable) in all(expressions) {
        if let Err(error) = tried(text, variable) {
            let path = path.child("resourcesExpr").child(&field);
            errors.push(Error::invalid(&path, text, format!("invalid expression: {error}")));
        }
    }
}

/// The expressions that are there, each with its place in the policy and the name of its variable.
pub(super) fn all(expressions: &ResourcesExpr) -> impl Iterator<Item = (String, &str, &'static str)> {
    let lists = [("limits", expressions.limits.as_ref()), ("requests", expressions.requests.as_ref())];
    lists.into_iter().flat_map(|(list, expressions)| {
        let found = expressions.map(|one| [("cpu", one.cpu.as_deref()), ("memory", one.memory.as_deref())]);
        found.into_iter().flatten().filter_map(move |(variable, text)| {
            let text = text.filter(|text| !text.is_empty())?;
            Some((format!("{list}.{variable}"), text, variable))
        })
    })
}

/// The reference tries the number 1. What is negative only because 1 is so little (`memory-100Mi`) is good all the same.
fn tried(text: &str, variable: &str) -> Result<(), ExpressionError> {
    match evaluate(text, variable, &Value::Number(1.0)) {
        Ok(_) => Ok(()),
        Err(error @ ExpressionError::Negative(_)) => {
            if works(text, variable) {
                Ok(())
            } else {
                Err(error)
            }
        }
        Err(error) => Err(error),
    }
}

/// Whether the expression has a value for some pod.
pub(super) fn works(text: &str, variable: &str) -> bool {
    let amounts = [Quantity::from_units(1, Format::BinarySI), Quantity::from_units(MUCH, Format::BinarySI)];
    amounts.into_iter().any(|amount| evaluate(text, variable, &Value::Quantity(amount)).is_ok())
}
