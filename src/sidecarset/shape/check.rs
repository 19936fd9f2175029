use serde_json::{Map, Value};

use super::{Field, Kind, quantity_text};
use crate::base::quantity::Quantity;

/// What a quantity should be.
pub const QUANTITY: &str = "a quantity, such as 100m or 1Gi";

/// A member that holds something else than it must.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{path}: must be {wanted}")]
pub struct WrongType {
    /// Where it is, beginning with the member of the object that was checked.
    pub path: String,
    /// What should be there.
    pub wanted: &'static str,
}

impl WrongType {
    /// The same, seen from further out.
    #[must_use]
    pub fn under(mut self, outer: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{outer}{dot}{}", self.path);
        self
    }
}

/// Whether Go could read the object as the reference's type of this shape.
pub fn check(fields: &[Field], object: &Map<String, Value>) -> Result<(), WrongType> {
    for field in fields {
        if let Some(value) = object.get(field.name) {
            check_value(&field.kind, value).map_err(|wrong| wrong.under(field.name))?;
        }
    }
    Ok(())
}

fn check_value(kind: &Kind, value: &Value) -> Result<(), WrongType> {
    match (kind, value) {
        // Go takes a null for the zero value of anything.
        (_, Value::Null) => Ok(()),
        (Kind::Record(fields), Value::Object(members)) => check(fields, members),
        (Kind::List(item), Value::Array(items)) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| check_value(item, value).map_err(|wrong| wrong.under(&format!("[{index}]")))),
        (Kind::Map(of), Value::Object(members)) => {
            members.iter().try_for_each(|(key, value)| check_value(of, value).map_err(|wrong| wrong.under(&format!("[{key}]"))))
        }
        _ => match wanted(kind, value) {
            None => Ok(()),
            Some(wanted) => Err(WrongType { path: String::new(), wanted }),
        },
    }
}

/// What should be there, if the value is not it.
fn wanted(kind: &Kind, value: &Value) -> Option<&'static str> {
    let is_int32 = || value.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
    let (fits, wanted) = match kind {
        Kind::Text => (value.is_string(), "a string"),
        Kind::Flag => (value.is_boolean(), "true or false"),
        Kind::Int32 => (is_int32(), "a whole number of 32 bits"),
        Kind::Int64 => (value.is_i64(), "a whole number of 64 bits"),
        Kind::IntOrText => (value.is_string() || is_int32(), "a whole number of 32 bits, or a string"),
        Kind::Quantity => (quantity_text(value).is_some_and(|text| Quantity::parse(&text).is_ok()), QUANTITY),
        Kind::Record(_) | Kind::Map(_) => (false, "an object"),
        Kind::List(_) => (false, "a list"),
        Kind::Opaque => (true, ""),
    };
    (!fits).then_some(wanted)
}
