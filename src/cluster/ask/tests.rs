use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use http::Response;
use http_body_util::BodyExt;
use kube::{
    client::Body,
    core::response::{StatusCause, StatusDetails},
};
use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::{admission::ask::Count, base::selector::Selector};

/// An API server that says what it was asked, with status 422, or never says anything.
#[derive(Clone)]
struct Server {
    is_silent: bool,
}

impl tower::Service<http::Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_silent = self.is_silent;
        async move {
            if is_silent {
                std::future::pending::<()>().await;
            }
            let (head, body) = request.into_parts();
            let pod = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
            let causes = json!([{"reason": "asked", "field": format!("{} {}", head.method, head.uri), "message": pod}]);
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422, "details": {"causes": causes}});
            Ok(Response::builder().status(422).body(Body::from(status.to_string().into_bytes())).unwrap())
        }
        .boxed()
    }
}

fn question() -> Question {
    Question::DryRunPod(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "s-", "namespace": ""}, "spec": {"newer": [1]}}),
    )
}

#[tokio::test]
async fn a_pod_is_asked_about_in_our_own_namespace_by_a_dry_run_and_in_all_its_members() {
    let answer = asked(Client::new(Server { is_silent: false }, "default"), "own")(question()).await;
    let Answer::Invalid(causes) = answer else { panic!("{answer:?}") };
    assert_eq!(causes[0].field, "POST /api/v1/namespaces/own/pods?&dryRun=All");
    let pod: Value = serde_json::from_str(&causes[0].message).unwrap();
    assert_eq!(pod, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "s-"}, "spec": {"newer": [1]}}));
}

/// The answer of a server that is given hardly any time.
async fn answered(client: Client, question: Question) -> Answer {
    let kinds = Arc::new(Kinds::new(client.clone()));
    let pods = Api::<DynamicObject>::namespaced_with(client, "own", &ApiResource::erase::<Pod>(&()));
    within(Duration::from_millis(20), pods, kinds, question).await
}

