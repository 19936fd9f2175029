//! Spreads: what is counted while others take places, while the watch is behind, and from one leader to the next.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::world::World;
use crate::api_server::{ApiServer, End, Fate};

const SPREAD: &str = "workloadspreads/shop/web";
const STATUS: &str = "PATCH workloadspreads/status";
const LIST: &str = "GET pods";

fn start() -> Timestamp {
    Timestamp::constant(1_800_000_000, 0)
}

fn at(seconds: i64) -> String {
    (start() + SignedDuration::from_secs(seconds)).to_string()
}

/// A pod of the `CloneSet`, made a minute ago.
fn pod(name: &str, subset: &str) -> Value {
    let mark = json!({"name": "web", "subset": subset}).to_string();
    let owner = json!([{"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "web", "uid": "c", "controller": true}]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": name, "creationTimestamp": at(-60),
            "ownerReferences": owner, "annotations": {"apps.kruise.io/matched-workloadspread": mark}},
        "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "i"}]}, "status": {"phase": "Running"}})
}

/// The counts as they are stored, like `a 3/2 +x`; empty if there are none.
fn counts(server: &ApiServer) -> String {
    let arrays = &server.object(SPREAD)["status"]["versionedSubsetStatuses"]["versionIgnored"];
    let keys = |notes: &Value| notes.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>().join(",");
    let show = |subset: &Value| {
        let mut line = format!("{} {}/{}", subset["name"].as_str().unwrap(), subset["replicas"], subset["missingReplicas"]);
        for (sign, member) in [('+', "creatingPods"), ('-', "deletingPods")] {
            if subset[member].is_object() {
                line = format!("{line} {sign}{}", keys(&subset[member]));
            }
        }
        line
    };
    arrays.as_array().into_iter().flatten().map(show).collect::<Vec<_>>().join(", ")
}

async fn until_counted(world: &World, expected: &str) {
    let server = world.server.clone();
    let of = expected.to_owned();
    world.server.until(expected, move |_| counts(&server) == of).await;
}

/// Somebody takes a place, as servers do.
fn take(server: &ApiServer, key: &str, at: &str) {
    server.change(SPREAD, |spread| {
        let subset = &mut spread["status"]["versionedSubsetStatuses"]["versionIgnored"][0];
        subset["missingReplicas"] = (subset["missingReplicas"].as_i64().unwrap() - 1).into();
        if subset["creatingPods"].is_null() {
            subset["creatingPods"] = json!({});
        }
        subset["creatingPods"][key] = at.into();
    });
}

fn with_pods(spec: &Value, pods: usize) -> World {
    let world = World::of_spread(spec);
    for number in 0..pods {
        world.server.put("pods", pod(&format!("p{number}"), "a"));
    }
    world
}

fn caps() -> Value {
    json!({"subsets": [{"name": "a", "maxReplicas": 5}, {"name": "b"}]})
}

#[tokio::test(start_paused = true)]
async fn a_spread_is_counted_from_its_pods_and_then_there_is_peace() {
    let world = with_pods(&caps(), 2);
    world.lead();
    until_counted(&world, "a 2/3, b 0/-1").await;
    let status = world.server.object(SPREAD)["status"].clone();
    assert_eq!((&status["observedGeneration"], &status["summary"]), (&json!(1), &json!("a 2/5, b 0")));
    let cost = |pod: &Value| pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"] == "200";
    let server = world.server.clone();
    world.server.until("costs", move |_| server.all("pods").iter().all(cost)).await;
    world.idle(Duration::from_mins(5)).await;
    let asked = (world.asked(STATUS).len(), world.asked("PATCH pods").len(), world.asked(LIST).len());
    assert_eq!(asked, (1, 2, 1), "each once");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_taken_while_the_status_is_on_its_way_is_not_given_away_again() {
    let world = with_pods(&caps(), 2);
    world.lead();
    until_counted(&world, "a 2/3, b 0/-1").await;
    world.server.forget_asked();
    let (server, mut is_first) = (world.server.clone(), true);
    world.fares(move |asked| {
        if asked.is(STATUS) && std::mem::take(&mut is_first) {
            take(&server, "id-1", &at(1));
        }
        Fate::GOOD
    });
    world.gone("p0");
    until_counted(&world, "a 1/3 +id-1, b 0/-1").await;
    let answers: Vec<_> = world.asked(STATUS).iter().map(|asked| asked.status).collect();
    assert_eq!(answers, [409, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_status_whose_answer_is_lost_is_looked_at_again() {
    let world = with_pods(&caps(), 2);
    let mut is_first = true;
    world.fares(move |asked| if asked.is(STATUS) && std::mem::take(&mut is_first) { Fate::of(End::Lost) } else { Fate::GOOD });
    world.lead();
    until_counted(&world, "a 2/3, b 0/-1").await;
    take(&world.server, "id-1", &at(1));
    until_counted(&world, "a 2/2 +id-1, b 0/-1").await;
    world.server.put("pods", pod("p2", "a"));
    until_counted(&world, "a 3/1 +id-1, b 0/-1").await;
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_pod_that_has_ended_is_free_within_a_second() {
    let world = with_pods(&caps(), 5);
    world.lead();
    until_counted(&world, "a 5/0, b 0/-1").await;
    world.idle(Duration::from_secs(10)).await;
    for round in 0..3 {
        let before = tokio::time::Instant::now();
        world.server.change(&format!("pods/shop/p{round}"), |pod| pod["status"]["phase"] = "Succeeded".into());
        until_counted(&world, &format!("a {}/{}, b 0/-1", 4 - round, round + 1)).await;
        assert!(before.elapsed() <= Duration::from_secs(1), "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_written_a_few_times() {
    let world = with_pods(&json!({"subsets": [{"name": "a", "maxReplicas": 99}]}), 1);
    world.lead();
    until_counted(&world, "a 1/98").await;
    world.server.forget_asked();
    for number in 0..60 {
        world.server.put("pods", pod(&format!("more-{number}"), "a"));
        world.idle(Duration::from_millis(25)).await;
    }
    until_counted(&world, "a 61/38").await;
    let writes = world.asked(STATUS).len();
    assert!((1..=7).contains(&writes), "{writes} in a second and a half");
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_counts_pods_that_its_watch_has_yet_to_tell_of() {
    let mut world = with_pods(&caps(), 1);
    world.lead();
    until_counted(&world, "a 1/4, b 0/-1").await;
    world.depose();
    world.idle(Duration::from_secs(1)).await;
    // Another leader has seen a pod, and dropped its note.
    world.hold_watch();
    world.server.put("pods", pod("p1", "a"));
    world.server.change(SPREAD, |spread| {
        let subset = &mut spread["status"]["versionedSubsetStatuses"]["versionIgnored"][0];
        subset["replicas"] = 2.into();
        subset["missingReplicas"] = 3.into();
    });
    world.server.forget_asked();
    world.elect();
    world.idle(Duration::from_secs(5)).await;
    assert_eq!((counts(&world.server).as_str(), world.asked(LIST).len()), ("a 2/3, b 0/-1", 1));
    assert!(
        world.asked(STATUS).iter().all(|asked| asked.body["status"]["versionedSubsetStatuses"].is_null()),
        "nothing less was ever said"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_the_term() {
    let world = with_pods(&caps(), 1);
    world.lead();
    until_counted(&world, "a 1/4, b 0/-1").await;
    world.depose();
    world.idle(Duration::from_secs(1)).await;
    world.server.forget_asked();
    world.server.put("pods", pod("p1", "a"));
    world.idle(Duration::from_mins(1)).await;
    assert!(world.server.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_never_comes_is_waited_for_as_long_as_it_may_and_the_pods_are_listed_then() {
    let world = with_pods(&caps(), 1);
    world.lead();
    until_counted(&world, "a 1/4, b 0/-1").await;
    take(&world.server, "id-1", &at(1));
    until_counted(&world, "a 1/3 +id-1, b 0/-1").await;
    world.idle(Duration::from_secs(28)).await;
    assert_eq!((counts(&world.server).as_str(), world.asked(LIST).len()), ("a 1/3 +id-1, b 0/-1", 1));
    until_counted(&world, "a 1/4, b 0/-1").await;
    assert_eq!(world.asked(LIST).len(), 2);
    let server = world.server.clone();
    let is_told = move |event: &Value| event["reason"] == "CreatePodFailed" && event["regarding"]["name"] == "web";
    world.server.until("an event", move |_| server.all("events").iter().any(is_told)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_has_come_unseen_keeps_its_place() {
    let world = with_pods(&caps(), 1);
    world.lead();
    until_counted(&world, "a 1/4, b 0/-1").await;
    world.hold_watch();
    take(&world.server, "p1", &at(1));
    let mut late = pod("p1", "a");
    late["metadata"]["creationTimestamp"] = at(1).into();
    world.server.put("pods", late);
    world.idle(Duration::from_secs(20)).await;
    assert_eq!(counts(&world.server), "a 1/3 +p1, b 0/-1");
    until_counted(&world, "a 2/3, b 0/-1").await;
    world.idle(Duration::from_mins(1)).await;
    assert_eq!(counts(&world.server), "a 2/3, b 0/-1", "the watch tells nothing, and nothing is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_drops_no_note() {
    let world = with_pods(&caps(), 1);
    world.lead();
    until_counted(&world, "a 1/4, b 0/-1").await;
    take(&world.server, "id-1", &at(1));
    world.fares(|asked| if asked.lists_pods() { Fate::of(End::Refused(503)) } else { Fate::GOOD });
    world.idle(Duration::from_mins(2)).await;
    assert_eq!(counts(&world.server), "a 1/3 +id-1, b 0/-1");
    world.calm();
    until_counted(&world, "a 1/4, b 0/-1").await;
}

#[tokio::test(start_paused = true)]
async fn the_cost_of_a_pod_that_is_gone_troubles_nobody() {
    let world = with_pods(&caps(), 3);
    world.server.remove("pods/shop/p1");
    world.lead();
    until_counted(&world, "a 3/2, b 0/-1").await;
    let server = world.server.clone();
    let cost = |pod: &Value| pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"] == "200";
    world.server.until("costs", move |_| server.all("pods").iter().filter(|pod| cost(pod)).count() == 2).await;
    world.gone("p1");
    until_counted(&world, "a 2/3, b 0/-1").await;
    world.idle(Duration::from_mins(1)).await;
    assert!(world.server.all("events").is_empty());
}

#[tokio::test(start_paused = true)]
async fn costs_wait_while_pods_come() {
    let world = World::of_spread(&caps());
    world.lead();
    let server = world.server.clone();
    world.server.until("a status", move |_| server.object(SPREAD)["status"]["summary"] == "a 0/5, b 0").await;
    for number in 0..4 {
        let mut new = pod(&format!("p{number}"), "a");
        new["metadata"]["creationTimestamp"] = at(number).into();
        world.server.put("pods", new);
        world.idle(Duration::from_secs(1)).await;
    }
    assert!(world.asked("PATCH pods").is_empty());
    let server = world.server.clone();
    world.server.until("costs", move |asked| asked.iter().filter(|one| one.is("PATCH pods")).count() == server.all("pods").len()).await;
}

#[tokio::test(start_paused = true)]
async fn a_subset_is_closed_before_its_pods_are_deleted_and_opens_again() {
    let strategy = json!({"type": "Adaptive", "adaptive": {"rescheduleCriticalSeconds": 10}});
    let world = World::of_spread(&json!({"subsets": [{"name": "a", "maxReplicas": 5}, {"name": "b"}], "scheduleStrategy": strategy}));
    let mut stuck = pod("p0", "a");
    stuck["spec"].as_object_mut().unwrap().shift_remove("nodeName");
    stuck["metadata"]["creationTimestamp"] = at(0).into();
    stuck["status"] = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]});
    world.server.put("pods", stuck);
    world.lead();
    until_counted(&world, "a 1/4, b 0/-1").await;
    world.idle(Duration::from_secs(8)).await;
    assert!(world.asked("DELETE pods").is_empty());
    world.server.until("a deletion", |asked| asked.iter().any(|one| one.is("DELETE pods"))).await;
    let asked: Vec<_> = world.server.asked().into_iter().filter(|one| one.is(STATUS) || one.is("DELETE pods")).collect();
    let [.., closing, deletion] = &*asked else { panic!("{asked:?}") };
    let condition = |status: &Value| status["versionedSubsetStatuses"]["versionIgnored"][0]["conditions"][0]["status"].clone();
    assert_eq!((condition(&closing.body["status"]), &*deletion.name, deletion.status), (json!("False"), "p0", 200));
    world.gone("p0");
    until_counted(&world, "a 0/5, b 0/-1").await;
    world.idle(Duration::from_secs(200)).await;
    assert_eq!(condition(&world.server.object(SPREAD)["status"]), "False", "it is remembered without pods");
    let server = world.server.clone();
    world.server.until("an open subset", move |_| server.object(SPREAD)["status"]["versionedSubsetStatuses"] == json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_has_found_a_node_meanwhile_stays() {
    let strategy = json!({"type": "Adaptive", "adaptive": {"rescheduleCriticalSeconds": 10}});
    let world = World::of_spread(&json!({"subsets": [{"name": "a", "maxReplicas": 5}, {"name": "b"}], "scheduleStrategy": strategy}));
    let mut stuck = pod("p0", "a");
    stuck["spec"].as_object_mut().unwrap().shift_remove("nodeName");
    stuck["status"] = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]});
    world.server.put("pods", stuck);
    let (server, mut is_first) = (world.server.clone(), true);
    world.fares(move |asked| {
        if asked.is("DELETE pods") && std::mem::take(&mut is_first) {
            server.change("pods/shop/p0", |pod| pod["spec"]["nodeName"] = "n".into());
        }
        Fate::GOOD
    });
    world.lead();
    world.server.until("a deletion", |asked| asked.iter().any(|one| one.is("DELETE pods"))).await;
    world.idle(Duration::from_mins(1)).await;
    assert_eq!(world.asked("DELETE pods").iter().map(|asked| asked.status).collect::<Vec<_>>(), [409]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_there_before_is_taken_in_where_it_runs() {
    let required = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["x"]}]});
    let world = World::of_spread(&json!({"subsets": [{"name": "a", "requiredNodeSelector": required, "maxReplicas": 5}, {"name": "b"}]}));
    world.server.put("nodes", json!({"metadata": {"name": "n", "labels": {"zone": "y"}}}));
    let mut plain = pod("p0", "a");
    plain["metadata"]["annotations"] = json!({});
    world.server.put("pods", plain);
    world.lead();
    until_counted(&world, "a 0/5, b 1/-1").await;
    let marked = json!({"name": "web", "subset": "b"}).to_string();
    let mark =
        |server: &ApiServer| server.object("pods/shop/p0")["metadata"]["annotations"]["apps.kruise.io/matched-workloadspread"].clone();
    let server = world.server.clone();
    world.server.until("a mark", move |_| mark(&server) == marked).await;
    world.idle(Duration::from_mins(1)).await;
    let asked = |what: &str| world.asked(what).len();
    assert_eq!((asked("GET nodes"), asked(STATUS)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fits_nowhere_is_not_looked_at_again_and_again() {
    let required = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["x"]}]});
    let world = World::of_spread(&json!({"subsets": [{"name": "a", "requiredNodeSelector": required, "maxReplicas": 5}]}));
    let mut plain = pod("p0", "a");
    plain["metadata"]["annotations"] = json!({});
    world.server.put("pods", plain);
    world.lead();
    let server = world.server.clone();
    world.server.until("a status", move |_| server.object(SPREAD)["status"]["summary"] == "a 0/5, elsewhere 1").await;
    for number in 0..10 {
        world.server.put("pods", pod(&format!("more-{number}"), "a"));
        world.idle(Duration::from_secs(2)).await;
    }
    assert_eq!(world.asked("GET nodes").len(), 1);
}
