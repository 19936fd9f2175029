//! A server that only watches: whatever it would have done, every request passes as it is, and it is told what would have been done.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{
    binary::{Serving, folder, outrigger},
    client::{Client, Protocol},
    until,
};

const PODS: &str = "/mutate-pod";
const GUARD: &str = "/validate-pod";
const SETS: &str = "/validate-apps-kruise-io-sidecarset";

/// A set, a budget that has one unit, one that has none, and their pods.
const CLUSTER: &str = r#"
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: mesh}
spec:
  selector: {matchLabels: {app: web}}
  containers: [{name: proxy, image: "registry.example.com/proxy:1", env: [{name: TOKEN, value: hush}]}]
---
apiVersion: policy.kruise.io/v1beta1
kind: PodUnavailableBudget
metadata: {name: one, namespace: shop, uid: one, generation: 1}
spec: {selector: {matchLabels: {app: one}}, maxUnavailable: 1}
status: {observedGeneration: 1, totalReplicas: 3, currentAvailable: 3, desiredAvailable: 2, unavailableAllowed: 1}
---
apiVersion: policy.kruise.io/v1beta1
kind: PodUnavailableBudget
metadata: {name: none, namespace: shop, uid: none, generation: 1}
spec: {selector: {matchLabels: {app: none}}, maxUnavailable: 1}
status: {observedGeneration: 1, totalReplicas: 3, currentAvailable: 2, desiredAvailable: 2, unavailableAllowed: 0}
"#;

struct Shadow {
    serving: Serving,
    _folder: TempDir,
}

impl Shadow {
    fn start(objects: &str) -> Self {
        let folder = folder([("cluster.yaml", objects)]);
        let serving = Serving::start(&mut outrigger(), &["--shadow", "--from", path(folder.path())]);
        Self { serving, _folder: folder }
    }

    /// Posts a review; asserts that it passes as it is, without a word.
    async fn passes(&self, path: &str, request: &Value) {
        let mut client = Client::connect(self.serving.reviews, &self.serving.trust(), Protocol::Http2).await;
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        client.post(path, body.to_string()).await.assert_admits("u");
    }

    fn would(&self, hook: &str, would: &str) -> u64 {
        self.serving.metric(&format!(r#"outrigger_shadow_reviews_total{{hook="{hook}",would="{would}"}}"#))
    }

    /// The log's first line that says this. It may come after the answer.
    async fn said(&self, words: &str) -> String {
        let find = || self.serving.log().lines().find(|line| line.contains(words)).map(str::to_owned);
        until(words, async || find()).await
    }
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

fn new_pod(app: &str) -> Value {
    json!({"uid": "u", "operation": "CREATE", "namespace": "shop", "name": "p", "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "ann"}, "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"app": app}},
            "spec": {"containers": [{"name": "main", "image": "main:1"}]}}})
}

fn deletion(app: &str, pod: &str) -> Value {
    json!({"uid": "u", "operation": "DELETE", "namespace": "shop", "name": pod, "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "ann"}, "options": {}, "oldObject": {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod, "namespace": "shop", "uid": pod, "labels": {"app": app}, "annotations": {"pub.kruise.io/related-pub": app}},
            "spec": {"containers": [{"name": "main", "image": "main:1"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}})
}

#[tokio::test]
async fn a_patch_is_withheld_counted_and_told_without_its_values() {
    let shadow = Shadow::start(CLUSTER);
    shadow.passes(PODS, &new_pod("web")).await;
    shadow.passes(PODS, &new_pod("other")).await;
    // One more is the question of the server to itself.
    assert_eq!((shadow.would(PODS, "patched"), shadow.would(PODS, "allowed")), (1, 2));
    assert_eq!(shadow.serving.metric(r#"outrigger_reviews_total{hook="/mutate-pod",verdict="patched"}"#), 0);
    let line = shadow.said("would have been patched").await;
    for part in ["INFO", "(sidecarsets mesh)", "add /spec/containers/", "namespace=shop", "name=p", "user=ann", "operation=CREATE"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("hush"), "{line}");
}

#[tokio::test]
async fn a_refusal_is_withheld_counted_and_told() {
    let shadow = Shadow::start(CLUSTER);
    let set =
        json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "bad"}, "spec": {"containers": []}});
    let resource = json!({"group": "apps.kruise.io", "version": "v1beta1", "resource": "sidecarsets"});
    shadow.passes(SETS, &json!({"uid": "u", "operation": "CREATE", "name": "bad", "resource": resource, "object": set})).await;
    assert_eq!(shadow.would(SETS, "denied"), 1);
    let line = shadow.said("would have been denied").await;
    assert!(line.contains("spec.selector") && line.contains("name=bad"), "{line}");
}

#[tokio::test]
async fn nothing_is_taken_however_often_it_is_asked_for() {
    let shadow = Shadow::start(CLUSTER);
    let before = shadow.serving.get("/objects");
    for pod in ["one-1", "one-2", "one-3"] {
        shadow.passes(GUARD, &deletion("one", pod)).await;
    }
    shadow.passes(GUARD, &deletion("none", "none-1")).await;
    assert_eq!((shadow.would(GUARD, "allowed"), shadow.would(GUARD, "denied")), (3, 1));
    assert_eq!(shadow.serving.get("/objects"), before, "what a shadow would have done was done");
    let line = shadow.said("would have been denied").await;
    assert!(line.contains("none-1") && line.contains("operation=DELETE"), "{line}");
}

#[tokio::test]
async fn what_another_server_has_made_alike_is_agreement_and_what_it_did_beyond_is_told() {
    let enforcing = folder([("cluster.yaml", CLUSTER)]);
    let original = Serving::folder(enforcing.path());
    let mut client = Client::connect(original.reviews, &original.trust(), Protocol::Http2).await;
    let mut request = new_pod("web");
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    let answer = client.post(PODS, review.to_string()).await.json();
    let patch: json_patch::Patch = serde_json::from_slice(&base64(answer["response"]["patch"].as_str().unwrap())).unwrap();
    json_patch::patch(&mut request["object"], &patch).unwrap();
    assert_eq!(request["object"]["spec"]["containers"].as_array().unwrap().len(), 2);

    let alike = Shadow::start(CLUSTER);
    alike.passes(PODS, &request).await;
    assert_eq!((alike.would(PODS, "patched"), alike.would(PODS, "left_out")), (0, 0), "{}", alike.serving.log());

    let without = Shadow::start("{}");
    without.passes(PODS, &request).await;
    assert_eq!((without.would(PODS, "patched"), without.would(PODS, "left_out")), (0, 1), "{}", without.serving.log());
    without.said("would have been left out: SidecarSet \"mesh\" was injected").await;
}

fn base64(text: &str) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(text).unwrap()
}

#[tokio::test]
async fn conversions_are_left_to_others_and_bodies_that_are_no_review_are_refused() {
    let shadow = Shadow::start(CLUSTER);
    let mut client = Client::connect(shadow.serving.reviews, &shadow.serving.trust(), Protocol::Http2).await;
    assert_eq!(client.post("/convert", "{}").await.status, 404);
    assert_eq!(client.post(PODS, "{}").await.status, 400);
}
