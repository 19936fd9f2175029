//! An object as it is stored, as far as its protection goes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    keys::{ALWAYS, CASCADING, LABEL, OWNER, REASON, UNTIL},
    until::Until,
};
use crate::base::decode::{DecodeError, Object, or_default};

/// What the label says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// There is no label.
    Free,
    /// It stays.
    Always,
    /// It stays while something hangs on it.
    Cascading,
    /// Nothing that is known.
    Unknown(String),
}

impl Mode {
    fn read(value: Option<&String>) -> Self {
        match value.map(String::as_str) {
            None => Self::Free,
            Some(ALWAYS) => Self::Always,
            Some(CASCADING) => Self::Cascading,
            Some(other) => Self::Unknown(other.to_owned()),
        }
    }
}

/// An object that is to be deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// Its namespace, empty if it has none.
    pub namespace: String,
    /// What its label says.
    pub mode: Mode,
    /// It is being deleted already.
    pub is_terminating: bool,
    /// Why it is protected, if it says so.
    pub reason: Option<String>,
    /// Who protects it, if it says so.
    pub owner: Option<String>,
    /// Until when.
    pub until: Until,
    /// All of it.
    pub object: Value,
}

#[derive(Default, Deserialize)]
struct Wire {
    #[serde(default)]
    metadata: Object<Metadata>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    namespace: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, Option<String>>,
    #[serde(default, deserialize_with = "or_default")]
    annotations: BTreeMap<String, Option<String>>,
    #[serde(default)]
    deletion_timestamp: Option<Timestamp>,
}

impl Stored {
    /// Reads an object.
    pub fn read(object: &RawValue) -> Result<Self, DecodeError> {
        let unreadable = |_| DecodeError::of::<Object<Wire>>(object);
        let wire: Object<Wire> = serde_json::from_str(object.get()).map_err(unreadable)?;
        let metadata = wire.0.unwrap_or_default().metadata.0.unwrap_or_default();
        let whole = |value: Option<String>| value.unwrap_or_default();
        let label = metadata.labels.get(LABEL).map(|value| whole(value.clone()));
        let annotation = |key: &str| metadata.annotations.get(key).map(|value| whole(value.clone()));
        let told = |key: &str| annotation(key).filter(|text| !text.trim().is_empty());
        Ok(Self {
            mode: Mode::read(label.as_ref()),
            is_terminating: metadata.deletion_timestamp.is_some(),
            reason: told(REASON),
            owner: told(OWNER),
            until: Until::read(annotation(UNTIL).as_deref()),
            name: metadata.name,
            namespace: metadata.namespace,
            object: serde_json::from_str(object.get()).map_err(unreadable)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(object: &Value) -> Result<Stored, String> {
        Stored::read(&serde_json::value::to_raw_value(object).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_label_is_read_letter_by_letter() {
        for (value, mode) in [
            (json!("Always"), Mode::Always),
            (json!("Cascading"), Mode::Cascading),
            (json!("always"), Mode::Unknown("always".to_owned())),
            (json!("Always "), Mode::Unknown("Always ".to_owned())),
            (json!(""), Mode::Unknown(String::new())),
            (json!(null), Mode::Unknown(String::new())),
        ] {
            assert_eq!(read(&json!({"metadata": {"labels": {LABEL: value}}})).unwrap().mode, mode);
        }
        for free in [json!({}), json!({"metadata": null}), json!({"metadata": {"labels": null, "annotations": {LABEL: "Always"}}})] {
            assert_eq!(read(&free).unwrap().mode, Mode::Free, "{free}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_field() {
        for (object, path) in [
            (json!({"metadata": {"labels": ["Always"]}}), "metadata.labels: "),
            (json!({"metadata": {"labels": {LABEL: 1}}}), "metadata.labels.policy"),
            (json!({"metadata": {"deletionTimestamp": "soon"}}), "metadata.deletionTimestamp: "),
            (json!({"metadata": []}), "metadata: "),
            (json!([]), ".: "),
        ] {
            let problem = read(&object).unwrap_err();
            assert!(problem.starts_with(path), "{object}: {problem}");
        }
    }

    #[test]
    fn annotations_say_why_by_whom_and_until_when() {
        let annotations = json!({REASON: "orders", OWNER: " ", UNTIL: "2026-12-01T12:00:00Z"});
        let stored = read(&json!({"metadata": {"name": "db", "namespace": "shop", "annotations": annotations}})).unwrap();
        assert_eq!((stored.reason.as_deref(), stored.owner), (Some("orders"), None));
        assert_eq!(stored.until, Until::At("2026-12-01T12:00:00Z".parse().unwrap()));
        assert_eq!((stored.name.as_str(), stored.namespace.as_str(), stored.is_terminating), ("db", "shop", false));
    }
}
