//! Annotations that sets put on pods.

mod json;

use std::{borrow::Cow, collections::BTreeMap};

use json::Json;

use super::api::PodMetadataPatch;

/// Why an annotation cannot be merged. The texts are those of the reference, which clients may look for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unmergeable {
    /// What the pod has is not JSON, or JSON `null`, or nested too deeply.
    #[error("Invalid JSON Document")]
    Document,
    /// What the set has is not JSON, or neither an object nor an array, or nested too deeply.
    #[error("Invalid JSON Patch")]
    Patch,
}

/// An annotation that cannot be merged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct MetadataError {
    /// The annotation's key; not part of the message.
    pub key: String,
    /// What is wrong.
    pub reason: Unmergeable,
}

/// The annotations that `patches` change, with their new values, sorted by key. `present` is what the pod has, together with what
/// the patches of other sets made of it.
pub fn patched<'a>(
    patches: &'a [PodMetadataPatch],
    present: impl Fn(&str) -> Option<&'a str>,
) -> Result<Vec<(&'a str, Cow<'a, str>)>, MetadataError> {
    let mut changed: BTreeMap<&str, Cow<str>> = BTreeMap::new();
    for patch in patches {
        for (key, value) in &patch.annotations {
            let old = changed.get(key.as_str()).map(|value| &**value).or_else(|| present(key));
            let new = match (patch.patch_policy.as_deref().unwrap_or_default(), old) {
                ("" | "Retain", None) | ("Overwrite", _) | ("MergePatchJson", None | Some("")) => Cow::Borrowed(value.as_str()),
                ("MergePatchJson", Some(old)) => {
                    let merged = merged(old, value).map_err(|reason| MetadataError { key: key.clone(), reason })?;
                    let Some(merged) = merged else { continue };
                    Cow::Owned(merged)
                }
                // A policy that no one knows changes nothing.
                _ => continue,
            };
            changed.insert(key, new);
        }
    }
    changed.retain(|key, value| present(key) != Some(value));
    Ok(changed.into_iter().collect())
}

/// The old text with the patch merged into it (RFC 7396), or none if it is to stay as it is: what an earlier injection left, and what
/// already says the same, is not spelled anew.
fn merged(old: &str, patch: &str) -> Result<Option<String>, Unmergeable> {
    if old == patch {
        return Ok(None);
    }
    let document = Json::parse(old).ok_or(Unmergeable::Document)?;
    let patch = Json::parse(patch).ok_or(Unmergeable::Patch)?;
    if document.is_null() {
        return Err(Unmergeable::Document);
    }
    if !patch.is_structured() {
        return Err(Unmergeable::Patch);
    }
    let merged = document.clone().merged(patch);
    Ok((!merged.means(&document)).then(|| merged.to_string()))
}

#[cfg(test)]
mod tests;
