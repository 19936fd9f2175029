//! Strategic merge patches: JSON merge patches that merge some lists item by item, as Kubernetes does.
//! (`k8s.io/apimachinery/pkg/util/strategicpatch`; reference: `workloadspread.md`, Appendix A)
//!
//! One thing is better here: of several items with one key, the one that a patch leaves as it is counts before the first, so that a
//! patch that brings a port for each protocol can be merged twice.

use serde_json::{Map, Value};

mod clean;
mod order;
mod pod;

pub use self::pod::{CONTAINER, POD};
use self::{
    clean::{cleaned, cleaned_items},
    order::arrange,
};

/// What an object holds that is not merged as in a JSON merge patch.
#[derive(Debug)]
pub struct Shape {
    /// Lists whose items are objects that are told apart by one of their members.
    pub lists: &'static [KeyedList],
    /// Lists of texts that are united.
    pub sets: &'static [&'static str],
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
pub const PLAIN: &Shape = &Shape { lists: &[], sets: &[], objects: &[] };

/// Why a patch cannot be merged.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum MergeError {
    /// An item of a keyed list lacks its key.
    #[error("an item of the list {list} does not contain the declared merge key {key}: {item}")]
    KeyMissing {
        /// The list.
        list: &'static str,
        /// Its key.
        key: &'static str,
        /// The item, as JSON.
        item: String,
    },
    /// `$patch` with a value that is none of `replace`, `delete` and `merge`, or another directive that we do not know.
    #[error("unknown directive {0} in a strategic merge patch")]
    Directive(String),
    /// A directive that is not a list.
    #[error("{directive}: expected a list, found {found}")]
    NoList {
        /// The directive.
        directive: String,
        /// What stands there, as JSON.
        found: String,
    },
}

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// The member that a key of a patch is about: directives about a list carry its name behind their own. `None` if it is about the whole
/// object.
pub fn subject(key: &str) -> Option<&str> {
    let named = key.strip_prefix(DELETE_FROM).or_else(|| key.strip_prefix(ORDER));
    named.or_else(|| (!key.starts_with('$')).then_some(key))
}

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
    if let Some(retained) = patch.shift_remove(RETAIN_KEYS) {
        let retained = listed(RETAIN_KEYS, retained)?;
        target.retain(|key, _| retained.iter().any(|name| name.as_str() == Some(key)));
    }
    set_orders(target, &mut patch, shape)?;
    patch.into_iter().try_for_each(|(key, value)| merge_member(target, key, value, shape))
}

/// Lists whose order the patch states are merged first, and then put into that order.
fn set_orders(target: &mut Map<String, Value>, patch: &mut Map<String, Value>, shape: &Shape) -> Result<(), MergeError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(ORDER)).cloned().collect();
    for directive in directives {
        let order = listed(&directive, patch.shift_remove(&directive).unwrap_or_default())?;
        let name = directive.strip_prefix(ORDER).unwrap_or_default();
        let before = target.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some(value) = patch.shift_remove(name) {
            merge_member(target, name.to_owned(), value, shape)?;
        }
        let key = list_of(shape, name).map(|list| list.key);
        if let Some(Value::Array(items)) = target.get_mut(name) {
            *items = arrange(std::mem::take(items), &order, &before, key);
        }
    }
    Ok(())
}

fn merge_member(target: &mut Map<String, Value>, key: String, value: Value, shape: &Shape) -> Result<(), MergeError> {
    if let Some(name) = key.strip_prefix(DELETE_FROM) {
        let gone = listed(&key, value)?;
        if let Some(Value::Array(items)) = target.get_mut(name) {
            items.retain(|item| !gone.contains(item));
        }
        return Ok(());
    }
    if key.starts_with('$') {
        return Err(MergeError::Directive(key));
    }
    let inner = shape.objects.iter().find(|(name, _)| *name == key).map_or(PLAIN, |(_, inner)| inner);
    match (target.get_mut(&key), value) {
        (_, Value::Null) => {
            target.shift_remove(&key);
        }
        (Some(Value::Object(old)), Value::Object(new)) => merge(old, new, inner)?,
        (Some(Value::Array(old)), Value::Array(new)) => merge_list(old, new, &key, shape)?,
        (_, Value::Object(new)) => {
            target.insert(key, Value::Object(cleaned(new, inner)?));
        }
        (_, Value::Array(new)) => {
            let item = list_of(shape, &key).map_or(PLAIN, |list| list.item);
            target.insert(key, Value::Array(cleaned_items(new, item)?));
        }
        (_, value) => {
            target.insert(key, value);
        }
    }
    Ok(())
}

