//! What the subsets of a spec say: names, and how many pods each may take. Terms and tolerations are judged by [`placement`].

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::placement;
use crate::{
    base::{
        field::{Error, Path, Shown},
        go_text::quoted,
        intstr::is_percentage,
    },
    spread::api::Subset,
};

/// Judges all subsets. The first number of pods that is wrong ends it: what comes after depends on it.
pub(super) fn check(subsets: &[Subset], is_stateful: bool, errors: &mut Vec<Error>) {
    let path = Path::new("spec").child("subsets");
    if subsets.is_empty() {
        errors.push(Error::required(&path, "subsets number must >= 1 in WorkloadSpread"));
    }
    let mut names = BTreeSet::new();
    let mut caps = Caps { is_stateful, first: None, percent: 0 };
    for (index, subset) in subsets.iter().enumerate() {
        let path = path.index(index);
        let name = subset.name.as_str();
        if name.is_empty() {
            errors.push(Error::invalid(&path.child("name"), name, ""));
        } else if !names.insert(name) {
            errors.push(Error::invalid(&path.child("name"), name, format!("duplicated subset name {name}")));
        }
        placement::check(subset, &path, errors);
        if let Some(detail) = subset.max_replicas.as_ref().and_then(|cap| caps.problem(cap)) {
            errors.push(Error::invalid(&path.child("maxReplicas"), shown(subset.max_replicas.as_ref()), detail));
            return;
        }
    }
    if let (Some(first), Some(last)) = (subsets.first(), subsets.last())
        && last.max_replicas.is_some()
        && caps.is_percent()
        && caps.percent < 100
    {
        let detail = "maxReplicas sum of all subsets must equal 100% when type is specified as percent";
        errors.push(Error::invalid(&path.index(0).child("maxReplicas"), shown(first.max_replicas.as_ref()), detail));
    }
}

/// What was learned of the numbers so far.
struct Caps<'s> {
    is_stateful: bool,
    first: Option<&'s IntOrString>,
    percent: i64,
}

impl<'s> Caps<'s> {
    fn is_percent(&self) -> bool {
        matches!(self.first, Some(IntOrString::String(_)))
    }

    /// What is wrong with the next number, if anything.
    fn problem(&mut self, cap: &'s IntOrString) -> Option<&'static str> {
        let first = self.first.get_or_insert(cap);
        if std::mem::discriminant(*first) != std::mem::discriminant(cap) {
            return Some("the maxReplicas type of all subsets must be the same");
        }
        let number = match cap {
            IntOrString::String(_) if self.is_stateful => return Some("the maxReplicas type must be Int for StatefulSet"),
            IntOrString::String(text) => percent(text),
            IntOrString::Int(number) => Some(i64::from(*number)),
        };
        let Some(number) = number.filter(|number| *number >= 0) else { return Some("maxReplicas is not valid for subset") };
        if matches!(cap, IntOrString::String(_)) {
            self.percent = self.percent.saturating_add(number);
        }
        (self.percent > 100).then_some("the sum of all subset's maxReplicas exceeds 100% is no permitted")
    }
}

/// As the reference has always read it: percent signs do not matter.
fn percent(text: &str) -> Option<i64> {
    text.replace('%', "").parse().ok()
}

/// What is admitted as a percentage and is none, so that nothing can be a share by it.
pub(super) fn warnings(subsets: &[Subset]) -> Vec<String> {
    let odd = subsets.iter().enumerate().filter_map(|(index, subset)| match &subset.max_replicas {
        Some(IntOrString::String(text)) if !is_percentage(text) => Some((index, text)),
        _ => None,
    });
    odd.map(|(index, text)| format!("spec.subsets[{index}].maxReplicas: {text:?} is no percentage: the subset takes no pods")).collect()
}

/// A number in Go's notation.
fn shown(cap: Option<&IntOrString>) -> Shown {
    match cap {
        None => Shown::from("null"),
        Some(IntOrString::Int(number)) => Shown::as_is(format!("intstr.IntOrString{{Type:0, IntVal:{number}, StrVal:\"\"}}")),
        Some(IntOrString::String(text)) => Shown::as_is(format!("intstr.IntOrString{{Type:1, IntVal:0, StrVal:{}}}", quoted(text))),
    }
}
