//! WorkloadSpread objects as they are written: judged in the version in which they come.

use jiff::Timestamp;
use serde_json::{Value, json, value::RawValue};

use crate::{
    admission::{
        ask::{Answer, Question},
        reason::Reason,
        review::Request,
        verdict::{Decision, Denial, Outcome},
    },
    base::{
        decode::DecodeError,
        field::{self, Error, Path},
    },
    spread::{
        api::{Subset, WorkloadSpread},
        validate::{
            self, Findings,
            patch::{self, StandIn},
        },
    },
    state::Snapshot,
};

use super::{Ask, OPT_OUT_LABEL, OPT_OUT_VALUE, Verdict};

/// What is said of every spread while nothing is spread.
const OFF: &str = "feature-gate WorkloadSpread is not enabled";

/// `/validate-apps-kruise-io-workloadspread`: whether a spread may be written. What its patches make of the workload's template, the API
/// server is asked, if they are new.
pub fn validate(request: &Request<'_>, snapshot: &Snapshot<'_>, _: Timestamp) -> Verdict {
    judge(request, snapshot).unwrap_or_else(|problem| Verdict::deny(Denial::unreadable(problem)))
}

fn judge(request: &Request<'_>, snapshot: &Snapshot<'_>) -> Result<Verdict, String> {
    if !matches!(request.operation.as_ref(), "CREATE" | "UPDATE") || !request.sub_resource.is_empty() {
        return Ok(Verdict::allow());
    }
    let new = object("object", request.object);
    // A spread that is going must be able to lose its finalizers, whatever has become of its workload.
    if new.as_ref().is_ok_and(|new| new.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string)) {
        return Ok(Verdict::allow_as(Reason::Valid));
    }
    if !snapshot.gates.spreads {
        return Ok(Verdict::deny(Denial::forbidden(OFF).because(Reason::Off)));
    }
    let is_older = match request.resource.version.as_ref() {
        "v1beta1" => false,
        "v1alpha1" => true,
        other => return Err(format!("unsupported version: {other}")),
    };
    let read = |object: &Value| validate::read(object, is_older).map_err(|error: DecodeError| error.to_string());
    let new = read(&new?)?;
    let old = if request.operation == "UPDATE" { Some(read(&object("oldObject", request.old_object)?)?) } else { None };
    let namespace = new.metadata.namespace.as_deref().filter(|own| !own.is_empty()).unwrap_or(&request.namespace).to_owned();
    let others = snapshot.spreads.of_namespace(&namespace).map(AsRef::as_ref);
    let findings = validate::validate(&new, old.as_ref(), others, snapshot.spread_whitelist);
    if !findings.errors.is_empty() || !validate::says_something_new(&new, old.as_ref()) {
        return Ok(Verdict::Decided(decision(findings)));
    }
    Ok(with_patches(new, namespace, findings))
}

/// The verdict when what the patches make of the template is known, too.
fn with_patches(new: WorkloadSpread, namespace: String, findings: Findings) -> Verdict {
    let Some([group, kind, name]) = patch::needed(&new.spec) else { return Verdict::Decided(decision(findings)) };
    let question = Question::Object { group, kind, namespace, name };
    Verdict::Ask(Ask::one(question, move |answer| match workload(answer) {
        Ok(Some(workload)) => with_template(&new.spec.subsets, &workload, findings),
        // There is nothing yet that could be patched.
        Ok(None) => Verdict::Decided(decision(findings)),
        Err(why) => Verdict::Decided(decision(unchecked(findings, &why))),
    }))
}

fn workload(answer: Answer) -> Result<Option<Value>, String> {
    match answer {
        Answer::Found(text) => serde_json::from_str(&text).map(Some).map_err(|error| error.to_string()),
        Answer::Unknown(why) => Err(why),
        Answer::Absent | Answer::Good | Answer::Invalid(_) | Answer::Counted { .. } => Ok(None),
    }
}

fn with_template(subsets: &[Subset], workload: &Value, findings: Findings) -> Verdict {
    let stand_ins = match patch::stand_ins(subsets, workload) {
        Ok(stand_ins) => stand_ins,
        Err(errors) => return Verdict::Decided(decision(Findings { errors, ..findings })),
    };
    let (paths, questions): (Vec<_>, Vec<_>) =
        stand_ins.into_iter().map(|StandIn { path, pod }| (path, Question::DryRunPod(left_alone(pod)))).unzip();
    Verdict::Ask(Ask::new(questions, move |answers| Verdict::Decided(decision(with_answers(&paths, answers, findings)))))
}

/// Our own hooks leave it alone, and whatever else goes by that label.
fn left_alone(mut pod: Value) -> Value {
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("labels".to_owned(), json!({OPT_OUT_LABEL: OPT_OUT_VALUE}));
    }
    pod
}

fn with_answers(paths: &[Path], answers: Vec<Answer>, mut findings: Findings) -> Findings {
    let mut unknown = None;
    for (path, answer) in paths.iter().zip(answers) {
        match answer {
            Answer::Invalid(causes) => {
                let causes: Vec<_> = causes.into_iter().map(|cause| (cause.field, cause.message)).collect();
                findings.errors.extend(patch::from_stand_in(path, &causes));
            }
            Answer::Unknown(why) => unknown = Some(why),
            Answer::Good | Answer::Counted { .. } | Answer::Found(_) | Answer::Absent => {}
        }
    }
    match unknown {
        Some(why) => unchecked(findings, &why),
        None => findings,
    }
}

fn unchecked(mut findings: Findings, why: &str) -> Findings {
    findings.warnings.push(format!("what the patches make of the workload's pods was not checked: {why}"));
    findings
}

fn object(member: &str, object: Option<&RawValue>) -> Result<Value, String> {
    let object = object.ok_or_else(|| format!("request.{member}: missing"))?;
    serde_json::from_str(object.get()).map_err(|error| format!("request.{member}: {error}"))
}

/// A spread that breaks a rule is a bad request, as the reference says.
fn decision(findings: Findings) -> Decision {
    let refused = |errors: &[Error]| Outcome::Deny(Denial::unreadable(field::sentence(errors)).because(Reason::Validation));
    let outcome = if findings.errors.is_empty() { Outcome::default() } else { refused(&findings.errors) };
    Decision { outcome, warnings: findings.warnings, ..Decision::allow(Reason::Valid) }
}

#[cfg(test)]
mod tests;
