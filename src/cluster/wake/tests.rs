use std::{collections::HashMap, convert::Infallible};

use jiff::Timestamp;
use kube::{Client, client::Body};
use tower::ServiceBuilder;

use super::*;
use crate::{
    base::installation::DEFINITIONS,
    cluster::{bundles::Callees, heard::Heard},
    telemetry::metrics::Metrics,
};

/// What is watched through this client.
fn both(client: &Client) -> (OneSecret, Bundles) {
    let secret = OneSecret { client: client.clone(), namespace: "own".to_owned(), name: "outrigger-authority".to_owned() };
    let callees = Callees { namespace: "own".to_owned(), services: ["hook", "conversion"].map(str::to_owned), hosts: Vec::new() };
    (secret, Bundles { client: client.clone(), configuration: "outrigger".to_owned(), callees, definitions: &DEFINITIONS })
}

/// An API server where each list is empty, and of each two watches of an object the first ends at once and the second is refused with this status.
fn api_server(metrics: &Metrics, status: u16) -> Client {
    let mut count = HashMap::<String, u32>::new();
    let answer = tower::service_fn(move |request: http::Request<Body>| {
        let target = request.uri().to_string();
        let is_watch = target.contains("watch=true");
        let selected = target.split(['?', '&']).find(|part| part.starts_with("fieldSelector=")).unwrap();
        let asked = count.entry(format!("{}{selected}", request.uri().path())).or_default();
        *asked += u32::from(is_watch);
        let (status, body) = match (is_watch, *asked % 2) {
            (false, _) => (200, r#"{"metadata": {"resourceVersion": "1"}, "items": []}"#.to_owned()),
            (true, 1) => (200, String::new()),
            (true, _) => (status, format!(r#"{{"status": "Failure", "code": {status}, "reason": "x", "message": "no"}}"#)),
        };
        let response = http::Response::builder().status(status).body(Body::from(body.into_bytes())).unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    let heard = Heard { watches: metrics.watches.clone(), wall: Arc::new(|| Timestamp::UNIX_EPOCH) };
    Client::new(ServiceBuilder::new().layer(heard).service(answer), "own")
}

/// The resources of a metric, and its values.
fn of(metrics: &Metrics, name: &str) -> Vec<(String, u64)> {
    let text = metrics.to_text();
    let series = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("{resource=\"")?.split_once("\"} "));
    let mut series: Vec<_> = series.map(|(resource, value)| (resource.to_owned(), value.parse().unwrap())).collect();
    series.sort();
    series
}

#[tokio::test(start_paused = true)]
async fn an_interruption_is_counted_under_the_name_by_which_the_watch_is_heard() {
    for status in [500, 403] {
        let metrics = Metrics::new();
        let (secret, bundles) = both(&api_server(&metrics, status));
        let waking = wake(secret, bundles, Arc::default(), metrics.watches.clone(), CancellationToken::new());
        timeout(Duration::from_mins(5), waking).await.unwrap_err();
        let (heard, restarts) = (of(&metrics, "outrigger_watch_heard_timestamp_seconds"), of(&metrics, "outrigger_watch_restarts_total"));
        let names = |series: &[(String, u64)]| series.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&heard), names(&restarts), "{status}");
        assert_eq!(heard.len(), 3 + DEFINITIONS.len());
        assert!(names(&heard).contains(&"secrets/outrigger-authority".to_owned()), "{heard:?}");
        // Who may not watch asks once a minute in the end.
        assert!(restarts.iter().all(|(_, count)| if status == 403 { (3..20).contains(count) } else { *count > 20 }), "{restarts:?}");
    }
}
