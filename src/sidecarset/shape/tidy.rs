use serde_json::{Map, Value};

use super::{Field, Kind, Written, is_zero};

/// Leaves of the object what Go, having read it, would write: nulls and empty members go, those that are always written come, and
/// quantities get their canonical text. Members that the shape does not know stay as they are.
pub fn tidy(fields: &[Field], object: &mut Map<String, Value>) {
    for field in fields {
        if object.get(field.name).is_none_or(Value::is_null) {
            if field.written != Written::OrNull {
                object.shift_remove(field.name);
            }
            if field.written != Written::Always {
                continue;
            }
            object.insert(field.name.to_owned(), zero(&field.kind));
        }
        let Some(value) = object.get_mut(field.name) else { continue };
        tidy_value(&field.kind, value);
        if field.written == Written::IfNotZero && is_zero(value) {
            object.shift_remove(field.name);
        }
    }
}

fn tidy_value(kind: &Kind, value: &mut Value) {
    match (kind, value) {
        (Kind::Record(fields), Value::Object(members)) => tidy(fields, members),
        (Kind::List(item), Value::Array(items)) => items.iter_mut().for_each(|value| tidy_item(item, value)),
        (Kind::Map(of), Value::Object(members)) => members.values_mut().for_each(|value| tidy_item(of, value)),
        (Kind::Quantity, value) => {
            if let Some(text) = super::write::canonical(value) {
                *value = Value::String(text);
            }
        }
        _ => {}
    }
}

/// Within lists and maps a null is a zero value.
fn tidy_item(kind: &Kind, value: &mut Value) {
    if value.is_null() {
        *value = zero(kind);
    }
    tidy_value(kind, value);
}

fn zero(kind: &Kind) -> Value {
    match kind {
        Kind::Text => Value::String(String::new()),
        Kind::Flag => Value::Bool(false),
        Kind::Int32 | Kind::Int64 | Kind::IntOrText => Value::from(0),
        Kind::Quantity => Value::from("0"),
        Kind::Record(_) | Kind::Map(_) => Value::Object(Map::new()),
        Kind::List(_) => Value::Array(Vec::new()),
        Kind::Opaque => Value::Null,
    }
}
