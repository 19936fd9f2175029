//! Rollouts step by step, with the kubelet's answers between.

use super::*;
use crate::sidecarset::fixtures::{Round, hot, member as read, merge};

#[test]
fn a_set_changes_a_pod_only_if_its_strategy_lets_it() {
    let old = || at("log:v1", "web-1");
    let one = vec!["web-1".to_owned()];
    for (case, strategy, pod, expected) in [
        ("UpdateWhenUseNotUpdateStrategy", json!({"type": "NotUpdate"}), old(), vec![]),
        ("UpdateWhenSidecarSetPaused", json!({"paused": true}), old(), vec![]),
        ("UpdateWhenMaxUnavailableNotZero", json!({}), old().pending(), one.clone()),
        ("UpdateWhenPartitionFinished", json!({"partition": 1}), old(), vec![]),
        ("nothing said", json!({}), old(), one.clone()),
        ("maxUnavailable 0", json!({"maxUnavailable": 0}), old(), vec![]),
        ("maxUnavailable 0, but it is down", json!({"maxUnavailable": 0}), old().down("main"), one.clone()),
        ("selected", json!({"selector": {"matchLabels": {"app": "web"}}}), old(), one),
        ("not selected", json!({"selector": {"matchLabels": {"app": "shop"}}}), old(), vec![]),
        ("an unknown type of strategy does nothing", json!({"type": "Sideways"}), old(), vec![]),
    ] {
        assert_eq!(picked(wanted(&strategy), vec![pod]), expected, "{case}");
    }
}

#[test]
fn a_pod_that_is_at_the_present_revision_is_left_as_it_is() {
    let mut cluster = Cluster::of([wanted(&json!({}))], [at("log:v2", "web-1")]);
    let before = cluster.pods.clone();
    cluster.round("log");
    assert_eq!(cluster.pods, before);
}

#[test]
fn a_cold_upgrade_goes_from_pod_to_pod() {
    let mut cluster = Cluster::of([wanted(&json!({"maxUnavailable": 1}))], [at("log:v1", "pod-1"), at("log:v1", "pod-2")]);
    let images = |cluster: &Cluster| ["pod-1", "pod-2"].map(|pod| cluster.pods[pod].image_of("log").to_owned());
    let before = cluster.pods["pod-1"].clone();

    assert_eq!(cluster.round("log").changed, ["pod-1"]);
    assert_eq!((images(&cluster), cluster.numbers("log")), (["log:v2", "log:v1"].map(str::to_owned), [2, 0, 2, 0]));
    // But for the image, the spec is as it was.
    assert_eq!(cluster.pods["pod-1"].clone().wants("log", "log:v1").0["spec"], before.0["spec"]);

    assert_eq!(cluster.round("log").changed, [""; 0]);
    assert_eq!(cluster.numbers("log"), [2, 1, 1, 0]);

    cluster.change("pod-1", |pod| pod.start("log"));
    assert_eq!(cluster.round("log").changed, ["pod-2"]);
    assert_eq!((images(&cluster), cluster.numbers("log")), (["log:v2", "log:v2"].map(str::to_owned), [2, 1, 2, 1]));

    cluster.round("log");
    assert_eq!(cluster.numbers("log"), [2, 2, 1, 1]);

    cluster.change("pod-2", |pod| pod.start("log"));
    cluster.round("log");
    assert_eq!(cluster.numbers("log"), [2, 2, 2, 2]);
    assert_eq!(cluster.round("log"), Round::default());
}

#[test]
fn a_hot_upgrade_has_four_stages() {
    let old = pod("web-1").injected(&rollout("mesh", hot("mesh:v1")));
    let mut cluster = Cluster::of([set("mesh", &hot("mesh:v2"))], [old]);
    let images = |cluster: &Cluster| ["mesh-1", "mesh-2"].map(|name| cluster.pods["web-1"].image_of(name).to_owned());
    let expect = |cluster: &Cluster, expected: [&str; 2], numbers| {
        assert_eq!((images(cluster), cluster.numbers("mesh")), (expected.map(str::to_owned), numbers));
    };
    cluster.round("mesh");
    expect(&cluster, ["mesh:v1", "mesh:v2"], [1, 0, 1, 0]);
    cluster.round("mesh");
    expect(&cluster, ["mesh:v1", "mesh:v2"], [1, 1, 0, 0]);
    cluster.change("web-1", |pod| pod.start("mesh-2"));
    let round = cluster.round("mesh");
    assert_eq!(round.changed, ["web-1"]);
    expect(&cluster, ["empty:1", "mesh:v2"], [1, 1, 0, 0]);
    cluster.round("mesh");
    expect(&cluster, ["empty:1", "mesh:v2"], [1, 1, 0, 0]);
    cluster.change("web-1", |pod| pod.start("mesh-1"));
    cluster.round("mesh");
    expect(&cluster, ["empty:1", "mesh:v2"], [1, 1, 1, 1]);
    assert_eq!(cluster.round("mesh"), Round::default());
}

