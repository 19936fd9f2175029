//! A way of writing large YAML: what fits on a line is written on one. A schema then has one line for each member of a
//! Kubernetes type, and half the size.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::FlowMap;

/// As JSON; beyond this an object gets a line for each member.
const LINE: usize = 140;

/// Written with small objects on one line.
pub(super) struct Compact<'a>(pub(super) &'a Value);

impl Serialize for Compact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) if self.0.to_string().len() <= LINE => FlowMap(members).serialize(serializer),
            Value::Object(members) => serializer.collect_map(members.iter().map(|(name, member)| (name, Compact(member)))),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Compact)),
            scalar => scalar.serialize(serializer),
        }
    }
}
