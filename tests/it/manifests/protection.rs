//! What is rendered for deletion protection: the policy, the hooks, the labels on what is ours, and the rights that it takes.

use std::path::Path;

use outrigger::{
    handlers::{Scope, TABLE},
    manifests::{Rendering, files},
};
use serde_json::{Value, json};

use super::{documents, registered};

const LABEL: &str = "policy.kruise.io/delete-protection";

fn rendered(path: &str) -> Vec<Value> {
    let files = files(&Rendering::default()).unwrap();
    documents(&files.iter().find(|file| file.path == Path::new(path)).unwrap().text)
}

#[test]
fn the_policy_is_about_every_deletion_of_what_is_labelled_always_and_fails_closed() {
    let [policy, binding]: [Value; 2] = rendered("protection.yaml").try_into().unwrap();
    assert_eq!((&policy["kind"], &policy["apiVersion"]), (&json!("ValidatingAdmissionPolicy"), &json!("admissionregistration.k8s.io/v1")));
    let spec = &policy["spec"];
    assert_eq!(spec["failurePolicy"], "Fail");
    let deletions = |group: &str, resource: &str| json!({"apiGroups": [group], "apiVersions": ["*"], "operations": ["DELETE"], "resources": [resource], "scope": "*"});
    assert_eq!(
        spec["matchConstraints"],
        json!({
            "excludeResourceRules": [deletions("", "endpoints"), deletions("discovery.k8s.io", "endpointslices")],
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {"matchLabels": {LABEL: "Always"}},
            "resourceRules": [deletions("*", "*")],
        })
    );
    let validation = &spec["validations"][0];
    assert_eq!(validation["expression"], "has(oldObject.metadata.deletionTimestamp)");
    assert_eq!(validation["reason"], "Forbidden");
    assert_eq!(validation["message"], format!("forbidden by ResourcesProtectionDeletion for {LABEL}=Always"));
    assert_eq!(binding["spec"], json!({"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}));
}

#[test]
fn the_hooks_see_deletions_of_labelled_objects_only_and_must_answer() {
    let hooks = registered("ValidatingWebhookConfiguration", &Rendering::default());
    let protected: Vec<_> = TABLE.iter().filter(|row| row.scope == Scope::Protected).collect();
    assert_eq!(protected.len(), 11);
    for row in protected {
        let hook = hooks.iter().find(|hook| hook["name"] == row.name).unwrap();
        assert_eq!(hook["objectSelector"], json!({"matchExpressions": [{"key": LABEL, "operator": "Exists"}]}));
        assert_eq!(hook.get("namespaceSelector"), None);
        assert_eq!((&hook["failurePolicy"], &hook["timeoutSeconds"], &hook["sideEffects"]), (&json!("Fail"), &json!(5), &json!("None")));
        assert_eq!(hook["rules"][0]["operations"], json!(["DELETE"]));
        assert_eq!(hook["clientConfig"]["service"]["path"], row.path);
    }
}

#[test]
fn the_paths_of_the_reference_are_served() {
    for path in [
        "/validate-namespace",
        "/validate-customresourcedefinition",
        "/validate-service",
        "/validate-ingress",
        "/validate-apps-deployment",
        "/validate-apps-replicaset",
        "/validate-apps-statefulset",
        "/validate-apps-kruise-io-cloneset",
        "/validate-apps-kruise-io-statefulset",
        "/validate-apps-kruise-io-uniteddeployment",
    ] {
        assert!(TABLE.iter().any(|row| row.path == path && row.scope == Scope::Protected), "{path}");
    }
}

#[test]
fn our_definitions_and_webhook_configurations_are_protected_and_nothing_else_is() {
    for file in files(&Rendering::default()).unwrap() {
        let kinds = ["CustomResourceDefinition", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
        // What is a patch of the others names no labels.
        let is_patch = ["cert-manager", "strict", "shadow", "helm", "examples"].iter().any(|folder| file.path.starts_with(folder));
        if is_patch || file.path.extension().is_some_and(|extension| extension == "json") {
            continue;
        }
        for document in documents(&file.text) {
            let wanted = if kinds.contains(&document["kind"].as_str().unwrap()) { json!("Always") } else { Value::Null };
            assert_eq!(document["metadata"]["labels"][LABEL], wanted, "{}", file.path.display());
        }
    }
}

#[test]
fn rights_to_list_anything_and_to_lift_protections_stand_alone_so_that_they_can_be_left_out() {
    let rbac = rendered("rbac.yaml");
    let of = |kind: &str, name: &str| rbac.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name).unwrap();
    let selectors = json!([
        {"matchLabels": {"outrigger.dev/aggregate-to-counted": "true"}},
        {"matchLabels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
    ]);
    assert_eq!(of("ClusterRole", "outrigger-counted")["aggregationRule"]["clusterRoleSelectors"], selectors);
    assert_eq!(
        of("ClusterRole", "outrigger-lifted")["rules"],
        json!([
            {"apiGroups": [""], "resources": ["configmaps", "namespaces", "services", "persistentvolumeclaims"], "verbs": ["list", "patch"]},
            {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["list", "patch"]},
            {"apiGroups": ["apps"], "resources": ["deployments", "replicasets", "statefulsets"], "verbs": ["list", "patch"]},
            {"apiGroups": ["apps.kruise.io"], "resources": ["clonesets", "statefulsets", "uniteddeployments"], "verbs": ["list", "patch"]},
            {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["list", "patch"]},
        ])
    );
    for name in ["outrigger-counted", "outrigger-lifted"] {
        let binding = of("ClusterRoleBinding", name);
        assert_eq!(binding["roleRef"]["name"], name);
        assert_eq!(binding["subjects"][0]["name"], "outrigger");
    }
}
