use std::sync::atomic::{AtomicUsize, Ordering};

use kube::client::Body;

use super::*;
use crate::cluster::kinds::NO_KIND_HOLDS;

/// An API server that knows some kinds, and counts what it is asked.
fn scales() -> (Scales, Arc<AtomicUsize>) {
    const KINDS: &str = r#"{"groupVersion": "g", "resources": [
        {"name": "rollouts", "singularName": "", "namespaced": true, "kind": "Rollout", "verbs": []},
        {"name": "rollouts/scale", "singularName": "", "namespaced": true, "kind": "Scale", "verbs": []},
        {"name": "things", "singularName": "", "namespaced": true, "kind": "Thing", "verbs": []}]}"#;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        let of = |code: u16| (code, format!(r#"{{"kind": "Status", "status": "Failure", "message": "no", "code": {code}}}"#));
        let (status, body) = match request.uri().path() {
            "/apis/example.com" => {
                (200, r#"{"name": "example.com", "versions": [{"groupVersion": "example.com/v1", "version": "v1"}]}"#.to_owned())
            }
            "/apis/example.com/v1" => (200, KINDS.to_owned()),
            "/apis/example.com/v1/namespaces/shop/rollouts/web/scale" => (
                200,
                r#"{"metadata": {"name": "web", "uid": "u"}, "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "app=web"}}"#
                    .to_owned(),
            ),
            "/apis/example.com/v1/namespaces/shop/rollouts/all/scale" => {
                (200, r#"{"metadata": {"name": "all", "uid": "u"}, "status": {"replicas": 2, "selector": ""}}"#.to_owned())
            }
            "/apis/example.com/v1/namespaces/shop/rollouts/mine/scale" => of(403),
            "/apis/example.com/v1/namespaces/shop/rollouts/ill/scale" => of(500),
            _ => of(404),
        };
        let answer = http::Response::builder().status(status).body(Body::from(body.into_bytes())).unwrap();
        async { Ok::<_, std::convert::Infallible>(answer) }
    });
    (Scales::new(Client::new(service, "default")), asked)
}

fn owner(version: &str, kind: &str, name: &str) -> Owner {
    Owner { group: "example.com".into(), version: version.into(), kind: kind.into(), name: name.into(), uid: "".into() }
}

#[tokio::test]
async fn a_scale_is_found_in_whatever_version_its_kind_is_served() {
    let (scales, _) = scales();
    for version in ["v1", "v1alpha1", ""] {
        let Scale::Found(found) = scales.of("shop", &owner(version, "Rollout", "web")).await else { panic!("{version}") };
        assert_eq!((found.wanted(), &*found.identity.uid, found.selector.is_some()), (3, "u", true));
    }
    let Scale::Found(found) = scales.of("shop", &owner("v1", "Rollout", "all")).await else { panic!() };
    assert_eq!((found.wanted(), &found.selector), (0, &None), "an empty selector would be everybody");
}

#[tokio::test]
async fn why_there_is_no_scale_is_told_apart() {
    let (scales, _) = scales();
    assert_eq!(scales.of("shop", &owner("v1", "Rollout", "none")).await, Scale::Missing);
    assert_eq!(scales.of("shop", &owner("v1", "Thing", "web")).await, Scale::NoScale);
    assert_eq!(scales.of("shop", &owner("v1", "Other", "web")).await, Scale::UnknownKind);
    assert_eq!(scales.of("shop", &Owner { group: "made.up".into(), ..owner("v7", "Thing", "web") }).await, Scale::UnknownKind);
    assert_eq!(scales.of("shop", &owner("v1", "Rollout", "mine")).await, Scale::Forbidden);
    assert_eq!(scales.of("shop", &owner("v1", "Rollout", "ill")).await, Scale::Unanswered("no".to_owned()));
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_not_asked_for() {
    let (scales, asked) = scales();
    for name in ["../../pods/x", "a?b", "..", "a b"] {
        assert_eq!(scales.of("shop", &owner("v1", "Rollout", name)).await, Scale::UnknownKind);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_holds_for_a_moment_and_a_kind_for_longer() {
    let (scales, asked) = scales();
    let count = |expected| assert_eq!(asked.swap(0, Ordering::Relaxed), expected);
    for _ in 0..3 {
        scales.of("shop", &owner("v1", "Rollout", "web")).await;
    }
    count(2);
    tokio::time::advance(SCALE_HOLDS).await;
    scales.of("shop", &owner("v1", "Rollout", "web")).await;
    count(1);
    scales.of("shop", &owner("v1", "Other", "web")).await;
    count(2);
    tokio::time::advance(NO_KIND_HOLDS).await;
    scales.of("shop", &owner("v1", "Other", "web")).await;
    count(2);
}
