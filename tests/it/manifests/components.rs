//! The kustomization and its components: each names what lies in its folder, and patches only what is there. What comes out of them, the
//! tests with a real kustomize show.

use std::path::{Path, PathBuf};

use outrigger::handlers::{TABLE, Unanswered};
use serde_json::{Value, json};

use super::{all, documents, the_one};

const COMPONENTS: [&str; 5] = ["cert-manager", "high-availability", "network-policy", "own-certificate", "strict"];

fn rendered(path: impl AsRef<Path>) -> Vec<Value> {
    let files = all();
    documents(&files.iter().find(|file| file.path == path.as_ref()).unwrap().text)
}

/// Every object of the base.
fn base() -> Vec<Value> {
    let kustomization = the_one(all(), Path::new("kustomization.yaml"));
    kustomization["resources"].as_array().unwrap().iter().flat_map(|path| rendered(path.as_str().unwrap())).collect()
}

#[test]
fn every_file_of_the_base_and_of_a_component_is_named() {
    let rendered = all();
    let mut named: Vec<PathBuf> = Vec::new();
    for folder in ["", "monitoring", "shadow"].iter().chain(&COMPONENTS) {
        let path = Path::new(folder).join("kustomization.yaml");
        let kustomization = the_one(rendered, &path);
        let resources = kustomization["resources"].as_array().into_iter().flatten();
        let patches = kustomization["patches"].as_array().into_iter().flatten().map(|patch| &patch["path"]);
        let generated = kustomization["configMapGenerator"].as_array().into_iter().flatten();
        let generated =
            generated.flat_map(|map| map["files"].as_array().unwrap()).map(|file| file.as_str().unwrap().split_once('=').unwrap().1);
        let all = resources.chain(patches).map(|name| name.as_str().unwrap()).chain(generated);
        named.extend(all.map(|name| Path::new(folder).join(name)));
        named.push(path);
    }
    let paths = rendered.iter().map(|file| file.path.clone());
    let mut paths: Vec<PathBuf> = paths.filter(|path| !path.starts_with("helm")).collect();
    named.sort();
    paths.sort();
    assert_eq!(named, paths);
}

#[test]
fn what_a_component_patches_is_in_the_base() {
    let identity = |object: &Value| {
        let metadata = &object["metadata"];
        json!([object["apiVersion"], object["kind"], metadata["namespace"], metadata["name"]])
    };
    let there: Vec<Value> = base().iter().map(identity).collect();
    let mut patches = 0;
    for component in COMPONENTS {
        let kustomization = rendered(Path::new(component).join("kustomization.yaml")).remove(0);
        for patch in kustomization["patches"].as_array().into_iter().flatten() {
            for patch in rendered(Path::new(component).join(patch["path"].as_str().unwrap())) {
                assert!(there.contains(&identity(&patch)), "{component}: {}", identity(&patch));
                patches += 1;
            }
        }
    }
    assert_eq!(patches, 5 + 1 + 4 + 1 + 2);
}

#[test]
fn cert_manager_writes_the_authority_into_every_definition() {
    let patches = rendered("cert-manager/inject-ca.yaml");
    let names = |documents: &[Value]| -> Vec<Value> {
        let definitions = documents.iter().filter(|document| document["kind"] == "CustomResourceDefinition");
        definitions.map(|definition| definition["metadata"]["name"].clone()).collect()
    };
    assert_eq!(names(&patches), names(&base()));
    assert_eq!(names(&patches).len(), 3);
}

#[test]
fn with_a_certificate_from_elsewhere_no_right_to_certificates_is_left() {
    let gone = rendered("own-certificate/without-authority.yaml");
    let names = |objects: &[Value]| -> Vec<Value> {
        objects.iter().map(|object| json!([object["kind"], object["metadata"]["name"], object["metadata"]["namespace"]])).collect()
    };
    assert!(gone.iter().all(|patch| patch["$patch"] == "delete"));
    assert_eq!(names(&gone), names(&rendered("authority.yaml")));
}

#[test]
fn the_strict_component_names_the_hooks_that_let_everything_pass() {
    let patch = rendered("strict/webhooks.yaml").remove(0);
    let strict: Vec<&Value> = patch["webhooks"].as_array().unwrap().iter().map(|hook| &hook["name"]).collect();
    let admitting: Vec<&str> = TABLE.iter().filter(|row| row.unanswered == Unanswered::Admit).map(|row| row.name).collect();
    assert_eq!(strict, admitting);
    assert!(patch["webhooks"].as_array().unwrap().iter().all(|hook| hook["failurePolicy"] == "Fail"));
}

#[test]
fn the_network_policy_lets_in_reviews_from_anywhere_and_metrics_from_one_namespace() {
    let spec = rendered("network-policy/network-policy.yaml").remove(0)["spec"].clone();
    let anywhere: Vec<&Value> = spec["ingress"].as_array().unwrap().iter().filter(|rule| rule.get("from").is_none()).collect();
    assert_eq!(anywhere, [&json!({"ports": [{"protocol": "TCP", "port": "https"}]})]);
    let deployment = base().into_iter().find(|object| object["kind"] == "Deployment").unwrap();
    assert_eq!(spec["podSelector"], deployment["spec"]["selector"]);
}
