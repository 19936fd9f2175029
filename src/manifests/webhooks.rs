//! The webhook configurations: what the table of handlers says, in the words of the API server.

use k8s_openapi::{
    api::admissionregistration::v1::{
        MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference, ValidatingWebhook,
        ValidatingWebhookConfiguration, WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta},
};

use super::{ManifestError, NAME, Rendering, SERVICE, cluster_wide, protect, yaml};
use crate::{
    budget::keys::{RELATED, RELATED_OLD, UNAVAILABLE_LABEL},
    handlers::{OPT_OUT_LABEL, OPT_OUT_VALUE, Registration, Scope, SideEffects, Unanswered},
    protection::keys::LABEL,
    spread::keys::MATCHED,
};

/// One configuration for the hooks that change objects, one for those that judge them; neither if it were empty.
pub(super) fn documents(rendering: &Rendering, table: &[Registration]) -> Result<Vec<String>, ManifestError> {
    let (mutating, validating): (Vec<_>, Vec<_>) = table.iter().partition(|row| row.mutates);
    let mut documents = Vec::new();
    if !mutating.is_empty() {
        let webhooks = mutating.into_iter().map(|row| mutating_webhook(rendering, row)).collect();
        documents.push(yaml(&MutatingWebhookConfiguration { metadata: metadata(), webhooks: Some(webhooks) })?);
    }
    if !validating.is_empty() {
        let webhooks = validating.into_iter().map(|row| validating_webhook(rendering, row)).collect();
        documents.push(yaml(&ValidatingWebhookConfiguration { metadata: metadata(), webhooks: Some(webhooks) })?);
    }
    Ok(documents)
}

/// Without them nothing is injected and nothing is guarded: they are protected, as far as a policy can.
fn metadata() -> ObjectMeta {
    let mut metadata = cluster_wide(NAME);
    protect(&mut metadata);
    metadata
}

fn mutating_webhook(rendering: &Rendering, row: &Registration) -> MutatingWebhook {
    MutatingWebhook {
        name: row.name.to_owned(),
        admission_review_versions: review_versions(),
        client_config: client_config(rendering, row),
        failure_policy: Some(failure_policy(rendering, row)),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: namespaces(rendering, row),
        object_selector: objects(row),
        reinvocation_policy: Some(if row.asked_again { "IfNeeded" } else { "Never" }.to_owned()),
        rules: Some(vec![rule(row)]),
        side_effects: side_effects(row),
        timeout_seconds: Some(row.timeout_seconds),
        match_conditions: None,
    }
}

fn validating_webhook(rendering: &Rendering, row: &Registration) -> ValidatingWebhook {
    ValidatingWebhook {
        name: row.name.to_owned(),
        admission_review_versions: review_versions(),
        client_config: client_config(rendering, row),
        failure_policy: Some(failure_policy(rendering, row)),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: namespaces(rendering, row),
        object_selector: objects(row),
        rules: Some(vec![rule(row)]),
        side_effects: side_effects(row),
        timeout_seconds: Some(row.timeout_seconds),
        match_conditions: conditions(row),
    }
}

/// Pods without a budget or a place never wait for an answer of ours, nor do those that are on their way out or have finished: their
/// nodes remove them also while we are down. Nor do changes of metadata alone, but for the label that takes a pod out of service.
fn conditions(row: &Registration) -> Option<Vec<MatchCondition>> {
    let condition = |name: &str, expression: String| MatchCondition { name: name.to_owned(), expression };
    let has = |key: &str| format!("{key:?} in oldObject.metadata.annotations");
    let is_linked = format!("has(oldObject.metadata.annotations) && ({} || {})", has(RELATED), has(RELATED_OLD));
    let is_finished = r#"has(oldObject.status.phase) && oldObject.status.phase in ["Succeeded", "Failed"]"#;
    let takes_out = format!("has(object.metadata.labels) && object.metadata.labels.exists(key, key.startsWith({UNAVAILABLE_LABEL:?}))");
    let is_there = || {
        let going = condition("not-on-its-way-out", "!has(oldObject.metadata.deletionTimestamp)".to_owned());
        [going, condition("not-finished", format!("!({is_finished})"))]
    };
    let first = match row.scope {
        Scope::Guarded => vec![condition("linked-to-a-budget", is_linked)],
        Scope::Placed => vec![
            condition("placed-by-a-spread", format!("has(oldObject.metadata.annotations) && {}", has(MATCHED))),
            condition("not-linked-to-a-budget", format!("!({is_linked})")),
        ],
        _ => return None,
    };
    let is_changed = || {
        let expression = format!(r#"request.operation == "DELETE" || object.spec != oldObject.spec || {takes_out}"#);
        condition("not-metadata-alone", expression)
    };
    let last = (row.scope == Scope::Guarded).then(is_changed);
    Some(first.into_iter().chain(is_there()).chain(last).collect())
}

fn review_versions() -> Vec<String> {
    vec!["v1".to_owned()]
}

/// Without `caBundle`: that is written where the certificate is made.
fn client_config(rendering: &Rendering, row: &Registration) -> WebhookClientConfig {
    let service = ServiceReference {
        name: SERVICE.to_owned(),
        namespace: rendering.namespace.clone(),
        path: Some(row.path.to_owned()),
        port: Some(443),
    };
    WebhookClientConfig { service: Some(service), ..WebhookClientConfig::default() }
}

fn failure_policy(rendering: &Rendering, row: &Registration) -> String {
    match row.unanswered {
        Unanswered::Admit if !rendering.strict => "Ignore",
        Unanswered::LetGo => "Ignore",
        Unanswered::Admit | Unanswered::Refuse => "Fail",
    }
    .to_owned()
}

fn side_effects(row: &Registration) -> String {
    match row.side_effects {
        SideEffects::Never => "None",
        SideEffects::UnlessDryRun => "NoneOnDryRun",
    }
    .to_owned()
}

fn rule(row: &Registration) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: Some(vec![row.group.to_owned()]),
        api_versions: Some(owned(row.versions)),
        resources: Some(owned(row.resources)),
        operations: Some(owned(row.operations)),
        scope: Some("*".to_owned()),
    }
}

