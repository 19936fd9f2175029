//! The statuses of recorded budgets, held against those that our reconciler would write over the same objects.

use std::collections::BTreeMap;

use outrigger::budget::{
    api::PodUnavailableBudgetStatus,
    picture::{Picture, Scale},
    plan::{status_of, wanted},
};

use super::{NOW, cases};

/// Budgets that are counted otherwise on purpose: case and budget, and desired, current, total and allowed, as they are then.
const ON_PURPOSE: [(&str, &str, [i32; 4], &str); 8] = [
    ("pub-digest-short-name", "shop", [1, 1, 1, 0], "a ready pod is available, however its image is written"),
    ("pub-pods-without-owner", "loose", [1, 1, 1, 0], "pods without an owner count themselves"),
    ("pub-pods-without-owner", "share", [1, 1, 1, 0], "as above"),
    ("pub-target-missing-min-number", "shop", [0, 0, 0, 0], "a target that is gone does not lock its former pods"),
    ("pub-target-rollout", "shop", [2, 2, 2, 0], "pods are found through all that they belong to"),
    ("pub-target-unknown-kind", "shop", [1, 1, 1, 0], "linked pods are guarded, though nobody knows their number"),
    ("pub-selector-two-workloads", "all", [3, 5, 5, 2], "a pod without an owner counts itself beside those of workloads"),
    ("pub-total-annotation-unused", "shop", [4, 1, 5, 0], "the total that the author states is used in both versions"),
];

/// Whether this is what was recorded. Where that is a total of nought, the pods have no owner, of which there are `pods`: ours count
/// themselves, which makes no difference to a number of pods that have to be available.
fn is_as_recorded(recorded: &PodUnavailableBudgetStatus, counted: &PodUnavailableBudgetStatus, pods: usize) -> bool {
    let of = |status: &PodUnavailableBudgetStatus| [status.desired_available, status.current_available, status.unavailable_allowed];
    let is_own_total = recorded.total_replicas == 0 && usize::try_from(counted.total_replicas).is_ok_and(|total| total <= pods);
    of(recorded) == of(counted) && (recorded.total_replicas == counted.total_replicas || is_own_total)
}

#[test]
fn recorded_budgets_are_counted_as_they_were() {
    let (mut bad, mut seen, mut budgets) = (Vec::new(), Vec::new(), 0);
    for (name, case, state, _) in cases("budget") {
        let objects = case["state"].as_array().unwrap();
        let is_recorded = |budget: &str| {
            let mut of_name = objects.iter().filter(|one| one["kind"] == "PodUnavailableBudget" && one["metadata"]["name"] == budget);
            of_name.next().is_some()
        };
        for budget in state.snapshot().budgets.all() {
            assert!(is_recorded(&budget.name));
            let picture = state.snapshot().picture_of_budget(&budget.namespace, &budget.name).unwrap();
            let unknown: BTreeMap<_, _> = wanted(&picture).iter().map(|owner| (owner.coordinates(), Scale::UnknownKind)).collect();
            let counted = status_of(&Picture { scales: unknown, ..picture }, NOW);
            let known = [counted.desired_available, counted.current_available, counted.total_replicas, counted.unavailable_allowed];
            let pods = objects.iter().filter(|one| one["kind"] == "Pod" && one["metadata"]["ownerReferences"].is_null()).count();
            budgets += 1;
            match ON_PURPOSE.iter().find(|(case, of, ..)| *case == name && **of == *budget.name) {
                Some((case, of, expected, _)) if known == *expected => seen.push((*case, *of)),
                None if is_as_recorded(&budget.status, &counted, pods) => {}
                _ => bad.push(format!("{name} {}: {known:?}, recorded {:?}", budget.name, budget.status)),
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    let missing: Vec<_> = ON_PURPOSE.iter().filter(|(case, of, ..)| !seen.contains(&(*case, *of))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(budgets >= 60, "{budgets}");
}
