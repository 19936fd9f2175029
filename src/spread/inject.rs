//! What a place makes of a pod. (reference: `workloadspread.md` §5.7)

use serde_json::Value;

use super::{api::Subset, mark::Mark};
use crate::admission::edits::Edits;

/// Why a pod cannot be placed.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum InjectError {
    /// The subset's patch cannot be merged into the pod.
    #[error("subset {subset:?}: patch: {problem}")]
    Patch {
        /// The subset.
        subset: String,
        /// What is wrong.
        problem: String,
    },
}

/// Makes of a pod what its place asks for, notes the changes, and gives the pod as it is then.
pub fn inject(pod: &Value, subset: &Subset, mark: &Mark, edits: &mut Edits) -> Result<Value, InjectError> {
    let _ = (subset, mark, edits);
    Ok(pod.clone())
}

/// Whether a pod is as its place makes it already.
pub fn is_injected(_: &Value, _: &Subset, _: &Mark) -> bool {
    false
}

/// Takes from a pod what it says of a place that it does not have.
pub fn unplace(pod: &Value, _: &mut Edits) -> Value {
    pod.clone()
}
