//! Handlers that ask before they decide, and conversions: the same limits and the same one answer for each request.

use std::sync::Arc;

use futures::FutureExt;
use outrigger::{
    admission::ask::{Answer, Cause, Question},
    server::{Limits, http::Asked},
};
use serde_json::{Value, json};

use crate::world::{
    client::{BOTH, Protocol, review},
    ends,
    server::{ADMIT, ASK, ASK_AND_PANIC, patient, start, start_with_answers},
};

/// Tells the question back; never answers the one of the review `silent`.
fn echo() -> Asked {
    Arc::new(|question| {
        async move {
            let Question::DryRunPod(pod) = question else { return Answer::Good };
            if pod["uid"] == "silent" {
                std::future::pending::<()>().await;
            }
            Answer::Invalid(vec![Cause { field: pod["uid"].to_string(), message: "asked".to_owned() }])
        }
        .boxed()
    })
}

fn said(answer: &Value) -> &str {
    answer["response"]["status"]["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_question_is_put_and_its_answer_decides() {
    let server = start_with_answers(echo()).await;
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        for uid in ["one", "two"] {
            let answer = client.post(ASK, review(uid)).await.json();
            assert_eq!((&answer["response"]["uid"], &answer["response"]["status"]["code"]), (&json!(uid), &json!(422)));
            assert_eq!(said(&answer), format!(r#"Invalid([Cause {{ field: "\"{uid}\"", message: "asked" }}])"#));
        }
    }
}

#[tokio::test]
async fn without_anyone_to_ask_the_handler_hears_so() {
    let server = start(patient()).await;
    let answer = server.client(Protocol::Http2).await.post(ASK, review("one")).await.json();
    assert_eq!(said(&answer), r#"Unknown("there is no API server to ask")"#);
}

#[tokio::test]
async fn a_question_that_takes_its_time_holds_up_no_one_else() {
    let server = start_with_answers(echo()).await;
    let mut client = server.client(Protocol::Http2).await;
    let silent = client.post_beside(ASK, review("silent"));
    for uid in ["a", "b", "c"] {
        ends("a review beside it", client.post(ADMIT, review(uid))).await.assert_admits(uid);
    }
    assert!(!silent.is_finished());
}

#[tokio::test]
async fn a_panic_over_an_answer_costs_only_its_own_review() {
    let server = start_with_answers(echo()).await;
    let mut client = server.client(Protocol::Http2).await;
    assert_eq!(client.post(ASK_AND_PANIC, review("one")).await.status, 500);
    client.post(ADMIT, review("after")).await.assert_admits("after");
    assert_eq!(server.metric(r#"outrigger_panics_total{hook="/ask-and-panic"}"#), 1);
}

fn conversion(name: &str, padding: usize) -> String {
    let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": name, "annotations": {"a": "x".repeat(padding)}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": {
        "uid": name, "desiredAPIVersion": "apps.kruise.io/v1beta1", "objects": [object]}})
    .to_string()
}

#[tokio::test]
async fn conversions_have_their_own_limit_for_they_hold_whole_lists() {
    let server = start(Limits { body: 64 << 10, conversion_body: 1 << 20, ..patient() }).await;
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        let answer = client.post("/convert", conversion("large", 512 << 10)).await;
        assert_eq!(answer.json()["response"]["result"]["status"], "Success");
        assert_eq!(client.post("/convert", conversion("larger", 1 << 20)).await.status, 413);
    }
    assert_eq!(server.metric(r#"outrigger_reviews_total{hook="/convert",verdict="allowed"}"#), 2);
    assert_eq!(server.metric(r#"outrigger_reviews_total{hook="/convert",verdict="unreadable"}"#), 2);
}

#[tokio::test]
async fn what_is_no_conversion_review_is_refused_and_the_connection_lives_on() {
    let server = start(patient()).await;
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        for (body, said) in [
            (String::new(), "the body is not JSON: "),
            ("{\"kind\"".to_owned(), "the body is not JSON: "),
            (review("other"), "kind: expected `ConversionReview`, found `AdmissionReview`"),
            (conversion("", 0), "ConversionReview: request.uid: missing"),
        ] {
            let answer = client.post("/convert", body).await;
            assert!(answer.status == 400 && answer.text.starts_with(said) && answer.text.lines().count() == 1, "{answer:?}");
        }
        let answer = client.post("/convert", conversion("good", 0)).await.json();
        assert_eq!(answer["response"]["convertedObjects"][0]["apiVersion"], "apps.kruise.io/v1beta1");
    }
}
