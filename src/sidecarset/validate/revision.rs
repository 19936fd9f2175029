//! The recorded revision that a set gives to new pods.

use super::{SidecarSet, shown};
use crate::{
    base::field::{Error, Path},
    sidecarset::{revision::Revisions, select::Choice},
};

/// It is named, exists, and goes to pods by a policy that there is.
pub(super) fn check(set: &SidecarSet, revisions: &Revisions, errors: &mut Vec<Error>) {
    let Some(injected) = &set.spec.injection_strategy.revision else { return };
    let path = Path::new("revision");
    match Choice::of(&set.spec) {
        Choice::Current => {
            errors.push(Error::invalid(&path, shown(injected), "revisionName and customVersion cannot be empty simultaneously"));
        }
        choice @ Choice::Recorded { .. } => {
            if let Err(error) = choice.named(set.metadata.name.as_deref().unwrap_or_default(), revisions) {
                errors.push(Error::invalid(&path, "null", format!("Cannot find specific ControllerRevision, err: {error}")));
            }
        }
    }
    let policy = injected.policy.as_deref().unwrap_or_default();
    if !matches!(policy, "" | "Always" | "Partial") {
        let detail = format!("Invalid policy {policy}, supported: [Always, Partial]");
        errors.push(Error::invalid(&path.child("policy"), shown(injected), detail));
    }
}
