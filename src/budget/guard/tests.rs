use serde_json::{Value, json};

use super::*;
use crate::{
    admission::{
        claim::{Waiting, fold},
        verdict::Denial,
    },
    budget::fixtures::{NOW, at, budget, pod, take},
};

fn deletes(name: &str) -> Take {
    take(pod(name, |_| ()), Operation::Delete)
}

fn refusal(taken: Taken<()>) -> Denial {
    match taken {
        Taken::Refused(denial) => denial,
        other => panic!("{other:?}"),
    }
}

/// What is left, and who is recorded where.
fn books(budget: &Budget) -> (i32, Vec<&str>, Vec<&str>) {
    let status = &budget.status;
    (
        status.unavailable_allowed,
        status.disrupted_pods.keys().map(String::as_str).collect(),
        status.unavailable_pods.keys().map(String::as_str).collect(),
    )
}

#[test]
fn a_unit_is_taken_and_the_pod_recorded() {
    for (operation, disrupted, unavailable) in [
        (Operation::Delete, vec!["a"], vec![]),
        (Operation::Evict, vec!["a"], vec![]),
        (Operation::Resize, vec!["a"], vec![]),
        (Operation::Update, vec![], vec!["a"]),
    ] {
        let mut budget = budget(2, &json!({}));
        let half = NOW.saturating_add(SignedDuration::from_millis(600)).unwrap();
        assert_eq!(take(pod("a", |_| ()), operation).take(&mut budget, half), Taken::Taken(()));
        assert_eq!(books(&budget), (1, disrupted, unavailable), "{operation:?}");
        let at: Vec<_> = budget.status.disrupted_pods.values().chain(budget.status.unavailable_pods.values()).collect();
        assert_eq!(at, [&NOW], "as it is stored, without fractions");
    }
}

#[test]
fn without_a_unit_it_is_refused_and_nothing_changes() {
    let before = budget(0, &json!({}));
    let mut after = before.clone();
    let denial = refusal(deletes("a").take(&mut after, NOW));
    assert_eq!((denial.code, denial.reason, denial.retry_after), (403, "Forbidden", Some(5)));
    assert_eq!(after, before);
    let denial = refusal(take(pod("a", |_| ()), Operation::Evict).take(&mut after, NOW));
    assert_eq!((denial.code, denial.reason), (429, "TooManyRequests"));
}

#[test]
fn a_recorded_pod_passes_again_without_another_unit_and_its_record_is_renewed_before_it_lapses() {
    for (records, operation, want) in [
        (json!({"disruptedPods": {"a": at(-9)}}), Operation::Delete, Taken::Needless(())),
        (json!({"disruptedPods": {"a": at(-11)}}), Operation::Delete, Taken::Taken(())),
        (json!({"disruptedPods": {"a": at(-1000)}}), Operation::Evict, Taken::Taken(())),
        (json!({"unavailablePods": {"a": at(-4)}}), Operation::Update, Taken::Needless(())),
        (json!({"unavailablePods": {"a": at(-6)}}), Operation::Update, Taken::Taken(())),
        (json!({"unavailablePods": {"a": at(-4)}}), Operation::Delete, Taken::Needless(())),
        (json!({"unavailablePods": {"a": at(-6)}}), Operation::Delete, Taken::Taken(())),
        (json!({"unavailablePods": {"a": at(-6)}, "disruptedPods": {"a": at(-6)}}), Operation::Delete, Taken::Needless(())),
        (json!({"disruptedPods": {"a": at(-9)}}), Operation::Update, Taken::Needless(())),
    ] {
        let before = budget(0, &records);
        let mut after = before.clone();
        assert_eq!(take(pod("a", |_| ()), operation).take(&mut after, NOW), want, "{records}, {operation:?}");
        assert_eq!(after.status.unavailable_allowed, 0);
        assert_eq!(after == before, want == Taken::Needless(()));
    }
}

#[test]
fn a_record_is_not_passed_on_to_a_pod_that_may_be_another_one() {
    let unsure = Take { is_certain: false, ..take(pod("a", |_| ()), Operation::Evict) };
    let denial = refusal(unsure.take(&mut budget(1, &json!({"disruptedPods": {"a": at(-1)}})), NOW));
    assert_eq!((denial.code, denial.retry_after), (429, Some(1)));
    assert_eq!(unsure.take(&mut budget(1, &json!({})), NOW), Taken::Taken(()), "a unit of its own does no harm");
}

#[test]
fn the_record_of_an_earlier_pod_of_the_name_does_not_count() {
    for (record, want) in [(-3601, Taken::Taken(())), (-3600, Taken::Taken(())), (-3599, Taken::Taken(()))] {
        let mut budget = budget(1, &json!({"disruptedPods": {"a": at(record)}}));
        assert_eq!(deletes("a").take(&mut budget, NOW), want);
        assert_eq!(budget.status.unavailable_allowed, i32::from(record == -3599), "within one second nobody can tell");
    }
}

#[test]
fn no_record_is_older_than_its_pod_by_whichever_clock() {
    let recorded = |take: &Take| {
        let mut budget = budget(1, &json!({}));
        assert_eq!(take.take(&mut budget, NOW), Taken::Taken(()));
        budget.status.disrupted_pods["a"].as_second() - NOW.as_second()
    };
    let made = |seconds: i64| take(pod("a", |pod| pod["metadata"]["creationTimestamp"] = json!(at(seconds))), Operation::Evict);
    assert_eq!((recorded(&made(-5)), recorded(&made(1))), (0, 1));
    assert_eq!(recorded(&Take { is_certain: false, ..made(-5) }), 2, "the pod that is there may be younger");
}

