//! What is known here is older than what is there: what is there decides.

use serde_json::{Value, json};

use super::world::{READ, WRITE, World, budget};

#[tokio::test(start_paused = true)]
async fn where_only_the_mirror_has_room_nothing_passes() {
    let world = World::new(5);
    let replica = world.replica();
    world.hold_watches();
    world.change("web", |web| web["status"]["unavailableAllowed"] = json!(0));
    let denial = replica.evict("web-1").await.unwrap_err();
    assert!(denial.code == 429 && denial.message.contains("295 are needed"), "{denial:?}");
    assert_eq!((world.count(WRITE), world.count(READ)), (1, 1), "one attempt, refused, and one look");
    assert!(world.stored().recorded().is_empty());
    assert_eq!(replica.known_allowed(), 0, "what was read was forgotten");
}

#[tokio::test(start_paused = true)]
async fn where_only_the_live_object_has_room_it_passes() {
    let world = World::new(0);
    let replica = world.replica();
    world.hold_watches();
    world.change("web", |web| web["status"]["unavailableAllowed"] = json!(1));
    replica.evict("web-1").await.unwrap();
    assert_eq!((world.count(READ), world.count(WRITE)), (1, 1));
    assert_eq!((world.stored().allowed(), replica.known_allowed()), (0, 0));
    replica.evict("web-2").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_gone_guards_nothing() {
    for allowed in [0, 1] {
        let world = World::new(allowed);
        let replica = world.replica();
        world.hold_watches();
        world.delete("web");
        replica.evict("web-1").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_the_mirror_does_not_know_is_read() {
    let world = World::new(1);
    let replica = world.replica();
    world.hold_watches();
    world.server.put("podunavailablebudgets", budget("late", 1));
    replica.evict_from(&["late"], "web-1").await.unwrap();
    replica.evict_from(&["late"], "web-2").await.unwrap_err();
    assert_eq!((world.stored_as("late").allowed(), world.stored().allowed()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_was_made_anew_is_not_mistaken_for_the_one_before() {
    let world = World::new(5);
    let replica = world.replica();
    world.hold_watches();
    world.delete("web");
    let mut anew = budget("web", 1);
    anew["metadata"]["uid"] = json!("uid-anew");
    world.server.put("podunavailablebudgets", anew);
    replica.evict("web-1").await.unwrap();
    replica.evict("web-2").await.unwrap_err();
    assert_eq!(world.stored().recorded().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_was_not_counted_since_it_was_made_or_changed_refuses_for_a_second() {
    let cases: [fn(&mut Value); 2] =
        [|web| drop(web.as_object_mut().unwrap().remove("status")), |web| web["metadata"]["generation"] = json!(2)];
    for change in cases {
        let world = World::new(5);
        let replica = world.replica();
        world.change("web", change);
        let denial = replica.evict("web-1").await.unwrap_err();
        assert_eq!((denial.code, denial.retry_after), (429, Some(1)));
        assert!(denial.message.ends_with("have not been counted since; try again in a second"), "{}", denial.message);
        assert_eq!(world.count(WRITE), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_what_would_be_and_takes_nothing() {
    let world = World::new(1);
    let replica = world.replica();
    for _ in 0..3 {
        replica.try_eviction("web-1").await.unwrap();
    }
    assert_eq!(world.count(WRITE), 0);
    replica.evict("web-1").await.unwrap();
    replica.try_eviction("web-1").await.unwrap();
    assert_eq!(replica.try_eviction("web-2").await.unwrap_err().code, 429);
    assert_eq!((world.count(WRITE), world.count("POST events")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_beside_others_counts_what_they_take() {
    let world = World::new(1);
    let replica = world.replica();
    // Whoever comes first has the turn to himself; these two share the next one.
    let first = replica.try_eviction("web-0");
    tokio::task::yield_now().await;
    let (first, taken, tried) = futures::join!(first, replica.evict("web-1"), replica.try_eviction("web-2"));
    assert!(first.is_ok() && taken.is_ok() && tried.is_err(), "{first:?} {taken:?} {tried:?}");
    assert_eq!((world.stored().allowed(), world.stored().recorded().len()), (0, 1));
}