fn merge_list(target: &mut Vec<Value>, patch: Vec<Value>, name: &str, shape: &Shape) -> Result<(), MergeError> {
    if let Some(list) = list_of(shape, name) {
        return merge_items(target, patch, list);
    }
    let mut patch = cleaned_items(patch, PLAIN)?;
    if shape.sets.contains(&name) {
        let before = target.clone();
        let mut all = std::mem::take(target);
        for item in &patch {
            if !all.contains(item) {
                all.push(item.clone());
            }
        }
        patch = arrange(all, &patch, &before, None);
    }
    *target = patch;
    Ok(())
}

fn merge_items(target: &mut Vec<Value>, patch: Vec<Value>, list: &KeyedList) -> Result<(), MergeError> {
    let (mut items, mut replaces) = (Vec::with_capacity(patch.len()), false);
    for item in patch {
        let Value::Object(mut item) = item else { return Err(missing(list, &item)) };
        match take_directive(&mut item)?.as_deref() {
            Some("replace") => replaces = true,
            Some("delete") => {
                let Some(key) = item.get(list.key) else { return Err(missing(list, &Value::Object(item))) };
                target.retain(|old| old.get(list.key) != Some(key));
            }
            _ => items.push(Value::Object(item)),
        }
    }
    if replaces {
        *target = cleaned_items(items, list.item)?;
        return Ok(());
    }
    let before = target.clone();
    for item in &items {
        merge_item(target, item, list)?;
    }
    *target = arrange(std::mem::take(target), &items, &before, Some(list.key));
    Ok(())
}

fn merge_item(target: &mut Vec<Value>, item: &Value, list: &KeyedList) -> Result<(), MergeError> {
    let Value::Object(patch) = item else { return Err(missing(list, item)) };
    let key = patch.get(list.key);
    let twins = target.iter().filter(|old| old.get(list.key) == key).count();
    // An item without a key can only be there already: a list that was not there is taken over as it is.
    if twins > 1 || key.is_none() {
        for old in target.iter().filter_map(Value::as_object).filter(|old| old.get(list.key) == key) {
            let mut merged = old.clone();
            merge(&mut merged, patch.clone(), list.item)?;
            if merged == *old {
                return Ok(());
            }
        }
    }
    if key.is_none() {
        return Err(missing(list, item));
    }
    if let Some(Value::Object(old)) = target.iter_mut().find(|old| old.get(list.key) == key) {
        return merge(old, patch.clone(), list.item);
    }
    target.push(Value::Object(cleaned(patch.clone(), list.item)?));
    Ok(())
}

fn list_of<'s>(shape: &'s Shape, name: &str) -> Option<&'s KeyedList> {
    shape.lists.iter().find(|list| list.name == name)
}

fn take_directive(patch: &mut Map<String, Value>) -> Result<Option<String>, MergeError> {
    match patch.shift_remove(DIRECTIVE) {
        None => Ok(None),
        Some(Value::String(directive)) if matches!(directive.as_str(), "replace" | "delete" | "merge") => Ok(Some(directive)),
        Some(other) => Err(MergeError::Directive(format!("{DIRECTIVE}: {other}"))),
    }
}

fn listed(directive: &str, value: Value) -> Result<Vec<Value>, MergeError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(MergeError::NoList { directive: directive.to_owned(), found: other.to_string() }),
    }
}

fn missing(list: &KeyedList, item: &Value) -> MergeError {
    MergeError::KeyMissing { list: list.name, key: list.key, item: item.to_string() }
}

#[cfg(test)]
mod tests;
