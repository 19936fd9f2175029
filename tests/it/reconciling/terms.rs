//! A term that ends in the middle of the work, and the next one.

use std::time::Duration;

use serde_json::json;

use super::world::World;
use crate::api_server::{Asked, End, Fate};

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_the_end_of_a_term() {
    for patches in [json!([]), json!([{"annotations": {"a": "b"}, "patchPolicy": "Overwrite"}])] {
        let world = World::new(40, &json!({"patchPodMetadata": patches})).await;
        world.fares(|asked| Fate {
            there: Duration::from_millis(500),
            back: Duration::from_millis(500),
            // Each is refused, and would be told.
            end: if asked.is("PATCH pods") { End::Refused(403) } else { End::Answered },
        });
        world.publish(2);
        let what = if patches == json!([]) { "PATCH pods" } else { "GET pods" };
        world.server.until("a request", |asked| asked.iter().any(|one| one.is(what) && !one.name.is_empty())).await;
        world.depose();
        let ended = tokio::time::Instant::now();
        world.idle(Duration::from_mins(2)).await;
        let later: Vec<_> = world.server.asked().into_iter().filter(|one| one.at > ended && one.writes()).collect();
        assert!(later.is_empty(), "{what}: {:#?}", later.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_term_lists_pods_before_it_changes_any_and_keeps_the_limit_with_a_picture_that_is_behind() {
    let mut world = World::new(12, &json!({"updateStrategy": {"maxUnavailable": 3}})).await;
    world.publish(2);
    world.server.until("some changes", |asked| asked.iter().filter(|one| one.is("PATCH pods")).count() >= 6).await;
    // The pods that the old leader changed last are on their way, but the next knows nothing of that.
    world.kubelet_is_ill(true);
    world.hold_watch();
    world.idle(Duration::from_secs(5)).await;
    world.depose();
    world.idle(Duration::from_secs(5)).await;
    world.forget_answers();
    let before = world.server.asked().len();
    world.elect();
    world.server.until("a list", |asked| asked.iter().skip(before).any(Asked::lists_pods)).await;
    world.idle(Duration::from_secs(5)).await;
    let later = world.server.asked().split_off(before);
    assert_eq!(later.iter().filter(|one| one.is("PATCH pods")).count(), 0, "more than the limit allows");
    world.kubelet_is_ill(false);
    world.release_watch();
    world.is_rolled_out(2).await;
    world.each_was_changed_once(12);
    assert_eq!((world.most_in_flight(), world.asked("PATCH pods").len()), (3, 12), "a pod was planned on what was not so any more");
}
