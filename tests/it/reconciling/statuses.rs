//! How often a status is written, and what the last one says.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{SET, World};
use crate::api_server::{Asked, End, Fate};

fn bodies(asked: &[Asked]) -> Vec<&Value> {
    asked.iter().map(|one| &one.body["status"]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_not_kept_as_it_was_written_is_not_written_again_and_again() {
    let world = World::new(2, &json!({})).await;
    world.server.prune(|resource, object| {
        if resource == "sidecarsets"
            && let Some(status) = object["status"].as_object_mut()
        {
            status.remove("conditions");
        }
    });
    world.publish(2);
    world.is_rolled_out(2).await;
    world.idle(Duration::from_secs(5)).await;
    let before = world.asked("PATCH sidecarsets/status").len();
    // Something happens all the time that changes nothing of the status.
    for _ in 0..600 {
        world.touch_set();
        world.idle(Duration::from_millis(500)).await;
    }
    let later = world.asked("PATCH sidecarsets/status").split_off(before);
    assert!((1..=6).contains(&later.len()), "{} writes in five minutes: {:#?}", later.len(), bodies(&later));
}

#[tokio::test(start_paused = true)]
async fn during_a_rollout_a_status_is_written_at_most_once_a_second_and_the_last_one_is_right() {
    let world = World::new(30, &json!({"updateStrategy": {"maxUnavailable": 2}})).await;
    world.publish(2);
    world.is_rolled_out(2).await;
    world.idle(Duration::from_secs(10)).await;
    let written = world.asked("PATCH sidecarsets/status");
    let waits: Vec<_> = written.iter().zip(written.iter().skip(1)).map(|(one, next)| next.at - one.at).collect();
    // The clock is read a moment before the request travels.
    assert!(waits.iter().all(|wait| *wait + Duration::from_millis(2) >= Duration::from_secs(1)), "{waits:?}");
    assert!(written.len() > 5, "{}", written.len());
    let status = world.server.object(SET)["status"].clone();
    assert_eq!([&status["matchedPods"], &status["updatedPods"], &status["readyPods"], &status["updatedReadyPods"]], [&json!(30); 4]);
    assert_eq!(status["conditions"][0]["reason"], json!("AllPodsUpdatedAndReady"));
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_refused_is_not_tried_more_often_than_one_that_is_taken() {
    let world = World::new(30, &json!({"updateStrategy": {"maxUnavailable": 2}})).await;
    world.fares(|asked| Fate::of(if asked.is("PATCH sidecarsets/status") { End::Refused(403) } else { End::Answered }));
    world.publish(2);
    world.server.until("all pods", |asked| asked.iter().filter(|one| one.is("PATCH pods") && one.is_stored).count() == 30).await;
    let written = world.asked("PATCH sidecarsets/status");
    let waits: Vec<_> = written.iter().zip(written.iter().skip(1)).map(|(one, next)| next.at - one.at).collect();
    assert!(waits.iter().all(|wait| *wait + Duration::from_millis(2) >= Duration::from_secs(1)), "{waits:?}");
    world.calm();
    world.is_rolled_out(2).await;
}
