//! A review over HTTPS, as the API server sends it, and what it is answered.

use std::sync::Arc;

use futures::FutureExt;
use outrigger::admission::ask::{Answer, Question};
use serde_json::{Value, json};

use super::world::budget;
use crate::support::HttpsServer;

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": "web"},
        "annotations": {"pub.kruise.io/related-pub": "web"}}, "spec": {"containers": [{"name": "main", "image": "web:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
}

/// The review of an eviction of that version.
fn eviction(version: &str, name: &str, options: &Value) -> Vec<u8> {
    let object = json!({"apiVersion": format!("policy/{version}"), "kind": "Eviction", "metadata": {"name": name, "namespace": "shop"},
        "deleteOptions": options});
    let request = json!({"uid": name, "operation": "CREATE", "name": name, "namespace": "shop", "subResource": "eviction", "object": object,
        "kind": {"group": "policy", "version": version, "kind": "Eviction"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"}});
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string().into_bytes()
}

/// A server that knows the budget, and asks for pods.
fn server(allowed: i32) -> HttpsServer {
    let server = HttpsServer::start_asking(Some(Arc::new(|question| {
        let Question::Pod { name, .. } = question else { panic!("{question:?}") };
        std::future::ready(Answer::Found(pod(&name).to_string())).boxed()
    })));
    server.state.write().apply_budget(serde_json::from_value(budget("web", allowed)).unwrap());
    server
}

#[test]
fn an_eviction_without_room_is_answered_429_and_when_to_try_again() {
    for version in ["v1", "v1beta1"] {
        let server = server(1);
        let ask = |name: &str, options: Value| server.post("/validate-pod", eviction(version, name, &options)).1["response"].clone();
        assert_eq!(ask("web-1", json!({"dryRun": ["All"]}))["allowed"], true);
        assert_eq!(ask("web-2", json!({}))["allowed"], true, "a dry run has taken the only unit");
        let refused = ask("web-3", json!({}));
        let status = &refused["status"];
        assert_eq!((&refused["allowed"], &refused["uid"]), (&json!(false), &json!("web-3")));
        assert_eq!((&status["code"], &status["reason"]), (&json!(429), &json!("TooManyRequests")));
        assert_eq!(status["details"]["retryAfterSeconds"], 5, "{status}");
        let begin = r#"podunavailablebudget.policy.kruise.io "web" is forbidden: pod "web-3" cannot be evicted now: "#;
        assert!(status["message"].as_str().unwrap().starts_with(begin), "{status}");
        assert_eq!(ask("web-2", json!({}))["allowed"], true, "asked again");
    }
}