#[tokio::test]
async fn an_object_of_any_kind_is_found_where_its_kind_is_and_one_that_is_not_there_is_told_from_one_that_may_not_be_seen() {
    let service = tower::service_fn(|request: http::Request<Body>| {
        let kinds = json!({"groupVersion": "g", "resources": [{"name": "flows", "singularName": "", "namespaced": true, "kind": "Flow", "verbs": []}]});
        let group = json!({"name": "example.com", "versions": [{"groupVersion": "example.com/v2", "version": "v2"}]});
        let (status, body) = match request.uri().path() {
            "/apis/example.com" => (200, group),
            "/apis/example.com/v2" => (200, kinds),
            "/apis/example.com/v2/namespaces/shop/flows/f" => (200, json!({"spec": {"size": 3}})),
            "/apis/example.com/v2/namespaces/shop/flows/mine" => (403, json!({"kind": "Status", "message": "no", "code": 403})),
            _ => (404, json!({"kind": "Status", "message": "not found", "code": 404})),
        };
        let answer = Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap();
        async { Ok::<_, Infallible>(answer) }
    });
    let client = Client::new(service, "default");
    let of = |kind: &str, name: &str| {
        let [group, kind, namespace, name] = ["example.com", kind, "shop", name].map(str::to_owned);
        asked(client.clone(), "own")(Question::Object { group, kind, namespace, name })
    };
    assert_eq!(of("Flow", "f").await, Answer::Found(r#"{"spec":{"size":3}}"#.to_owned()));
    assert_eq!([of("Flow", "g").await, of("Stream", "f").await], [Answer::Absent, Answer::Absent]);
    assert_eq!(of("Flow", "mine").await, Answer::Unknown("the API server does not show Flow \"mine\": no".to_owned()));
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_in_time_is_not_waited_for() {
    let client = Client::new(Server { is_silent: true }, "default");
    let answer = answered(client, question()).await;
    assert_eq!(answer, Answer::Unknown("the API server did not answer within 0.02 s".to_owned()));
}

fn status(code: u16, message: &str, causes: Vec<StatusCause>) -> Status {
    let details = StatusDetails {
        causes,
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        retry_after_seconds: 0,
    };
    Status { code, message: message.to_owned(), details: Some(details), ..Status::default() }
}

#[test]
fn causes_are_what_is_wrong_with_the_pod() {
    let cause = StatusCause { reason: "FieldValueRequired".to_owned(), message: "Required value".to_owned(), field: "spec.a".to_owned() };
    let of = |causes| of_status(status(422, "Pod \"p\" is invalid", causes));
    assert_eq!(of(vec![cause]), Answer::Invalid(vec![Cause { field: "spec.a".to_owned(), message: "Required value".to_owned() }]));
    assert_eq!(of(vec![]), Answer::Invalid(vec![Cause { field: String::new(), message: "Pod \"p\" is invalid".to_owned() }]));
}

#[test]
fn a_pod_that_is_refused_for_something_else_is_valid() {
    for message in ["pods \"p\" is forbidden: violates PodSecurity", "pods \"p\" is forbidden: exceeded quota: pods"] {
        assert_eq!(of_status(status(403, message, vec![])), Answer::Good);
    }
}

#[test]
fn who_may_not_ask_learns_nothing() {
    for (code, message) in
        [(403, "pods is forbidden: User \"u\" cannot create resource \"pods\""), (404, "namespaces \"n\" not found"), (500, "etcd")]
    {
        assert_eq!(of_status(status(code, message, vec![])), Answer::Unknown(format!("the API server answers {code}: {message}")));
    }
}

/// An API server that gives a page for each request, and tells what it was asked.
#[derive(Clone, Default)]
struct Pages {
    pages: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl tower::Service<http::Request<Body>> for Pages {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let accepts = request.headers().get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let form = if accepts.contains("PartialObjectMetadataList") { "metadata" } else { "objects" };
        self.asked.lock().push(format!("{form} {}", request.uri()));
        let page = self.pages.lock().remove(0);
        let status = if page["kind"] == "Status" { 403 } else { 200 };
        std::future::ready(Ok(Response::builder().status(status).body(Body::from(page.to_string().into_bytes())).unwrap()))
    }
}

fn page(items: usize, token: &str) -> Value {
    let items: Vec<_> = (0..items).map(|number| json!({"metadata": {"name": format!("n{number}")}, "weight": 2})).collect();
    json!({"kind": "List", "metadata": {"continue": token}, "items": items})
}

fn listing(namespace: &str, count: Count) -> Listing {
    Listing {
        group: "example.com".to_owned(),
        version: "v2".to_owned(),
        plural: "things".to_owned(),
        kind: "Thing".to_owned(),
        namespace: namespace.to_owned(),
        labels: Selector::default(),
        unlike: &[],
        count,
    }
}

/// What such a server answers, and what it was asked.
async fn counted(listing: Listing, pages: &[Value]) -> (Answer, Vec<String>) {
    let server = Pages { pages: Arc::new(Mutex::new(pages.to_vec())), ..Pages::default() };
    let answer = asked(Client::new(server.clone(), "default"), "own")(Question::HowMany(listing)).await;
    let asked = server.asked.lock().clone();
    (answer, asked)
}

#[tokio::test]
async fn metadata_is_listed_everywhere_where_it_will_do() {
    let (answer, asked) = counted(listing("", Count::by_metadata(|_| 1)), &[page(3, "")]).await;
    assert_eq!(answer, Answer::Counted { count: 3, is_all: true });
    assert_eq!(asked, ["metadata /apis/example.com/v2/things?&limit=500"]);
}

#[tokio::test]
async fn objects_are_listed_by_namespace_label_and_field_and_count_for_what_is_asked() {
    let weight = |object: &Value| object["weight"].as_u64().unwrap();
    let labels = Selector::one_of("name", vec!["a".to_owned(), "b".to_owned()]);
    let listing = Listing { labels, unlike: &[("status.phase", "Failed")], ..listing("shop", Count::by_content(weight)) };
    let (answer, asked) = counted(listing, &[page(3, "")]).await;
    assert_eq!(answer, Answer::Counted { count: 6, is_all: true });
    let query = "limit=250&fieldSelector=status.phase%21%3DFailed&labelSelector=name+in+%28a%2C+b%29";
    let mut parts: Vec<_> = asked[0].rsplit('&').collect();
    parts.sort_unstable();
    let mut wanted: Vec<_> = query.split('&').collect();
    wanted.push("objects /apis/example.com/v2/namespaces/shop/things?");
    wanted.sort_unstable();
    assert_eq!(parts, wanted);
}

#[tokio::test]
async fn what_is_found_on_a_page_is_enough_and_nothing_is_said_of_nothing_before_all_was_seen() {
    let (answer, asked) = counted(listing("", Count::by_metadata(|_| 1)), &[page(500, "more"), page(1, "")]).await;
    assert_eq!((answer, asked.len()), (Answer::Counted { count: 500, is_all: false }, 1));
    let only_last = |object: &Value| u64::from(object["metadata"]["name"] == "n2");
    let (answer, asked) = counted(listing("", Count::by_metadata(only_last)), &[page(2, "more"), page(3, "")]).await;
    assert_eq!(answer, Answer::Counted { count: 1, is_all: true });
    assert!(asked[1].contains("continue=more"), "{asked:?}");
}

#[tokio::test]
async fn a_list_that_is_refused_is_no_answer() {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "not you"});
    let (answer, _) = counted(listing("", Count::by_metadata(|_| 1)), &[status]).await;
    assert_eq!(answer, Answer::Unknown("the API server answers 403: not you".to_owned()));
}

#[tokio::test]
async fn a_list_that_does_not_come_in_time_is_no_answer() {
    let client = Client::new(Server { is_silent: true }, "default");
    let question = Question::HowMany(listing("", Count::by_metadata(|_| 1)));
    let answer = answered(client, question).await;
    assert_eq!(answer, Answer::Unknown("the API server did not answer within 0.02 s".to_owned()));
}
