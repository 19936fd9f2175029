//! The `CustomResourceDefinition`, by the rules that an API server has for structural schemas and by those of our own.

use std::{collections::BTreeSet, path::Path};

use outrigger::{
    base::{definition::Conversion, installation::DEFINITIONS},
    manifests::{Rendering, files},
    sidecarset::schema::definition,
};
use serde_json::{Value, json};

use super::the_one;

const PATH: &str = "crds/sidecarsets.apps.kruise.io.yaml";

/// Keywords that a structural schema may hold, of those that occur here.
const KEYWORDS: [&str; 14] = [
    "type",
    "properties",
    "items",
    "additionalProperties",
    "required",
    "enum",
    "default",
    "nullable",
    "format",
    "description",
    "minimum",
    "x-kubernetes-int-or-string",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
];
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// Their names stand in one place, and the server looks for them there.
#[test]
fn each_definition_is_called_as_the_server_calls_it() {
    let files = files(&Rendering::default()).unwrap();
    for name in DEFINITIONS {
        let definition = the_one(&files, &Path::new("crds").join(format!("{name}.yaml")));
        let (group, plural) = (&definition["spec"]["group"], &definition["spec"]["names"]["plural"]);
        assert_eq!(
            (&definition["metadata"]["name"], format!("{}.{}", plural.as_str().unwrap(), group.as_str().unwrap())),
            (&json!(name), name.to_owned())
        );
    }
    assert_eq!(
        files.iter().filter(|file| file.path.starts_with("crds") && !file.path.ends_with("kustomization.yaml")).count(),
        DEFINITIONS.len()
    );
}

#[test]
fn both_versions_are_served_and_the_newer_one_is_stored() {
    let definition = rendered();
    assert_eq!(definition["spec"]["scope"], "Cluster");
    assert_eq!(definition["spec"]["names"], json!({"kind": "SidecarSet", "plural": "sidecarsets", "singular": "sidecarset"}));
    let versions: Vec<_> = versions(&definition).iter().map(|v| (v["name"].clone(), v["served"].clone(), v["storage"].clone())).collect();
    assert_eq!(versions, [(json!("v1beta1"), json!(true), json!(true)), (json!("v1alpha1"), json!(true), json!(false))]);
}

#[test]
fn versions_are_converted_by_the_rendered_service() {
    let client = json!({"service": {"name": "outrigger-conversion", "namespace": "outrigger-system", "path": "/convert", "port": 443}});
    let webhook = json!({"clientConfig": client, "conversionReviewVersions": ["v1", "v1beta1"]});
    assert_eq!(rendered()["spec"]["conversion"], json!({"strategy": "Webhook", "webhook": webhook}));
}

#[test]
fn without_conversion_only_the_stored_version_is_served() {
    let definition = serde_json::to_value(definition(&Conversion::Off).unwrap()).unwrap();
    assert_eq!(definition["spec"]["conversion"], json!({"strategy": "None"}));
    let served: Vec<_> = versions(&definition).iter().map(|version| version["served"].clone()).collect();
    assert_eq!(served, [true, false]);
}

#[test]
fn the_api_server_checks_the_same_in_both_versions() {
    let places = |version: &Value| -> Vec<(String, usize)> {
        let schema = json!({"spec": {"versions": [version]}});
        let found =
            nodes(&schema).into_iter().filter_map(|(path, node)| Some((path, node.get("x-kubernetes-validations")?.as_array()?.len())));
        found.collect()
    };
    let definition = rendered();
    for version in versions(&definition) {
        let mut found = places(version);
        found.sort();
        let wanted = [("", 1), ("spec", 2), ("spec.selector", 1), ("spec.updateStrategy", 2)];
        assert_eq!(found, wanted.map(|(path, count)| (path.to_owned(), count)));
    }
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
                "MATCHED integer .status.matchedPods",
                "UPDATED integer .status.updatedPods",
                "READY integer .status.readyPods",
                "AGE date .metadata.creationTimestamp",
            ]
        );
    }
}

