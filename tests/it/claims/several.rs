//! Pods that count for more than one budget.

use futures::{StreamExt, stream};

use super::world::{WRITE, World};

const BOTH: [&str; 2] = ["all", "web"];

#[tokio::test(start_paused = true)]
async fn a_unit_of_each_is_taken() {
    let world = World::new(2).and("all", 1);
    let replica = world.replica();
    replica.evict_from(&BOTH, "web-1").await.unwrap();
    assert_eq!((world.stored().allowed(), world.stored_as("all").allowed()), (1, 0));
    let denial = replica.evict_from(&BOTH, "web-2").await.unwrap_err();
    assert!(denial.message.contains(r#""all" is forbidden"#), "{}", denial.message);
    assert_eq!(world.stored().allowed(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_of_the_first_if_the_second_has_no_room() {
    let world = World::new(0).and("all", 5);
    let replica = world.replica();
    let denial = replica.evict_from(&BOTH, "web-1").await.unwrap_err();
    assert!(denial.message.contains(r#""web" is forbidden"#), "{}", denial.message);
    assert_eq!((world.count(WRITE), world.stored_as("all").allowed()), (0, 5));
}

#[tokio::test(start_paused = true)]
async fn a_crowd_takes_of_none_more_than_there_is() {
    let world = World::new(7).and("all", 20);
    let replicas = [world.replica(), world.replica(), world.replica()];
    let evictions = (0..60).zip(replicas.iter().cycle()).map(|(number, replica)| replica.evict_from(&BOTH, &format!("web-{number}")));
    let passed = stream::iter(evictions).buffer_unordered(60).filter(|passed| std::future::ready(passed.is_ok())).count().await;
    assert!((1..=7).contains(&passed), "{passed} passed");
    for (budget, units) in [("web", 7), ("all", 20)] {
        let stored = world.stored_as(budget);
        let taken = i64::try_from(stored.recorded().len()).unwrap();
        assert!(taken >= i64::try_from(passed).unwrap() && taken + stored.allowed() == units, "{budget}: {taken} of {units}");
    }
}
