//! The deletion of objects that carry the label of deletion protection, of the kinds whose `Cascading` the server knows.
//! (`pkg/webhook/util/deletionprotection`)
//!
//! Everybody is judged alike, a dry run too; who may take the label off may delete.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    admission::{
        reason::Reason,
        review::Request,
        verdict::{Decision, Denial, Outcome},
    },
    plan::{Target, reporter},
    protection::{
        decide::{self, Ruling},
        kind,
        stored::Stored,
    },
    state::Snapshot,
};

use super::{Ask, Verdict, told};

/// All paths of protected kinds: what is judged depends on the object alone.
pub fn validate(request: &Request<'_>, snapshot: &Snapshot<'_>, now: Timestamp) -> Verdict {
    let is_deletion = request.operation == "DELETE" && request.sub_resource.is_empty();
    if !is_deletion {
        return Verdict::allow();
    }
    if !snapshot.gates.deletion_protection {
        return Verdict::allow_as(Reason::Off);
    }
    let Some(protectable) = kind::find(&request.resource.group, &request.resource.resource) else { return Verdict::allow() };
    let Some(object) = request.old_object else { return Verdict::allow() };
    let stored = match Stored::read(object) {
        Ok(stored) => stored,
        Err(error) => return Verdict::deny(Denial::unreadable(format!("request.oldObject: {error}"))),
    };
    let uid = stored.object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    let about = Target { kind: protectable.kind, namespace: stored.namespace.clone(), name: stored.name.clone(), uid };
    let said = Said { warnings: decide::warnings(&stored), about, is_dry_run: request.is_dry_run() };
    said.verdict(decide::decide(protectable, &stored, &request.user_info.username, now))
}

/// What is said beside the ruling, whatever it is.
struct Said {
    warnings: Vec<String>,
    about: Target,
    is_dry_run: bool,
}

impl Said {
    fn verdict(self, ruling: Ruling) -> Verdict {
        let mut events = Vec::new();
        let outcome = match ruling {
            Ruling::Free => Outcome::default(),
            Ruling::Kept(message) => Outcome::Deny(Denial::forbidden(message).because(Reason::Protection)),
            Ruling::Unknown(message) => {
                events.push(told::unanswered(reporter::PROTECTION, self.about, &message));
                Outcome::Deny(Denial::forbidden(message).because(Reason::Unanswered))
            }
            Ruling::Unreadable(problem) => Outcome::Deny(Denial::unreadable(format!("request.oldObject: {problem}"))),
            Ruling::Open(inquiry) => {
                return Verdict::Ask(Ask::new(inquiry.questions(), move |answers| self.verdict(inquiry.settle(answers))));
            }
        };
        let decision = Decision { outcome, warnings: self.warnings, events, ..Decision::allow(Reason::Unprotected) };
        Verdict::Decided(decision.unless_dry(self.is_dry_run))
    }
}

#[cfg(test)]
mod tests;
