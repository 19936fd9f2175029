//! The `CustomResourceDefinition` of PodUnavailableBudget, and the parts of its schema that derive cannot express.
//!
//! No member may be null: the API server then takes a null for an absent member, and no rule in CEL ever sees one.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{api::PodUnavailableBudget, index::Operation};
use crate::base::definition::{Conversion, Rule, add_rules, each_node, in_two_versions, members};

/// What the API server checks by itself, also while no webhook answers: rules that no admitted budget breaks. They are about the spec
/// alone, which a write of the status does not change.
const RULES: [Rule; 7] = [
    ("spec", "has(self.selector) != has(self.targetRef)", "spec.selector, targetRef: exactly one of the two is required"),
    ("spec", "has(self.maxUnavailable) != has(self.minAvailable)", "spec.maxUnavailable, minAvailable: exactly one of the two is required"),
    (
        "spec",
        "has(self.selector) == has(oldSelf.selector) && has(self.targetRef) == has(oldSelf.targetRef) && (!has(self.selector) || self.selector == oldSelf.selector) && (!has(self.targetRef) || self.targetRef == oldSelf.targetRef)",
        "spec.selector, targetRef: selector and targetRef cannot be modified",
    ),
    (
        "spec.selector",
        "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
        "spec.selector: must select something: an empty selector guards no pod",
    ),
    (
        "spec.targetRef",
        "has(self.apiVersion) && size(self.apiVersion) > 0 && has(self.kind) && size(self.kind) > 0 && has(self.name) && size(self.name) > 0",
        "spec.targetRef: apiVersion, kind and name are required",
    ),
    ("spec.maxUnavailable", AMOUNT, "spec.maxUnavailable: must be a number of pods, or a percentage from 0% to 100%"),
    ("spec.minAvailable", AMOUNT, "spec.minAvailable: must be a number of pods, or a percentage from 0% to 100%"),
];

const AMOUNT: &str = "type(self) == int ? int(self) >= 0 : string(self).matches('^0*([0-9]{1,2}|100)%$')";

/// Members of the spec that only the present version has; the older one has annotations in their place.
const NEWER: [&str; 3] = ["protectOperations", "protectTotalReplicas", "ignoredPodSelector"];

/// The definition of the resource: namespaced, `v1beta1` stored, `v1alpha1` served beside it.
pub fn definition(conversion: &Conversion) -> Result<CustomResourceDefinition, serde_json::Error> {
    in_two_versions(PodUnavailableBudget::crd(), conversion, structural, as_v1alpha1)
}

/// What the API server asks of a schema, on top of what derive gives: nothing is filled in, selectors are replaced as a whole, and
/// the rules hold.
fn structural(mut validation: Value) -> Value {
    let Some(Value::Object(root)) = validation.get_mut("openAPIV3Schema") else { return validation };
    root.remove("title");
    root.insert("description".to_owned(), json!("How many pods of a workload, or of a selection, may be unavailable at a time."));
    each_node(root, &mut |node| {
        for (name, member) in members(node) {
            member.remove("default");
            member.remove("nullable");
            if matches!(name.as_str(), "selector" | "ignoredPodSelector") {
                member.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
            }
        }
    });
    add_rules(root, &RULES);
    validation
}

/// `v1alpha1` says in annotations what the newer members say. Its prose is that of `v1beta1`, and is not repeated.
fn as_v1alpha1(mut validation: Value) -> Value {
    if let Some(Value::Object(root)) = validation.get_mut("openAPIV3Schema") {
        each_node(root, &mut |node| drop(node.remove("description")));
    }
    if let Some(Value::Object(spec)) = validation.pointer_mut("/openAPIV3Schema/properties/spec/properties") {
        spec.retain(|name: &String, _| !NEWER.contains(&name.as_str()));
    }
    validation
}

/// A list of operations.
pub(super) fn operations(_: &mut SchemaGenerator) -> Schema {
    let names = Operation::ALL.map(Operation::name);
    json_schema!({"type": "array", "items": {"type": "string", "enum": names}})
}

/// A number of replicas, at least one.
pub(super) fn total(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32", "minimum": 1})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::definition::stored_schema;

    #[test]
    fn operations_and_total_have_the_bounds_of_the_reference() {
        let schema = stored_schema(definition(&Conversion::Off));
        let spec = &schema["properties"]["spec"]["properties"];
        assert_eq!(spec["protectOperations"]["items"]["enum"], json!(["DELETE", "UPDATE", "EVICT", "RESIZE"]));
        assert_eq!((&spec["protectTotalReplicas"]["minimum"], &spec["protectTotalReplicas"]["format"]), (&json!(1.0), &json!("int32")));
    }

    #[test]
    fn nothing_is_filled_in_and_nothing_may_be_null() {
        let schema = stored_schema(definition(&Conversion::Off)).to_string();
        assert!(schema.len() > 1000 && !schema.contains("\"default\"") && !schema.contains("nullable"), "{schema}");
    }
}
