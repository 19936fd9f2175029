//! What a spec says by itself.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::LabelSelector, apimachinery::pkg::util::intstr::IntOrString};

use super::both;
use crate::{
    base::{
        field::{Error, Path, Shown},
        intstr, selector_rules,
    },
    budget::{
        api::{PodUnavailableBudgetSpec, TargetReference},
        index::Operation,
    },
};

pub(super) fn check(spec: &PodUnavailableBudgetSpec, errors: &mut Vec<Error>) {
    check_pods(spec, errors);
    check_amounts(spec, errors);
    let path = Path::new("spec");
    for (index, operation) in spec.protect_operations.iter().enumerate() {
        if Operation::of(operation).is_none() {
            let path = path.child("protectOperations").index(index);
            errors.push(Error::not_supported(&path, operation, &Operation::ALL.map(Operation::name)));
        }
    }
    if let Some(ignored) = &spec.ignored_pod_selector {
        let path = path.child("ignoredPodSelector");
        selector_rules::check(ignored, &path, errors);
        if selector_rules::is_empty(ignored) {
            errors.push(Error::invalid(&path, Shown::json(ignored), "empty ignoredPodSelector is not valid for PodUnavailableBudget"));
        }
    }
}

/// Which pods: one of two ways to say it.
fn check_pods(spec: &PodUnavailableBudgetSpec, errors: &mut Vec<Error>) {
    let path = both("selector", "targetRef");
    match (&spec.selector, &spec.target_ref) {
        (None, None) => errors.push(Error::required(&path, "no selector or targetRef defined in PodUnavailableBudget")),
        (Some(_), Some(_)) => errors.push(Error::required(&path, "selector and targetRef are mutually exclusive")),
        (None, Some(target)) => check_target(target, errors),
        (Some(selector), None) => check_selector(selector, errors),
    }
}

fn check_target(target: &TargetReference, errors: &mut Vec<Error>) {
    let path = Path::new("spec").child("targetRef");
    if target.api_version.is_empty() || target.kind.is_empty() || target.name.is_empty() {
        errors.push(Error::invalid(&path, Shown::json(target), "empty targetRef is not valid for PodUnavailableBudget"));
    }
    if !target.is_well_formed() {
        let detail = format!("unexpected GroupVersion string: {}", target.api_version);
        errors.push(Error::invalid(&path, Shown::json(target), detail));
    }
}

fn check_selector(selector: &LabelSelector, errors: &mut Vec<Error>) {
    let path = Path::new("spec").child("selector");
    selector_rules::check(selector, &path, errors);
    if selector_rules::is_empty(selector) {
        errors.push(Error::invalid(&path, Shown::json(selector), "empty selector is not valid for PodUnavailableBudget."));
    } else if selector_rules::problem(selector).is_some() {
        errors.push(Error::invalid(&path, Shown::json(selector), ""));
    }
}

/// How many pods: one of two ways to say it.
fn check_amounts(spec: &PodUnavailableBudgetSpec, errors: &mut Vec<Error>) {
    let path = both("maxUnavailable", "minAvailable");
    match (&spec.max_unavailable, &spec.min_available) {
        (None, None) => errors.push(Error::required(&path, "no maxUnavailable or minAvailable defined in PodUnavailableBudget")),
        (Some(_), Some(_)) => errors.push(Error::required(&path, "maxUnavailable and minAvailable are mutually exclusive")),
        (Some(most), None) => check_amount(most, "maxUnavailable", errors),
        (None, Some(least)) => check_amount(least, "minAvailable", errors),
    }
}

fn check_amount(amount: &IntOrString, member: &str, errors: &mut Vec<Error>) {
    let path = Path::new("spec").child(member);
    intstr::check(amount, &path, errors);
    let IntOrString::String(text) = amount else { return };
    // More digits than a number can have are more than all pods, too.
    let is_too_much = |digits: &str| digits.parse().map_or(true, |percent: u64| percent > 100);
    if intstr::is_percentage(text) && text.strip_suffix('%').is_some_and(is_too_much) {
        errors.push(Error::invalid(&path, Shown::json(amount), "must not be greater than 100%"));
    }
}
