//! Who is picked, by partition, `maxUnavailable`, selector and what else keeps pods back.

use super::*;

#[test]
fn as_many_pods_are_picked_as_in_the_reference() {
    for (strategy, (count, updated, available), expected) in [
        (json!({"maxUnavailable": 10}), (100, 30, 26), 6),
        (json!({"maxUnavailable": "10%"}), (1000, 300, 260), 60),
        (json!({"maxUnavailable": "5%"}), (1000, 300, 250), 0),
        (json!({"maxUnavailable": 100}), (100, 30, 27), 70),
        (json!({"partition": 180, "maxUnavailable": 100}), (1000, 800, 760), 20),
        (json!({"partition": 100, "maxUnavailable": 100}), (1000, 800, 760), 60),
        (json!({"partition": "18%", "maxUnavailable": 100}), (1000, 800, 760), 20),
        (json!({"partition": "10%", "maxUnavailable": 100}), (1000, 800, 760), 60),
        (json!({"maxUnavailable": "5%"}), (5, 0, 0), 1),
        (json!({"maxUnavailable": 5, "partition": "99%"}), (5, 0, 0), 1),
        (json!({"maxUnavailable": 5, "partition": "1%"}), (5, 0, 0), 4),
    ] {
        let mut cluster = Cluster::of([wanted(&strategy)], population(count, updated, available));
        let picked = cluster.round("log").changed.len();
        let number = |count: usize| i64::try_from(count).unwrap();
        let ready = number(count - updated + available);
        assert_eq!(
            (picked, cluster.numbers("log")),
            (expected, [number(count), number(updated), ready, number(available)]),
            "{strategy} of {count}"
        );
    }
}

#[test]
fn only_selected_pods_are_picked() {
    let mut pods = population(1000, 0, 0);
    for pod in pods.iter_mut().step_by(33).take(30) {
        *pod = pod.clone().labelled("stage", "first");
    }
    let strategy = json!({"maxUnavailable": 100, "selector": {"matchLabels": {"stage": "first"}}});
    assert_eq!(picked(wanted(&strategy), pods).len(), 30);
}

/// `CanUpgradePods` of the reference, and the row of the strategy's tests about another hash without images.
#[test]
fn pods_of_which_more_than_images_differs_are_left_and_told_so() {
    let old = rollout("log", cold("log:v1"));
    for (count, stuck, strategy) in [(100, 50, json!({"maxUnavailable": "50%"})), (100, 100, json!({"maxUnavailable": 100}))] {
        let mut pods = population(count, 0, 0);
        for pod in pods.iter_mut().step_by(count / stuck) {
            *pod = pod.clone().noted(&old, &old.hash, "another");
        }
        let mut cluster = Cluster::of([wanted(&strategy)], pods);
        let round = cluster.round("log");
        assert_eq!((round.changed.len(), round.told.len()), (count - stuck, stuck));
        assert!(round.events.contains(&"NotUpgradablePods"));
        assert_eq!(cluster.pods.values().filter(|pod| pod.image_of("log") == "log:v2").count(), count - stuck);
    }
}

#[test]
fn pods_are_picked_in_the_order_of_the_reference() {
    let strategy = json!({"maxUnavailable": 10});
    assert_eq!(picked(wanted(&strategy), population(20, 10, 5)), names([19, 18, 17, 16, 15]));

    let mut pods = population(20, 10, 5);
    for number in [10, 13] {
        pods[number] = pods[number].clone().down("main");
    }
    assert_eq!(picked(wanted(&strategy), pods), names([13, 10, 19, 18, 17, 16, 15]));

    let weight = |weight: i32, value: &str| json!({"weight": weight, "matchSelector": {"matchLabels": {"key": value}}});
    let weights = json!({"maxUnavailable": 10, "priorityStrategy": {"weightPriority": [weight(50, "foo"), weight(30, "bar")]}});
    let mut pods = population(20, 10, 2);
    pods[16] = pods[16].clone().labelled("key", "foo");
    pods[15] = pods[15].clone().labelled("key", "bar");
    assert_eq!(picked(wanted(&weights), pods), names([16, 15]));
}

