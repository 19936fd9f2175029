//! The `CustomResourceDefinition` of WorkloadSpread, and the parts of its schema that derive cannot express.
//!
//! No member may be null: the API server then takes a null for an absent member, and no rule in CEL ever sees one.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{api::WorkloadSpread, v1alpha1::RENAMED};
use crate::base::definition::{Conversion, Rule, add_rules, each_node, in_two_versions, members};

/// What the API server checks by itself, also while no webhook answers: rules that no admitted spread breaks. Of the list of subsets as
/// much as costs the same however long it is: a bound on it might refuse a spread that is stored.
const RULES: [Rule; 5] = [
    ("spec", "size(self.subsets) > 0", "spec.subsets: at least one is required"),
    (
        "spec",
        "size(self.subsets) < 2 || !has(self.scheduleStrategy) || !has(self.scheduleStrategy.adaptive) || !has(self.subsets[size(self.subsets) - 1].maxReplicas)",
        "spec.scheduleStrategy.adaptive: the last subset must take whatever the others do not: it must not have maxReplicas",
    ),
    (
        "spec.targetRef",
        "size(self.apiVersion) > 0 && size(self.kind) > 0 && size(self.name) > 0",
        "spec.targetRef: apiVersion, kind and name are required",
    ),
    (
        "spec.targetRef",
        "self.kind == oldSelf.kind && self.name == oldSelf.name && self.apiVersion.split('/')[0] == oldSelf.apiVersion.split('/')[0]",
        "spec.targetRef: the workload cannot be changed",
    ),
    (
        "spec.scheduleStrategy",
        "!has(self.adaptive) || (has(self.type) && self.type == 'Adaptive')",
        "spec.scheduleStrategy.adaptive: needs the type Adaptive",
    ),
];

/// Members without which nothing makes sense, beside those that derive finds, by the path of what they are in.
const REQUIRED: [(&str, &[&str]); 4] = [
    ("/properties/spec", &["targetRef", "subsets"]),
    ("/properties/spec/properties/targetRef", &["apiVersion", "kind", "name"]),
    ("/properties/spec/properties/subsets/items", &["name"]),
    ("/properties/status/properties/subsetStatuses/items", STATUS),
];

/// What the status of a subset always says.
const STATUS: &[&str] = &["name", "replicas", "missingReplicas"];
const REVISION: &str = "/properties/status/properties/versionedSubsetStatuses/additionalProperties/items";

/// The definition of the resource: namespaced, `v1beta1` stored, `v1alpha1` served beside it.
pub fn definition(conversion: &Conversion) -> Result<CustomResourceDefinition, serde_json::Error> {
    in_two_versions(WorkloadSpread::crd(), conversion, structural, as_v1alpha1)
}

/// What the API server asks of a schema, on top of what derive gives: nothing is filled in, terms and selectors are replaced as a
/// whole, and the rules hold.
fn structural(mut validation: Value) -> Value {
    let Some(root) = validation.get_mut("openAPIV3Schema") else { return validation };
    for (path, names) in REQUIRED.into_iter().chain([(REVISION, STATUS)]) {
        if let Some(Value::Object(node)) = root.pointer_mut(path) {
            node.insert("required".to_owned(), json!(names));
        }
    }
    let Value::Object(root) = root else { return validation };
    root.remove("title");
    root.insert("description".to_owned(), json!("How the pods of a workload are shared out among places."));
    each_node(root, &mut |node| {
        for (name, member) in members(node) {
            member.remove("default");
            member.remove("nullable");
            if matches!(name.as_str(), "selector" | "requiredNodeSelector" | "preference") {
                member.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
            }
            if name == "maxReplicas" {
                member.insert("minimum".to_owned(), json!(0));
            }
        }
    });
    add_rules(root, &RULES);
    validation
}

/// `v1alpha1` has other names for two members of a subset, and asks less of a condition. Its prose is that of `v1beta1`, and is not
/// repeated.
fn as_v1alpha1(mut validation: Value) -> Value {
    if let Some(Value::Object(root)) = validation.get_mut("openAPIV3Schema") {
        each_node(root, &mut |node| {
            node.remove("description");
            for (name, member) in members(node) {
                if name == "conditions" {
                    relax_condition(member);
                }
            }
        });
    }
    let subset = "/openAPIV3Schema/properties/spec/properties/subsets/items/properties";
    if let Some(Value::Object(subset)) = validation.pointer_mut(subset) {
        for (older, newer) in RENAMED {
            if let Some(member) = subset.remove(newer) {
                subset.insert(older.to_owned(), member);
            }
        }
    }
    validation
}

fn relax_condition(conditions: &mut Map<String, Value>) {
    if let Some(Value::Object(condition)) = conditions.get_mut("items") {
        condition.insert("required".to_owned(), json!(["type", "status"]));
        if let Some(Value::Object(members)) = condition.get_mut("properties") {
            members.remove("observedGeneration");
        }
    }
}

/// A patch may say anything.
pub(super) fn patch(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// `Fixed`, which may be left out, or `Adaptive`.
pub(super) fn strategy(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["Adaptive", "Fixed", ""]})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::definition::stored_schema;

    #[test]
    fn strategies_are_those_of_the_reference_and_a_patch_may_say_anything() {
        let schema = stored_schema(definition(&Conversion::Off));
        let spec = &schema["properties"]["spec"]["properties"];
        assert_eq!(spec["scheduleStrategy"]["properties"]["type"]["enum"], json!(["Adaptive", "Fixed", ""]));
        let patch = &spec["subsets"]["items"]["properties"]["patch"];
        assert_eq!((&patch["x-kubernetes-preserve-unknown-fields"], patch.get("properties")), (&json!(true), None));
    }

    #[test]
    fn nothing_is_filled_in_and_nothing_may_be_null() {
        let schema = stored_schema(definition(&Conversion::Off)).to_string();
        assert!(schema.len() > 1000 && !schema.contains("\"default\"") && !schema.contains("nullable"), "{schema}");
    }
}
