//! The `CustomResourceDefinition` of spreads: what the reference's says, and the rules of our own.

use std::{collections::BTreeSet, path::Path};

use outrigger::manifests::{Rendering, files};
use serde_json::{Value, json};

use super::{
    definition::{assert_structural, nodes, versions},
    registered, the_one,
};

fn rendered() -> Value {
    the_one(&files(&Rendering::default()).unwrap(), Path::new("crds/workloadspreads.apps.kruise.io.yaml"))
}

/// The schemas of the newer and of the older version.
fn schemas() -> [Value; 2] {
    let definition = rendered();
    [0, 1].map(|version| definition["spec"]["versions"][version]["schema"]["openAPIV3Schema"]["properties"].clone())
}

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn both_versions_are_served_and_the_newer_one_is_stored() {
    let definition = rendered();
    let names = json!({"kind": "WorkloadSpread", "plural": "workloadspreads", "singular": "workloadspread", "shortNames": ["ws"]});
    assert_eq!((&definition["spec"]["scope"], &definition["spec"]["names"]), (&json!("Namespaced"), &names));
    let versions: Vec<_> = versions(&definition).iter().map(|v| (v["name"].clone(), v["served"].clone(), v["storage"].clone())).collect();
    assert_eq!(versions, [(json!("v1beta1"), json!(true), json!(true)), (json!("v1alpha1"), json!(true), json!(false))]);
    assert_eq!(definition["spec"]["conversion"]["webhook"]["clientConfig"]["service"]["path"], "/convert");
}

#[test]
fn both_versions_have_a_status_and_columns_that_say_how_subsets_stand() {
    for version in versions(&rendered()) {
        assert_eq!(version["subresources"], json!({"status": {}}));
        let columns = version["additionalPrinterColumns"].as_array().unwrap();
        let columns: Vec<_> =
            columns.iter().map(|c| ["name", "type", "jsonPath"].map(|member| c[member].as_str().unwrap().to_owned()).join(" ")).collect();
        assert_eq!(
            columns,
            [
                "WorkloadName string .spec.targetRef.name",
                "WorkloadKind string .spec.targetRef.kind",
                "Strategy string .spec.scheduleStrategy.type",
                "Subsets string .status.summary",
                "Age date .metadata.creationTimestamp",
            ]
        );
    }
}

#[test]
fn two_members_of_a_subset_have_other_names_in_the_older_version() {
    let [newer, older] = schemas().map(|schema| schema["spec"]["properties"]["subsets"]["items"]["properties"].clone());
    let only = |one: &Value, other: &Value| names(one).difference(&names(other)).cloned().collect::<Vec<_>>();
    assert_eq!(only(&newer, &older), ["preferredNodeSelector", "requiredNodeSelector"]);
    assert_eq!(only(&older, &newer), ["preferredNodeSelectorTerms", "requiredNodeSelectorTerm"]);
    assert_eq!(names(&older["requiredNodeSelectorTerm"]["properties"]), names(&newer["requiredNodeSelector"]["properties"]));
}

#[test]
fn a_condition_of_the_older_version_needs_to_say_less() {
    let condition = |schema: &Value, place: &str| {
        schema.pointer(&format!("/status/properties/{place}/items/properties/conditions/items")).cloned().unwrap()
    };
    let [newer, older] = schemas();
    for place in ["subsetStatuses", "versionedSubsetStatuses/additionalProperties"] {
        let (newer, older) = (condition(&newer, place), condition(&older, place));
        assert!(names(&newer["properties"]).contains("observedGeneration") && !names(&older["properties"]).contains("observedGeneration"));
        assert_eq!(older["required"], json!(["type", "status"]));
        let required: BTreeSet<_> = newer["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(required, BTreeSet::from(["type", "status", "reason", "message", "lastTransitionTime"]));
    }
}

#[test]
fn the_schema_is_structural_and_has_no_defaults_and_no_nulls() {
    let definition = rendered();
    assert_structural(&definition);
    for (path, node) in nodes(&definition) {
        assert!(node.get("default").is_none() && node.get("nullable").is_none(), "{path}");
        let is_open = node.get("x-kubernetes-preserve-unknown-fields").is_some();
        assert_eq!(is_open, path == "spec.subsets[].patch", "{path}");
        let is_term =
            path.ends_with("elector") && !path.contains("preferred") || path.ends_with("NodeSelectorTerm") || path.ends_with(".preference");
        assert_eq!(node.get("x-kubernetes-map-type").is_some(), is_term, "{path}");
        assert_eq!(node.get("minimum").is_some(), path.ends_with("maxReplicas"), "{path}");
    }
}

#[test]
fn required_is_what_the_reference_requires() {
    let definition = rendered();
    let required = |path: &str| -> BTreeSet<String> {
        let found = nodes(&definition).into_iter().find(|(known, _)| known == path).unwrap_or_else(|| panic!("{path}"));
        found.1["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    for (path, names) in [
        ("", &["spec"][..]),
        ("spec", &["targetRef", "subsets"]),
        ("spec.targetRef", &["apiVersion", "kind", "name"]),
        ("spec.subsets[]", &["name"]),
        ("spec.subsets[].preferredNodeSelector[]", &["weight", "preference"]),
        ("spec.targetFilter", &[]),
        ("spec.scheduleStrategy", &[]),
        ("status", &[]),
        ("status.subsetStatuses[]", &["name", "replicas", "missingReplicas"]),
        ("status.versionedSubsetStatuses{}[]", &["name", "replicas", "missingReplicas"]),
    ] {
        assert_eq!(required(path), names.iter().map(|&name| name.to_owned()).collect(), "{path}");
    }
}

#[test]
fn rules_are_about_the_spec_alone_and_the_same_in_both_versions() {
    let found: Vec<(String, usize)> = nodes(&rendered())
        .into_iter()
        .filter_map(|(path, node)| Some((path, node.get("x-kubernetes-validations")?.as_array()?.len())))
        .collect();
    let wanted = [("spec", 2), ("spec.scheduleStrategy", 1), ("spec.targetRef", 2)].map(|(path, count)| (path.to_owned(), count));
    let (newer, older) = found.split_at(wanted.len());
    for version in [newer, older] {
        let mut version = version.to_vec();
        version.sort();
        assert_eq!(version, wanted);
    }
}

#[test]
fn the_hook_is_asked_in_both_versions_and_must_answer_after_two_questions_at_most() {
    let hooks = registered("ValidatingWebhookConfiguration", &Rendering::default());
    let hook = hooks.iter().find(|hook| hook["name"] == "vworkloadspread.outrigger.kruise.io").unwrap();
    let rule = json!({"apiGroups": ["apps.kruise.io"], "apiVersions": ["v1alpha1", "v1beta1"], "operations": ["CREATE", "UPDATE"], "resources": ["workloadspreads"], "scope": "*"});
    assert_eq!(hook["rules"], json!([rule]));
    assert_eq!(hook["clientConfig"]["service"]["path"], "/validate-apps-kruise-io-workloadspread");
    assert_eq!((&hook["failurePolicy"], &hook["timeoutSeconds"], &hook["sideEffects"]), (&json!("Fail"), &json!(10), &json!("None")));
}
