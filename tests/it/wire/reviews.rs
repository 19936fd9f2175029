//! One answer for each request, whatever is in it; the connection lives on.

use crate::world::{
    client::{Answer, BOTH, Client, Protocol, review, tls},
    server::{ADMIT, LONG, PANIC, patient, start},
};
use outrigger::server::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn http_1_and_http_2_both_answer() {
    let server = start(patient()).await;
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        for uid in ["first", "second"] {
            client.post(ADMIT, review(uid)).await.assert_admits(uid);
        }
        let denial = client.post(LONG, review("third")).await;
        assert_eq!((denial.status, &denial.json()["response"]["status"]["code"]), (200, &json!(403)));
        assert!(!client.closed.is_finished());
    }
    assert_eq!(server.metric(r#"outrigger_reviews_total{hook="/admit",verdict="allowed"}"#), 4);
    assert_eq!(server.metric(r#"outrigger_reviews_total{hook="/long",verdict="denied"}"#), 2);
}

#[tokio::test]
async fn a_client_that_names_no_protocol_is_answered_in_http_1() {
    let server = start(patient()).await;
    let mut stream = tls(server.address, server.trust.clone(), "localhost", &[]).await.unwrap();
    let body = review("plain");
    let request = format!("POST {ADMIT} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(r#""uid":"plain","allowed":true"#), "{answer}");
}

/// Bodies that are no reviews, and how the sentences begin that say so.
fn not_reviews() -> Vec<(Vec<u8>, &'static str)> {
    let of = |change: fn(&mut serde_json::Value)| {
        let mut value = serde_json::from_str(&review("bad")).unwrap();
        change(&mut value);
        value.to_string().into_bytes()
    };
    vec![
        (b"".to_vec(), "the body is not JSON: "),
        (b"apiVersion: v1".to_vec(), "the body is not JSON: "),
        (b"\xff\xfe".to_vec(), "the body is not JSON: "),
        (of(|_| ()).split_last().unwrap().1.to_vec(), "the body is not JSON: "),
        (of(|_| ()).repeat(2), "the body is not JSON: trailing characters"),
        (b"[]".to_vec(), "kind: expected `AdmissionReview`, found ``"),
        (b"\"review\"".to_vec(), "AdmissionReview: "),
        (b"{}".to_vec(), "kind: expected `AdmissionReview`, found ``"),
        (of(|review| review["kind"] = json!("Pod")), "kind: expected `AdmissionReview`, found `Pod`"),
        (
            of(|review| review["apiVersion"] = json!("admission.k8s.io/v1beta1")),
            "apiVersion: expected `admission.k8s.io/v1`, found `admission.k8s.io/v1beta1`",
        ),
        (of(|review| review["request"] = json!(null)), "AdmissionReview: request: missing"),
        (of(|review| review["request"] = json!("a")), "AdmissionReview: request: "),
        (of(|review| drop(review["request"].as_object_mut().unwrap().remove("uid"))), "AdmissionReview: request.uid: missing"),
        (of(|review| review["request"]["uid"] = json!("")), "AdmissionReview: request.uid: missing"),
        (of(|review| review["request"]["uid"] = json!(7)), "AdmissionReview: request.uid: "),
        (of(|review| review["request"]["resource"]["resource"] = json!([])), "AdmissionReview: request.resource.resource: "),
        (of(|review| review["request"]["dryRun"] = json!("yes")), "AdmissionReview: request.dryRun: "),
    ]
}

#[tokio::test]
async fn what_is_no_review_is_refused_with_a_sentence_and_the_connection_lives_on() {
    let server = start(patient()).await;
    let cases = not_reviews();
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        for (body, sentence) in &cases {
            let Answer { status, text, .. } = client.post(ADMIT, body.clone()).await;
            assert_eq!(status, 400, "{text}");
            assert!(text.starts_with(sentence), "expected {sentence}\nfound {text}");
            assert_eq!(text.lines().count(), 1, "{text}");
            client.post(ADMIT, review("good")).await.assert_admits("good");
        }
        assert!(!client.closed.is_finished());
    }
    let expected = u64::try_from(2 * cases.len()).unwrap();
    assert_eq!(server.metric(r#"outrigger_reviews_total{hook="/admit",verdict="unreadable"}"#), expected);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_and_the_connection_lives_on() {
    let server = start(patient()).await;
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            assert_eq!(client.ask(method, ADMIT).await.status, 405, "{method}");
        }
        for path in ["/", "/admit/", "/admit/more", "/Admit", "//admit", "/%61dmit", "/metrics"] {
            let status = client.post(path, review("lost")).await.status;
            assert_eq!(status, 404, "{path}");
        }
        client.post("/admit?timeout=3s", review("query")).await.assert_admits("query");
        assert!(!client.closed.is_finished());
    }
}

#[tokio::test]
async fn a_panic_costs_only_its_own_review() {
    let server = start(patient()).await;
    let mut client = server.client(Protocol::Http2).await;
    let answers: Vec<_> = (0..60)
        .map(|number| {
            let path = if number % 3 == 0 { PANIC } else { ADMIT };
            (number, client.post_beside(path, review(&format!("n{number}"))))
        })
        .collect();
    for (number, answer) in answers {
        let answer = answer.await.unwrap().unwrap();
        if number % 3 == 0 {
            assert_eq!((answer.status, answer.text.lines().count()), (500, 1), "{answer:?}");
            assert!(answer.text.contains("panicked"), "{answer:?}");
        } else {
            answer.assert_admits(&format!("n{number}"));
        }
    }
    client.post(ADMIT, review("after")).await.assert_admits("after");

    let mut client = server.client(Protocol::Http1).await;
    assert_eq!(client.post(PANIC, review("one")).await.status, 500);
    client.post(ADMIT, review("after")).await.assert_admits("after");

    assert_eq!(server.metric(r#"outrigger_panics_total{hook="/panic"}"#), 21);
    assert_eq!(server.metric(r#"outrigger_panics_total{hook="/admit"}"#), 0);
    assert_eq!(server.metric(r#"outrigger_reviews_total{hook="/admit",verdict="allowed"}"#), 42);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_others_are_served() {
    let server = start(Limits { body: 64 << 10, ..patient() }).await;
    for protocol in BOTH {
        for size in [(64 << 10) + 1, 16 << 20] {
            let mut client = server.client(protocol).await;
            let answer = client.post(ADMIT, vec![b' '; size]).await;
            assert_eq!((answer.status, &*answer.text), (413, "the body is larger than 65536 bytes\n"), "{protocol:?} {size}");
            server.assert_serves().await;
        }
    }
    assert_eq!(server.metric(r#"outrigger_reviews_total{hook="/admit",verdict="unreadable"}"#), 4);
}

#[tokio::test]
async fn a_body_without_a_length_is_refused_where_it_passes_the_limit() {
    let server = start(Limits { body: 64 << 10, ..patient() }).await;
    for protocol in BOTH {
        let mut client = server.client(protocol).await;
        let (pieces, answer) = client.post_in_pieces(ADMIT);
        for _ in 0..9 {
            pieces.unbounded_send(vec![b' '; 8 << 10].into()).unwrap();
        }
        // The body has no end yet, and does not need one.
        assert_eq!(answer.await.unwrap().unwrap().status, 413, "{protocol:?}");
        server.assert_serves().await;
        drop(pieces);
    }
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_read() {
    let body = review("full");
    let server = start(Limits { body: body.len(), ..patient() }).await;
    for protocol in BOTH {
        let mut client: Client = server.client(protocol).await;
        client.post(ADMIT, body.clone()).await.assert_admits("full");
        let (pieces, answer) = client.post_in_pieces(ADMIT);
        for piece in body.as_bytes().chunks(100) {
            pieces.unbounded_send(piece.to_vec().into()).unwrap();
        }
        drop(pieces);
        answer.await.unwrap().unwrap().assert_admits("full");
    }
}