#[test]
fn what_a_budget_does_not_guard_passes() {
    type Change = fn(&mut Budget);
    let changes: [Change; 4] = [
        |budget| budget.is_terminating = true,
        |budget| budget.status.desired_available = 0,
        |budget| Arc::make_mut(&mut budget.rules).operations = vec![Operation::Evict],
        |budget| Arc::make_mut(&mut budget.rules).ignored = budget.rules.selector.clone(),
    ];
    for change in changes {
        let mut before = budget(0, &json!({}));
        change(&mut before);
        let mut after = before.clone();
        assert_eq!(deletes("a").take(&mut after, NOW), Taken::Needless(()));
        assert_eq!(after, before);
    }
}

#[test]
fn a_resize_goes_with_updates_unless_it_is_its_own() {
    let resize = take(pod("a", |_| ()), Operation::Resize);
    let own = Take { resize_is_its_own: true, ..resize.clone() };
    assert_eq!(resize.take(&mut budget(1, &json!({})), NOW), Taken::Taken(()));
    assert_eq!(own.take(&mut budget(1, &json!({})), NOW), Taken::Needless(()));
}

#[test]
fn a_budget_that_was_not_counted_since_it_was_changed_refuses_for_a_moment() {
    for (status, generation) in [(json!({}), 3), (json!({"observedGeneration": null}), 2)] {
        let mut budget = budget(5, &status);
        budget.generation = Some(generation);
        let denial = refusal(deletes("a").take(&mut budget, NOW));
        assert_eq!(denial.retry_after, Some(1));
        assert!(denial.message.contains("have not been counted"), "{}", denial.message);
    }
}

#[test]
fn what_the_scheduler_pushes_out_is_recorded_but_not_held_up() {
    let preempted = |pod: &mut Value| {
        pod["status"]["conditions"] =
            json!([{"type": "Ready", "status": "True"}, {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]);
    };
    let mut budget = budget(0, &json!({}));
    assert_eq!(take(pod("a", preempted), Operation::Delete).take(&mut budget, NOW), Taken::Taken(()));
    assert_eq!(books(&budget), (0, vec!["a"], vec![]));
}

#[test]
fn no_more_disruptions_are_admitted_than_can_be_recorded() {
    let records =
        |count: usize| json!({"disruptedPods": (0..count).map(|number| (number.to_string(), at(-1))).collect::<BTreeMap<_, _>>()});
    assert_eq!(deletes("a").take(&mut budget(1, &records(MOST_RECORDS - 1)), NOW), Taken::Taken(()));
    let denial = refusal(deletes("a").take(&mut budget(1, &records(MOST_RECORDS)), NOW));
    assert!(denial.message.contains("2000 disruptions were admitted"), "{}", denial.message);
}

#[test]
fn of_many_claims_as_many_pass_as_there_are_units_and_trials_take_nothing() {
    let claims: Vec<_> = (0..10).map(|number| deletes(&number.to_string())).collect();
    let mut budget = budget(3, &json!({}));
    let waiting = claims.iter().enumerate().map(|(number, claim)| Waiting { claim, is_trial: number % 2 == 0 });
    let taken = fold(&mut budget, waiting, NOW);
    let passed: Vec<_> = taken.iter().enumerate().filter(|(_, taken)| **taken == Taken::Taken(())).map(|(number, _)| number).collect();
    assert_eq!(passed, [0, 1, 2, 3, 4, 5], "the trials while there is room, and three in earnest");
    assert_eq!(books(&budget), (0, vec!["1", "3", "5"], vec![]));
}

#[test]
fn a_patch_writes_what_was_taken_and_names_the_version_it_was_taken_from() {
    let before = budget(2, &json!({"disruptedPods": {"old": at(-5)}}));
    let mut after = before.clone();
    deletes("a").take(&mut after, NOW);
    let want = json!({"metadata": {"resourceVersion": "7", "uid": "b"},
        "status": {"unavailableAllowed": 1, "disruptedPods": {"a": at(0)}, "unavailablePods": {}}});
    assert_eq!(after.claim_patch(&before), want);
}

#[test]
fn a_refusal_says_how_many_there_are_and_are_needed_what_is_under_way_and_when_to_try_again() {
    let status = json!({"currentAvailable": 4, "disruptedPods": {"b": at(-12), "c": at(-3)}, "unavailablePods": {"d": at(-8)}});
    let denial = refusal(take(pod("a", |_| ()), Operation::Evict).take(&mut budget(0, &status), NOW));
    assert_eq!(
        denial.message,
        "podunavailablebudget.policy.kruise.io \"web\" is forbidden: pod \"a\" cannot be evicted now: 2 of 3 pods are available, 2 are needed; \
         admitted lately: c (to go, since 3 s), d (to change, since 8 s), b (to go, since 12 s); try again in 2 s"
    );
    let many: BTreeMap<_, _> = (0..9).map(|number| (number.to_string(), at(-1))).collect();
    let denial = refusal(deletes("a").take(&mut budget(0, &json!({"disruptedPods": many})), NOW));
    assert!(denial.message.ends_with("4 (to go, since 1 s) and 4 more; try again in 5 s"), "{}", denial.message);
}
