//! The policy that keeps whatever is labelled `Always`, of any kind: the API server applies it by itself, with no server of ours.
//!
//! It says what `protection::text` says, as far as a policy knows it: it has no clock, and sees nothing but the object and its namespace.

use std::fmt::Write;

use k8s_openapi::{
    api::admissionregistration::v1::{
        MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
        ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation, Variable,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use super::{ManifestError, cluster_wide, yaml};
use crate::protection::keys::{ALWAYS, LABEL, LONGEST_TOLD, OWNER, REASON, UNTIL};

/// The name of the policy and of its binding.
const POLICY: &str = "outrigger-delete-protection";

/// The policy, and the binding that puts it in force for the whole cluster.
pub(super) fn documents() -> Result<Vec<String>, ManifestError> {
    let binding = ValidatingAdmissionPolicyBinding {
        metadata: cluster_wide(POLICY),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: POLICY.to_owned(),
            validation_actions: vec!["Deny".to_owned()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    };
    Ok(vec![yaml(&policy())?, yaml(&binding)?])
}

fn policy() -> ValidatingAdmissionPolicy {
    ValidatingAdmissionPolicy {
        metadata: cluster_wide(POLICY),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_constraints: Some(everything_labelled()),
            variables: Some(variables()),
            validations: Some(vec![Validation {
                // What is going already is not held up: what is left are its finalizers.
                expression: "has(oldObject.metadata.deletionTimestamp)".to_owned(),
                message: Some(format!("forbidden by ResourcesProtectionDeletion for {LABEL}={ALWAYS}")),
                message_expression: Some(message()),
                reason: Some("Forbidden".to_owned()),
            }]),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    }
}

/// Deletions of objects themselves, of every kind that there is or will be.
fn everything_labelled() -> MatchResources {
    MatchResources {
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(LabelSelector::default()),
        object_selector: Some(LabelSelector {
            match_labels: Some([(LABEL.to_owned(), ALWAYS.to_owned())].into()),
            ..LabelSelector::default()
        }),
        resource_rules: Some(vec![deletions("*", "*")]),
        // Kubernetes copies all labels of a Service to them, and must be able to take away what has become stale.
        exclude_resource_rules: Some(vec![deletions("", "endpoints"), deletions("discovery.k8s.io", "endpointslices")]),
    }
}

fn deletions(group: &str, resource: &str) -> NamedRuleWithOperations {
    let one = |word: &str| Some(vec![word.to_owned()]);
    NamedRuleWithOperations {
        api_groups: one(group),
        api_versions: one("*"),
        resources: one(resource),
        operations: one("DELETE"),
        scope: Some("*".to_owned()),
        resource_names: None,
    }
}

/// Parts of the message.
fn variables() -> Vec<Variable> {
    let variable = |name: &str, expression: &str| Variable { name: name.to_owned(), expression: expression.to_owned() };
    vec![
        variable("notes", "has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}"),
        variable("keys", &keys()),
        variable("told", &told()),
        variable("place", "has(oldObject.metadata.namespace) ? oldObject.metadata.namespace : ''"),
        variable(
            "resource",
            "request.resource.group == '' ? request.resource.resource : request.resource.resource + '.' + request.resource.group",
        ),
        variable("goes", "variables.place != '' && namespaceObject != null && has(namespaceObject.metadata.deletionTimestamp)"),
    ]
}

/// What is told, and where it stands.
fn keys() -> String {
    let keys = [("reason", REASON), ("owner", OWNER), ("until", UNTIL)].map(|(what, key)| format!("'{what}': '{key}'"));
    format!("{{{}}}", keys.join(", "))
}

/// The annotations with what they are, each on one line and not without end: a message of several lines, or a very long one, would not
/// be shown at all.
fn told() -> String {
    let value = "string(variables.notes[variables.keys[what]]).replace('\\n', ' ').replace('\\r', ' ').trim()";
    let is_there = format!("variables.keys[what] in variables.notes && {value} != ''");
    let cut = format!("size(line) > {LONGEST_TOLD} ? line.substring(0, {LONGEST_TOLD}) + '…' : line");
    format!("['reason', 'owner', 'until'].filter(what, {is_there}).map(what, what + ': ' + {value}).map(line, {cut})")
}

fn message() -> String {
    let mut message = format!("'forbidden by ResourcesProtectionDeletion for {LABEL}={ALWAYS}; ' + request.kind.kind + ' '");
    for part in [
        "(variables.place == '' ? '' : variables.place + '/')",
        "oldObject.metadata.name + ' is protected'",
        "(variables.told == [] ? '' : ' (' + variables.told.join('; ') + ')')",
        "': lift the protection: `kubectl label '",
        "(variables.place == '' ? '' : '-n ' + variables.place + ' ')",
    ] {
        let _ = write!(message, " + {part}");
    }
    let _ = write!(message, " + variables.resource + ' ' + oldObject.metadata.name + ' {LABEL}-`'");
    let consequence = "'; namespace ' + variables.place + ' is being deleted and stays Terminating until then'";
    let _ = write!(message, " + (variables.goes ? {consequence} : '')");
    message
}
