//! Other sets that may be injected into the same pods.

use super::{SidecarSet, World, canary::base_of};
use crate::{
    base::{
        field::{Error, Path},
        selector::Selector,
    },
    sidecarset::conflict::{Conflict, Names, Part, Party},
};

/// The set must be good in itself.
pub(super) fn check(set: &SidecarSet, world: &impl World, errors: &mut Vec<Error>) {
    let compiled = |selector: &Option<_>| selector.as_ref().and_then(|selector| Selector::compile(selector).ok());
    let (selector, namespaces) = (compiled(&set.spec.selector), compiled(&set.spec.namespace_selector));
    let names = Names::of(&set.spec);
    let party = Party {
        name: set.metadata.name.as_deref().unwrap_or_default(),
        canary_of: base_of(set),
        selector: selector.as_ref(),
        namespaces: namespaces.as_ref(),
        names: &names,
    };
    let spec = Path::new("spec");
    errors.extend(world.sets().conflicts(party).into_iter().map(|Conflict { part, name, other }| match part {
        Part::InitContainer | Part::Container => {
            Error::invalid(&spec.child("containers"), &name, format!("container {name} already exist in {other}"))
        }
        Part::Volume => Error::invalid(&spec.child("volumes"), &name, format!("volume {name} is in conflict with sidecarset {other}")),
        Part::Annotation => {
            let detail = format!("annotation {name} is in conflict with sidecarset {other}");
            Error::invalid(&spec.child("patchPodMetadata"), &name, detail)
        }
    }));
}
