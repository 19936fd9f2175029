//! The `CustomResourceDefinition` of budgets: what the reference's says, and the rules of our own.

use std::{collections::BTreeSet, path::Path};

use outrigger::manifests::{Rendering, files};
use serde_json::{Value, json};

use super::{
    definition::{assert_structural, nodes, versions},
    the_one,
};

fn rendered() -> Value {
    the_one(&files(&Rendering::default()).unwrap(), Path::new("crds/podunavailablebudgets.policy.kruise.io.yaml"))
}

/// The member of the newer and of the older schema under this path.
fn members(path: &str) -> [BTreeSet<String>; 2] {
    let definition = rendered();
    [0, 1].map(|version| {
        let schema = &definition["spec"]["versions"][version]["schema"]["openAPIV3Schema"];
        schema.pointer(&format!("/properties/{path}/properties")).unwrap().as_object().unwrap().keys().cloned().collect()
    })
}

#[test]
fn both_versions_are_served_and_the_newer_one_is_stored() {
    let definition = rendered();
    let names = json!({"kind": "PodUnavailableBudget", "plural": "podunavailablebudgets", "singular": "podunavailablebudget", "shortNames": ["pub"]});
    assert_eq!((&definition["spec"]["scope"], &definition["spec"]["names"]), (&json!("Namespaced"), &names));
    let versions: Vec<_> = versions(&definition).iter().map(|v| (v["name"].clone(), v["served"].clone(), v["storage"].clone())).collect();
    assert_eq!(versions, [(json!("v1beta1"), json!(true), json!(true)), (json!("v1alpha1"), json!(true), json!(false))]);
    assert_eq!(definition["spec"]["conversion"]["webhook"]["clientConfig"]["service"]["path"], "/convert");
}

#[test]
fn both_versions_have_a_status_and_the_four_columns() {
    for version in versions(&rendered()) {
        assert_eq!(version["subresources"], json!({"status": {}}));
        let columns = version["additionalPrinterColumns"].as_array().unwrap();
        let columns: Vec<_> =
            columns.iter().map(|c| ["name", "type", "jsonPath"].map(|member| c[member].as_str().unwrap().to_owned()).join(" ")).collect();
        assert_eq!(
            columns,
            [
                "Allowed integer .status.unavailableAllowed",
                "Current integer .status.currentAvailable",
                "Desired integer .status.desiredAvailable",
                "Total integer .status.totalReplicas",
            ]
        );
    }
}

#[test]
fn the_older_version_lacks_what_it_says_in_annotations() {
    let [newer, older] = members("spec");
    assert_eq!(newer.difference(&older).collect::<Vec<_>>(), ["ignoredPodSelector", "protectOperations", "protectTotalReplicas"]);
    assert_eq!(older.difference(&newer).count(), 0);
    let [newer, older] = members("status");
    assert_eq!(newer, older);
}

#[test]
fn the_schema_is_structural_and_has_no_defaults_and_no_nulls() {
    let definition = rendered();
    assert_structural(&definition);
    for (path, node) in nodes(&definition) {
        assert!(node.get("default").is_none() && node.get("nullable").is_none(), "{path}");
        let is_selector = path.ends_with("elector");
        assert_eq!(node.get("x-kubernetes-map-type").is_some(), is_selector, "{path}");
    }
}

#[test]
fn required_is_what_the_reference_requires() {
    let required = |path: &str, node: &Value| -> Vec<String> {
        let names = node.get("required").and_then(Value::as_array).into_iter().flatten();
        names.map(|name| format!("{path}.{}", name.as_str().unwrap()).trim_start_matches('.').to_owned()).collect()
    };
    let found: BTreeSet<String> = nodes(&rendered()).iter().flat_map(|(path, node)| required(path, node)).collect();
    let conditions = ["type", "status", "reason", "message", "lastTransitionTime"].map(|name| format!("status.conditions[].{name}"));
    let counts = ["unavailableAllowed", "currentAvailable", "desiredAvailable", "totalReplicas"].map(|name| format!("status.{name}"));
    let selectors = ["selector", "ignoredPodSelector"]
        .iter()
        .flat_map(|selector| ["key", "operator"].map(|name| format!("spec.{selector}.matchExpressions[].{name}")));
    // Without a spec a budget has neither pods nor a number, and was never admitted.
    let wanted: BTreeSet<String> = conditions.into_iter().chain(counts).chain(selectors).chain(["spec".to_owned()]).collect();
    assert_eq!(found, wanted);
}

#[test]
fn rules_are_about_the_spec_alone_and_the_same_in_both_versions() {
    let definition = rendered();
    let found: Vec<(String, usize)> = nodes(&definition)
        .into_iter()
        .filter_map(|(path, node)| Some((path, node.get("x-kubernetes-validations")?.as_array()?.len())))
        .collect();
    let mut wanted: Vec<(String, usize)> =
        [("spec", 3), ("spec.maxUnavailable", 1), ("spec.minAvailable", 1), ("spec.selector", 1), ("spec.targetRef", 1)]
            .map(|(path, count)| (path.to_owned(), count))
            .into();
    let (newer, older) = found.split_at(wanted.len());
    for version in [newer, older] {
        let mut version = version.to_vec();
        version.sort();
        wanted.sort();
        assert_eq!(version, wanted);
    }
}
