//! The shell of the reconcilers, over a scripted API server and a clock that jumps: what becomes of a rollout when requests are
//! refused, lost, late, or overtaken.

mod budgets;
mod client;
mod conflicts;
mod events;
mod spreads;
mod statuses;
mod terms;
mod trouble;
mod world;

use serde_json::json;

use self::world::World;

#[tokio::test(start_paused = true)]
async fn a_rollout_changes_each_pod_once_and_keeps_its_limit() {
    let world = World::new(20, &json!({"updateStrategy": {"maxUnavailable": 3}})).await;
    world.publish(2);
    world.is_rolled_out(2).await;
    world.each_was_changed_once(20);
    assert_eq!(world.most_in_flight(), 3, "the limit was not kept, or not used");
}
