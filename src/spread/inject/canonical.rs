//! How the API server writes what it has read. It does so between the calls of two hooks, and between two calls of one: what differs
//! only in that is the same.

use k8s_openapi::{api::core::v1::PodSpec, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::base::quantity::Quantity;

/// A value without members that are empty: texts, lists and `null`.
pub(super) fn without_empties(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(key, value)| (key, without_empties(value)));
            Value::Object(members.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empties).collect()),
        other => other,
    }
}

/// Objects whose keys are anybody's own.
const OF_USERS: [&str; 6] = ["annotations", "labels", "matchLabels", "nodeSelector", "options", "volumeAttributes"];

/// Writes the amounts in a member of a pod's spec, which may be numbers, as Kubernetes does. Says of the first that is none where it
/// stands, from here on.
pub(super) fn write_amounts(name: &str, value: &mut Value) -> Result<(), String> {
    match value {
        Value::Object(_) if OF_USERS.contains(&name) => Ok(()),
        Value::Object(amounts) if matches!(name, "limits" | "requests" | "overhead") => {
            let mut amounts = amounts.iter_mut().filter(|(name, _)| !name.starts_with('$'));
            amounts.try_for_each(|(name, amount)| write_amount(amount).map_err(|problem| format!(".{name}{problem}")))
        }
        Value::Object(members) => {
            members.iter_mut().try_for_each(|(name, member)| write_amounts(name, member).map_err(|problem| format!(".{name}{problem}")))
        }
        Value::Array(items) => {
            let mut items = items.iter_mut().enumerate();
            items.try_for_each(|(at, item)| write_amounts("", item).map_err(|problem| format!("[{at}]{problem}")))
        }
        amount if matches!(name, "sizeLimit" | "divisor") => write_amount(amount),
        _ => Ok(()),
    }
}

fn write_amount(amount: &mut Value) -> Result<(), String> {
    let text = match &*amount {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        // What else stands there is found where types are checked.
        _ => return Ok(()),
    };
    let quantity = Quantity::parse(text.trim()).map_err(|error| format!(": {error}"))?;
    *amount = Value::String(quantity.to_string());
    Ok(())
}

/// What the API server keeps of a pod when it has read it, its status aside.
pub(super) fn kept(pod: &Value) -> [Value; 2] {
    let member = |name: &str| pod.get(name).cloned().unwrap_or_default();
    let mut spec = reread::<PodSpec>(member("spec"));
    if let Value::Object(spec) = &mut spec {
        // One that cannot be read is as different as it looks.
        let _ = spec.iter_mut().try_for_each(|(name, member)| write_amounts(name, member));
    }
    [without_empties(reread::<ObjectMeta>(member("metadata"))), without_empties(spec)]
}

/// Members that the type does not know are gone. What is not of the type stays as it is.
fn reread<T: DeserializeOwned + Serialize>(value: Value) -> Value {
    let again = T::deserialize(&value).ok().and_then(|read| serde_json::to_value(read).ok());
    again.unwrap_or(value)
}
