//! What is rendered for a server that only watches: but for its own certificate it may only read, it holds nobody up, and it goes without a
//! trace.

use std::path::Path;

use outrigger::{handlers::TABLE, manifests::File};
use serde_json::{Value, json};

use super::{all, documents};

/// All objects of the folder, but for its kustomizations and certificates.
fn objects() -> Vec<Value> {
    let folder = Path::new("shadow");
    let of_it = |file: &&File| file.path.parent() == Some(folder) && !file.path.ends_with("kustomization.yaml");
    all().iter().filter(of_it).flat_map(|file| documents(&file.text)).collect()
}

#[test]
fn a_shadow_may_only_read_but_for_its_own_certificate() {
    let mut rules = 0;
    for role in objects().into_iter().filter(|role| role["metadata"]["name"] != "outrigger-shadow-authority") {
        for rule in role["rules"].as_array().into_iter().flatten() {
            for verb in rule["verbs"].as_array().unwrap() {
                assert!(["get", "list", "watch"].iter().any(|read| verb == read), "{rule}");
            }
            assert!(rule["verbs"] != json!([]) && rule["resources"] != json!(["leases"]) && rule["resources"] != json!(["secrets"]));
            rules += 1;
        }
    }
    assert!(rules > 10, "{rules}");
}

#[test]
fn a_shadow_writes_its_own_secret_and_its_own_hooks() {
    let objects = objects();
    let rules = |kind: &str| {
        let is_it = |role: &&Value| role["kind"] == kind && role["metadata"]["name"] == "outrigger-shadow-authority";
        objects.iter().find(is_it).unwrap()["rules"].clone()
    };
    let secrets = rules("Role");
    assert_eq!(secrets[1]["resourceNames"], json!(["outrigger-shadow-authority"]));
    let [hooks, definitions] = [rules("ClusterRole")[0].clone(), rules("ClusterRole")[1].clone()];
    assert_eq!((&hooks["resourceNames"], &hooks["verbs"][3]), (&json!(["outrigger-shadow"]), &json!("patch")));
    assert_eq!(
        (&definitions["resources"], &definitions["verbs"]),
        (&json!(["customresourcedefinitions"]), &json!(["get", "list", "watch"]))
    );
}

#[test]
fn nobody_waits_for_a_shadow() {
    let objects = objects();
    let hooks: Vec<&Value> = objects.iter().flat_map(|object| object["webhooks"].as_array().into_iter().flatten()).collect();
    assert_eq!(hooks.len(), TABLE.len());
    for hook in hooks {
        assert_eq!((&hook["failurePolicy"], &hook["timeoutSeconds"]), (&json!("Ignore"), &json!(2)), "{hook}");
        assert!(["Never", ""].contains(&hook["reinvocationPolicy"].as_str().unwrap_or_default()));
        let service = &hook["clientConfig"]["service"];
        assert_eq!((&service["name"], &service["namespace"]), (&json!("outrigger-shadow-webhook"), &json!("kruise-system")));
    }
}

#[test]
fn a_shadow_has_names_of_its_own_and_goes_without_a_trace() {
    let objects = objects();
    for object in &objects {
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        assert!(name.starts_with("outrigger-shadow"), "{kind} {name}");
        // Asked after those of OpenKruise.
        assert!(name > "kruise-mutating-webhook-configuration");
        assert_eq!(object["metadata"]["labels"], json!({"app.kubernetes.io/name": "outrigger-shadow"}), "{kind} {name}");
        let namespace = object["metadata"]["namespace"].as_str();
        assert!(namespace.is_none_or(|namespace| namespace == "kruise-system"), "{kind} {name}");
        for unwanted in ["CustomResourceDefinition", "Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
            assert_ne!(kind, unwanted);
        }
    }
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "outrigger-shadow");
    for (name, value) in [
        ("OUTRIGGER_SHADOW", "true"),
        ("OUTRIGGER_AUTHORITY_SECRET", "outrigger-shadow-authority"),
        ("OUTRIGGER_WEBHOOK_CONFIGURATION", "outrigger-shadow"),
        ("OUTRIGGER_WEBHOOK_SERVICE", "outrigger-shadow-webhook"),
        ("OUTRIGGER_CONVERSION_SERVICE", "outrigger-shadow-conversion"),
    ] {
        assert!(pod["containers"][0]["env"].as_array().unwrap().contains(&json!({"name": name, "value": value})), "{name}");
    }
    let service = objects.iter().find(|object| object["kind"] == "Service").unwrap();
    assert_eq!(service["spec"]["selector"], deployment["spec"]["selector"]["matchLabels"]);
}
