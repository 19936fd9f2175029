//! What the server may do. That it may do what it does, and is asked for nothing else, the tests in a cluster show, all of which run
//! with these rights.

use std::path::Path;

use serde_json::{Value, json};

use super::{all, documents};

/// The objects of a rendered file.
fn rendered(path: &str) -> Vec<Value> {
    documents(&all().iter().find(|file| file.path == Path::new(path)).unwrap().text)
}

/// What a role allows.
fn rules(path: &str, kind: &str, name: &str) -> Value {
    let rbac = rendered(path);
    let role = rbac.iter().find(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    role.unwrap()["rules"].clone()
}

#[test]
fn the_server_may_do_what_it_does_everywhere_and_nothing_else() {
    let (read, watch) = (json!(["get", "list", "watch"]), json!(["list", "watch"]));
    assert_eq!(
        rules("rbac.yaml", "ClusterRole", "outrigger"),
        json!([
            {"apiGroups": ["apps.kruise.io"], "resources": ["sidecarsets"], "verbs": watch},
            {"apiGroups": ["policy.kruise.io"], "resources": ["podunavailablebudgets"], "verbs": read},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": watch},
            {"apiGroups": [""], "resources": ["pods"], "verbs": read},
            {"apiGroups": ["apps.kruise.io"], "resources": ["sidecarsets/status"], "verbs": ["patch"]},
            {"apiGroups": ["policy.kruise.io"], "resources": ["podunavailablebudgets/status"], "verbs": ["patch"]},
            {"apiGroups": ["apps.kruise.io"], "resources": ["sidecarsets/finalizers"], "verbs": ["update"]},
            {"apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["patch"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
            {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
            {"apiGroups": ["apps"], "resources": ["deployments", "replicasets", "statefulsets"], "verbs": read},
            {"apiGroups": [""], "resources": ["replicationcontrollers"], "verbs": watch},
            {"apiGroups": ["apps.kruise.io"], "resources": ["clonesets", "statefulsets"], "verbs": read},
            {"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["get"]},
            {"apiGroups": ["apps.kruise.io"], "resources": ["workloadspreads"], "verbs": read},
            {"apiGroups": ["apps.kruise.io"], "resources": ["workloadspreads/status"], "verbs": ["patch"]},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": read},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
        ])
    );
}

#[test]
fn the_server_may_do_what_it_does_at_home_and_nothing_else() {
    let read = json!(["get", "list", "watch"]);
    let lease =
        json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["outrigger"], "verbs": ["get", "update"]});
    assert_eq!(
        rules("rbac.yaml", "Role", "outrigger"),
        json!([
            {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": read},
            {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": ["create", "patch", "delete"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
            lease,
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["kruise-configuration"], "verbs": ["list", "watch"]},
            // For dry runs alone.
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
        ])
    );
}

#[test]
fn a_gate_that_is_off_has_its_rights_in_a_role_of_its_own() {
    assert_eq!(
        rules("rbac.yaml", "ClusterRole", "outrigger-sidecar-terminator"),
        json!([
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
            {"apiGroups": ["apps.kruise.io"], "resources": ["containerrecreaterequests"], "verbs": ["get", "create"]},
            {"apiGroups": [""], "resources": ["pods/finalizers"], "verbs": ["update"]},
        ])
    );
}

#[test]
fn one_secret_and_the_authorities_of_what_is_ours_are_all_that_certificates_need() {
    assert_eq!(
        rules("authority.yaml", "Role", "outrigger-authority"),
        json!([
            // A creation cannot be allowed by name.
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["outrigger-authority"], "verbs": ["get", "list", "watch", "update"]},
        ])
    );
    let written = json!(["get", "list", "watch", "patch"]);
    let configurations = json!(["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]);
    let ours = json!(["sidecarsets.apps.kruise.io", "podunavailablebudgets.policy.kruise.io", "workloadspreads.apps.kruise.io"]);
    assert_eq!(
        rules("authority.yaml", "ClusterRole", "outrigger-authority"),
        json!([
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": configurations, "resourceNames": ["outrigger"], "verbs": written},
            {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "resourceNames": ours, "verbs": written},
        ])
    );
}

#[test]
fn every_role_is_bound_to_the_account_of_the_server_and_to_nobody_else() {
    let us = json!([{"kind": "ServiceAccount", "name": "outrigger", "namespace": "outrigger-system"}]);
    let rbac = [rendered("rbac.yaml"), rendered("authority.yaml")].concat();
    let named = |kind: &str| -> Vec<Value> {
        rbac.iter().filter(|document| document["kind"] == kind).map(|document| document["metadata"]["name"].clone()).collect()
    };
    let bound = |kind: &str| -> Vec<Value> {
        let bindings = rbac.iter().filter(|document| document["kind"] == kind);
        let checked = bindings.inspect(|binding| assert_eq!(binding["subjects"], us));
        checked.map(|binding| binding["roleRef"]["name"].clone()).collect()
    };
    assert_eq!(bound("ClusterRoleBinding"), named("ClusterRole"));
    assert_eq!(bound("RoleBinding"), named("Role"));
    assert_eq!(named("ServiceAccount"), [json!("outrigger")]);
}

/// No rule allows to read Secrets but one, to write workloads, or anything by a wildcard but the scale of what a budget may name.
#[test]
fn no_rule_is_wide() {
    for role in [rendered("rbac.yaml"), rendered("authority.yaml")].concat() {
        for rule in role["rules"].as_array().into_iter().flatten() {
            let words = |key: &str| rule[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>();
            let (groups, resources, verbs) = (words("apiGroups"), words("resources"), words("verbs"));
            assert!(!verbs.iter().any(|verb| verb == "*"), "{rule}");
            if groups.iter().chain(&resources).any(|word| word.contains('*')) {
                assert_eq!((groups, resources, verbs), (vec!["*".to_owned()], vec!["*/scale".to_owned()], vec!["get".to_owned()]));
            } else if resources.iter().any(|resource| resource == "secrets") {
                assert!(rule["resourceNames"] == json!(["outrigger-authority"]) || verbs == ["create"], "{rule}");
            }
        }
    }
}
