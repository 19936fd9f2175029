//! What a patch would do to an object, in a few words: which operations change anything, and where. Never the values: they may be secret.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::Edits;

/// One operation of a JSON Patch.
#[derive(Deserialize)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
}

impl Edits {
    /// The operations that change `object`, each as `OPERATION PATH`, in their order. Empty if the object is as they would make it
    /// already. An object that is no JSON is changed by all of them.
    pub fn effects(&self, object: &RawValue) -> Vec<String> {
        if self.is_empty() {
            return Vec::new();
        }
        let object: Value = serde_json::from_str(object.get()).unwrap_or_default();
        // Our own text: it is always good.
        let operations: Vec<Operation> = serde_json::from_str(&self.to_json_patch()).unwrap_or_default();
        // Up to the first one that changes anything, each is about the object as it came.
        let changing = operations.iter().skip_while(|operation| operation.is_idle(&object));
        changing.map(|operation| format!("{} {}", operation.op, operation.path)).collect()
    }
}

impl Operation {
    /// Whether it leaves the object as it is.
    fn is_idle(&self, object: &Value) -> bool {
        let is_there = object.pointer(&self.path) == Some(&self.value);
        match self.op.as_str() {
            "replace" => is_there,
            // What is added to a list stands there twice.
            "add" => is_there && !self.is_into_a_list(object),
            _ => false,
        }
    }

    fn is_into_a_list(&self, object: &Value) -> bool {
        let parent = self.path.rsplit_once('/').and_then(|(parent, _)| object.pointer(parent));
        parent.is_some_and(Value::is_array)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::edits::Step;

    const CONTAINERS: [Step<'_>; 2] = [Step::Member("spec"), Step::Member("containers")];

    fn effects(edits: &Edits, object: &Value) -> Vec<String> {
        edits.effects(&RawValue::from_string(object.to_string()).unwrap())
    }

    #[test]
    fn what_is_there_already_is_no_effect() {
        let pod = json!({"metadata": {"annotations": {"a/b": "1"}}, "spec": {"containers": [{"name": "a", "image": "i"}]}});
        let mut edits = Edits::default();
        edits.replace(&[CONTAINERS[0], CONTAINERS[1], Step::Item(0)], r#"{"image": "i", "name": "a"}"#);
        edits.set_annotation("a/b", "1".to_owned());
        assert!(!edits.is_empty());
        assert_eq!(effects(&edits, &pod), [""; 0]);
    }

    #[test]
    fn from_the_first_change_on_every_operation_is_told_without_its_value() {
        let pod = json!({"metadata": {"annotations": {"a/b": "1"}}, "spec": {"containers": [{"name": "a"}]}});
        let mut edits = Edits::default();
        edits.replace(&[CONTAINERS[0], CONTAINERS[1], Step::Item(0)], r#"{"name":"a"}"#);
        edits.add(&[CONTAINERS[0], CONTAINERS[1], Step::Item(0)], r#"{"name":"a"}"#);
        edits.set_annotation("a/b", "secret".to_owned());
        let told = effects(&edits, &pod);
        assert_eq!(told, ["add /spec/containers/0", "add /metadata/annotations/a~1b"], "what is added to a list is a change");
    }

    #[test]
    fn a_removal_and_a_new_member_are_changes() {
        let mut edits = Edits::default();
        edits.remove(&[Step::Member("spec")]);
        assert_eq!(effects(&edits, &json!({"spec": null})), ["remove /spec"]);
        let mut edits = Edits::default();
        edits.add(&[Step::Member("spec")], "null");
        assert_eq!(effects(&edits, &json!({})), ["add /spec"]);
        assert_eq!(effects(&Edits::default(), &json!({})), [""; 0]);
    }
}
