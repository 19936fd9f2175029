use serde_json::{Map, Value};

use super::{Field, Kind, Written, is_zero, quantity_text};
use crate::base::{go_json, quantity::Quantity};

/// Appends the object as the reference's type of this shape is written by Go: its members in their order, all others left out.
pub fn write<'f>(out: &mut String, fields: impl IntoIterator<Item = &'f Field>, object: Option<&Map<String, Value>>) {
    let members = fields.into_iter().filter_map(|field| {
        let value = object.and_then(|object| object.get(field.name)).filter(|value| !value.is_null());
        is_written(field, value).then_some((field.name, (field, value)))
    });
    go_json::write_members(out, members, |out, (field, value)| {
        if value.is_none() && field.written == Written::OrNull {
            out.push_str("null");
        } else {
            write_kind(out, &field.kind, value);
        }
    });
}

fn is_written(field: &Field, value: Option<&Value>) -> bool {
    match field.written {
        Written::Always | Written::OrNull => true,
        Written::IfGiven => value.is_some(),
        Written::IfNotZero => value.is_some_and(|value| !is_zero(value)),
    }
}

/// A value of another type than the shape's is written as the zero value: Go would have refused to read it.
fn write_kind(out: &mut String, kind: &Kind, value: Option<&Value>) {
    match kind {
        Kind::Text => go_json::write_string(out, value.and_then(Value::as_str).unwrap_or_default()),
        Kind::Flag => out.push_str(if value.and_then(Value::as_bool) == Some(true) { "true" } else { "false" }),
        Kind::Int32 | Kind::Int64 => out.push_str(&value.and_then(Value::as_i64).unwrap_or_default().to_string()),
        Kind::IntOrText => match value {
            Some(Value::String(name)) => go_json::write_string(out, name),
            _ => write_kind(out, &Kind::Int32, value),
        },
        Kind::Quantity => go_json::write_string(out, value.and_then(canonical).as_deref().unwrap_or("0")),
        Kind::Record(fields) => write(out, *fields, value.and_then(Value::as_object)),
        Kind::List(item) => {
            let items = value.and_then(Value::as_array).into_iter().flatten();
            go_json::write_list(out, items, |out, value| write_kind(out, item, Some(value)));
        }
        Kind::Map(of) => {
            let members = value.and_then(Value::as_object).map(go_json::sorted).unwrap_or_default();
            go_json::write_members(out, members, |out, value| write_kind(out, of, Some(value)));
        }
        Kind::Opaque => go_json::write_value(out, value.unwrap_or(&Value::Null)),
    }
}

/// The canonical text of a quantity; what is no quantity stays as it is.
pub(super) fn canonical(value: &Value) -> Option<String> {
    let text = quantity_text(value)?;
    Some(Quantity::parse(&text).map_or_else(|_| text.to_string(), |quantity| quantity.to_string()))
}
