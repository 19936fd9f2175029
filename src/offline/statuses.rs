//! What the reconcilers would say of a folder's objects: nobody reconciles a folder, but the plans can be asked.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    sidecarset::plan::{Circumstances, plan},
    state::Snapshot,
};

/// Gives a SidecarSet that carries no status the one that its reconciler would write, where `now` is the present moment and
/// `own_namespace` the one where revisions are kept. One with a status keeps it, and other objects stay as they are.
pub(super) fn fill(object: &mut Value, snapshot: &Snapshot<'_>, own_namespace: &str, now: Timestamp) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_set = text("/kind") == "SidecarSet" && text("/apiVersion").starts_with("apps.kruise.io/");
    let has_status = object.get("status").is_some_and(|status| !status.is_null());
    if !is_set || has_status {
        return;
    }
    let Some(picture) = snapshot.picture_of(text("/metadata/name")) else { return };
    let circumstances = Circumstances { own_namespace, is_refused: &|_| false, may_change_native: true, now };
    let Some(mut patch) = plan(&picture, &circumstances).status else { return };
    let Some(Value::Object(mut status)) = patch.body.get_mut("status").map(Value::take) else { return };
    // In a patch, what is null is taken away.
    status.retain(|_, value| !value.is_null());
    if let Some(members) = object.as_object_mut() {
        members.insert("status".to_owned(), Value::Object(status));
    }
}
