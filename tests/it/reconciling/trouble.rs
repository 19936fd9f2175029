//! An API server that has no time, loses answers, or refuses.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::world::{World, name};
use crate::api_server::{Asked, End, Fate};

/// Whether the waits between these become longer.
fn grow(asked: &[Asked]) -> bool {
    let at: Vec<Instant> = asked.iter().map(|one| one.at).collect();
    let waits: Vec<Duration> = at.iter().zip(at.iter().skip(1)).map(|(one, next)| *next - *one).collect();
    waits.iter().zip(waits.iter().skip(1)).all(|(one, next)| *next >= *one) && waits.last() > waits.first()
}

#[tokio::test(start_paused = true)]
async fn a_busy_api_server_is_asked_again_with_growing_waits_and_nothing_is_listed() {
    for status in [429, 503] {
        let world = World::new(5, &json!({})).await;
        world.publish(2);
        world.server.until("the first list", |asked| asked.iter().any(Asked::lists_pods)).await;
        world.fares(move |asked| Fate::of(if asked.is_of("PATCH pods", &name(1)) { End::Refused(status) } else { End::Answered }));
        world.server.until("the others", |asked| asked.iter().filter(|one| one.is("PATCH pods") && one.is_stored).count() == 4).await;
        world.idle(Duration::from_mins(2)).await;
        let attempts: Vec<_> = world.asked("PATCH pods").into_iter().filter(|asked| asked.name == name(1)).collect();
        assert!((5..15).contains(&attempts.len()), "{status}: {} attempts in two minutes", attempts.len());
        assert!(grow(&attempts[2..]), "{status}: {:#?}", attempts.iter().map(ToString::to_string).collect::<Vec<_>>());
        world.calm();
        world.is_rolled_out(2).await;
        world.each_was_changed_once(5);
        assert_eq!(world.server.asked().iter().filter(|one| one.lists_pods()).count(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_pods_does_not_shorten_the_waits_for_a_busy_api_server() {
    for end in [End::Refused(429), End::Refused(500)] {
        let world = World::new(2, &json!({})).await;
        world.fares(move |asked| Fate::of(if asked.is("PATCH pods") { end } else { End::Answered }));
        world.publish(2);
        for round in 0..=600 {
            world.flap(1, round % 2 == 0);
            world.idle(Duration::from_millis(200)).await;
        }
        let attempts = world.asked("PATCH pods").into_iter().filter(|asked| asked.name == name(0)).count();
        assert!((5..15).contains(&attempts), "{end:?}: {attempts} attempts in two minutes");
        world.calm();
        world.is_rolled_out(2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_that_got_lost_pods_are_listed_before_anything_else_is_changed() {
    for end in [End::Lost, End::Mute] {
        let world = World::new(9, &json!({"updateStrategy": {"maxUnavailable": 2}})).await;
        world.hold_watch();
        let mut lost = 0;
        world.fares(move |asked| {
            let is_lost = asked.is("PATCH pods") && lost < 3;
            lost += usize::from(is_lost);
            Fate::of(if is_lost { end } else { End::Answered })
        });
        world.publish(2);
        world.server.until("a lost answer", |asked| asked.iter().any(|one| one.is("PATCH pods"))).await;
        world.idle(Duration::from_secs(20)).await;
        world.release_watch();
        world.is_rolled_out(2).await;
        world.each_was_changed_once(9);
        assert_eq!((world.most_in_flight(), world.asked("PATCH pods").len()), (2, 9), "{end:?}");
        let asked: Vec<_> = world.server.asked().into_iter().filter(|one| one.lists_pods() || one.is("PATCH pods")).collect();
        let first = asked.iter().position(|one| one.is("PATCH pods")).unwrap();
        assert!(asked[first + 2].lists_pods(), "{end:?}: {:#?}", asked.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_whose_answer_got_lost_lists_no_pods() {
    let world = World::new(12, &json!({"updateStrategy": {"maxUnavailable": 1}})).await;
    world.fares(|asked| Fate::of(if asked.is("PATCH sidecarsets/status") { End::Refused(500) } else { End::Answered }));
    world.publish(2);
    world.server.until("the pods", |asked| asked.iter().filter(|one| one.is("PATCH pods")).count() == 12).await;
    world.idle(Duration::from_mins(2)).await;
    assert_eq!(world.server.asked().iter().filter(|one| one.lists_pods()).count(), 1);
    world.calm();
    world.is_rolled_out(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_another_webhook_refuses_holds_up_nobody_and_is_told_once() {
    for status in [403, 422] {
        let world = World::new(6, &json!({"updateStrategy": {"maxUnavailable": 1}})).await;
        world.fares(move |asked| Fate::of(if asked.is_of("PATCH pods", &name(0)) { End::Refused(status) } else { End::Answered }));
        world.publish(2);
        world.server.until("the others", |asked| asked.iter().filter(|one| one.is("PATCH pods") && one.is_stored).count() == 5).await;
        world.idle(Duration::from_secs(20)).await;
        let before = world.server.asked().len();
        world.idle(Duration::from_mins(5)).await;
        let later = world.server.asked().split_off(before);
        let attempts = later.iter().filter(|one| one.is_of("PATCH pods", &name(0))).count();
        assert!((15..=21).contains(&attempts), "{status}: {attempts} attempts in five minutes");
        // The change, and the status that says of the pod that it is being changed, and that it was refused.
        assert!(later.len() <= 3 * attempts, "{status}: {} requests for {attempts} attempts", later.len());
        let events = world.asked("POST events");
        assert_eq!(events.iter().map(|event| &event.body["reason"]).collect::<Vec<_>>(), ["SidecarSetUpdateFailed"], "{status}");
        assert_eq!(events[0].body["regarding"]["name"], json!(name(0)));
        world.calm();
        world.is_rolled_out(2).await;
        world.each_was_changed_once(6);
        assert_eq!(world.most_in_flight(), 1);
    }
}
