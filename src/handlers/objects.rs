//! SidecarSet objects as they are written: filled in and hashed, then judged.
//! (`pkg/webhook/sidecarset/{mutating,validating}`)

use jiff::Timestamp;
use serde_json::{Value, json, value::RawValue};

use crate::{
    admission::{
        ask::{Answer, Question},
        edits::Edits,
        reason::Reason,
        review::Request,
        verdict::{Decision, Denial, Outcome},
    },
    base::field,
    sidecarset::{
        api::SidecarSet,
        default::{self, Unreadable},
        validate::{self, Findings},
    },
    state::Snapshot,
};

use super::{Ask, OPT_OUT_LABEL, OPT_OUT_VALUE, Verdict};

/// The members in which the defaulted object can differ from the one that came. Containers and volumes keep what no one here
/// knows, and so does all that is outside these members.
const WRITTEN: [&[&str]; 3] = [&["metadata", "annotations"], &["spec"], &["status"]];

/// What Kubernetes says of a text that should be a quantity.
const NO_QUANTITY: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// `/mutate-apps-kruise-io-sidecarset`: what a set says where its author said nothing, and its hashes.
pub fn mutate(request: &Request<'_>, _: &Snapshot<'_>, _: Timestamp) -> Verdict {
    if !is_write(request) {
        return Verdict::allow();
    }
    match read("object", request.object).and_then(|before| Ok((default::defaulted(&before)?, before))) {
        Ok((after, before)) => {
            let mut edits = Edits::default();
            for path in WRITTEN {
                edits.set_member(path, &before, &after);
            }
            let reason = if edits.is_empty() { Reason::Unchanged } else { Reason::Defaults };
            let note = "defaults and hashes".to_owned();
            Verdict::Decided(Decision { outcome: Outcome::Allow(edits), note, ..Decision::allow(reason) })
        }
        Err(error) => bad_request(&error),
    }
}

/// `/validate-apps-kruise-io-sidecarset`: whether a set may be written. What its containers may be in all detail, the API server
/// is asked, if they are new.
pub fn validate(request: &Request<'_>, snapshot: &Snapshot<'_>, _: Timestamp) -> Verdict {
    if !is_write(request) {
        return Verdict::allow();
    }
    judge(request, snapshot).unwrap_or_else(|error| bad_request(&error))
}

fn judge(request: &Request<'_>, snapshot: &Snapshot<'_>) -> Result<Verdict, Unreadable> {
    let new = read("object", request.object)?;
    // A set that is going must be able to lose its finalizers, though what it refers to may be gone before it.
    if new.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string) {
        return Ok(Verdict::allow_as(Reason::Valid));
    }
    let old = if request.operation == "UPDATE" { Some(read("oldObject", request.old_object)?) } else { None };
    let findings = validate::validate(&new, old.as_ref(), snapshot)?;
    if !findings.errors.is_empty() || !has_new_content(&new, old.as_ref()) {
        return Ok(Verdict::Decided(decision(&findings)));
    }
    let set = validate::read(&new)?;
    let question = Question::DryRunPod(stand_in(&set));
    Ok(Verdict::Ask(Ask::one(question, move |answer| Verdict::Decided(decision(&with(answer, &set, findings))))))
}

/// Whether the update says anything new about containers or volumes: another partition must not cost a round trip, nor fail over
/// what a newer API server says of containers that are there.
fn has_new_content(new: &Value, old: Option<&Value>) -> bool {
    let of = |object: &Value| {
        ["/spec/initContainers", "/spec/containers", "/spec/volumes"].map(|content| object.pointer(content).cloned().unwrap_or_default())
    };
    old.is_none_or(|old| of(new) != of(old))
}

/// The pod that stands for the set's containers and volumes. Our own hooks leave it alone, and whatever else goes by that label.
fn stand_in(set: &SidecarSet) -> Value {
    // Whoever asks knows the namespace.
    let mut pod = validate::stand_in_pod(set, "");
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("labels".to_owned(), json!({OPT_OUT_LABEL: OPT_OUT_VALUE}));
    }
    pod
}

fn with(answer: Answer, set: &SidecarSet, mut findings: Findings) -> Findings {
    match answer {
        Answer::Good | Answer::Counted { .. } | Answer::Found(_) | Answer::Absent => {}
        Answer::Invalid(causes) => {
            let causes: Vec<_> = causes.into_iter().map(|cause| (cause.field, cause.message)).collect();
            findings.errors.extend(validate::from_stand_in(set, &causes));
        }
        Answer::Unknown(why) => {
            findings.warnings.push(format!("the finer rules of containers and volumes were not checked: {why}"));
        }
    }
    findings
}

fn decision(findings: &Findings) -> Decision {
    let outcome =
        if findings.errors.is_empty() { Outcome::default() } else { Outcome::Deny(Denial::invalid(field::sentence(&findings.errors))) };
    Decision { outcome, warnings: findings.warnings.clone(), ..Decision::allow(Reason::Valid) }
}

/// A quantity that is none is refused in Kubernetes' words, which do not say where it is; the warning does.
fn bad_request(error: &Unreadable) -> Verdict {
    let said = error.to_string();
    let (message, warnings) = if error.is_quantity() { (NO_QUANTITY.to_owned(), vec![said]) } else { (said, Vec::new()) };
    Verdict::Decided(Decision { warnings, ..Decision::deny(Denial::unreadable(message)) })
}

fn is_write(request: &Request<'_>) -> bool {
    matches!(request.operation.as_ref(), "CREATE" | "UPDATE") && request.sub_resource.is_empty()
}

fn read(member: &str, object: Option<&RawValue>) -> Result<Value, Unreadable> {
    let unreadable = |problem: String| Unreadable { path: format!("request.{member}"), problem };
    let object = object.ok_or_else(|| unreadable("missing".to_owned()))?;
    serde_json::from_str(object.get()).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests;
