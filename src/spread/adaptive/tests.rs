use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::spread::fixtures::{Cluster, Described, ago, now, pod};

fn rules(seconds: i32) -> Arc<Rules> {
    Arc::clone(&Cluster::new("a:3 b").adaptive(seconds).picture().spread.rules)
}

/// How many pods of a subset have failed, and in how many milliseconds the next one has.
fn failed(index: usize, pods: &[Described]) -> (usize, Option<i128>) {
    let pods: Vec<_> = pods.iter().map(|pod| Arc::new(pod.read())).collect();
    let waiting = waiting(&rules(30), index, &pods.iter().collect::<Vec<_>>(), now());
    (waiting.failed.len(), waiting.next.map(|next| next.duration_since(now()).as_millis()))
}

#[test]
fn a_pod_has_failed_that_waits_too_long_for_a_node() {
    let waits = || pod("p").marked("a").unschedulable();
    assert_eq!(failed(0, &[waits().aged(31)]), (1, None));
    assert_eq!(failed(0, &[waits().aged(30), waits().aged(31), waits().aged(10)]), (1, Some(1)));
    assert_eq!(failed(0, &[waits().aged(10)]), (0, Some(20_001)));
    for other in [waits().on("n"), waits().terminating(), waits().phase("Running"), pod("p").marked("a")] {
        assert_eq!(failed(0, &[other.aged(99)]), (0, None));
    }
    assert_eq!(failed(1, &[waits().aged(99)]), (0, None), "behind the last subset there is nothing");
}

#[test]
fn nothing_is_moved_on_where_nobody_wants_it() {
    let pod = Arc::new(pod("p").marked("a").unschedulable().aged(99).read());
    for rules in [rules(0), Arc::clone(&Cluster::new("a:3 b").picture().spread.rules)] {
        assert!(waiting(&rules, 0, &[&pod], now()).failed.is_empty());
        assert_eq!(judge(&rules, 0, Some(&subset("False", 1)), true, now()), Judgement::default(), "what was said is taken back");
    }
}

fn subset(status: &str, since: i64) -> SubsetStatus {
    let reason = if status == "False" { UNSCHEDULABLE } else { SUFFICIENT };
    of(&json!([{"type": "Schedulable", "status": status, "reason": reason, "message": "", "lastTransitionTime": ago(since).to_string()}]))
}

fn of(conditions: &Value) -> SubsetStatus {
    serde_json::from_value(json!({"name": "a", "replicas": 0, "missingReplicas": 0, "conditions": conditions})).unwrap()
}

/// What is said of a subset: its status, since how many seconds, what has happened, and when to look again.
fn judged(index: usize, before: Option<&SubsetStatus>, has_failed: bool) -> String {
    let judgement = judge(&rules(30), index, before, has_failed, now());
    let [condition] = &*judgement.conditions else { panic!("{judgement:?}") };
    let mut said =
        format!("{} {} {}", condition.status, condition.reason, now().duration_since(condition.last_transition_time.0).as_secs());
    for (is_so, word) in [(judgement.is_closed, " closed"), (judgement.is_reopened, " reopened")] {
        said.push_str(if is_so { word } else { "" });
    }
    let next = judgement.next.map(|next| format!(" in {}", next.duration_since(now()).as_millis()));
    said + &next.unwrap_or_default()
}

#[test]
fn a_subset_is_closed_by_a_pod_that_fails_and_opens_after_its_time() {
    // Reference §10, and Reschedule of the catalogue.
    for (before, has_failed, expected) in [
        (None, false, "True Sufficient 0"),
        (None, true, "False PodUnschedulable 0 closed"),
        (Some(subset("True", 60)), false, "True Sufficient 60"),
        (Some(subset("True", 60)), true, "False PodUnschedulable 0 closed"),
        (Some(subset("False", 60)), true, "False PodUnschedulable 60"),
        (Some(subset("False", 240)), false, "False PodUnschedulable 240 in 60001"),
        (Some(subset("False", 300)), false, "False PodUnschedulable 300 in 1"),
        (Some(subset("False", 301)), false, "True Sufficient 0 reopened"),
        (Some(subset("False", 600)), true, "False PodUnschedulable 600"),
    ] {
        assert_eq!(judged(0, before.as_ref(), has_failed), expected, "{before:?} {has_failed}");
    }
}

#[test]
fn the_last_subset_is_always_open() {
    assert_eq!(judged(1, None, true), "True Sufficient 0");
    assert_eq!(judged(1, Some(&subset("True", 60)), true), "True Sufficient 60");
    assert_eq!(judged(1, Some(&subset("False", 60)), true), "True Sufficient 0 reopened");
}

#[test]
fn a_reason_is_corrected_and_the_time_stays_and_other_conditions_are_left_alone() {
    let at = ago(60).to_string();
    let before = of(&json!([{"type": "Other", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": at},
        {"type": "Schedulable", "status": "True", "reason": "Unknown", "message": "", "lastTransitionTime": at}]));
    let conditions = judge(&rules(30), 0, Some(&before), false, now()).conditions;
    let shown: Vec<_> = conditions.iter().map(|one| (&*one.type_, &*one.reason, one.last_transition_time.0)).collect();
    assert_eq!(shown, [("Other", "R", ago(60)), ("Schedulable", "Sufficient", ago(60))]);
    let fixed = Cluster::new("a b").picture();
    let left = judge(&fixed.spread.rules, 0, Some(&before), false, now()).conditions;
    assert_eq!(left.iter().map(|one| &*one.type_).collect::<Vec<_>>(), ["Other"]);
}

proptest! {
    #[test]
    fn what_was_said_a_moment_ago_is_said_again(status in prop_oneof![Just("True"), Just("False")], since in 0..400_i64, has_failed: bool, index in 0..2_usize) {
        let before = subset(status, since);
        let first = judge(&rules(30), index, Some(&before), has_failed, now());
        let after = SubsetStatus { conditions: first.conditions.clone(), ..before };
        let second = judge(&rules(30), index, Some(&after), has_failed, now());
        prop_assert_eq!(&second.conditions, &first.conditions);
        prop_assert!(!second.is_closed && !second.is_reopened);
        prop_assert_eq!(is_held(&after, now()), is_closed(&after) && (since <= 300 || first.is_closed));
    }
}
