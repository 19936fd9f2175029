//! Many claims at once.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};

use super::world::{READ, Replica, WRITE, World};

/// Evictions of so many pods from 64 tasks, by these replicas in turn; gives the pods that may go.
async fn crowd(replicas: &[Replica], pods: usize) -> BTreeSet<String> {
    let evictions = (0..pods).zip(replicas.iter().cycle()).map(|(number, replica)| async move {
        let pod = format!("web-{number}");
        replica.evict(&pod).await.ok().map(|()| pod)
    });
    stream::iter(evictions).buffer_unordered(64).filter_map(async |passed| passed).collect().await
}

async fn exactly_what_there_is_is_taken(replicas: usize, most_writes: usize) {
    let world = World::new(150);
    let replicas: Vec<_> = (0..replicas).map(|_| world.replica()).collect();
    let passed = crowd(&replicas, 300).await;
    assert_eq!((passed.len(), world.stored().allowed()), (150, 0));
    assert_eq!(world.stored().recorded(), passed);
    let (writes, reads) = (world.count(WRITE), world.count(READ));
    assert!(writes <= most_writes && reads <= 60, "{writes} writes, {reads} reads");
}

#[tokio::test(start_paused = true)]
async fn of_three_hundred_evictions_exactly_as_many_pass_as_there_are_units() {
    exactly_what_there_is_is_taken(1, 8).await;
}

#[tokio::test(start_paused = true)]
async fn three_replicas_share_the_units_of_a_budget() {
    exactly_what_there_is_is_taken(3, 45).await;
}

#[tokio::test(start_paused = true)]
async fn three_replicas_share_them_also_while_no_watch_tells_anything() {
    let world = World::new(150);
    let replicas: Vec<_> = (0..3).map(|_| world.replica()).collect();
    world.hold_watches();
    let passed = crowd(&replicas, 300).await;
    assert_eq!((passed.len(), world.stored().recorded()), (150, passed));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_asked_for_by_many_takes_one_unit() {
    let world = World::new(150);
    let replicas: Vec<_> = (0..3).map(|_| world.replica()).collect();
    let evictions = (0..60).zip(replicas.iter().cycle()).map(|(_, replica)| replica.evict("web-7"));
    let passed = stream::iter(evictions).buffer_unordered(60).filter(|passed| std::future::ready(passed.is_ok())).count().await;
    assert_eq!((passed, world.stored().allowed()), (60, 149));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_has_no_room_costs_reads_and_no_writes() {
    let world = World::new(0);
    let replicas = [world.replica()];
    assert!(crowd(&replicas, 300).await.is_empty());
    assert_eq!(world.count(WRITE), 0);
    assert!(world.count(READ) <= 8, "{} reads", world.count(READ));
}