/// All namespaces but ours and the cluster's own.
pub(super) fn elsewhere(rendering: &Rendering) -> LabelSelector {
    selector(vec![not_ours(rendering)])
}

fn not_ours(rendering: &Rendering) -> LabelSelectorRequirement {
    not_in("kubernetes.io/metadata.name", &["kube-system", &rendering.namespace])
}

fn namespaces(rendering: &Rendering, row: &Registration) -> Option<LabelSelector> {
    match row.scope {
        Scope::Everything | Scope::Protected => None,
        Scope::Guarded | Scope::Placed | Scope::Elsewhere => Some(elsewhere(rendering)),
        Scope::Ordinary => Some(selector(vec![not_ours(rendering), not_in(OPT_OUT_LABEL, &[OPT_OUT_VALUE])])),
    }
}

fn objects(row: &Registration) -> Option<LabelSelector> {
    match row.scope {
        Scope::Everything | Scope::Guarded | Scope::Placed | Scope::Elsewhere => None,
        Scope::Ordinary => Some(selector(vec![not_in(OPT_OUT_LABEL, &[OPT_OUT_VALUE])])),
        Scope::Protected => Some(selector(vec![exists(LABEL)])),
    }
}

fn exists(key: &str) -> LabelSelectorRequirement {
    LabelSelectorRequirement { key: key.to_owned(), operator: "Exists".to_owned(), values: None }
}

fn selector(requirements: Vec<LabelSelectorRequirement>) -> LabelSelector {
    LabelSelector { match_expressions: Some(requirements), ..LabelSelector::default() }
}

fn not_in(key: &str, values: &[&str]) -> LabelSelectorRequirement {
    LabelSelectorRequirement { key: key.to_owned(), operator: "NotIn".to_owned(), values: Some(owned(values)) }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::handlers::{TABLE, Verdict};

    const GUARD: Registration = Registration {
        path: "/validate-pod",
        name: "vpodeviction.outrigger.kruise.io",
        mutates: false,
        group: "",
        versions: &["v1"],
        resources: &["pods/eviction"],
        operations: &["CREATE"],
        scope: Scope::Everything,
        unanswered: Unanswered::Refuse,
        timeout_seconds: 5,
        side_effects: SideEffects::UnlessDryRun,
        asked_again: false,
        handler: |_, _, _| Verdict::allow(),
    };

    fn rendered(table: &[Registration]) -> Vec<Value> {
        let documents = documents(&Rendering::default(), table).unwrap();
        documents.iter().map(|document| serde_saphyr::from_str(document).unwrap()).collect()
    }

    #[test]
    fn hooks_that_judge_get_a_configuration_of_their_own() {
        let mut table = TABLE.to_vec();
        table.push(GUARD);
        let kinds: Vec<_> = rendered(&table).into_iter().map(|document| document["kind"].clone()).collect();
        assert_eq!(kinds, ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]);
    }

    #[test]
    fn an_empty_configuration_is_not_rendered() {
        assert_eq!(rendered(&[]), [json!(null); 0]);
        assert_eq!(rendered(&[GUARD]).len(), 1);
    }

    #[test]
    fn a_hook_for_everything_has_no_selectors_and_refuses_what_it_cannot_judge() {
        let documents = rendered(&[GUARD]);
        let hook = &documents[0]["webhooks"][0];
        assert_eq!([hook.get("namespaceSelector"), hook.get("objectSelector")], [None, None]);
        assert_eq!(hook["failurePolicy"], "Fail");
        assert_eq!(hook["sideEffects"], "NoneOnDryRun");
        assert_eq!(hook["timeoutSeconds"], 5);
        assert_eq!(hook.get("reinvocationPolicy"), None);
    }
}
