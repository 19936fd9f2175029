//! Events behind the scripted API server: told once and then counted, and never waited for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use outrigger::{
    cluster::events::{Queue, Teller},
    plan::{Event, Kind, Target},
    telemetry::metrics::Metrics,
};
use tokio::time::{Instant, advance};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api_server::{ApiServer, Asked, End, Fate},
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

fn in_namespace(namespace: &str, name: &str) -> Event {
    let event = event(name, "no");
    Event { about: Target { namespace: namespace.to_owned(), ..event.about }, ..event }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_refuses_events_is_not_asked_for_each_of_them() {
    let (server, metrics) = (ApiServer::default(), Arc::new(Metrics::new()));
    let is_refused = |asked: &Asked| asked.is(CREATE) && asked.namespace == "shop";
    let fate = move |asked: &Asked| Fate::of(if is_refused(asked) { End::Refused(403) } else { End::Answered });
    let teller = Teller::new(server.client(fate), metrics.clone());
    let events: Vec<_> = (0..200).map(|number| in_namespace("shop", &format!("web-{number}"))).collect();
    for batch in events.chunks(64) {
        teller.tell(batch, Timestamp::UNIX_EPOCH).await;
    }
    let sent = || server.asked().iter().filter(|asked| is_refused(asked)).count();
    assert!((1..=16).contains(&sent()), "{} requests were under way", sent());
    assert_eq!(outcome(&metrics, "failed") + outcome(&metrics, "dropped"), 200);
    teller.tell(&[in_namespace("other", "web")], Timestamp::UNIX_EPOCH).await;
    assert_eq!(outcome(&metrics, "told"), 1, "others are not silent");
    let before = sent();
    advance(Duration::from_mins(1)).await;
    teller.tell(&events[..1], Timestamp::UNIX_EPOCH).await;
    assert_eq!(sent(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_told_is_told_when_it_happens_next() {
    for end in [End::Refused(500), End::Hangs, End::Mute] {
        let (server, metrics, first) = (ApiServer::default(), Arc::new(Metrics::new()), Arc::new(AtomicBool::new(true)));
        let fate = move |_: &_| Fate::of(if first.swap(false, Ordering::Relaxed) { end } else { End::Answered });
        let teller = Teller::new(server.client(fate), metrics.clone());
        for (pause, outcomes) in [(0, (1, 0, 0)), (1, (1, 0, 1)), (30, (1, 1, 1)), (1, (1, 1, 2))] {
            advance(Duration::from_secs(pause)).await;
            teller.tell(&[event("web-1", "no")], Timestamp::UNIX_EPOCH).await;
            let met = (outcome(&metrics, "failed"), outcome(&metrics, "told"), outcome(&metrics, "counted"));
            assert_eq!(met, outcomes, "{end:?} {pause}");
        }
        assert_eq!(server.all("events").len(), 1, "{end:?}: it is there once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_that_was_not_told_is_told_half_a_minute_later() {
    for end in [End::Refused(500), End::Refused(403), End::Hangs, End::Mute] {
        let (server, metrics, first) = (ApiServer::default(), Arc::new(Metrics::new()), Arc::new(AtomicBool::new(true)));
        let fate = move |asked: &Asked| Fate::of(if asked.is(COUNT) && first.swap(false, Ordering::Relaxed) { end } else { End::Answered });
        let teller = Teller::new(server.client(fate), metrics.clone());
        // A namespace that refuses is left alone for longer.
        let retry = if end == End::Refused(403) { 60 } else { 30 };
        for (pause, outcomes) in [(0, (0, 1, 0)), (600, (1, 1, 0)), (retry - 5, (1, 1, 1)), (5, (1, 2, 1)), (retry, (1, 2, 2))] {
            advance(Duration::from_secs(pause)).await;
            teller.tell(&[event("web-1", "no")], Timestamp::UNIX_EPOCH).await;
            let met = (outcome(&metrics, "failed"), outcome(&metrics, "told"), outcome(&metrics, "counted"));
            assert_eq!(met, outcomes, "{end:?} {pause}");
        }
        let stored = server.all("events");
        assert_eq!((stored.len(), stored[0]["series"]["count"].as_i64()), (1, Some(4)), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_request_has_not_failed_when_the_time_is_up() {
    let (server, metrics) = (ApiServer::default(), Arc::new(Metrics::new()));
    let hangs = |asked: &Asked| Fate::of(if asked.body["regarding"]["name"] == "known" { End::Answered } else { End::Hangs });
    let teller = Teller::new(server.client(hangs), metrics.clone());
    teller.tell(&[event("known", "no")], Timestamp::UNIX_EPOCH).await;
    let mut batch: Vec<_> = (0..40).map(|number| event(&format!("web-{number}"), "no")).collect();
    batch.extend([event("known", "no"), event("known", "no")]);
    batch.extend((0..12).map(|number| event("web-0", &"x".repeat(number + 1))));
    teller.tell(&batch, Timestamp::UNIX_EPOCH).await;
    let met = ["told", "counted", "dropped", "failed"].map(|word| outcome(&metrics, word));
    // Of one object ten are told; the one with the others' words is among them.
    assert_eq!(met, [1, 2, 3, 40 + 9]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waited_for_was_not_told() {
    let (server, metrics, first) = (ApiServer::default(), Arc::new(Metrics::new()), Arc::new(AtomicBool::new(true)));
    let fate = move |_: &_| Fate::of(if first.swap(false, Ordering::Relaxed) { End::Hangs } else { End::Answered });
    let teller = Teller::new(server.client(fate), metrics.clone());
    let told = [event("web-1", "no")];
    assert!(tokio::time::timeout(Duration::from_secs(1), teller.tell(&told, Timestamp::UNIX_EPOCH)).await.is_err(), "it hangs");
    advance(Duration::from_secs(30)).await;
    teller.tell(&told, Timestamp::UNIX_EPOCH).await;
    assert_eq!((outcome(&metrics, "told"), server.all("events").len()), (1, 1));
}
