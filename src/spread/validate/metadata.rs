//! What an update may not do to metadata. An API server sees to that by itself; whoever asks the hook directly gets the same answer.
//! (`apimachinery/pkg/api/validation/objectmeta.go`)

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::base::{
    field::{Error, Path, Shown},
    names::qualified_name_problems,
    selector_rules::check_labels,
};

pub(super) fn check(new: &ObjectMeta, old: &ObjectMeta, errors: &mut Vec<Error>) {
    let path = Path::new("metadata");
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if text(&new.resource_version).is_empty() {
        errors.push(Error::invalid(&path.child("resourceVersion"), "", "must be specified for an update"));
    }
    if let Some(generation) = new.generation.filter(|generation| *generation < old.generation.unwrap_or_default()) {
        errors.push(Error::invalid(&path.child("generation"), generation, "must not be decremented"));
    }
    for (member, new, old) in [("name", &new.name, &old.name), ("namespace", &new.namespace, &old.namespace), ("uid", &new.uid, &old.uid)] {
        if text(new) != text(old) {
            errors.push(Error::invalid(&path.child(member), &text(new), "field is immutable"));
        }
    }
    if new.creation_timestamp != old.creation_timestamp {
        errors.push(Error::invalid(&path.child("creationTimestamp"), Shown::json(&new.creation_timestamp), "field is immutable"));
    }
    if let Some(labels) = &new.labels {
        check_labels(labels, &path.child("labels"), errors);
    }
    for key in new.annotations.iter().flatten().map(|(key, _)| key) {
        // Prefixes may be in upper case.
        let problems = qualified_name_problems(&key.to_lowercase());
        errors.extend(problems.into_iter().map(|problem| Error::invalid(&path.child("annotations"), key, problem)));
    }
}
