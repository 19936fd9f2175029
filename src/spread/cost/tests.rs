use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::spread::{
    fixtures::{Cluster, Described, ago, now, pod},
    group::group,
    picture::Fit,
};

/// The costs that are written, in their order: `name=cost`.
fn priced(cluster: Cluster) -> String {
    let picture = cluster.picture();
    let groups = group(&picture);
    costs(&picture, &groups).iter().map(|(pod, cost)| format!("{}={cost}", pod.name)).collect::<Vec<_>>().join(" ")
}

/// Pods of a `CloneSet` in a subset, all alike.
fn clones<const N: usize>(subset: &str, names: [&str; N]) -> [Described; N] {
    names.map(|name| pod(name).marked(subset).cloned().ready(50))
}

#[test]
fn the_catalogue_of_the_reference() {
    // PodDeletionCost of reference §13.2, by the numbers there.
    assert_eq!(priced(Cluster::new("a:3 b").pods(clones("a", ["p0", "p1", "p2"]))), "p0=200 p1=200 p2=200", "1");
    assert_eq!(priced(Cluster::new("a:3 b:3").pods(clones("b", ["p0", "p1", "p2"]))), "p0=100 p1=100 p2=100", "2");
    let four = ["p0", "p1", "p2", "p3"];
    assert_eq!(priced(Cluster::new("a:3 b").pods(clones("a", four))), "p1=200 p2=200 p3=200 p0=-100", "3");
    assert_eq!(priced(Cluster::new("a b:3").pods(clones("b", four))), "p1=100 p2=100 p3=100 p0=-200", "4");
    assert_eq!(priced(Cluster::new("a:3").pods(clones("a", ["p0", "p1"]))), "p0=100 p1=100", "6");
    assert_eq!(priced(Cluster::new("a:1").pods(clones("a", ["p0", "p1", "p2"]))), "p2=100 p0=-100 p1=-100", "7");
    let of = |name: &str| pod(name).marked("a").cloned().ready(50);
    let terminating = || [of("p0").terminating(), of("p1"), of("p2"), of("p3")];
    assert_eq!(priced(Cluster::new("a:1").pods(terminating())), "p3=100 p1=-100 p2=-100", "8");
    assert_eq!(priced(Cluster::new("a").pods([of("p0").costing("0"), of("p1").costing("100")])), "p0=100", "9");
    let waits = |name: &str| pod(name).marked("a").cloned();
    let on = |name: &str| waits(name).on("n");
    let five = [waits("p0"), of("p1"), of("p2"), on("p3"), on("p4")];
    assert_eq!(priced(Cluster::new("a:2").pods(five)), "p1=100 p2=100 p0=-100 p3=-100 p4=-100", "10");
    let five = [of("p0"), of("p1"), waits("p2"), on("p3"), on("p4").phase("Unknown")];
    assert_eq!(priced(Cluster::new("a:2").pods(five)), "p0=100 p1=100 p2=-100 p3=-100 p4=-100", "11");
    let ended = |phase: &str| [on("p0").phase("Running"), on("p1").phase("Running"), of("p2").phase(phase), of("p3"), of("p4")];
    for phase in ["Failed", "Succeeded"] {
        assert_eq!(priced(Cluster::new("a:2").pods(ended(phase))), "p3=100 p4=100 p0=-100 p1=-100", "14, 15");
    }
}

#[test]
fn the_example_of_the_reference() {
    let many = |subset: &'static str| (0..20).map(move |number| pod(&format!("{subset}{number:02}")).marked(subset).cloned().ready(50));
    let costs = priced(Cluster::new("a:10 b:10 c").pods(many("a").chain(many("b")).chain(many("c"))));
    let of = |cost: &str| costs.split(' ').filter(|one| one.ends_with(cost)).map(|one| one[..1].to_owned()).collect::<String>();
    assert_eq!(
        [of("=300"), of("=200"), of("=100"), of("=-100"), of("=-200")],
        ["a", "b", "c", "a", "b"].map(|of| of.repeat(if of == "c" { 20 } else { 10 }))
    );
    let first: Vec<_> = costs.split(' ').map(|one| one.split_once('=').unwrap().1.parse::<i64>().unwrap()).collect();
    let (dear, cheap) = first.split_at(40);
    assert!(dear.is_sorted_by(|one, other| one >= other) && cheap.is_sorted(), "what is written first matters most: {first:?}");
}

#[test]
fn an_old_revision_is_taken_from_its_front() {
    let of = |name: &str, subset: &str, hash: &str| pod(name).marked(subset).revision(hash).ready(50);
    let pods = || [of("n1", "a", "new"), of("n2", "b", "new"), of("o1", "a", "old"), of("o2", "b", "old"), of("o3", "a", "old")];
    assert_eq!(priced(Cluster::new("a:1 b").current("new").pods(pods())), "n1=200 o2=200 n2=100 o3=100 o1=-200");
    assert_eq!(priced(Cluster::new("a:1 b").pods(pods())), "n1=200 o3=200 n2=100 o2=100 o1=-100", "which one is current is not known");
}

