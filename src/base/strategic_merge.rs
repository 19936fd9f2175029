//! Strategic merge patches: JSON merge patches that merge some lists item by item, as Kubernetes does.

use serde_json::{Map, Value};

/// What an object holds that is not merged as in a JSON merge patch.
#[derive(Debug)]
pub struct Shape {
    /// Lists whose items are objects that are told apart by one of their members.
    pub lists: &'static [KeyedList],
    /// Objects that hold such lists further down.
    pub objects: &'static [(&'static str, &'static Self)],
}

/// A list whose items are merged by one of their members.
#[derive(Debug)]
pub struct KeyedList {
    /// The list's key in its object.
    pub name: &'static str,
    /// The member that tells its items apart.
    pub key: &'static str,
    /// What the items hold.
    pub item: &'static Shape,
}

/// An object without such lists.
pub const PLAIN: &Shape = &Shape { lists: &[], objects: &[] };

/// Why a patch cannot be merged.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum MergeError {
    /// An item of a keyed list lacks its key.
    #[error("an item of the list {list} does not contain the declared merge key {key}")]
    KeyMissing {
        /// The list.
        list: &'static str,
        /// Its key.
        key: &'static str,
    },
    /// `$patch` with a value that is none of `replace`, `delete` and `merge`, or another directive that we do not know.
    #[error("unknown directive {0} in a strategic merge patch")]
    Directive(String),
}

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";

/// Merges `patch` into `target`.
pub fn merge(target: &mut Map<String, Value>, mut patch: Map<String, Value>, shape: &Shape) -> Result<(), MergeError> {
    match take_directive(&mut patch)?.as_deref() {
        Some("replace") => {
            *target = patch;
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        _ => {}
    }
    if let Some(Value::Array(retained)) = patch.shift_remove(RETAIN_KEYS) {
        target.retain(|key, _| retained.iter().any(|name| name.as_str() == Some(key)));
    }
    patch.into_iter().try_for_each(|(key, value)| merge_member(target, key, value, shape))
}

fn merge_member(target: &mut Map<String, Value>, key: String, value: Value, shape: &Shape) -> Result<(), MergeError> {
    if key.starts_with('$') {
        return Err(MergeError::Directive(key));
    }
    let list = shape.lists.iter().find(|list| list.name == key);
    let inner = shape.objects.iter().find(|(name, _)| *name == key).map_or(PLAIN, |(_, inner)| inner);
    match (target.get_mut(&key), value) {
        (_, Value::Null) => {
            target.shift_remove(&key);
        }
        (Some(Value::Object(old)), Value::Object(new)) => merge(old, new, inner)?,
        (Some(Value::Array(old)), Value::Array(new)) if list.is_some() => merge_list(old, new, list)?,
        (_, Value::Object(new)) => {
            let mut inserted = Map::new();
            merge(&mut inserted, new, inner)?;
            target.insert(key, Value::Object(inserted));
        }
        (_, Value::Array(new)) => {
            let mut inserted = Vec::new();
            merge_list(&mut inserted, new, list)?;
            target.insert(key, Value::Array(inserted));
        }
        (_, value) => {
            target.insert(key, value);
        }
    }
    Ok(())
}

/// Items are merged in the order of the patch; those that are new come to the end.
fn merge_list(target: &mut Vec<Value>, patch: Vec<Value>, list: Option<&KeyedList>) -> Result<(), MergeError> {
    let Some(list) = list else {
        *target = patch;
        return Ok(());
    };
    let mut items = Vec::with_capacity(patch.len());
    for item in patch {
        let Value::Object(mut item) = item else { return Err(missing(list)) };
        match take_directive(&mut item)?.as_deref() {
            Some("replace") => target.clear(),
            Some("delete") => {
                let key = item.get(list.key).ok_or_else(|| missing(list))?;
                target.retain(|old| old.get(list.key) != Some(key));
            }
            _ => items.push(item),
        }
    }
    items.into_iter().try_for_each(|item| merge_item(target, item, list))
}

fn merge_item(target: &mut Vec<Value>, item: Map<String, Value>, list: &KeyedList) -> Result<(), MergeError> {
    let key = item.get(list.key).ok_or_else(|| missing(list))?;
    let old = target.iter_mut().find(|old| old.get(list.key) == Some(key));
    if let Some(Value::Object(old)) = old {
        return merge(old, item, list.item);
    }
    let mut inserted = Map::new();
    merge(&mut inserted, item, list.item)?;
    target.push(Value::Object(inserted));
    Ok(())
}

fn take_directive(patch: &mut Map<String, Value>) -> Result<Option<String>, MergeError> {
    match patch.shift_remove(DIRECTIVE) {
        None => Ok(None),
        Some(Value::String(directive)) if matches!(directive.as_str(), "replace" | "delete" | "merge") => Ok(Some(directive)),
        Some(other) => Err(MergeError::Directive(format!("{DIRECTIVE}: {other}"))),
    }
}

fn missing(list: &KeyedList) -> MergeError {
    MergeError::KeyMissing { list: list.name, key: list.key }
}

#[cfg(test)]
mod tests;
