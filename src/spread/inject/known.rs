//! Members that nobody knows, and that a patch would bring into pods: they are left out, as the API server would do. What the pod has
//! brought itself stays, whoever knows it.

use serde_json::{Map, Value};

use crate::base::strategic_merge::{POD, Shape, subject};

/// What every pod has.
const OF_PODS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Takes out of a patched pod what the patch has brought and what is not in `kept`: its metadata and its spec, as far as they are known.
pub(super) fn leave_out(pod: &mut Map<String, Value>, patch: &Map<String, Value>, kept: &[Value; 2]) {
    pod.retain(|name, _| OF_PODS.contains(&name.as_str()) || !patch.contains_key(name));
    for (name, kept) in ["metadata", "spec"].into_iter().zip(kept) {
        let shape = POD.objects.iter().find(|(member, _)| *member == name).map(|(_, shape)| *shape);
        if let (Some(member), Some(said), Some(kept)) = (pod.get_mut(name), patch.get(name), kept.as_object()) {
            prune(member, said, &Value::Object(kept.clone()), shape);
        }
    }
}

fn prune(value: &mut Value, said: &Value, kept: &Value, shape: Option<&Shape>) {
    let (Value::Object(members), Value::Object(said), Value::Object(kept)) = (value, said, kept) else { return };
    for (name, said) in said.iter().filter(|(name, _)| subject(name).is_some_and(|of| of == name.as_str())) {
        let list = shape.and_then(|shape| shape.lists.iter().find(|list| list.name == name));
        let inner = shape.and_then(|shape| shape.objects.iter().find(|(member, _)| member == name)).map(|(_, inner)| *inner);
        match (members.get_mut(name), kept.get(name)) {
            // What is empty is not written, known or not.
            (Some(value), None) if !is_empty(value) => drop(members.shift_remove(name)),
            (Some(Value::Array(items)), Some(Value::Array(kept))) => {
                for (item, kept) in items.iter_mut().zip(kept) {
                    let is_it = |said: &&Value| list.is_none_or(|list| said.get(list.key) == item.get(list.key));
                    if let Some(said) = said.as_array().into_iter().flatten().find(is_it).cloned() {
                        prune(item, &said, kept, list.map(|list| list.item));
                    }
                }
            }
            (Some(value), Some(kept)) => prune(value, said, kept, inner),
            _ => {}
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_knows_does_not_come_with_a_patch_but_stays_with_its_pod() {
        let mut pod = json!({"kind": "Pod", "own": 1, "extra": 1, "metadata": {"name": "x", "own": 1, "speed": "high"},
            "spec": {"speed": "high", "own": 1, "containers": [
                {"name": "log", "own": 1}, {"name": "web", "own": 1, "resources": {"limit": {"cpu": "1"}, "limits": {"cpu": "1"}}}]}});
        let patch = json!({"extra": 1, "metadata": {"speed": "high"}, "spec": {"speed": "high", "containers": [
            {"name": "web", "resources": {"limit": {"cpu": "1"}, "limits": {"cpu": "1"}}}]}});
        let kept = [json!({"name": "x"}), json!({"containers": [{"name": "log"}, {"name": "web", "resources": {"limits": {"cpu": "1"}}}]})];
        leave_out(pod.as_object_mut().unwrap(), patch.as_object().unwrap(), &kept);
        let want = json!({"kind": "Pod", "own": 1, "metadata": {"name": "x", "own": 1}, "spec": {"own": 1, "containers": [
            {"name": "log", "own": 1}, {"name": "web", "own": 1, "resources": {"limits": {"cpu": "1"}}}]}});
        assert_eq!(pod, want);
    }
}
