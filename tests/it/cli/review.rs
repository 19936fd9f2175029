//! `outrigger review` and `outrigger manifests`.

use std::path::Path;

use serde_json::{Value, json};

use super::{MESH, REFUSES};
use crate::world::{
    binary::{folder, outrigger, run},
    client::review,
};

fn of(uid: &str, app: &str) -> Value {
    let mut review: Value = serde_json::from_str(&review(uid)).unwrap();
    review["request"]["object"]["metadata"]["labels"] = json!({"app": app});
    review
}

#[test]
fn reviews_are_answered_in_their_order() {
    let from = folder([("mesh.yaml", MESH), ("refuses.yaml", REFUSES)]);
    let recorded = folder([("some.json", &format!("{}\n{}", of("one", "web"), of("two", "other")))]);
    let more = format!("---\n{}\n---\n{}\n", of("three", "refused"), of("four", "web"));
    let found = run(outrigger().args(["review", "--from"]).arg(from.path()).arg(recorded.path().join("some.json")).arg("-"), &more);
    assert!(found.ok, "{}", found.err);
    let answers: Vec<Value> = found.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = answers
        .iter()
        .map(|answer| {
            assert_eq!((&answer["kind"], &answer["apiVersion"]), (&json!("AdmissionReview"), &json!("admission.k8s.io/v1")));
            let response = &answer["response"];
            (response["uid"].as_str().unwrap(), response["allowed"].as_bool().unwrap(), response["patch"].is_string())
        })
        .collect();
    assert_eq!(seen, [("one", true, true), ("two", true, false), ("three", false, false), ("four", true, true)]);
    assert_eq!(answers[2]["response"]["status"]["code"], 403);
}

/// A review of a new set with these members of its spec.
fn of_a_set(uid: &str, spec: &Value) -> Value {
    let object = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "log"}, "spec": spec});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": uid, "operation": "CREATE", "object": object,
        "resource": {"group": "apps.kruise.io", "version": "v1beta1", "resource": "sidecarsets"}}})
}

#[test]
fn a_set_goes_through_both_its_hooks_and_gets_one_answer() {
    let from = folder([]);
    let good = of_a_set("good", &json!({"selector": {"matchLabels": {"a": "b"}}, "containers": [{"name": "log", "image": "log:1"}]}));
    let bad = of_a_set("bad", &json!({"selector": {"matchLabels": {"a": "b"}}}));
    // One hook alone: it fills in what the other would refuse.
    let mut half = bad.clone();
    half["path"] = json!("/mutate-apps-kruise-io-sidecarset");
    let found = run(outrigger().args(["review", "-", "--from"]).arg(from.path()), &format!("{good}\n{bad}\n{half}"));
    assert!(found.ok, "{}", found.err);
    let answers: Vec<Value> = found.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["response"].clone()).collect();
    assert_eq!((&answers[0]["allowed"], answers[0]["patch"].is_string()), (&json!(true), true));
    let warning = "the finer rules of containers and volumes were not checked: there is no API server to ask";
    assert_eq!(answers[0]["warnings"], json!([warning]));
    assert_eq!((&answers[1]["allowed"], &answers[1]["status"]["code"]), (&json!(false), &json!(422)));
    assert_eq!((&answers[2]["allowed"], answers[2]["patch"].is_string()), (&json!(true), true));
}

#[test]
fn what_a_hook_asks_is_answered_by_the_objects_of_the_folder() {
    let from = folder([("pods.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop, name: a}\nspec: {containers: []}\n")]);
    let of = |name: &str| {
        let old = json!({"metadata": {"name": name, "labels": {"policy.kruise.io/delete-protection": "Cascading"}}});
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": name, "operation": "DELETE", "oldObject": old,
            "resource": {"group": "", "version": "v1", "resource": "namespaces"}}})
    };
    let found = run(outrigger().args(["review", "-", "--from"]).arg(from.path()), &format!("{}\n{}", of("shop"), of("empty")));
    let answers: Vec<Value> = found.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = answers[0]["response"]["status"]["message"].as_str().unwrap();
    assert!(said.contains("=Cascading and active pods 1>0; Namespace shop is protected: "), "{said}");
    assert_eq!(answers[1]["response"]["allowed"], true);
}

#[test]
fn a_conversion_review_is_answered_too() {
    let from = folder([]);
    let object =
        json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": "log"}, "spec": {"namespace": "shop"}});
    let review = |objects: Value| {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "request": {"uid": "u", "desiredAPIVersion": "apps.kruise.io/v1beta1", "objects": objects}})
        .to_string()
    };
    let found = run(outrigger().args(["review", "-", "--from"]).arg(from.path()), &review(json!([object])));
    let answer: Value = serde_json::from_str(&found.out).unwrap();
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
    assert_eq!(answer["response"]["convertedObjects"][0]["spec"]["namespaceSelector"], selector);
    let found = run(outrigger().args(["review", "-", "--from"]).arg(from.path()), &review(json!(7)));
    assert!(!found.ok && found.err.contains("document 1 (ConversionReview): request: ConversionReview: request.objects"), "{}", found.err);
}

#[test]
fn a_review_that_cannot_be_read_is_named() {
    let from = folder([]);
    let mut bad = of("two", "web");
    bad["request"]["name"] = json!(7);
    for (input, said) in [
        (format!("{}\n{bad}", of("one", "web")), "outrigger: -: document 2 (AdmissionReview): request: AdmissionReview: request.name: "),
        ("{}".to_owned(), "outrigger: -: document 1: request: kind: expected `AdmissionReview`"),
        ("{\"a\"".to_owned(), "outrigger: -: "),
    ] {
        let found = run(outrigger().args(["review", "-", "--from"]).arg(from.path()), &input);
        assert!(!found.ok && found.err.contains(said), "expected {said}\nfound {}", found.err);
    }
}

#[test]
fn manifests_are_checked_against_what_lies_there() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let check = |out: &Path| run(outrigger().args(["manifests", "--check", "--out"]).arg(out), "");
    let found = check(&committed);
    assert!(found.ok && found.out.is_empty(), "{}", found.err);

    let out = tempfile::tempdir().unwrap();
    assert!(run(outrigger().args(["manifests", "--out"]).arg(out.path()), "").ok);
    assert!(check(out.path()).ok);
    std::fs::write(out.path().join("service.yaml"), "kind: Servant\n").unwrap();
    std::fs::remove_file(out.path().join("rbac.yaml")).unwrap();
    let found = check(out.path());
    assert!(!found.ok && found.err.contains("service.yaml") && found.err.contains("rbac.yaml"), "{}", found.err);
    assert_eq!(std::fs::read_to_string(out.path().join("service.yaml")).unwrap(), "kind: Servant\n");

    let found = run(outrigger().args(["manifests", "--check"]), "");
    assert!(!found.ok && found.err.contains("--out"), "{}", found.err);
}

#[test]
fn manifests_without_a_place_come_on_standard_output() {
    let found = run(outrigger().args(["manifests", "--namespace", "elsewhere"]), "");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&found.out).unwrap();
    assert!(found.ok && documents.iter().any(|document| document["kind"] == "MutatingWebhookConfiguration"));
    // Ready for `kubectl apply -f -`: neither patches nor what is for kustomize alone.
    assert!(documents.iter().all(|document| document["kind"] != "Kustomization" && document.get("$patch").is_none()));
    assert!(found.out.contains("namespace: elsewhere") && !found.out.contains("outrigger-system"));
}
