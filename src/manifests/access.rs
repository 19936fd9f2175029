//! What the server may read and write: no more than it does.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::ServiceAccount,
        rbac::v1::{AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use crate::{
    cluster::lease::election::NAME as LEASE,
    protection::{kind::ALL, until},
    sidecarset::whitelist::CONFIGURATION,
};

use super::{AUTHORITY, DEFINITIONS, ManifestError, NAME, Rendering, cluster_wide, own, yaml};

/// What may be listed because a definition labelled `Cascading` defines it.
const COUNTED: &str = "outrigger-counted";
/// A `ClusterRole` with this label set to `true` adds to [`COUNTED`].
const ADDS_TO_COUNTED: &str = "outrigger.dev/aggregate-to-counted";
/// What Kubernetes puts on roles of those who may look at everything but secrets.
const ADDS_TO_VIEW: &str = "rbac.authorization.k8s.io/aggregate-to-view";
/// The right to lift the protection of what is protected until a time.
const LIFTED: &str = "outrigger-lifted";
/// What the gate `SidecarTerminator` needs.
const TERMINATOR: &str = "outrigger-sidecar-terminator";

/// What every installation needs.
pub(super) fn documents(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    // Only who asks for the token gets it: the Deployment does.
    let account =
        ServiceAccount { metadata: own(rendering, NAME), automount_service_account_token: Some(false), ..ServiceAccount::default() };
    let mut everywhere = ClusterRole {
        metadata: cluster_wide(NAME),
        rules: Some(vec![
            watched("apps.kruise.io", "sidecarsets"),
            mirrored("policy.kruise.io", "podunavailablebudgets"),
            watched("", "namespaces"),
            mirrored("", "pods"),
            allowed("apps.kruise.io", &["sidecarsets/status"], &["patch"]),
            allowed("policy.kruise.io", &["podunavailablebudgets/status"], &["patch"]),
            // To name a set as the owner that its revisions go with.
            allowed("apps.kruise.io", &["sidecarsets/finalizers"], &["update"]),
            allowed("", &["pods", "pods/status"], &["patch"]),
            allowed("events.k8s.io", &["events"], &["create", "patch"]),
        ]),
        ..ClusterRole::default()
    };
    let rules = everywhere.rules.get_or_insert_default();
    rules.extend(what_hangs_on_protected_objects());
    rules.extend(budgets());
    rules.extend(spreads());
    let mut rules =
        vec![mirrored("apps", "controllerrevisions"), allowed("apps", &["controllerrevisions"], &["create", "patch", "delete"])];
    rules.extend(lease());
    rules.extend([configuration(), dry_runs()]);
    let at_home = Role { metadata: own(rendering, NAME), rules: Some(rules) };
    Ok(vec![
        yaml(&account)?,
        yaml(&everywhere)?,
        yaml(&bound(rendering, NAME))?,
        yaml(&at_home)?,
        yaml(&bound_at_home(rendering, NAME))?,
        yaml(&ends_of_jobs())?,
        yaml(&bound(rendering, TERMINATOR))?,
        yaml(&counted())?,
        yaml(&bound(rendering, COUNTED))?,
        yaml(&lifted())?,
        yaml(&bound(rendering, LIFTED))?,
    ])
}

/// What only an installation needs whose replicas make their certificates themselves. A list or a watch may be allowed by name where it
/// asks for that name alone.
pub(super) fn authority(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let secrets = |verbs| allowed("", &["secrets"], verbs);
    let at_home = vec![secrets(&["create"]), named(secrets(&["get", "list", "watch", "update"]), &[AUTHORITY])];
    let written = &["get", "list", "watch", "patch"];
    let configurations = &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
    let everywhere = vec![
        named(allowed("admissionregistration.k8s.io", configurations, written), &[NAME]),
        named(allowed("apiextensions.k8s.io", &["customresourcedefinitions"], written), &DEFINITIONS),
    ];
    Ok(vec![
        yaml(&Role { metadata: own(rendering, AUTHORITY), rules: Some(at_home) })?,
        yaml(&bound_at_home(rendering, AUTHORITY))?,
        yaml(&ClusterRole { metadata: cluster_wide(AUTHORITY), rules: Some(everywhere), ..ClusterRole::default() })?,
        yaml(&bound(rendering, AUTHORITY))?,
    ])
}

fn bound(rendering: &Rendering, name: &str) -> ClusterRoleBinding {
    ClusterRoleBinding { metadata: cluster_wide(name), role_ref: role("ClusterRole", name), subjects: Some(vec![us(rendering)]) }
}

fn bound_at_home(rendering: &Rendering, name: &str) -> RoleBinding {
    RoleBinding { metadata: own(rendering, name), role_ref: role("Role", name), subjects: Some(vec![us(rendering)]) }
}

/// The rule, for objects of these names alone.
fn named(rule: PolicyRule, names: &[&str]) -> PolicyRule {
    PolicyRule { resource_names: Some(names.iter().map(|&name| name.to_owned()).collect()), ..rule }
}

/// What is counted before a namespace, a Service or a claim labelled `Cascading` is deleted, beside pods.
fn what_hangs_on_protected_objects() -> [PolicyRule; 2] {
    [allowed("", &["persistentvolumeclaims"], &["list"]), allowed("discovery.k8s.io", &["endpointslices"], &["list"])]
}

/// Objects of any definition are counted, but RBAC cannot allow to list everything except secrets. So whoever may look at everything may
/// lend us that, and whoever has more adds a role.
fn counted() -> ClusterRole {
    let labelled =
        |key: &str| LabelSelector { match_labels: Some([(key.to_owned(), "true".to_owned())].into()), ..LabelSelector::default() };
    let rule = AggregationRule { cluster_role_selectors: Some(vec![labelled(ADDS_TO_COUNTED), labelled(ADDS_TO_VIEW)]) };
    ClusterRole { metadata: cluster_wide(COUNTED), aggregation_rule: Some(rule), rules: None }
}

/// A role of its own, so that an installation can do without: RBAC cannot allow to change labels alone.
fn lifted() -> ClusterRole {
    let mut resources: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kind in until::KINDS.iter().chain(ALL.iter().map(|protectable| &protectable.kind)) {
        resources.entry(kind.group).or_default().push(kind.plural);
    }
    let rules = resources.iter().map(|(group, resources)| allowed(group, resources, &["list", "patch"])).collect();
    ClusterRole { metadata: cluster_wide(LIFTED), rules: Some(rules), ..ClusterRole::default() }
}

/// The verbs that a watch with its first list needs.
fn watched(group: &str, resource: &str) -> PolicyRule {
    allowed(group, &[resource], &["list", "watch"])
}

/// The same, and looked at one by one where the watch may be late.
fn mirrored(group: &str, resource: &str) -> PolicyRule {
    allowed(group, &[resource], &["get", "list", "watch"])
}

fn allowed(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    PolicyRule { api_groups: Some(vec![group.to_owned()]), resources: Some(owned(resources)), verbs: owned(verbs), ..PolicyRule::default() }
}

/// What budgets need to know how many pods there should be.
fn budgets() -> [PolicyRule; 4] {
    let read = &["get", "list", "watch"];
    [
        allowed("apps", &["deployments", "replicasets", "statefulsets"], read),
        watched("", "replicationcontrollers"),
        allowed("apps.kruise.io", &["clonesets", "statefulsets"], read),
        // Of every kind that somebody may name as a target.
        allowed("*", &["*/scale"], &["get"]),
    ]
}

/// What spreads need beside the workloads that budgets need.
fn spreads() -> [PolicyRule; 5] {
    [
        mirrored("apps.kruise.io", "workloadspreads"),
        allowed("apps.kruise.io", &["workloadspreads/status"], &["patch"]),
        mirrored("batch", "jobs"),
        // A pod that finds no node is made anew, in the next subset.
        allowed("", &["pods"], &["delete"]),
        // Where pods run that were there before.
        allowed("", &["nodes"], &["list"]),
    ]
}

/// What the gate `SidecarTerminator` needs beside pods: a role of its own, so that an installation can do without while the gate is off.
fn ends_of_jobs() -> ClusterRole {
    let rules = vec![
        allowed("", &["nodes"], &["get"]),
        allowed("apps.kruise.io", &["containerrecreaterequests"], &["get", "create"]),
        // To name a pod as the owner that its requests go with.
        allowed("", &["pods/finalizers"], &["update"]),
    ];
    ClusterRole { metadata: cluster_wide(TERMINATOR), rules: Some(rules), ..ClusterRole::default() }
}

/// What leader election needs. A creation cannot be allowed by name: the name is not known yet when access is decided.
fn lease() -> [PolicyRule; 2] {
    let rule = |verbs| allowed("coordination.k8s.io", &["leases"], verbs);
    [rule(&["create"]), named(rule(&["get", "update"]), &[LEASE])]
}

/// The reference's `ConfigMap`, and no other.
fn configuration() -> PolicyRule {
    named(watched("", "configmaps"), &[CONFIGURATION])
}

/// Pods that stand for a set's sidecars while the API server judges them. None is stored; RBAC knows no right to that alone.
fn dry_runs() -> PolicyRule {
    allowed("", &["pods"], &["create"])
}

fn role(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: Some("rbac.authorization.k8s.io".to_owned()), kind: kind.to_owned(), name: name.to_owned() }
}

fn us(rendering: &Rendering) -> Subject {
    Subject { kind: "ServiceAccount".to_owned(), name: NAME.to_owned(), namespace: Some(rendering.namespace.clone()), ..Subject::default() }
}
