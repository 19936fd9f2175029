//! What the `CustomResourceDefinition`s of our kinds have in common: two versions, of which the newer one is stored, and a schema that
//! is derived from the types and then worked over as JSON.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionVersion, CustomResourceValidation, ServiceReference,
    WebhookClientConfig, WebhookConversion,
};
use serde_json::{Map, Value, json};

/// How objects of one version are turned into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Not at all: only `v1beta1` is served.
    Off,
    /// By a service of ours, under `/convert`; both versions are served.
    Webhook {
        /// Namespace of the service.
        namespace: String,
        /// Name of the service.
        service: String,
    },
}

/// What the API server checks in CEL: the member of the object that the rule is about, the expression, and the sentence for whoever
/// breaks it.
pub type Rule = (&'static str, &'static str, &'static str);

/// A derived definition, whose one version is `v1beta1`, with `v1alpha1` beside it. The derived schema is finished by `finish`, and what
/// comes of it is turned into that of the older version by `older`.
pub fn in_two_versions(
    mut definition: CustomResourceDefinition,
    conversion: &Conversion,
    finish: impl Fn(Value) -> Value,
    older: impl Fn(Value) -> Value,
) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut versions = Vec::new();
    for hub in std::mem::take(&mut definition.spec.versions) {
        let schema = finish(serde_json::to_value(&hub.schema)?);
        versions.push(CustomResourceDefinitionVersion { schema: validation(schema.clone())?, ..hub.clone() });
        versions.push(CustomResourceDefinitionVersion {
            name: "v1alpha1".to_owned(),
            served: *conversion != Conversion::Off,
            storage: false,
            schema: validation(older(schema))?,
            ..hub
        });
    }
    definition.spec.versions = versions;
    definition.spec.conversion = Some(strategy(conversion));
    Ok(definition)
}

/// The schema of the stored version, as the API server has it, for those who check objects without one. Nothing if the definition is
/// none.
pub fn stored_schema(definition: Result<CustomResourceDefinition, serde_json::Error>) -> Value {
    let definition = definition.and_then(serde_json::to_value).unwrap_or_default();
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let stored = versions.into_iter().flatten().find(|version| version.get("storage") == Some(&Value::Bool(true)));
    stored.and_then(|version| version.pointer("/schema/openAPIV3Schema")).cloned().unwrap_or_default()
}

fn validation(schema: Value) -> Result<Option<CustomResourceValidation>, serde_json::Error> {
    serde_json::from_value(schema).map(Some)
}

fn strategy(conversion: &Conversion) -> CustomResourceConversion {
    let Conversion::Webhook { namespace, service } = conversion else {
        return CustomResourceConversion { strategy: "None".to_owned(), webhook: None };
    };
    let service =
        ServiceReference { name: service.clone(), namespace: namespace.clone(), path: Some("/convert".to_owned()), port: Some(443) };
    CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            client_config: Some(WebhookClientConfig { service: Some(service), ..WebhookClientConfig::default() }),
            conversion_review_versions: vec!["v1".to_owned(), "v1beta1".to_owned()],
        }),
    }
}

/// Puts rules into the schema of an object, each at the member that it is about: a stored object that breaks it can then still be
/// updated elsewhere.
pub fn add_rules(root: &mut Map<String, Value>, rules: &[Rule]) {
    for (path, rule, message) in rules {
        let node = path
            .split('.')
            .filter(|name| !name.is_empty())
            .try_fold(&mut *root, |node, name| node.get_mut("properties")?.get_mut(name)?.as_object_mut());
        let rules = node.map(|node| node.entry("x-kubernetes-validations").or_insert_with(|| json!([])));
        if let Some(Value::Array(rules)) = rules {
            rules.push(json!({"rule": rule, "message": message}));
        }
    }
}

/// Visits a schema and all schemas within it.
pub fn each_node(node: &mut Map<String, Value>, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    visit(node);
    for (_, member) in members(node) {
        each_node(member, visit);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = node.get_mut(keyword) {
            each_node(inner, visit);
        }
    }
}

/// The members of an object's schema that have schemas.
pub fn members(node: &mut Map<String, Value>) -> impl Iterator<Item = (&String, &mut Map<String, Value>)> {
    let members = node.get_mut("properties").and_then(Value::as_object_mut);
    members.into_iter().flatten().filter_map(|(name, member)| Some((name, member.as_object_mut()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Map<String, Value> {
        let item = json!({"type": "object", "properties": {"c": {"type": "string"}}});
        let spec = json!({"type": "object", "properties": {"a": {"type": "array", "items": item}, "b": {"type": "object", "additionalProperties": item}}});
        json!({"type": "object", "properties": {"spec": spec}}).as_object().cloned().unwrap()
    }

    #[test]
    fn a_rule_stands_at_its_member_and_nowhere_else() {
        let mut root = schema();
        add_rules(&mut root, &[("", "1", "one"), ("spec.b", "2", "two"), ("spec.b", "3", "three"), ("spec.gone", "4", "four")]);
        let root = Value::Object(root);
        let rule = |rule: &str, message: &str| json!({"rule": rule, "message": message});
        assert_eq!(root["x-kubernetes-validations"], json!([rule("1", "one")]));
        let of_b = &root["properties"]["spec"]["properties"]["b"]["x-kubernetes-validations"];
        assert_eq!(*of_b, json!([rule("2", "two"), rule("3", "three")]));
        assert!(!root.to_string().contains("four"));
    }

    #[test]
    fn every_schema_within_is_visited_once() {
        let mut seen = Vec::new();
        each_node(&mut schema(), &mut |node| seen.push(node["type"].as_str().unwrap().to_owned()));
        assert_eq!(seen, ["object", "object", "array", "object", "string", "object", "object", "string"]);
    }

    #[test]
    fn a_definition_that_is_none_has_no_schema() {
        let none: Result<CustomResourceDefinition, _> = serde_json::from_str("7");
        assert_eq!(stored_schema(none), Value::Null);
    }
}