#[test]
fn a_bare_replica_set_is_its_own_current_revision() {
    let pods = ["p0", "p1"].map(|name| pod(name).marked("a").owned("apps/v1", "ReplicaSet", "web").ready(50));
    assert_eq!(priced(Cluster::new("a:5 b").current("versionIgnored").pods(pods)), "p0=200 p1=200");
}

#[test]
fn pods_outside_are_the_cheapest_in_every_revision() {
    let of = |name: &str, hash: &str| pod(name).marked("gone").revision(hash).ready(50);
    let pods = || [of("p0", "new"), of("p1", "old"), pod("p2").revision("new").on("n"), of("p3", "new").terminating()];
    assert_eq!(priced(Cluster::new("a:1 b").current("new").pods(pods())), "p0=-300 p1=-300 p2=-300");
    assert_eq!(priced(Cluster::new("a:1").current("new").pods(pods())), "p0=-200 p1=-200 p2=-200");
}

#[test]
fn costs_are_for_those_who_look_at_them() {
    let of = |name: &str, api_version: &str, kind: &str| pod(name).marked("a").owned(api_version, kind, "x").ready(50);
    let pods = [
        of("p0", "apps/v1", "ReplicaSet"),
        of("p1", "apps.kruise.io/v1beta1", "CloneSet"),
        of("p2", "apps/v1", "StatefulSet"),
        of("p3", "batch/v1", "Job"),
        of("p4", "apps.kruise.io/v1alpha1", "StatefulSet"),
        of("p5", "example.com/v1", "ReplicaSet"),
    ];
    assert_eq!(priced(Cluster::new("a").pods(pods)), "p0=100 p1=100");
}

#[test]
fn what_goes_first_is_what_kubernetes_would_take_first() {
    let of = |name: &str| pod(name).marked("a").cloned().ready(50);
    let in_order = [
        pod("p0").marked("a").cloned(),
        pod("p1").marked("a").cloned().on("n"),
        pod("p2").marked("a").cloned().on("n").phase("Unknown"),
        pod("p3").marked("a").cloned().on("n").phase("Running"),
        of("p4").ready(10),
        of("p5").ready(20),
        of("p6").restarted(3),
        of("p7").aged(10),
        of("p8").aged(20),
        of("p9").aged(20),
    ];
    let pods: Vec<_> = in_order.iter().map(Described::read).collect();
    for (one, earlier) in pods.iter().enumerate() {
        for (other, later) in pods.iter().enumerate() {
            assert_eq!(going(earlier, later), one.cmp(&other), "{} {}", earlier.name, later.name);
        }
    }
}

#[test]
fn costs_wait_until_no_pods_come_but_not_for_long() {
    let of = |ages: &[i64], notes: &[i64]| {
        let keys: Value = notes.iter().map(|age| (age.to_string(), Value::from(ago(*age).to_string()))).collect();
        let pods = ages.iter().map(|age| pod(&format!("p{age}")).aged(*age));
        let noted = json!([{"name": "a", "replicas": 0, "missingReplicas": 0, "creatingPods": keys}]);
        let picture = Cluster::new("a").noted("7", noted).pods(pods).picture();
        quiet_at(&picture, now()).map(|at| at.duration_since(now()).as_secs())
    };
    assert_eq!(of(&[], &[]), None);
    assert_eq!([of(&[60, 30], &[]), of(&[2], &[]), of(&[60, 1], &[]), of(&[60], &[0])], [None, None, Some(1), Some(2)]);
    assert_eq!(of(&[0, 2, 4], &[]), Some(1), "it goes on for four seconds");
    assert_eq!(of(&[0, 2], &[4, 5]), None, "and now for five");
    assert_eq!(of(&[0, 3, 5], &[]), Some(2), "there was a pause");
    assert_eq!(of(&[-3], &[]), None, "a clock that is ahead holds up nobody");
}

proptest! {
    #[test]
    fn as_many_are_dear_as_there_is_room_and_equal_pods_are_not_told_apart_by_their_order(
        most in 0..6_i32,
        readiness in proptest::collection::vec(0..3_i64, 0..8),
        reversed: bool,
    ) {
        let pods = readiness.iter().enumerate().map(|(index, ready)| pod(&format!("p{index}")).marked("a").cloned().ready(*ready));
        let mut picture = Cluster::new(&format!("a:{most} b")).pods(pods).picture();
        let in_order: Vec<_> = costs(&picture, &group(&picture)).iter().map(|(pod, cost)| (pod.name.to_string(), *cost)).collect();
        if reversed {
            picture.pods.reverse();
        }
        let again: Vec<_> = costs(&picture, &group(&picture)).iter().map(|(pod, cost)| (pod.name.to_string(), *cost)).collect();
        prop_assert_eq!(&in_order, &again);
        let dear = in_order.iter().filter(|(_, cost)| *cost == 200).count();
        prop_assert_eq!(dear, readiness.len().min(usize::try_from(most).unwrap()));
        prop_assert_eq!(in_order.len(), readiness.len());
    }
}

#[test]
fn a_pod_that_is_taken_in_costs_what_its_subset_does() {
    let cluster = Cluster::new("a b").pods([pod("p0").cloned().ready(50)]).fits("p0", vec![Fit { subset: 1, score: 0 }]);
    assert_eq!(priced(cluster), "p0=100");
}
