//! Annotations that a set puts on pods, and whether it may.

use std::collections::{BTreeMap, BTreeSet};

use super::{SidecarSet, World, metadata::check_annotations};
use crate::base::field::{Error, Path};

pub(super) fn check(set: &SidecarSet, world: &impl World, errors: &mut Vec<Error>) {
    let patches = &set.spec.patch_pod_metadata;
    if patches.is_empty() {
        return;
    }
    let path = Path::new("spec").child("patchPodMetadata");
    if let Err(problem) = check_allowed(set, world) {
        errors.push(Error::required(&path, problem));
    }
    let mut known = BTreeSet::new();
    for patch in patches {
        if patch.annotations.is_empty() {
            errors.push(Error::required(&path, "no annotations defined for SidecarSet"));
        } else {
            check_annotations(&patch.annotations, &Path::new("patchPodMetadata").child("annotations"), errors);
        }
        if patch.patch_policy.as_deref().unwrap_or_default().is_empty() {
            errors.push(Error::required(&path, "no patchPolicy defined for patchPodMetadata"));
        }
        for key in patch.annotations.keys() {
            if !known.insert(key) {
                errors.push(Error::required(&path, format!("patch annotation[{key}] already exist")));
            }
        }
    }
}

/// The whitelist, if there is one for such sets, decides; if there is none, the gate.
fn check_allowed(set: &SidecarSet, world: &impl World) -> Result<(), String> {
    let none = BTreeMap::new();
    let allows_any = world.gates().patch_any_annotation;
    let whitelist = world.whitelist();
    let patterns = whitelist.patterns(set.metadata.labels.as_ref().unwrap_or(&none))?;
    let Some(patterns) = patterns else {
        let problem = if whitelist.is_absent() {
            "SidecarSet patch metadata whitelist not found"
        } else {
            "sidecarSet patch metadata annotation is not allowed"
        };
        return if allows_any { Ok(()) } else { Err(problem.to_owned()) };
    };
    let mut keys = set.spec.patch_pod_metadata.iter().flat_map(|patch| patch.annotations.keys());
    match keys.find(|key| !patterns.iter().any(|pattern| pattern.is_match(key.as_bytes()))) {
        None => Ok(()),
        Some(key) => Err(format!("sidecarSet patch metadata annotation({key}) is not allowed")),
    }
}