/// K9: above 0 % one pod stays, below `100%` one goes.
#[test]
fn a_percentage_as_partition_keeps_one_and_lets_one_go() {
    for (partition, count, expected) in
        [("0%", 3, 3), ("0.1%", 3, 2), ("50%", 3, 1), ("99%", 3, 1), ("99.9%", 3, 1), ("100%", 3, 0), ("99%", 1, 0), ("1%", 1, 0)]
    {
        let strategy = json!({"maxUnavailable": "100%", "partition": partition});
        assert_eq!(picked(wanted(&strategy), population(count, 0, 0)).len(), expected, "{partition} of {count}");
    }
}

/// B6 of the reference: ten pods, four of them not upgradable, half are to stay old.
#[test]
fn pods_that_stay_old_anyway_count_for_the_partition() {
    let old = rollout("log", cold("log:v1"));
    let mut pods = population(10, 0, 0);
    for pod in pods.iter_mut().take(4) {
        *pod = pod.clone().noted(&old, &old.hash, "another");
    }
    let strategy = json!({"maxUnavailable": 10, "partition": "50%"});
    assert_eq!(picked(wanted(&strategy), pods).len(), 5);
}

/// B7 of the reference: a bad image took two pods down; the good one after it must not take two more.
#[test]
fn pods_that_an_abandoned_revision_took_down_use_up_the_budget() {
    let mut cluster = Cluster::of([set("log", &with(cold("log:bad"), &json!({"maxUnavailable": 2})))], population(6, 0, 0));
    let down = cluster.round("log").changed;
    assert_eq!(down.len(), 2);
    for pod in &down {
        cluster.change(pod, |pod| pod.stop("log"));
    }
    cluster.publish("log", &cold("log:v3"));
    // Those that are down are changed for free, and no other.
    assert_eq!(cluster.round("log").changed, down);
    assert_eq!(cluster.round("log").changed, [""; 0]);
    cluster.change(&down[0], Fixture::started);
    assert_eq!(cluster.round("log").changed.len(), 1);
}

/// A pod of the old revision that somebody else took down is no use of the budget.
#[test]
fn pods_that_were_never_changed_and_are_down_use_up_nothing() {
    let mut pods = population(4, 0, 0);
    pods[0] = pods[0].clone().down("main");
    let strategy = json!({"maxUnavailable": 1});
    assert_eq!(picked(wanted(&strategy), pods), names([0, 3]));
}

/// B3 of the reference: the first pod is refused each time, and the others wait behind it for ever.
#[test]
fn a_pod_that_was_refused_a_moment_ago_leaves_its_turn_to_the_next() {
    let cluster = Cluster::of([wanted(&json!({"maxUnavailable": 1}))], population(3, 0, 0));
    let circumstances = Circumstances { is_refused: &|member| &*member.pod.name == "pod-002", ..cluster.circumstances() };
    let plan = plan(&cluster.picture("log", cluster.pods.values()), &circumstances);
    assert_eq!(cluster.clone().carry_out(plan).changed, ["pod-001"]);
}

#[test]
fn a_change_that_is_on_its_way_is_waited_for_unless_it_fails() {
    let in_flight = |pod: Fixture| {
        pod.wants("log", "log:v0").annotated(
            "kruise.io/sidecarset-inplace-update-state",
            r#"{"log":{"revision":"x","updateTimestamp":null,"lastContainerStatuses":{"log":{"imageID":"id-of-log:v1"}}}}"#,
        )
    };
    let waiting = in_flight(at("log:v1", "web-1"));
    assert_eq!(picked(wanted(&json!({"maxUnavailable": 5})), vec![waiting.clone()]), [""; 0]);
    assert_eq!(picked(wanted(&json!({"maxUnavailable": 5})), vec![waiting.down("log")]), ["web-1"]);
}

#[test]
fn a_strategy_that_cannot_be_understood_changes_nothing_and_says_where_it_is_wrong() {
    for (strategy, field) in [
        (json!({"partition": "half"}), "spec.updateStrategy.partition"),
        (json!({"maxUnavailable": "few"}), "spec.updateStrategy.maxUnavailable"),
        (json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}), "spec.updateStrategy.selector"),
    ] {
        let mut cluster = Cluster::of([wanted(&strategy)], [at("log:v1", "web-1")]);
        assert_eq!(cluster.round("log").changed, [""; 0], "{strategy}");
        let condition = &cluster.sets["log"]["status"]["conditions"][0];
        assert_eq!(condition["reason"], "InvalidStrategy");
        assert!(condition["message"].as_str().unwrap().contains(field), "{condition}");
    }
}
