use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::spread::{
    fixtures::{Cluster, ago, now, pod},
    group::group,
};

/// What is counted of the revision without a name, as `name replicas/missing +creating -deleting`.
fn counted(cluster: Cluster) -> (Vec<String>, Count) {
    let picture = cluster.picture();
    let groups = group(&picture);
    let empty = Subsets::new();
    let pods = groups.revisions.get("versionIgnored").unwrap_or(&empty);
    let before = picture.spread.status.versioned_subset_statuses.get("versionIgnored").cloned().unwrap_or_default();
    let count = count(&picture, &before, pods, now());
    let names = |notes: &Notes| notes.keys().cloned().collect::<Vec<_>>().join(",");
    let show = |subset: &SubsetStatus| {
        let mut line = format!("{} {}/{}", subset.name, subset.replicas, subset.missing_replicas);
        for (sign, notes) in [('+', &subset.creating_pods), ('-', &subset.deleting_pods)] {
            if !notes.is_empty() {
                line = format!("{line} {sign}{}", names(notes));
            }
        }
        line
    };
    (count.subsets.iter().map(show).collect(), count)
}

fn lines(cluster: Cluster) -> Vec<String> {
    counted(cluster).0
}

/// Pods of subset `a` that run, by name.
fn running<const N: usize>(names: [&str; N]) -> [crate::spread::fixtures::Described; N] {
    names.map(|name| pod(name).marked("a").ready(50))
}

/// The same, made a moment ago.
fn fresh<const N: usize>(names: [&str; N]) -> [crate::spread::fixtures::Described; N] {
    names.map(|name| pod(name).marked("a").aged(1))
}

fn notes(names: &[&str], seconds: i64) -> Value {
    names.iter().map(|name| ((*name).to_owned(), Value::from(ago(seconds).to_string()))).collect()
}

fn creating(names: &[&str], seconds: i64) -> Value {
    json!([{"name": "a", "replicas": 0, "missingReplicas": 0, "creatingPods": notes(names, seconds)}])
}

fn deleting(names: &[&str], seconds: i64) -> Value {
    json!([{"name": "a", "replicas": 0, "missingReplicas": 0, "deletingPods": notes(names, seconds)}])
}

#[test]
fn the_catalogue_of_the_reference() {
    // Reference §13.2, by the numbers there.
    assert_eq!(lines(Cluster::new("a:5")), ["a 0/5"], "1");
    assert_eq!(lines(Cluster::new("a:5 b:5")), ["a 0/5", "b 0/5"], "2");
    assert_eq!(lines(Cluster::new("a:5 b:5").pods([pod("p0").marked("a"), pod("p1").marked("b")])), ["a 1/4", "b 1/4"], "3");
    assert_eq!(lines(Cluster::new("a:100%").total(5).pods(running(["p0"]))), ["a 1/4"], "5");
    assert_eq!(lines(Cluster::new("a:80%").total(5).pods(running(["p0"]))), ["a 1/3"], "6");
    let noted = |pods: &[&str], seconds| Cluster::new("a:5").noted("versionIgnored", creating(pods, seconds));
    assert_eq!(lines(noted(&["p0", "p1"], 2).pods(fresh(["p0"]))), ["a 1/3 +p1"], "7");
    assert_eq!(lines(noted(&["p0", "p1"], 60).pods(running(["p0"]))), ["a 1/4"], "8");
    assert_eq!(lines(noted(&["p0", "p1"], 2).pods(fresh(["p0", "p1"]))), ["a 2/3"], "9");
    let mixed = ["Running", "Running", "Failed", "Failed", "Succeeded"];
    let mixed = mixed.iter().enumerate().map(|(index, phase)| pod(&format!("p{index}")).marked("a").phase(phase));
    assert_eq!(lines(Cluster::new("a:5").pods(mixed)), ["a 2/3"], "10");
    let five = || running(["p0", "p1", "p2", "p3", "p4"]);
    assert_eq!(lines(noted(&["p0", "p1"], 2).pods(fresh(["p0", "p1", "p2", "p3", "p4"]))), ["a 5/0"], "11");
    let going = |seconds| Cluster::new("a:5").noted("versionIgnored", deleting(&["p4"], seconds));
    let terminating = pod("p4").marked("a").ready(50).terminating();
    assert_eq!(lines(going(1).pods(running(["p0", "p1", "p2", "p3"])).pods([terminating])), ["a 4/1"], "12");
    assert_eq!(lines(going(1).pods(five())), ["a 5/1 -p4"], "13");
    assert_eq!(lines(going(960).pods(five())), ["a 5/0"], "14");
    assert_eq!(lines(Cluster::new("a:3").pods(five())), ["a 5/0"], "16");
    let two = [pod("p0").marked("a"), pod("p1").marked("a")];
    assert_eq!(lines(Cluster::new("a:5 b:50%").total(14).pods(two)), ["a 2/3", "b 0/7"], "17");
    assert_eq!(lines(Cluster::new("a:5 b:50%").total(18).pods(running(["p0"]))), ["a 1/4", "b 0/9"], "18");
    assert_eq!(lines(Cluster::new("a:5 b:50%").pods(running(["p0"]))), ["a 1/4", "b 0/0"], "19");
}

