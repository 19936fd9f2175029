//! What a patch puts where nothing was: itself, without what it only says of things that are there.

use serde_json::{Map, Value};

use super::{DIRECTIVE, MergeError, PLAIN, Shape, merge};

/// An object without directives and without members that are `null`.
pub(super) fn cleaned(object: Map<String, Value>, shape: &Shape) -> Result<Map<String, Value>, MergeError> {
    let mut clean = Map::with_capacity(object.len());
    merge(&mut clean, object, shape)?;
    Ok(clean)
}

/// A list without items that are there only to delete others. Its items may lack their keys, and have one twice.
pub(super) fn cleaned_items(items: Vec<Value>, shape: &Shape) -> Result<Vec<Value>, MergeError> {
    let is_order = |item: &Value| item.get(DIRECTIVE).is_some_and(|directive| directive == "delete" || directive == "replace");
    let clean = |item| {
        Ok(match item {
            Value::Object(object) => Value::Object(cleaned(object, shape)?),
            Value::Array(items) => Value::Array(cleaned_items(items, PLAIN)?),
            plain => plain,
        })
    };
    items.into_iter().filter(|item| !is_order(item)).map(clean).collect()
}
