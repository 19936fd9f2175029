//! What the binary writes to its log, and how that is changed while it runs.

use serde_json::{Value, json};

use super::{MESH, REFUSES};
use crate::world::{
    binary::{Serving, folder, outrigger},
    client::{Client, Protocol},
    until,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A review of a new pod of this app, which has a secret in its environment.
fn review(app: &str) -> String {
    let containers = json!([{"name": "c", "image": "i", "env": [{"name": "TOKEN", "value": "hunter2"}]}]);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-7d-", "labels": {"app": app}},
        "spec": {"containers": containers}});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": format!("review-{app}"), "operation": "CREATE", "namespace": "shop", "object": pod, "userInfo": {"username": "ann"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}}})
    .to_string()
}

async fn client(serving: &Serving) -> Client {
    Client::connect(serving.reviews, &serving.trust(), Protocol::Http2).await
}

/// The line about a review, when it is there.
async fn line(serving: &Serving, app: &str) -> Value {
    let of = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|line| line["fields"]["review"] == format!("review-{app}"));
    until("a line", async || serving.log().lines().find_map(of)).await
}

#[tokio::test]
async fn each_denial_and_each_patch_is_a_line_that_says_who_what_and_why_and_no_secrets() {
    let from = folder([("mesh.yaml", MESH), ("lost.yaml", REFUSES)]);
    let mut command = outrigger();
    let serving = Serving::start(command.env("OUTRIGGER_LOG_FORMAT", "json"), &["--from", from.path().to_str().unwrap()]);
    let mut client = client(&serving).await;
    for app in ["refused", "web", "nobody"] {
        client.post("/mutate-pod", review(app)).await;
    }
    let (denied, patched) = (line(&serving, "refused").await, line(&serving, "web").await);
    let about = json!({"hook": "/mutate-pod", "user": "ann", "operation": "CREATE", "resource": "pods", "namespace": "shop", "name": "web-7d-*", "dry_run": false});
    for (line, app, reason, message) in [
        (&denied, "refused", "revision", "denied: ControllerRevision.apps \"lost-0\" not found"),
        (&patched, "web", "sidecars", "patched: sidecarsets mesh"),
    ] {
        assert_eq!((&line["level"], &line["target"]), (&json!("INFO"), &json!("outrigger::server::account")));
        let fields = line["fields"].as_object().unwrap();
        assert!(about.as_object().unwrap().iter().all(|(key, value)| fields.get(key) == Some(value)), "{line}");
        assert_eq!(
            (&fields["reason"], &fields["message"], &fields["review"]),
            (&json!(reason), &json!(message), &json!(format!("review-{app}")))
        );
    }
    assert_eq!(denied["fields"]["code"], 403);
    // An eviction that may pass is marked, which is at debug alone; the line after it is there.
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"namespace": "shop", "name": "web-0"}});
    let eviction = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "review-eviction", "operation": "CREATE", "namespace": "shop", "name": "web-0", "subResource": "eviction", "object": eviction,
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "userInfo": {"username": "ann"}}});
    let answer = client.post("/mutate-pod-eviction", eviction.to_string()).await;
    assert!(answer.json()["response"]["patch"].is_string(), "{answer:?}");
    client.post("/mutate-pod", review("web").replace("review-web", "review-after")).await;
    line(&serving, "after").await;
    let log = serving.log();
    assert!(!log.contains("hunter2") && !log.contains("review-nobody") && !log.contains("review-eviction"), "{log}");
}

#[tokio::test]
async fn the_level_is_changed_while_it_runs() {
    let from = folder([("mesh.yaml", MESH)]);
    let serving = Serving::folder(from.path());
    assert_eq!(serving.get("/log-level"), (200, "info\n".to_owned()));
    let (status, text) = serving.put("/log-level", "loud");
    assert_eq!((status, serving.get("/log-level").1.as_str()), (400, "info\n"));
    assert_eq!(text, "expected a level (off, error, warn, info, debug, trace) or a filter like `info,outrigger=debug`, found `loud`\n");
    assert_eq!(serving.put("/log-level", &"x".repeat(5000)).0, 413);

    let mut client = client(&serving).await;
    client.post("/mutate-pod", review("before")).await;
    assert_eq!(serving.put("/log-level", "info,outrigger=debug\n"), (200, "info,outrigger=debug\n".to_owned()));
    client.post("/mutate-pod", review("after")).await;
    until("a line of that level", async || serving.log().contains("review=review-after").then_some(())).await;
    let log = serving.log();
    assert!(!log.contains("review=review-before") && log.contains("from=info to=info,outrigger=debug"), "{log}");
}

#[tokio::test]
async fn lines_of_a_review_have_the_id_of_its_trace() {
    let from = folder([("mesh.yaml", MESH)]);
    let serving = Serving::folder(from.path());
    let mut client = client(&serving).await;
    client.post("/mutate-pod", review("web")).await;
    client.header = Some(("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01")));
    client.post("/mutate-pod", review("web").replace("review-web", "review-traced")).await;
    until("both lines", async || serving.log().contains("review=review-traced").then_some(())).await;
    let log = serving.log();
    let of = |uid: &str| log.lines().find(|line| line.contains(&format!("review={uid} "))).unwrap();
    assert!(!of("review-web").contains("trace_id"), "{log}");
    assert!(of("review-traced").contains(&format!("trace_id=\"{TRACE}\"")), "{log}");
}
