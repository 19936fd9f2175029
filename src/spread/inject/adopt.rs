//! Pods that were there before the spread, and which place is theirs. (reference: `workloadspread.md` §8.3.1)

use serde_json::{Map, Value, json};

use super::{canonical, patch};
use crate::spread::{api::Subset, keys::MATCHED, mark::Mark};

/// Whether all that a subset's patch says is in a pod already, annotations aside. A patch that does not fit the pod is not.
pub fn is_reflected(pod: &Value, patch: &Value) -> bool {
    let mut after = pod.clone();
    if patch::apply(&mut after, patch, false).is_err() {
        return false;
    }
    let [before, after] = [pod, &after].map(|pod| {
        let [mut metadata, spec] = canonical::kept(pod);
        metadata.as_object_mut().map(|metadata| metadata.shift_remove("annotations"));
        [metadata, spec]
    });
    before == after
}

/// The strategic merge patch that gives a running pod its place: what the subset patches into metadata, unless the spread leaves that
/// alone, and the mark. Its spec cannot be changed any more.
pub fn metadata_patch(subset: &Subset, leaves_metadata: bool, mark: &Mark) -> Value {
    let patched = subset.patch.as_ref().and_then(|patch| patch.get("metadata")).filter(|_| !leaves_metadata);
    let mut metadata = patched.and_then(Value::as_object).cloned().unwrap_or_default();
    let mut annotations = match metadata.shift_remove("annotations") {
        Some(Value::Object(annotations)) => annotations,
        // All that there are are to go.
        Some(Value::Null) => Map::from_iter([("$patch".to_owned(), json!("replace"))]),
        _ => Map::new(),
    };
    annotations.insert(MATCHED.to_owned(), Value::String(mark.write()));
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
    json!({"metadata": metadata})
}

#[cfg(test)]
mod tests;
