use super::*;
use crate::base::installation::DEFINITIONS;

fn callees() -> Callees {
    Callees {
        namespace: "own".to_owned(),
        services: ["outrigger-webhook", "outrigger-conversion"].map(str::to_owned),
        hosts: vec!["127.0.0.1".to_owned(), "::1".to_owned(), "hooks.example".to_owned()],
    }
}

fn service(namespace: &str, name: &str) -> Value {
    json!({"service": {"namespace": namespace, "name": name, "path": "/mutate-pod", "port": 443}})
}

#[test]
fn a_hook_is_ours_by_its_service_or_its_host_and_no_other_is() {
    let is_ours = |client: &Value| is_ours(client, &callees());
    assert!(is_ours(&service("own", "outrigger-webhook")) && is_ours(&service("own", "outrigger-conversion")));
    for url in ["https://127.0.0.1:9443/mutate-pod", "https://[::1]:9443/x", "https://hooks.example/x"] {
        assert!(is_ours(&json!({"url": url})), "{url}");
    }
    for (namespace, name) in [("other", "outrigger-webhook"), ("own", "kruise-webhook-service"), ("", "")] {
        assert!(!is_ours(&service(namespace, name)), "{namespace}/{name}");
    }
    for url in ["https://127.0.0.2:9443/x", "https://hooks.example.evil/x", "https://evil/hooks.example", "", "no url at all"] {
        assert!(!is_ours(&json!({"url": url})), "{url}");
    }
    assert!(!is_ours(&json!({})) && !is_ours(&Value::Null));
}

fn configuration() -> Value {
    let mut ours = service("own", "outrigger-webhook");
    ours["caBundle"] = BASE64_STANDARD.encode("old").into();
    let mut broken = service("own", "outrigger-webhook");
    broken["caBundle"] = "no base64!".into();
    json!({"metadata": {"name": "outrigger", "resourceVersion": "7", "managedFields": [
        {"manager": "kubectl", "fieldsV1": {"f:webhooks": {"k:{\"name\":\"a\"}": {"f:clientConfig": {"f:service": {}}}}}},
        {"manager": "cert-manager-cainjector", "fieldsV1": {"f:webhooks": {"k:{\"name\":\"a\"}": {"f:clientConfig": {"f:caBundle": {}}}}}},
        {"manager": MANAGER, "fieldsV1": {"f:webhooks": {"k:{\"name\":\"a\"}": {"f:clientConfig": {"f:caBundle": {}}}}}},
    ]}, "webhooks": [
        {"name": "a", "clientConfig": ours, "namespaceSelector": {"matchLabels": {"x": "y"}}},
        {"name": "b", "clientConfig": service("elsewhere", "outrigger-webhook")},
        {"name": "c", "clientConfig": service("own", "outrigger-webhook")},
        {"name": "d", "clientConfig": broken},
    ]})
}

#[test]
fn of_a_configuration_our_hooks_are_read_and_nothing_else_is_written() {
    let carrier = Carrier { kind: Kind::Mutating, name: "outrigger".to_owned() };
    let found = found(carrier.kind, &configuration(), &callees());
    let hook = |name: &str, bundle: &[u8]| Hook { name: name.to_owned(), bundle: bundle.to_vec() };
    assert_eq!(found.hooks, [hook("a", b"old"), hook("c", b""), hook("d", b"")]);
    assert_eq!((&*found.version, found.rivals.as_slice()), ("7", &["cert-manager-cainjector".to_owned()][..]));
    let client = json!({"caBundle": BASE64_STANDARD.encode("new")});
    let hook = |name: &str| json!({"name": name, "clientConfig": client});
    let expected = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "outrigger", "resourceVersion": "7"}, "webhooks": [hook("a"), hook("c"), hook("d")],
    });
    assert_eq!(applied(&carrier, &found, "new"), expected);
}

#[test]
fn of_a_definition_only_the_conversion_is_ours() {
    let carrier = Carrier { kind: Kind::Definition, name: DEFINITIONS[0].to_owned() };
    let mut client = service("own", "outrigger-conversion");
    let definition = |client: &Value| json!({"metadata": {"resourceVersion": "9"}, "spec": {"group": "apps.kruise.io", "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": client}}}});
    let none = found(carrier.kind, &definition(&service("kruise-system", "kruise-webhook-service")), &callees());
    assert_eq!(none.hooks, []);
    assert_eq!(found(carrier.kind, &json!({"spec": {"conversion": {"strategy": "None"}}}), &callees()).hooks, []);
    client["caBundle"] = BASE64_STANDARD.encode("old").into();
    let ours = found(carrier.kind, &definition(&client), &callees());
    assert_eq!(ours.hooks, [Hook { name: String::new(), bundle: b"old".to_vec() }]);
    let body = applied(&carrier, &ours, "new");
    assert_eq!(body["spec"], json!({"conversion": {"webhook": {"clientConfig": {"caBundle": BASE64_STANDARD.encode("new")}}}}));
}
