//! The chart: what it says of itself, and that its values are those that are rendered. That its templates are the installation, the tests
//! with a real Helm show.

use std::path::Path;

use serde_json::{Value, json};

use super::{all, rendered_one};

const CHART: &str = "helm/outrigger";

fn text(name: &str) -> String {
    all().iter().find(|file| file.path == Path::new(CHART).join(name)).unwrap().text.clone()
}

fn values() -> Value {
    serde_saphyr::from_str(&text("values.yaml")).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&text("values.schema.json")).unwrap()
}

#[test]
fn the_chart_is_of_the_version_that_it_installs() {
    let chart: Value = serde_saphyr::from_str(&text("Chart.yaml")).unwrap();
    assert_eq!((&chart["name"], &chart["apiVersion"]), (&json!("outrigger"), &json!("v2")));
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(env!("CARGO_PKG_VERSION"))));
}

#[test]
fn what_is_chosen_by_default_is_what_is_rendered() {
    let (values, deployment) = (values(), rendered_one("deployment.yaml", "Deployment"));
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(values["replicas"], deployment["spec"]["replicas"]);
    assert_eq!(values["resources"], pod["containers"][0]["resources"]);
    assert_eq!(values["topologySpreadConstraints"], pod["topologySpreadConstraints"]);
    assert_eq!(values["priorityClass"]["name"], pod["priorityClassName"]);
    assert_eq!(values["priorityClass"]["value"], rendered_one("deployment.yaml", "PriorityClass")["value"]);
    let budget = rendered_one("deployment.yaml", "PodDisruptionBudget");
    assert_eq!(values["podDisruptionBudget"]["maxUnavailable"], budget["spec"]["maxUnavailable"]);
    let policy = rendered_one("network-policy/network-policy.yaml", "NetworkPolicy");
    let ports = policy["spec"]["egress"][0]["ports"].as_array().unwrap().iter().map(|port| port["port"].clone());
    assert_eq!(values["networkPolicy"]["apiServerPorts"], ports.collect::<Value>());
}

/// The members of an object in values that the schema describes, with their places.
fn unknown(values: &Value, schema: &Value, place: &str, found: &mut Vec<String>) {
    let (Some(values), Some(known)) = (values.as_object(), schema["properties"].as_object()) else { return };
    if schema["additionalProperties"] != json!(false) {
        found.push(format!("{place}: anything goes"));
    }
    for (name, value) in values {
        let place = format!("{place}.{name}");
        match known.get(name) {
            Some(schema) => unknown(value, schema, &place, found),
            None => found.push(place),
        }
    }
}

#[test]
fn every_value_is_described_and_no_other_is_taken() {
    let mut found = Vec::new();
    unknown(&values(), &schema(), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
    let described: Vec<String> = schema()["properties"].as_object().unwrap().keys().filter(|name| *name != "global").cloned().collect();
    let mut given: Vec<String> = values().as_object().unwrap().keys().cloned().collect();
    let mut wanted = described;
    given.sort();
    wanted.sort();
    assert_eq!(given, wanted);
}

#[test]
fn every_value_has_an_effect() {
    let templates = Path::new(CHART).join("templates");
    let templates: String = all().iter().filter(|file| file.path.starts_with(&templates)).map(|file| file.text.as_str()).collect();
    let mut unused = Vec::new();
    for (name, value) in values().as_object().unwrap() {
        let whole = format!(".Values.{name}");
        let is_whole = templates.contains(&format!("{whole} ")) || templates.contains(&format!("{whole})"));
        let members = value.as_object().into_iter().flatten().map(|(member, _)| format!("{whole}.{member}"));
        unused.extend(members.chain([whole.clone()]).filter(|path| !is_whole && *path != whole && !templates.contains(path.as_str())));
        if !templates.contains(&whole) {
            unused.push(whole);
        }
    }
    assert_eq!(unused, Vec::<String>::new());
}

#[test]
fn definitions_stay_when_the_chart_goes_and_webhooks_can_be_taken_away() {
    for name in ["sidecarsets.apps.kruise.io", "podunavailablebudgets.policy.kruise.io", "workloadspreads.apps.kruise.io"] {
        let definition = text(&format!("templates/crds/{name}.yaml"));
        assert!(definition.contains("helm.sh/resource-policy: keep") && definition.contains("policy.kruise.io/delete-protection: Always"));
    }
    assert!(!text("templates/webhooks.yaml").contains("policy.kruise.io/delete-protection: Always"));
    let before = text("templates/before-uninstall.yaml");
    assert_eq!(before.matches("helm.sh/hook: pre-delete").count(), 3);
    assert_eq!(before.matches("webhooks: []").count(), 2);
}

#[test]
fn conditions_on_namespaces_are_about_namespaces_and_never_about_objects() {
    for (name, times) in [("templates/webhooks.yaml", 4), ("templates/evictions.yaml", 1)] {
        let (text, mut title) = (text(name), "");
        let mut seen = 0;
        for line in text.lines() {
            if line.trim_end().ends_with("Selector:") {
                title = line.trim();
            }
            if line.contains(".Values.namespaceSelector.matchExpressions") {
                assert_eq!(title, "namespaceSelector:", "{name}");
                seen += 1;
            }
        }
        assert_eq!(seen, times, "{name}");
    }
}
