//! What the server may read: no more than it does.

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject},
};

use crate::sidecarset::whitelist::CONFIGURATION;

use super::{ManifestError, NAME, Rendering, cluster_wide, own, yaml};

pub(super) fn documents(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let account = ServiceAccount { metadata: own(rendering, NAME), ..ServiceAccount::default() };
    let everywhere = ClusterRole {
        metadata: cluster_wide(NAME),
        rules: Some(vec![mirrored("apps.kruise.io", "sidecarsets"), mirrored("", "namespaces")]),
        ..ClusterRole::default()
    };
    let at_home =
        Role { metadata: own(rendering, NAME), rules: Some(vec![mirrored("apps", "controllerrevisions"), configuration(), dry_runs()]) };
    let everywhere_bound =
        ClusterRoleBinding { metadata: cluster_wide(NAME), role_ref: role("ClusterRole"), subjects: Some(vec![us(rendering)]) };
    let at_home_bound = RoleBinding { metadata: own(rendering, NAME), role_ref: role("Role"), subjects: Some(vec![us(rendering)]) };
    Ok(vec![yaml(&account)?, yaml(&everywhere)?, yaml(&everywhere_bound)?, yaml(&at_home)?, yaml(&at_home_bound)?])
}

/// The verbs that a watch with its first list needs.
fn mirrored(group: &str, resource: &str) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: ["get", "list", "watch"].map(str::to_owned).into(),
        ..PolicyRule::default()
    }
}

/// The reference's `ConfigMap`, and no other.
fn configuration() -> PolicyRule {
    PolicyRule { resource_names: Some(vec![CONFIGURATION.to_owned()]), ..mirrored("", "configmaps") }
}

/// Pods that stand for a set's sidecars while the API server judges them. None is stored; RBAC knows no right to that alone.
fn dry_runs() -> PolicyRule {
    PolicyRule { verbs: vec!["create".to_owned()], ..mirrored("", "pods") }
}

fn role(kind: &str) -> RoleRef {
    RoleRef { api_group: Some("rbac.authorization.k8s.io".to_owned()), kind: kind.to_owned(), name: NAME.to_owned() }
}

fn us(rendering: &Rendering) -> Subject {
    Subject { kind: "ServiceAccount".to_owned(), name: NAME.to_owned(), namespace: Some(rendering.namespace.clone()), ..Subject::default() }
}
