//! Holds an object against the schema of its CRD, as the API server would: types, enumerations, required and unknown
//! members. So a slip in a manifest is found without a cluster, at the field where it is.

use serde_json::{Map, Value};

/// The first thing that is wrong with `value`, as path and problem.
pub fn check(value: &Value, schema: &Value, path: &str) -> Result<(), (String, String)> {
    let wrong = |problem: String| Err((if path.is_empty() { ".".to_owned() } else { path.to_owned() }, problem));
    if value.is_null() {
        return Ok(());
    }
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        let fits = value.is_string() || value.is_number();
        return if fits { Ok(()) } else { wrong(format!("expected an integer or a string, found {}", shown(value))) };
    }
    if let Some(expected) = schema.get("type").and_then(Value::as_str).filter(|expected| !is_of(value, expected)) {
        return wrong(format!("expected {expected}, found {}", shown(value)));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array).filter(|allowed| !allowed.contains(value)) {
        let allowed: Vec<_> = allowed.iter().map(shown).collect();
        return wrong(format!("expected one of {}, found {}", allowed.join(", "), shown(value)));
    }
    match value {
        Value::Object(members) => members_of(members, schema, path),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return Ok(()) };
            items.iter().enumerate().try_for_each(|(index, item)| check(item, schema, &format!("{path}[{index}]")))
        }
        _ => Ok(()),
    }
}

fn members_of(members: &Map<String, Value>, schema: &Value, path: &str) -> Result<(), (String, String)> {
    let at = |member: &str| if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") };
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    let is_open =
        schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) || (properties.is_none() && others.is_none());
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if members.get(name).is_none_or(Value::is_null) {
            return Err((at(name), "missing".to_owned()));
        }
    }
    for (name, value) in members {
        match properties.and_then(|properties| properties.get(name)).or(others) {
            Some(schema) => check(value, schema, &at(name))?,
            None if is_open => {}
            None => return Err((at(name), "there is no such field".to_owned())),
        }
    }
    Ok(())
}

fn is_of(value: &Value, expected: &str) -> bool {
    match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_found_at_its_field() {
        let schema = json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "mode": {"type": "string", "enum": ["sum", "max"]}, "n": {"x-kubernetes-int-or-string": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"port": {"type": "integer"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "boolean"}}}}}});
        let of = |value: Value| check(&value, &schema, "spec").map_err(|(path, problem)| format!("{path}: {problem}"));
        assert_eq!(
            of(
                json!({"name": "a", "mode": "sum", "n": "5%", "labels": {"x": "y"}, "open": {"what": 1}, "list": [{"a": true}], "n2": null})
            ),
            Err("spec.n2: there is no such field".to_owned())
        );
        assert_eq!(
            of(json!({"name": "a", "mode": "sum", "n": 5, "labels": {"x": "y"}, "open": {"what": 1, "port": 1}, "list": [{"a": null}]})),
            Ok(())
        );
        for (value, error) in [
            (json!({}), "spec.name: missing"),
            (json!([]), "spec: expected object, found a list"),
            (json!({"name": "a", "mode": "avg"}), "spec.mode: expected one of `sum`, `max`, found `avg`"),
            (json!({"name": "a", "n": true}), "spec.n: expected an integer or a string, found `true`"),
            (json!({"name": "a", "labels": {"x": 1}}), "spec.labels.x: expected string, found `1`"),
            (json!({"name": "a", "open": {"port": "80"}}), "spec.open.port: expected integer, found `80`"),
            (json!({"name": "a", "list": [{"a": true}, {"b": 1}]}), "spec.list[1].b: there is no such field"),
        ] {
            assert_eq!(of(value), Err(error.to_owned()));
        }
    }
}
