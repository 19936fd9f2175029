//! What a patch puts where nothing was: itself, without what it only says of things that are there.

use serde_json::{Map, Value};

use super::{DELETE_FROM, DIRECTIVE, MergeError, ORDER, RETAIN_KEYS, take_directive};

/// An object without directives and without members that are `null`.
pub(super) fn cleaned(mut object: Map<String, Value>) -> Result<Map<String, Value>, MergeError> {
    // What it says is of no matter here, only whether it says something that exists.
    take_directive(&mut object)?;
    let mut clean = Map::with_capacity(object.len());
    for (key, value) in object {
        if key.starts_with('$') {
            if key != RETAIN_KEYS && !key.starts_with(DELETE_FROM) && !key.starts_with(ORDER) {
                return Err(MergeError::Directive(key));
            }
        } else if !value.is_null() {
            clean.insert(key, cleaned_value(value)?);
        }
    }
    Ok(clean)
}

/// A list without items that are there only to delete others.
pub(super) fn cleaned_items(items: Vec<Value>) -> Result<Vec<Value>, MergeError> {
    let is_order = |item: &Value| item.get(DIRECTIVE).is_some_and(|directive| directive == "delete" || directive == "replace");
    items.into_iter().filter(|item| !is_order(item)).map(cleaned_value).collect()
}

fn cleaned_value(value: Value) -> Result<Value, MergeError> {
    Ok(match value {
        Value::Object(object) => Value::Object(cleaned(object)?),
        Value::Array(items) => Value::Array(cleaned_items(items)?),
        plain => plain,
    })
}