#[test]
fn subsets_are_in_the_order_of_the_spec_and_found_by_name() {
    let before = json!([
        {"name": "a", "replicas": 0, "missingReplicas": 0, "creatingPods": notes(&["p0", "x"], 2)},
        {"name": "b", "replicas": 0, "missingReplicas": 0, "creatingPods": notes(&["p1"], 2)},
        {"name": "gone", "replicas": 0, "missingReplicas": 0, "creatingPods": notes(&["y"], 2)}]);
    let pods = [pod("p0").marked("a").aged(1), pod("p1").marked("b").aged(1)];
    assert_eq!(lines(Cluster::new("b:5 a:5 c").noted("versionIgnored", before).pods(pods)), ["b 1/4", "a 1/3 +x", "c 0/-1"]);
}

#[test]
fn the_next_look_is_when_a_note_is_over() {
    let of = |creating: Option<i64>, deleting: Option<i64>| {
        let mut subset = json!({"name": "a", "replicas": 0, "missingReplicas": 0});
        subset["creatingPods"] = creating.map_or(Value::Null, |seconds| notes(&["x"], seconds));
        subset["deletingPods"] = deleting.map_or(Value::Null, |seconds| notes(&["p0"], seconds));
        let cluster = Cluster::new("a:5").noted("versionIgnored", json!([subset])).pods(running(["p0"]));
        counted(cluster).1.next.map(|next| next.duration_since(now()).as_millis())
    };
    // DelayReconcile of the reference's catalogue.
    assert_eq!(
        [of(Some(3), None), of(None, Some(3)), of(Some(2), Some(3)), of(None, None)],
        [Some(27_001), Some(12_001), Some(12_001), None]
    );
}

#[test]
fn a_pod_without_a_name_is_known_by_the_id_that_it_carries() {
    let cluster = || Cluster::new("a:5").noted("versionIgnored", creating(&["id-1", "p0"], 2));
    assert_eq!(lines(cluster().pods([pod("p0").marked_as("a", "id-1").aged(1)])), ["a 1/3 +p0"], "its name is not what it was noted under");
    assert_eq!(
        lines(cluster().pods([pod("p7").marked_as("a", "id-1").phase("Failed").aged(1)])),
        ["a 0/4 +p0"],
        "it came, if not for long"
    );
}

#[test]
fn a_note_is_not_dropped_before_the_pods_were_listed_after_its_time() {
    let of = |listed| {
        let (lines, count) = counted(Cluster::new("a:5").listed(listed).noted("versionIgnored", creating(&["x", "y"], 40)));
        (lines.join(""), count.missed[0], count.needs_list)
    };
    assert_eq!(of(Some(9)), ("a 0/5".to_owned(), 2, false));
    for listed in [None, Some(10), Some(11)] {
        assert_eq!(of(listed), ("a 0/3 +x,y".to_owned(), 0, true), "{listed:?}");
    }
    let (lines, count) = counted(Cluster::new("a:5").listed(None).noted("versionIgnored", creating(&["x"], 30)));
    assert_eq!((lines.join(""), count.needs_list), ("a 0/4 +x".to_owned(), false), "it has its last moment yet");
}

