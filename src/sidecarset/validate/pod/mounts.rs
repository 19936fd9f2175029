use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    objects, text,
    volumes::{Known, is_claim},
};
use crate::base::field::{Error, Path};

const PROPAGATIONS: &[&str] = &["Bidirectional", "HostToContainer", "None"];
const RECURSIVE: &[&str] = &["Disabled", "Enabled", "IfPossible"];

/// Mounts and devices of a container.
pub(super) fn check(container: &Map<String, Value>, volumes: &Known<'_>, path: &Path, errors: &mut Vec<Error>) {
    let mounts_path = path.child("volumeMounts");
    let mut paths = BTreeSet::new();
    for (index, mount) in objects(container, "volumeMounts").enumerate() {
        let path = mounts_path.index(index);
        check_reference(mount, volumes, &path, errors);
        let at = text(mount, "mountPath");
        check_path(at, &mut paths, &path.child("mountPath"), errors);
        let devices = objects(container, "volumeDevices");
        check_apart(mount, ("mountPath", at), (devices, "devicePath", "volumeDevices"), (&path, errors));
        check_sub_paths(mount, &mounts_path, &path, errors);
        check_modes(mount, container, &mounts_path, errors);
    }
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in objects(container, "volumeDevices").enumerate() {
        let path = path.child("volumeDevices").index(index);
        let (name, at) = (text(device, "name"), text(device, "devicePath"));
        if !name.is_empty() && !names.insert(name) {
            errors.push(Error::invalid(&path.child("name"), name, "must be unique"));
        }
        check_reference(device, volumes, &path, errors);
        if volumes.get(name).is_some_and(|volume| !is_claim(volume)) {
            let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
            errors.push(Error::invalid(&path.child("name"), name, detail));
        }
        check_path(at, &mut paths, &path.child("devicePath"), errors);
        if has_backstep(at) {
            errors.push(Error::invalid(&path.child("devicePath"), at, "can not contain backsteps ('..')"));
        }
        let mounts = objects(container, "volumeMounts");
        check_apart(device, ("devicePath", at), (mounts, "mountPath", "volumeMounts"), (&path, errors));
    }
}

/// The volume that is named is there.
fn check_reference(reference: &Map<String, Value>, volumes: &Known<'_>, path: &Path, errors: &mut Vec<Error>) {
    let name = text(reference, "name");
    if name.is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    }
    if !volumes.contains_key(name) {
        errors.push(Error::not_found(&path.child("name"), name));
    }
}

fn check_path<'c>(at: &'c str, known: &mut BTreeSet<&'c str>, path: &Path, errors: &mut Vec<Error>) {
    if at.is_empty() {
        errors.push(Error::required(path, ""));
    } else if !known.insert(at) {
        errors.push(Error::invalid(path, at, "must be unique"));
    }
}

/// Neither the volume nor the path is used in the other way as well.
fn check_apart<'c>(
    one: &Map<String, Value>,
    (member, at): (&str, &str),
    (others, their_member, list): (impl Iterator<Item = &'c Map<String, Value>> + Clone, &str, &str),
    (path, errors): (&Path, &mut Vec<Error>),
) {
    let name = text(one, "name");
    if !name.is_empty() && others.clone().any(|other| text(other, "name") == name) {
        errors.push(Error::invalid(&path.child("name"), name, format!("must not already exist in {list}")));
    }
    if !at.is_empty() && others.clone().any(|other| text(other, their_member) == at) {
        errors.push(Error::invalid(&path.child(member), at, format!("must not already exist as a path in {list}")));
    }
}

/// Kubernetes tells the paths of what is wrong below without the mount's number, but for the one that is there twice.
fn check_sub_paths(mount: &Map<String, Value>, mounts_path: &Path, path: &Path, errors: &mut Vec<Error>) {
    let [plain, expression] = ["subPath", "subPathExpr"].map(|member| text(mount, member));
    if !plain.is_empty() && !expression.is_empty() {
        errors.push(Error::invalid(&path.child("subPathExpr"), expression, "subPathExpr and subPath are mutually exclusive"));
    }
    for (member, value) in [("subPath", plain), ("subPathExpr", expression)] {
        if value.starts_with('/') {
            errors.push(Error::invalid(&mounts_path.child(member), value, "must be a relative path"));
        }
        if has_backstep(value) {
            errors.push(Error::invalid(&mounts_path.child(member), value, "must not contain '..'"));
        }
    }
}

fn check_modes(mount: &Map<String, Value>, container: &Map<String, Value>, mounts_path: &Path, errors: &mut Vec<Error>) {
    for (member, choice) in [("mountPropagation", PROPAGATIONS), ("recursiveReadOnly", RECURSIVE)] {
        let value = mount.get(member).and_then(Value::as_str);
        if let Some(value) = value.filter(|value| !choice.contains(value)) {
            errors.push(Error::not_supported(&mounts_path.child(member), value, choice));
        }
    }
    let is_privileged = container.get("securityContext").and_then(|context| context.get("privileged")) == Some(&Value::Bool(true));
    if text(mount, "mountPropagation") == "Bidirectional" && !is_privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(&mounts_path.child("mountPropagation"), detail));
    }
}

fn has_backstep(path: &str) -> bool {
    path.split('/').any(|step| step == "..")
}
