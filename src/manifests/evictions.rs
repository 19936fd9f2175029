//! The policy that keeps the pods of budgets from being evicted while no server of ours answers: the API server applies it by itself.
//!
//! The hook of evictions cannot be narrowed to guarded pods, for its review does not show the pod. Would it refuse what is not answered, no
//! node of the cluster could be drained while we are down. So it lets go, and marks what it has judged; and in namespaces that have
//! budgets this policy refuses what is not marked.

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ParamKind, ParamRef, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use serde_json::{Value, json};

use super::{ManifestError, Rendering, cluster_wide, webhooks::elsewhere, yaml};
use crate::budget::keys::{JUDGED, PROTECT_OPERATIONS};

/// The name of the policy and of its binding.
const POLICY: &str = "outrigger-evictions";

/// The policy, and the binding that asks it about each budget of the eviction's namespace.
pub(super) fn documents(rendering: &Rendering) -> Result<Vec<String>, ManifestError> {
    let budgets = ParamRef {
        selector: Some(LabelSelector::default()),
        // Without budgets there is nothing to guard.
        parameter_not_found_action: Some("Allow".to_owned()),
        ..ParamRef::default()
    };
    let binding = ValidatingAdmissionPolicyBinding {
        metadata: cluster_wide(POLICY),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: POLICY.to_owned(),
            param_ref: Some(budgets),
            validation_actions: vec!["Deny".to_owned()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    };
    Ok(vec![yaml(&policy(rendering))?, yaml(&binding)?])
}

/// What strict manifests say otherwise.
pub(super) fn strict() -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": POLICY},
        "spec": {"failurePolicy": "Fail"}})
}

fn policy(rendering: &Rendering) -> ValidatingAdmissionPolicy {
    ValidatingAdmissionPolicy {
        metadata: cluster_wide(POLICY),
        spec: Some(ValidatingAdmissionPolicySpec {
            // Should the definition of budgets ever be gone, this must not hold up every drain. The price: an API server that has just
            // started does not know the budgets for some seconds.
            failure_policy: Some(if rendering.strict { "Fail" } else { "Ignore" }.to_owned()),
            param_kind: Some(ParamKind {
                api_version: Some("policy.kruise.io/v1beta1".to_owned()),
                kind: Some("PodUnavailableBudget".to_owned()),
            }),
            match_constraints: Some(evictions(rendering)),
            validations: Some(vec![Validation {
                expression: passes(),
                message: Some("no replica of Outrigger answered, so nobody can tell whether this pod can be spared".to_owned()),
                message_expression: Some(
                    "'no replica of Outrigger answered, so nobody can tell whether PodUnavailableBudget ' + params.metadata.name + ' can \
                     spare this pod; try again when `kubectl -n NAMESPACE get pods` shows one ready'"
                        .replace("NAMESPACE", &rendering.namespace),
                ),
                reason: Some("Forbidden".to_owned()),
            }]),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    }
}

/// What has been judged may pass, and what this budget does not guard against. (`budget::index`)
fn passes() -> String {
    let notes = "params.metadata.annotations";
    let judged = format!("has(object.metadata.annotations) && {JUDGED:?} in object.metadata.annotations");
    let going = "has(params.metadata.deletionTimestamp)";
    let listed = "has(params.spec.protectOperations) && size(params.spec.protectOperations) > 0";
    let is_noted = format!("has({notes}) && {PROTECT_OPERATIONS:?} in {notes} && {notes}[{PROTECT_OPERATIONS:?}].matches('[A-Za-z]')");
    let spared = format!(
        "({listed} ? !('EVICT' in params.spec.protectOperations) : {is_noted} && !{notes}[{PROTECT_OPERATIONS:?}].contains('EVICT'))"
    );
    format!("{judged} || {going} || {spared}")
}

fn evictions(rendering: &Rendering) -> MatchResources {
    let one = |word: &str| Some(vec![word.to_owned()]);
    MatchResources {
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(elsewhere(rendering)),
        object_selector: Some(LabelSelector::default()),
        resource_rules: Some(vec![NamedRuleWithOperations {
            api_groups: one(""),
            api_versions: one("v1"),
            resources: one("pods/eviction"),
            operations: one("CREATE"),
            scope: Some("*".to_owned()),
            resource_names: None,
        }]),
        exclude_resource_rules: None,
    }
}
