//! The deletion of objects that carry the label of deletion protection, of the kinds whose `Cascading` the server knows.
//! (`pkg/webhook/util/deletionprotection`)
//!
//! Everybody is judged alike, a dry run too; who may take the label off may delete.

use jiff::Timestamp;

use crate::{
    admission::{
        review::Request,
        verdict::{Decision, Denial, Outcome},
    },
    protection::{
        decide::{self, Ruling},
        kind,
        stored::Stored,
    },
    state::Snapshot,
};

use super::{Ask, Verdict};

/// All paths of protected kinds: what is judged depends on the object alone.
pub fn validate(request: &Request<'_>, snapshot: &Snapshot<'_>, now: Timestamp) -> Verdict {
    let is_deletion = request.operation == "DELETE" && request.sub_resource.is_empty();
    if !is_deletion || !snapshot.gates.deletion_protection {
        return Verdict::allow();
    }
    let Some(protectable) = kind::find(&request.resource.group, &request.resource.resource) else { return Verdict::allow() };
    let Some(object) = request.old_object else { return Verdict::allow() };
    let stored = match Stored::read(object) {
        Ok(stored) => stored,
        Err(error) => return Verdict::deny(Denial::unreadable(format!("request.oldObject: {error}"))),
    };
    let warnings = decide::warnings(&stored);
    verdict(decide::decide(protectable, &stored, &request.user_info.username, now), warnings)
}

fn verdict(ruling: Ruling, warnings: Vec<String>) -> Verdict {
    let outcome = match ruling {
        Ruling::Free => Outcome::default(),
        Ruling::Kept(message) => Outcome::Deny(Denial::forbidden(message)),
        Ruling::Unreadable(problem) => Outcome::Deny(Denial::unreadable(format!("request.oldObject: {problem}"))),
        Ruling::Open(inquiry) => {
            return Verdict::Ask(Ask::new(inquiry.questions(), move |answers| verdict(inquiry.settle(answers), warnings)));
        }
    };
    Verdict::Decided(Decision { outcome, warnings, ..Decision::default() })
}

#[cfg(test)]
mod tests;