/// The table of the reference's description: what the versions say after each step.
#[test]
fn the_versions_of_twins_are_swapped_and_cleared_as_in_the_worked_example() {
    let mut first = set("mesh", &hot("mesh:v2"));
    first["metadata"]["resourceVersion"] = "100".into();
    let mut cluster = Cluster::of([first], [pod("web-1").injected(&rollout("mesh", hot("mesh:v1")))]);
    let state = |cluster: &Cluster| {
        let pod = &cluster.pods["web-1"];
        let working = pod.annotation("kruise.io/sidecarset-working-hotupgrade-container").unwrap().to_owned();
        (working, pod.versions_of("mesh").map(str::to_owned), ["mesh-1", "mesh-2"].map(|name| pod.image_of(name).to_owned()))
    };
    let expected = |working: u8, versions: [&str; 4], images: [&str; 2]| {
        (format!(r#"{{"mesh":"mesh-{working}"}}"#), versions.map(str::to_owned), images.map(str::to_owned))
    };
    assert_eq!(state(&cluster), expected(1, ["1", "0", "0", "1"], ["mesh:v1", "empty:1"]));
    cluster.round("mesh");
    assert_eq!(state(&cluster), expected(2, ["1", "100", "100", "1"], ["mesh:v1", "mesh:v2"]));
    cluster.change("web-1", Fixture::started);
    cluster.round("mesh");
    assert_eq!(state(&cluster), expected(2, ["0", "100", "100", "0"], ["empty:1", "mesh:v2"]));
    cluster.change("web-1", Fixture::started);
    cluster.publish("mesh", &hot("mesh:v3"));
    cluster.sets.get_mut("mesh").unwrap()["metadata"]["resourceVersion"] = "200".into();
    cluster.round("mesh");
    assert_eq!(state(&cluster), expected(1, ["200", "100", "100", "200"], ["mesh:v3", "mesh:v2"]));
    cluster.change("web-1", Fixture::started);
    cluster.round("mesh");
    assert_eq!(state(&cluster), expected(1, ["200", "0", "0", "200"], ["mesh:v3", "empty:1"]));
}

/// A reset and an update of the same version of a pod: one of them would be refused, and chance would say which.
#[test]
fn a_pod_whose_hot_upgrade_ends_is_not_updated_in_the_same_plan() {
    let mut cluster = Cluster::of([set("mesh", &hot("mesh:v2"))], [pod("web-1").injected(&rollout("mesh", hot("mesh:v1")))]);
    cluster.round("mesh");
    cluster.change("web-1", Fixture::started);
    cluster.publish("mesh", &hot("mesh:v3"));
    let round = cluster.round("mesh");
    assert_eq!((round.changed, round.stale), (vec!["web-1".to_owned()], vec![]));
    let images = |cluster: &Cluster| ["mesh-1", "mesh-2"].map(|name| cluster.pods["web-1"].image_of(name).to_owned());
    assert_eq!(images(&cluster), ["empty:1", "mesh:v2"]);
    cluster.change("web-1", Fixture::started);
    cluster.round("mesh");
    assert_eq!(images(&cluster), ["mesh:v3", "mesh:v2"]);
}

/// K8: the reset asks neither how many may be down nor the partition; B12: nor whether the rollout is paused.
#[test]
fn hot_upgrades_are_ended_whatever_the_strategy_says() {
    for strategy in [json!({"paused": true}), json!({"type": "NotUpdate"}), json!({"maxUnavailable": 0}), json!({"partition": 2})] {
        let pods = ["web-1", "web-2"].map(|name| pod(name).injected(&rollout("mesh", hot("mesh:v1"))));
        let mut cluster = Cluster::of([set("mesh", &with(hot("mesh:v2"), &json!({"maxUnavailable": 2})))], pods);
        assert_eq!(cluster.round("mesh").changed, ["web-1", "web-2"]);
        for pod in ["web-1", "web-2"] {
            cluster.change(pod, Fixture::started);
        }
        cluster.publish("mesh", &json!({"updateStrategy": strategy}));
        let round = cluster.round("mesh");
        assert_eq!(round.changed, ["web-1", "web-2"], "{strategy}");
        assert!(cluster.pods.values().all(|pod| pod.image_of("mesh-1") == "empty:1"));
    }
}

/// B11 of the reference: another empty image is no hot upgrade, and what was right before the set changed is not wrong now.
#[test]
fn another_empty_image_alone_changes_no_pod_and_holds_up_no_other() {
    let mut cluster = Cluster::of([set("mesh", &hot("mesh:v2"))], [pod("web-1").injected(&rollout("mesh", hot("mesh:v1")))]);
    for _ in 0..2 {
        cluster.round("mesh");
        cluster.change("web-1", Fixture::started);
    }
    let before = cluster.pods.clone();
    let mut other = hot("mesh:v2");
    other["containers"][0]["upgradeStrategy"]["hotUpgradeEmptyImage"] = "empty:2".into();
    cluster.publish("mesh", &other);
    let round = cluster.round("mesh");
    assert_eq!((round.changed, cluster.numbers("mesh")), (vec![], [1, 0, 1, 0]));
    assert_eq!(cluster.pods["web-1"].0["spec"], before["web-1"].0["spec"]);
    // A new pod has the present empty image; the next image reaches it although the old one is left behind.
    cluster.pods.insert("web-2".to_owned(), pod("web-2").injected(&rollout("mesh", other.clone())));
    other["containers"][0]["image"] = "mesh:v3".into();
    cluster.publish("mesh", &other);
    assert_eq!(cluster.round("mesh").changed, ["web-2"]);
}

#[test]
fn the_pods_of_a_set_are_those_that_it_selects_and_was_injected_into() {
    let spec = with(cold("log:v2"), &json!({"maxUnavailable": "100%"}));
    let old = rollout("log", cold("log:v1"));
    let pods = [
        at("log:v1", "an-old-one"),
        at("log:v2", "b-new-one"),
        at("log:v1", "c-terminating").terminating(),
        at("log:v1", "d-done").phase("Succeeded"),
        at("log:v1", "e-failed").phase("Failed"),
        at("log:v1", "f-of-another-app").labelled("app", "shop"),
        pod("g-not-injected"),
        pod("h-without-the-container").noted(&old, &old.hash, "").annotated("kruise.io/sidecarset-injected-list", "log"),
        at("log:v1", "i-of-a-longer-name").annotated("kruise.io/sidecarset-injected-list", "logs"),
        at("log:v1", "j-of-two").annotated("kruise.io/sidecarset-injected-list", "a,log"),
    ];
    let mut cluster = Cluster::of([set("log", &spec)], pods);
    let mut changed = cluster.round("log").changed;
    changed.sort();
    assert_eq!((changed, cluster.numbers("log")), (vec!["an-old-one".to_owned(), "j-of-two".to_owned()], [3, 1, 3, 1]));
}

/// `ScopeNamespacePods` of the reference.
#[test]
fn a_set_selects_pods_of_the_namespaces_that_it_names() {
    let rollout = rollout("log", json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}));
    let labels = |team: &str| std::collections::BTreeMap::from([("team".to_owned(), team.to_owned())]);
    let pods: Vec<_> =
        (0..100).map(|number| (pod(&number.to_string()).member(), labels(if number % 2 == 0 { "a" } else { "b" }))).collect();
    assert_eq!(pods.iter().filter(|(pod, namespace)| rollout.selects(&pod.pod.labels, Some(namespace))).count(), 50);
    let other = read(pod("x").labelled("app", "shop").0);
    assert!(
        !rollout.selects(&other.pod.labels, Some(&labels("a")))
            && !rollout.selects(&pods[0].0.pod.labels, None::<&std::collections::BTreeMap<String, String>>)
    );
}

#[test]
fn a_set_that_is_being_deleted_wants_nothing() {
    let mut set = wanted(&json!({}));
    merge(&mut set["metadata"], &json!({"deletionTimestamp": "2026-01-02T03:04:05Z"}));
    assert!(Cluster::of([set], [at("log:v1", "web-1")]).plan("log").is_done());
}
