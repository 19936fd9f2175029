//! Events behind the scripted API server: told once and then counted, and never waited for.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use outrigger::{
    cluster::events::{Queue, Teller},
    plan::{Event, Kind, Target},
    telemetry::metrics::Metrics,
};
use tokio::time::{Instant, advance};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api_server::{ApiServer, End, Fate},
    world::metric,
};

const CREATE: &str = "POST events";
const COUNT: &str = "PATCH events";

fn event(name: &str, note: &str) -> Event {
    let about = Target { kind: Kind::POD, namespace: "shop".to_owned(), name: name.to_owned(), uid: format!("uid-{name}") };
    Event { by: "pub-controller", about, is_warning: true, reason: "Reason", note: note.to_owned() }
}

fn outcome(metrics: &Metrics, outcome: &str) -> u64 {
    metric(&metrics.to_text(), &format!("outrigger_events_total{{outcome=\"{outcome}\"}}"))
}

#[tokio::test(start_paused = true)]
async fn what_happens_again_is_counted_in_the_event_that_is_there() {
    let (server, metrics) = (ApiServer::default(), Arc::new(Metrics::new()));
    let teller = Teller::new(server.client(|_| Fate::GOOD), metrics.clone());
    let now = Timestamp::constant(1_800_000_000, 0);
    for _ in 0..4 {
        teller.tell(&[event("web-1", "no")], now).await;
    }
    let stored = server.all("events");
    assert_eq!((stored.len(), &stored[0]["reportingController"], &stored[0]["note"]), (1, &"pub-controller".into(), &"no".into()));
    assert_eq!((&stored[0]["regarding"]["uid"], &stored[0]["type"]), (&"uid-web-1".into(), &"Warning".into()));
    advance(Duration::from_mins(10)).await;
    teller.tell(&[event("web-1", "no")], now).await;
    let stored = server.all("events");
    assert_eq!((stored.len(), stored[0]["series"]["count"].as_i64()), (1, Some(5)));
    assert!(stored[0]["series"]["lastObservedTime"].as_str().is_some_and(|time| time.starts_with("2027-01-15T08:00:00")), "{}", stored[0]);
    assert_eq!((outcome(&metrics, "told"), outcome(&metrics, "counted")), (2, 3));

    // The cluster has forgotten it: it is told anew when it happens next.
    let key = format!("events/shop/{}", stored[0]["metadata"]["name"].as_str().unwrap());
    server.remove(&key);
    advance(Duration::from_mins(10)).await;
    teller.tell(&[event("web-1", "no")], now).await;
    teller.tell(&[event("web-1", "no")], now + Duration::from_secs(1)).await;
    assert_eq!((server.all("events").len(), outcome(&metrics, "failed")), (1, 1));
    let sent = |what| server.asked().iter().filter(|asked| asked.is(what)).count();
    assert_eq!((sent(CREATE), sent(COUNT)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_reviews_waits_for_no_event_and_what_is_too_much_is_dropped() {
    let (server, metrics) = (ApiServer::default(), Arc::new(Metrics::new()));
    let hangs = |_: &_| Fate::of(End::Hangs);
    let teller = Teller::new(server.client(hangs), metrics.clone());
    let (told, queue) = Queue::new(teller, metrics.clone(), Arc::new(|| Timestamp::UNIX_EPOCH));
    let stop = CancellationToken::new();
    let running = TaskTracker::new().spawn(queue.run(stop.clone()));
    let begun = Instant::now();
    for number in 0..3000 {
        told(vec![event(&format!("web-{number}"), "no")]);
    }
    assert_eq!((begun.elapsed(), outcome(&metrics, "dropped")), (Duration::ZERO, 3000 - 1024));
    // Those that are under way end by themselves; more are asked for then.
    server.until("more than one batch", |asked| asked.len() > 16).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn all_that_is_put_in_is_told() {
    let (server, metrics) = (ApiServer::default(), Arc::new(Metrics::new()));
    let teller = Teller::new(server.client(|_| Fate::GOOD), metrics.clone());
    let (told, queue) = Queue::new(teller, metrics.clone(), Arc::new(|| Timestamp::UNIX_EPOCH));
    let running = TaskTracker::new().spawn(queue.run(CancellationToken::new()));
    told((0..200).map(|number| event(&format!("web-{number}"), "no")).collect());
    server.until("all of them", |asked| asked.len() == 200).await;
    // Whoever puts in is gone: nothing more can come.
    drop(told);
    running.await.unwrap();
    assert_eq!((server.all("events").len(), outcome(&metrics, "told")), (200, 200));
}
