//! The hash of a set's sidecars, which tells whether a pod runs what the set says.

use serde_json::{Map, Value};

use super::{
    api::{SidecarContainer, SidecarSetSpec},
    shape,
};
use crate::base::{go_json, hash};

/// Hash of the containers, and of the init containers as soon as one of them is a native sidecar.
pub fn hash(spec: &SidecarSetSpec) -> String {
    hash::stable(&hashed_text(spec, false))
}

/// The same with every image blanked: it stays as it is when nothing but images change.
pub fn hash_without_image(spec: &SidecarSetSpec) -> String {
    hash::stable(&hashed_text(spec, true))
}

fn hashed_text(spec: &SidecarSetSpec, without_image: bool) -> String {
    let native = spec.init_containers.as_ref().filter(|containers| containers.iter().any(SidecarContainer::is_native));
    let members =
        [("containers", spec.containers.as_ref())].into_iter().chain(native.map(|containers| ("initContainers", Some(containers))));
    let mut out = String::new();
    go_json::write_members(&mut out, members, |out, containers| match containers {
        // An absent list and an empty one are told apart here, though both are written back as absent.
        None => out.push_str("null"),
        Some(containers) => go_json::write_list(out, containers, |out, container| {
            shape::write(out, shape::CONTAINER.iter().chain(shape::PLACEMENT), members_of(container, without_image).as_ref());
        }),
    });
    out
}

fn members_of(container: &SidecarContainer, without_image: bool) -> Option<Map<String, Value>> {
    // Our types hold nothing that JSON cannot express, so this does not fail.
    let Ok(Value::Object(mut members)) = serde_json::to_value(container) else { return None };
    if without_image {
        members.shift_remove("image");
    }
    Some(members)
}

#[cfg(test)]
mod tests;
