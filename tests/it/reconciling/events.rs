//! What is told of a rollout.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::world::{World, name};
use crate::api_server::{End, Fate};

#[tokio::test(start_paused = true)]
async fn the_same_is_told_once_and_then_counted() {
    let world = World::new(1, &json!({})).await;
    world.fares(|asked| Fate::of(if asked.is("PATCH pods") { End::Refused(403) } else { End::Answered }));
    world.publish(2);
    world.server.until("a telling", |asked| asked.iter().any(|one| one.is("POST events"))).await;
    world.idle(Duration::from_mins(25)).await;
    assert_eq!((world.asked("POST events").len(), world.asked("PATCH events").len()), (1, 2));
    let count = world.server.all("events")[0]["series"]["count"].as_i64();
    assert!(count.is_some_and(|count| count > 20), "{count:?}");
}

#[tokio::test(start_paused = true)]
async fn events_that_hang_hold_up_a_rollout_no_longer_than_one_of_them_would() {
    let world = World::new(64, &json!({})).await;
    world.fares(|asked| {
        let is_refused = asked.is("PATCH pods") && asked.name < name(48);
        Fate::of(if asked.is("POST events") {
            End::Hangs
        } else if is_refused {
            End::Refused(403)
        } else {
            End::Answered
        })
    });
    let published = Instant::now();
    world.publish(2);
    world.server.until("the others", |asked| asked.iter().filter(|one| one.is("PATCH pods") && one.is_stored).count() == 16).await;
    assert!(published.elapsed() < Duration::from_secs(2), "{:?}", published.elapsed());
    world.publish(3);
    world.server.until("the next", |asked| asked.iter().filter(|one| one.is("PATCH pods") && one.is_stored).count() == 32).await;
    assert!(published.elapsed() < Duration::from_secs(4), "{:?}", published.elapsed());
}

#[tokio::test(start_paused = true)]
async fn all_that_is_told_at_one_moment_gets_names_of_its_own() {
    let world = World::new(30, &json!({})).await;
    world.fares(|asked| Fate::of(if asked.is("PATCH pods") { End::Refused(403) } else { End::Answered }));
    world.publish(2);
    world.server.until("the tellings", |asked| asked.iter().filter(|one| one.is("POST events") && one.is_stored).count() == 30).await;
}