#[test]
fn the_older_version_has_a_namespace_and_no_custom_version() {
    let definition = rendered();
    let members = |version: usize| -> BTreeSet<String> {
        let spec = &definition["spec"]["versions"][version]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        spec["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let (newer, older) = (members(0), members(1));
    assert_eq!(newer.difference(&older).collect::<Vec<_>>(), ["customVersion"]);
    assert_eq!(older.difference(&newer).collect::<Vec<_>>(), ["namespace"]);
}

#[test]
fn the_schema_is_structural() {
    assert_structural(&rendered());
}

/// Asserts what an API server asks of every schema.
pub(super) fn assert_structural(definition: &Value) {
    for (path, node) in nodes(definition) {
        let node = node.as_object().unwrap_or_else(|| panic!("{path}: not a schema"));
        let unknown: Vec<_> = node.keys().filter(|key| !KEYWORDS.contains(&key.as_str()) && *key != PRESERVE).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
        assert!(node.contains_key("type") != node.contains_key("x-kubernetes-int-or-string"), "{path}: one of type and int-or-string");
        assert!(!(node.contains_key("default") && node.contains_key("nullable")), "{path}: a null would never get the default");
        assert!(!(node.contains_key("properties") && node.contains_key("additionalProperties")), "{path}: object or map");
        assert!(!(node.contains_key(PRESERVE) && node["type"] != "object"), "{path}: only objects have unknown members");
        if node.get("type").is_some_and(|kind| kind == "array") {
            assert!(node.contains_key("items"), "{path}: a list of what?");
        }
        for name in node.get("required").and_then(Value::as_array).into_iter().flatten() {
            assert!(node["properties"].get(name.as_str().unwrap()).is_some(), "{path}: {name} is required and unknown");
        }
    }
}

#[test]
fn nothing_inside_containers_and_volumes_gets_lost() {
    let mut seen = 0;
    for (path, node) in nodes(&rendered()) {
        let foreign = ["spec.containers[]", "spec.initContainers[]", "spec.volumes[]"].iter().any(|part| path.contains(part));
        let keeps = node.get(PRESERVE).is_some() || node.get("additionalProperties").is_some();
        if node["type"] == "object" {
            assert_eq!(keeps, foreign || path.contains("Labels") || path.ends_with("annotations"), "{path}");
            seen += usize::from(foreign);
        }
    }
    assert!(seen > 200, "{seen} objects are not all of a container's");
}

#[test]
fn required_is_what_must_be_there_to_make_sense() {
    let required = |path: &str, node: &Value| -> Vec<String> {
        let names = node.get("required").and_then(Value::as_array).into_iter().flatten();
        names.map(|name| format!("{path}.{}", name.as_str().unwrap())).collect()
    };
    let found: BTreeSet<String> = nodes(&rendered()).iter().flat_map(|(path, node)| required(path, node)).collect();
    let selectors =
        ["namespaceSelector", "selector", "updateStrategy.selector", "updateStrategy.priorityStrategy.weightPriority[].matchSelector"];
    let mut wanted: Vec<String> = ["key", "operator"]
        .iter()
        .flat_map(|name| selectors.map(|selector| format!("spec.{selector}.matchExpressions[].{name}")))
        .collect();
    for list in ["containers", "initContainers"] {
        for name in ["name", "resourcesPolicy.targetContainersMode", "resourcesPolicy.resourcesExpr"] {
            wanted.push(format!("spec.{list}[].{name}"));
        }
    }
    wanted.extend(
        [
            ".spec",
            "spec.updateStrategy.priorityStrategy.orderPriority[].orderedKey",
            "spec.updateStrategy.priorityStrategy.weightPriority[].weight",
            "spec.updateStrategy.priorityStrategy.weightPriority[].matchSelector",
            "spec.updateStrategy.scatterStrategy[].key",
            "spec.updateStrategy.scatterStrategy[].value",
            "status.matchedPods",
            "status.updatedPods",
            "status.readyPods",
            "status.conditions[].type",
            "status.conditions[].status",
            "status.conditions[].reason",
            "status.conditions[].message",
            "status.conditions[].lastTransitionTime",
        ]
        .map(str::to_owned),
    );
    let wanted: BTreeSet<String> = wanted.into_iter().map(|path| path.trim_start_matches('.').to_owned()).collect();
    let found: BTreeSet<String> = found.into_iter().map(|path| path.trim_start_matches('.').to_owned()).collect();
    assert_eq!(found, wanted);
}

#[test]
fn optional_members_may_be_null() {
    for (path, node) in nodes(&rendered()) {
        let names: Vec<&Value> = node.get("required").and_then(Value::as_array).into_iter().flatten().collect();
        for (name, member) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let may_be_absent = !names.contains(&&json!(name)) && member.get("default").is_none();
            assert_eq!(member.get("nullable").is_some(), may_be_absent, "{path}.{name}");
        }
    }
}

#[test]
fn enumerations_and_defaults_are_the_reference_s() {
    let found: BTreeSet<String> = nodes(&rendered())
        .iter()
        .flat_map(|(path, node)| ["enum", "default"].iter().filter_map(move |key| Some(format!("{path} {key} {}", node.get(key)?))))
        .collect();
    let mut wanted = vec![
        "spec.imagePullSecrets[].name default \"\"".to_owned(),
        "spec.injectionStrategy.revision.policy default \"Always\"".to_owned(),
        "spec.injectionStrategy.revision.policy enum [\"Always\",\"Partial\"]".to_owned(),
    ];
    for list in ["containers", "initContainers"] {
        wanted.push(format!("spec.{list}[].resourcesPolicy.targetContainersMode enum [\"sum\",\"max\"]"));
        wanted.push(format!("spec.{list}[].resourcesPolicy.targetContainersNameRegex default \".*\""));
    }
    assert_eq!(found, wanted.into_iter().collect());
}

#[test]
fn the_definition_fits_into_the_annotation_of_kubectl_apply() {
    assert!(rendered().to_string().len() < 130_000, "as JSON: {}", rendered().to_string().len());
    let file = files(&Rendering::default()).unwrap().into_iter().find(|file| file.path == Path::new(PATH)).unwrap();
    assert!(file.text.len() < 220_000, "as YAML: {}", file.text.len());
}

fn rendered() -> Value {
    the_one(&files(&Rendering::default()).unwrap(), Path::new(PATH))
}

pub(super) fn versions(definition: &Value) -> &Vec<Value> {
    definition["spec"]["versions"].as_array().unwrap()
}

/// All schemas of all versions, each with its path.
pub(super) fn nodes(definition: &Value) -> Vec<(String, Value)> {
    fn walk(path: &str, node: &Value, found: &mut Vec<(String, Value)>) {
        found.push((path.to_owned(), node.clone()));
        for (name, member) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
            walk(format!("{path}.{name}").trim_start_matches('.'), member, found);
        }
        if let Some(items) = node.get("items") {
            walk(&format!("{path}[]"), items, found);
        }
        if let Some(values) = node.get("additionalProperties") {
            walk(&format!("{path}{{}}"), values, found);
        }
    }
    let mut found = Vec::new();
    for version in versions(definition) {
        walk("", &version["schema"]["openAPIV3Schema"], &mut found);
    }
    found
}

/// A replica is ready when it has listed sets, and the API server lists none that it cannot convert.
#[test]
fn conversions_are_asked_of_replicas_that_are_not_ready_yet() {
    let rendered = files(&Rendering::default()).unwrap();
    let text = &rendered.iter().find(|file| file.path == Path::new("service.yaml")).unwrap().text;
    let services: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let early: Vec<_> = services.iter().filter(|service| service["spec"]["publishNotReadyAddresses"] == true).collect();
    assert_eq!(early.len(), 1);
    assert_eq!(early[0]["metadata"]["name"], "outrigger-conversion");
}
