//! A canary: a set that stands in for its base where both match.

use super::{SidecarSet, annotation};
use crate::{
    base::{
        field::{Error, Path, Shown},
        go_text::text_map,
    },
    sidecarset::{
        index::SetIndex,
        keys::{CANARY, CANARY_BASE},
    },
};

/// The set that this one is a canary of.
pub(super) fn base_of(set: &SidecarSet) -> Option<&str> {
    let is_canary = annotation(set, CANARY) == Some("true");
    annotation(set, CANARY_BASE).filter(|base| is_canary && !base.is_empty())
}

/// A canary has a base that exists, is another set, is no canary, and stays the same; and it is not rolled out to running pods.
pub(super) fn check(set: &SidecarSet, old: Option<&SidecarSet>, sets: &SetIndex, errors: &mut Vec<Error>) {
    let Some(base) = base_of(set) else { return };
    let annotations = text_map(set.metadata.annotations.iter().flatten());
    let mut refuse = |detail: String| errors.push(Error::invalid(&Path::new("metadata"), Shown::as_is(annotations.clone()), detail));
    if set.metadata.name.as_deref() == Some(base) {
        refuse("base sidecarSet cannot be itself".to_owned());
    }
    if old.is_some_and(|old| annotation(old, CANARY_BASE) != Some(base)) {
        refuse(format!("annotations[{CANARY_BASE}] is immutable"));
    }
    match sets.by_name(base) {
        None => refuse(format!("fetch base sidecarSet[{base}] failed: SidecarSet.apps.kruise.io {base:?} not found")),
        Some(base) if base.canary_of.is_some() => refuse("base sidecarSet cannot be canary".to_owned()),
        Some(_) => {}
    }
    if set.spec.update_strategy.kind.as_deref() != Some("NotUpdate") {
        refuse("RollingUpdate is not supported for canary sidecarSet".to_owned());
    }
}