#[test]
fn a_pod_that_came_and_went_is_not_waited_for() {
    let of = |key: &str, made: i64| lines(Cluster::new("a:5").noted("versionIgnored", creating(&["id-1"], 5)).departed(key, made)).join("");
    assert_eq!([of("id-1", 4), of("id-1", 7), of("id-2", 4)], ["a 0/5", "a 0/5", "a 0/4 +id-1"]);
    assert_eq!(of("id-1", 8), "a 0/4 +id-1", "an earlier one of its name");
}

#[test]
fn an_earlier_pod_of_a_name_is_not_the_one_that_was_noted() {
    let cluster = || Cluster::new("a:5").noted("versionIgnored", creating(&["p0"], 5));
    let made = |seconds| pod("p0").marked("a").aged(seconds);
    assert_eq!(lines(cluster().pods([made(15)])), ["a 1/4"], "clocks may differ");
    assert_eq!(lines(cluster().pods([made(16)])), ["a 1/3 +p0"]);
    assert_eq!(lines(cluster().pods([made(7).terminating()])), ["a 0/5"]);
    assert_eq!(lines(cluster().pods([made(8).terminating()])), ["a 0/4 +p0"], "one that goes is more likely an earlier one");
    let going = || Cluster::new("a:5").noted("versionIgnored", deleting(&["p0"], 5));
    assert_eq!(lines(going().pods([made(5)])), ["a 1/5 -p0"]);
    assert_eq!(lines(going().pods([made(4)])), ["a 1/4"], "made after the deletion was noted");
}

#[test]
fn a_pod_that_stays_takes_up_its_place_again_and_it_is_told() {
    let of = |seconds| {
        let (lines, count) = counted(Cluster::new("a:1").noted("versionIgnored", deleting(&["p0", "gone"], seconds)).pods(running(["p0"])));
        (lines.join(""), count.stayed[0])
    };
    assert_eq!(of(15), ("a 1/1 -p0".to_owned(), 0));
    assert_eq!(of(16), ("a 1/0".to_owned(), 1));
}

#[test]
fn a_subset_without_a_limit_keeps_no_books_but_what_is_noted_stays() {
    let cluster = Cluster::new("a").noted("versionIgnored", creating(&["x"], 5));
    assert_eq!(lines(cluster.pods(running(["p0"]))), ["a 1/-1 +x"]);
}

/// The reference's loop, over pods in a given order. (§8.4)
fn by_loop(most: i32, pods: &[(bool, bool)], creating: usize) -> i32 {
    let mut missing = most;
    for (is_active, is_deleting) in pods {
        if !is_active {
            continue;
        }
        if missing > 0 {
            missing -= 1;
        }
        if *is_deleting && missing < most {
            missing += 1;
        }
    }
    for _ in 0..creating {
        if missing > 0 {
            missing -= 1;
        }
    }
    missing
}

proptest! {
    #[test]
    fn places_are_never_less_than_none_nor_more_than_all(most in 0..9_i32, active in 0..12_usize, deleting in 0..12_usize, creating in 0..12_usize) {
        let left = missing(Some(most), active, deleting, creating);
        prop_assert!((0..=most).contains(&left));
        prop_assert_eq!(missing(None, active, deleting, creating), UNLIMITED);
        // Each step of one of the three moves it by one at most, in its own direction.
        prop_assert!((left - 1..=left).contains(&missing(Some(most), active + 1, deleting, creating)));
        prop_assert!((left..=left + 1).contains(&missing(Some(most), active, deleting + 1, creating)));
        prop_assert!((left - 1..=left).contains(&missing(Some(most), active, deleting, creating + 1)));
    }

    #[test]
    fn it_is_what_the_reference_counts_where_no_subset_is_overfull(
        most in 0..9_i32,
        pods in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..9),
        creating in 0..4_usize,
    ) {
        let active = pods.iter().filter(|(is_active, _)| *is_active).count();
        let deleting = pods.iter().filter(|(is_active, is_deleting)| *is_active && *is_deleting).count();
        prop_assume!(i32::try_from(active + creating).unwrap() <= most);
        prop_assert_eq!(missing(Some(most), active, deleting, creating), by_loop(most, &pods, creating));
    }
}
