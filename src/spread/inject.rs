//! What a place makes of a pod. (reference: `workloadspread.md` §5.7)
//!
//! First what the subset says of nodes (`nodes`), then its patch (`patch`), then the annotation that says where the pod is. A pod that
//! says already that it is there has been here before: the API server may call twice. What it has already is not added again.

use serde_json::{Map, Value};

use super::{api::Subset, keys::MATCHED, mark::Mark};
use crate::admission::edits::Edits;

mod adopt;
mod canonical;
mod changes;
mod known;
mod nodes;
mod patch;

pub use adopt::{is_reflected, metadata_patch};

/// Why a pod cannot be placed.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum InjectError {
    /// The subset's patch cannot be merged into the pod, or what comes out is no pod.
    #[error("subset {subset:?}: patch: {problem}")]
    Patch {
        /// The subset.
        subset: String,
        /// What is wrong.
        problem: String,
    },
    /// A member of the pod is not of its type.
    #[error("pod: {field}: expected {wanted}")]
    Pod {
        /// The member.
        field: &'static str,
        /// What should be there.
        wanted: &'static str,
    },
}

/// Makes of a pod what its place asks for, notes the changes, and gives the pod as it is then.
pub fn inject(pod: &Value, subset: &Subset, mark: &Mark, edits: &mut Edits) -> Result<Value, InjectError> {
    let after = placed(pod, subset, mark)?;
    changes::write(pod, &after, subset, edits);
    Ok(after)
}

/// Whether a pod has all that its place asks for: injecting it once more would change nothing that the API server keeps.
pub fn is_injected(pod: &Value, subset: &Subset, mark: &Mark) -> bool {
    placed(pod, subset, mark).is_ok_and(|after| canonical::kept(&after) == canonical::kept(pod))
}

/// Takes from a pod without a place what an earlier one wrote, notes the change, and gives the pod as it is then.
pub fn unplace(pod: &Value, edits: &mut Edits) -> Value {
    let mut after = pod.clone();
    let annotations = after.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations")).and_then(Value::as_object_mut);
    if annotations.is_some_and(|annotations| annotations.shift_remove(MATCHED).is_some()) {
        changes::remove(edits, &["metadata", "annotations", MATCHED]);
    }
    after
}

fn placed(pod: &Value, subset: &Subset, mark: &Mark) -> Result<Value, InjectError> {
    let mut after = pod.clone();
    let is_again = mark_of(pod).is_some_and(|old| old.spread == mark.spread && old.subset == mark.subset);
    part(&mut after, "metadata")?;
    nodes::constrain(part(&mut after, "spec")?, subset, is_again)?;
    if let Some(patch) = &subset.patch {
        let wrong = |problem| InjectError::Patch { subset: subset.name.clone(), problem };
        patch::apply(&mut after, patch, is_again).map_err(wrong)?;
    }
    let annotations = member_object(part(&mut after, "metadata")?, "annotations", "metadata.annotations")?;
    annotations.insert(MATCHED.to_owned(), Value::String(mark.write()));
    Ok(after)
}

/// A part that every pod has.
fn part<'v>(pod: &'v mut Value, name: &'static str) -> Result<&'v mut Map<String, Value>, InjectError> {
    pod.get_mut(name).and_then(Value::as_object_mut).ok_or(InjectError::Pod { field: name, wanted: "an object" })
}

fn mark_of(pod: &Value) -> Option<Mark> {
    Mark::read(pod.get("metadata")?.get("annotations")?.get(MATCHED)?.as_str()?)
}

/// The object at a member, which is made if it is not there. `field` is its path.
fn member_object<'v>(
    parent: &'v mut Map<String, Value>,
    name: &str,
    field: &'static str,
) -> Result<&'v mut Map<String, Value>, InjectError> {
    let slot = parent.entry(name).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().ok_or(InjectError::Pod { field, wanted: "an object" })
}

/// The list at a member, which is made if it is not there. `field` is its path.
fn member_list<'v>(parent: &'v mut Map<String, Value>, name: &str, field: &'static str) -> Result<&'v mut Vec<Value>, InjectError> {
    let slot = parent.entry(name).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut().ok_or(InjectError::Pod { field, wanted: "a list" })
}

#[cfg(test)]
mod tests;
