//! The rules of pods that are the same in every version of Kubernetes: names, required members, no duplicates, and that
//! containers refer to volumes that are there. (`kubernetes/pkg/apis/core/validation/validation.go`)
//!
//! As there: volumes first, then containers, then init containers, whose names must differ from all others.

mod mounts;
mod volumes;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{SidecarSet, containers, init_containers};
use crate::base::{
    field::{Error, Path},
    names::dns1123_label_problems,
};

const MESSAGE_POLICIES: &[&str] = &["File", "FallbackToLogsOnError"];
const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];

/// Checks all containers and volumes of a set as if they were one pod.
pub(super) fn check(set: &SidecarSet, errors: &mut Vec<Error>) {
    let spec = Path::new("spec");
    let volumes = volumes::check(&set.spec.volumes, &spec.child("volumes"), errors);
    let mut names = BTreeSet::new();
    for (list, sidecars) in [("containers", containers(set)), ("initContainers", init_containers(set))] {
        for (index, sidecar) in sidecars.iter().enumerate() {
            let path = spec.child(list).index(index);
            check_container(&sidecar.container, &volumes, &path, errors);
            let name = sidecar.name();
            if !name.is_empty() && !names.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
    }
}

fn check_container(container: &Map<String, Value>, volumes: &volumes::Known<'_>, path: &Path, errors: &mut Vec<Error>) {
    check_name(text(container, "name"), &path.child("name"), errors);
    match text(container, "image") {
        "" => errors.push(Error::required(&path.child("image"), "")),
        image if image.trim() != image => {
            errors.push(Error::invalid(&path.child("image"), image, "must not have leading or trailing whitespace"));
        }
        _ => {}
    }
    check_choice(text(container, "terminationMessagePolicy"), MESSAGE_POLICIES, &path.child("terminationMessagePolicy"), errors);
    let mut mounted = Vec::new();
    mounts::check(container, volumes, path, &mut mounted);
    errors.extend(Error::together(mounted));
    check_choice(text(container, "imagePullPolicy"), PULL_POLICIES, &path.child("imagePullPolicy"), errors);
}

fn check_choice(value: &str, choice: &[&str], path: &Path, errors: &mut Vec<Error>) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
    } else if !choice.contains(&value) {
        errors.push(Error::not_supported(path, value, choice));
    }
}

/// A name that is there, and a DNS label.
fn check_name(name: &str, path: &Path, errors: &mut Vec<Error>) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
    } else {
        errors.extend(dns1123_label_problems(name).into_iter().map(|problem| Error::invalid(path, name, problem)));
    }
}

/// A member that is a text; empty if it is not there.
fn text<'o>(object: &'o Map<String, Value>, member: &str) -> &'o str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// A member that is a list of objects.
fn objects<'o>(object: &'o Map<String, Value>, member: &str) -> impl Iterator<Item = &'o Map<String, Value>> + Clone {
    object.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}
