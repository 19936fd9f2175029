//! Budgets: what is counted while others take from them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::world::{World, key_of, name};
use crate::api_server::{ApiServer, Asked, End, Fate};

const BUDGET: &str = "podunavailablebudgets/shop/web";
const STATUS: &str = "PATCH podunavailablebudgets/status";

/// Total, desired, current and allowed, as they are stored.
fn counts(server: &ApiServer) -> Vec<i64> {
    let status = &server.object(BUDGET)["status"];
    let of = |name: &str| status[name].as_i64();
    ["totalReplicas", "desiredAvailable", "currentAvailable", "unavailableAllowed"].into_iter().filter_map(of).collect()
}

async fn until_counted(world: &World, expected: [i64; 4]) {
    let server = world.server.clone();
    let is_so = move |_: &[Asked]| counts(&server) == expected;
    world.server.until(&format!("{expected:?}"), is_so).await;
}

/// Somebody takes a unit for a pod, as servers do.
fn take(server: &ApiServer, number: usize, at: Timestamp) {
    server.change(BUDGET, |budget| {
        let status = &mut budget["status"];
        status["unavailableAllowed"] = (status["unavailableAllowed"].as_i64().unwrap() - 1).into();
        if status["disruptedPods"].is_null() {
            status["disruptedPods"] = json!({});
        }
        status["disruptedPods"][name(number)] = at.to_string().into();
    });
}

fn disrupted(server: &ApiServer) -> Vec<String> {
    server.object(BUDGET)["status"]["disruptedPods"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn start() -> Timestamp {
    Timestamp::constant(1_800_000_000, 0)
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_made_after_its_pods_is_counted_and_linked() {
    let world = World::of_budget(4, &json!({"maxUnavailable": 1}));
    world.lead();
    until_counted(&world, [4, 3, 4, 1]).await;
    let is_linked = |pod: &Value| {
        let annotations = &pod["metadata"]["annotations"];
        annotations["pub.kruise.io/related-pub"] == "web" && annotations["kruise.io/related-pub"] == "web"
    };
    let server = world.server.clone();
    world.server.until("links", move |_| server.all("pods").iter().all(is_linked)).await;
    world.idle(Duration::from_mins(1)).await;
    assert_eq!((world.asked(STATUS).len(), world.asked("PATCH pods").len()), (1, 4), "each once");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_is_taken_while_the_status_is_on_its_way_is_not_given_away_again() {
    let world = World::of_budget(4, &json!({"maxUnavailable": 2}));
    world.lead();
    until_counted(&world, [4, 2, 4, 2]).await;
    world.server.forget_asked();
    // The count that two pods less are available meets a unit that was taken meanwhile, for a third one.
    let (server, mut is_first) = (world.server.clone(), true);
    world.fares(move |asked| {
        if asked.is(STATUS) && std::mem::take(&mut is_first) {
            take(&server, 3, start());
        }
        Fate::GOOD
    });
    world.flap(0, false);
    until_counted(&world, [4, 2, 2, 0]).await;
    let answers: Vec<_> = world.asked(STATUS).iter().map(|asked| asked.status).collect();
    assert_eq!((answers[0], disrupted(&world.server)), (409, vec![name(3)]));
}

#[tokio::test(start_paused = true)]
async fn a_status_whose_answer_is_lost_is_looked_at_again() {
    let world = World::of_budget(4, &json!({"maxUnavailable": 2}));
    let mut is_first = true;
    world.fares(move |asked| if asked.is(STATUS) && std::mem::take(&mut is_first) { Fate::of(End::Lost) } else { Fate::GOOD });
    world.lead();
    until_counted(&world, [4, 2, 4, 2]).await;
    take(&world.server, 0, start());
    until_counted(&world, [4, 2, 3, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_unit_of_a_pod_that_stays_comes_back_by_itself_and_not_too_soon() {
    let world = World::of_budget(2, &json!({"maxUnavailable": 1}));
    world.lead();
    until_counted(&world, [2, 1, 2, 1]).await;
    take(&world.server, 0, start());
    until_counted(&world, [2, 1, 1, 0]).await;
    world.idle(Duration::from_secs(18)).await;
    assert_eq!(counts(&world.server), [2, 1, 1, 0]);
    until_counted(&world, [2, 1, 2, 1]).await;
    assert!(disrupted(&world.server).is_empty());
    let server = world.server.clone();
    let is_told = move |event: &Value| event["reason"] == "NotDeleted" && event["regarding"]["name"] == json!(name(0));
    world.server.until("an event", move |_| server.all("events").iter().any(is_told)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_goes_is_reckoned_with_until_another_is_there() {
    let world = World::of_budget(2, &json!({"maxUnavailable": 1}));
    world.lead();
    until_counted(&world, [2, 1, 2, 1]).await;
    take(&world.server, 0, start());
    world.server.change(&key_of(0), |pod| pod["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:01Z".into());
    until_counted(&world, [2, 1, 1, 0]).await;
    let server = world.server.clone();
    world.server.until("a confirmed record", move |_| disrupted(&server).is_empty()).await;
    world.idle(Duration::from_mins(1)).await;
    assert_eq!(counts(&world.server), [2, 1, 1, 0], "it is still missing");
}

/// The watch of pods stands still; what became of a pod is asked for before its unit is given back.
#[tokio::test(start_paused = true)]
async fn a_unit_of_a_pod_that_has_gone_unseen_does_not_come_back() {
    let world = World::of_budget(2, &json!({"maxUnavailable": 1}));
    world.lead();
    until_counted(&world, [2, 1, 2, 1]).await;
    world.hold_watch();
    take(&world.server, 0, start());
    world.server.change(&key_of(0), |pod| pod["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:01Z".into());
    until_counted(&world, [2, 1, 1, 0]).await;
    world.idle(Duration::from_mins(1)).await;
    assert_eq!((counts(&world.server), disrupted(&world.server)), (vec![2, 1, 1, 0], vec![name(0)]));
    world.release_watch();
    let server = world.server.clone();
    world.server.until("a confirmed record", move |_| disrupted(&server).is_empty()).await;
    assert_eq!(counts(&world.server), [2, 1, 1, 0]);
}
