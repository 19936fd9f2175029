//! PodUnavailableBudget objects as they are written: judged in the version in which they come.

use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use crate::{
    admission::{
        reason::Reason,
        review::Request,
        verdict::{Decision, Denial, Outcome},
    },
    base::{decode::DecodeError, field},
    budget::{
        v1alpha1,
        validate::{self, Findings, Written},
    },
    state::Snapshot,
};

use super::Verdict;

/// What is said of every budget while nothing is guarded.
const OFF: &str =
    "feature PodUnavailableBudget is invalid, please open via feature-gate(PodUnavailableBudgetDeleteGate, PodUnavailableBudgetUpdateGate)";

/// `/validate-policy-kruise-io-podunavailablebudget`: whether a budget may be written.
pub fn validate(request: &Request<'_>, snapshot: &Snapshot<'_>, _: Timestamp) -> Verdict {
    judge(request, snapshot).unwrap_or_else(|problem| Verdict::deny(Denial::unreadable(problem)))
}

fn judge(request: &Request<'_>, snapshot: &Snapshot<'_>) -> Result<Verdict, String> {
    let is_write = matches!(request.operation.as_ref(), "CREATE" | "UPDATE") && request.sub_resource.is_empty();
    let new = if is_write { object("object", request.object) } else { Ok(Value::Null) };
    // A budget that is going guards nothing any more, and must be able to lose its finalizers.
    if new.as_ref().is_ok_and(|new| new.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string)) {
        return Ok(Verdict::allow_as(Reason::Valid));
    }
    if !snapshot.gates.has_budgets() {
        return Ok(Verdict::deny(Denial::unreadable(OFF).because(Reason::Off)));
    }
    if !is_write {
        return Ok(Verdict::allow());
    }
    let is_older = match request.resource.version.as_ref() {
        "v1beta1" => false,
        "v1alpha1" => true,
        other => return Err(format!("unsupported version: {other}")),
    };
    let new = read(&new?, is_older, "")?;
    let old = if request.operation == "UPDATE" { Some(read(&object("oldObject", request.old_object)?, is_older, "old ")?) } else { None };
    let namespace = new.budget.metadata.namespace.as_deref().unwrap_or(&request.namespace);
    let others = snapshot.budgets.of_namespace(namespace).map(AsRef::as_ref);
    Ok(Verdict::Decided(decision(validate::validate(&new, old.as_ref(), others))))
}

/// Reads a budget; `which` says which of the two, where that has to be said.
fn read(object: &Value, is_older: bool, which: &str) -> Result<Written, String> {
    let problem = if is_older { v1alpha1::problem(object) } else { None };
    match problem {
        Some(problem) => Err(format!("failed to convert {which}v1alpha1 PUB to v1beta1: {problem}")),
        None => validate::read(object, is_older).map_err(|error: DecodeError| error.to_string()),
    }
}

fn object(member: &str, object: Option<&RawValue>) -> Result<Value, String> {
    let object = object.ok_or_else(|| format!("request.{member}: missing"))?;
    serde_json::from_str(object.get()).map_err(|error| format!("request.{member}: {error}"))
}

fn decision(findings: Findings) -> Decision {
    let outcome =
        if findings.errors.is_empty() { Outcome::default() } else { Outcome::Deny(Denial::invalid(field::sentence(&findings.errors))) };
    Decision { outcome, warnings: findings.warnings, ..Decision::allow(Reason::Valid) }
}

#[cfg(test)]
mod tests;
