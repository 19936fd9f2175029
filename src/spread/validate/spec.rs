//! What a spec says by itself: the workload, the strategy, the filter, and the subsets by [`subsets`].

use super::{group, shown, subsets, target_path};
use crate::{
    base::{
        field::{Error, Path, Shown},
        selector_rules,
    },
    spread::{
        api::{Strategy, Subset, TargetFilter, TargetReference, WorkloadSpreadSpec},
        keys::UNSCHEDULABLE_FOR,
        whitelist::Whitelist,
    },
};

/// Kinds that everybody may spread, and the groups in which they are what they are called.
const KNOWN: [(&str, &[&str]); 5] = [
    ("CloneSet", &["apps.kruise.io"]),
    ("Deployment", &["apps"]),
    ("ReplicaSet", &["apps"]),
    ("Job", &["batch"]),
    ("StatefulSet", &["apps", "apps.kruise.io"]),
];

/// How long a pod that finds no node may have to be tried in all subsets, before the first one is tried again.
const LEEWAY_SECONDS: i64 = 5;

/// Whether workloads of this kind may be spread without being listed.
pub(super) fn is_known(group: &str, kind: &str) -> bool {
    KNOWN.iter().any(|(known, groups)| *known == kind && groups.contains(&group))
}

pub(super) fn check(spec: &WorkloadSpreadSpec, whitelist: &Whitelist, errors: &mut Vec<Error>) {
    match &spec.target {
        None => errors.push(Error::required(&target_path(), "no targetRef defined in WorkloadSpread")),
        Some(target) => errors.extend(target_problem(target, whitelist)),
    }
    let is_stateful = spec.target.as_ref().is_some_and(|target| target.kind == "StatefulSet");
    subsets::check(&spec.subsets, is_stateful, errors);
    check_strategy(&spec.schedule_strategy, &spec.subsets, errors);
    errors.extend(spec.target_filter.as_ref().and_then(filter_problem));
}

fn target_problem(target: &TargetReference, whitelist: &Whitelist) -> Option<Error> {
    let wrong = |detail: String| Some(Error::invalid(&target_path(), shown(target), detail));
    if target.api_version.is_empty() || target.kind.is_empty() || target.name.is_empty() {
        return wrong("empty TargetReference is not valid for WorkloadSpread.".to_owned());
    }
    let group = group(&target.api_version);
    if let Some((kind, groups)) = KNOWN.iter().find(|(kind, _)| *kind == target.kind) {
        let is_there = group.is_some_and(|group| groups.contains(&group));
        return if is_there { None } else { wrong(format!("TargetReference is not valid for {kind}.")) };
    }
    if let Some(problem) = whitelist.problem() {
        return Some(Error::internal(&target_path(), problem));
    }
    let is_listed = group.is_some_and(|group| whitelist.is_target(group, &target.kind));
    if is_listed { None } else { wrong("TargetReference's GroupKind is not permitted.".to_owned()) }
}

/// The seconds are shown wherever the `adaptive` block is in the way, as the reference does.
fn check_strategy(strategy: &Strategy, subsets: &[Subset], errors: &mut Vec<Error>) {
    let path = Path::new("spec").child("scheduleStrategy");
    if !matches!(strategy.kind.as_str(), "" | "Fixed" | "Adaptive") {
        errors.push(Error::invalid(&path.child("type"), &strategy.kind, "ScheduleStrategy's type is not valid"));
    }
    let Some(adaptive) = &strategy.adaptive else { return };
    let seconds = adaptive.reschedule_critical_seconds;
    let shown = seconds.map_or_else(|| Shown::from("null"), Shown::from);
    if strategy.kind != "Adaptive" {
        let detail = "the scheduleStrategy's type must be adaptive when using adaptive scheduleStrategy";
        errors.push(Error::invalid(&path.child("type"), shown.clone(), detail));
    }
    let path = path.child("adaptive");
    if let [_, .., last] = subsets
        && last.max_replicas.is_some()
    {
        let detail = "the last subset's maxReplicas must be not specified when using adaptive scheduleStrategy";
        errors.push(Error::invalid(&path, shown, detail));
    }
    let most = most_seconds(subsets.len());
    if let Some(seconds) = seconds.filter(|seconds| *seconds < 0 || i64::from(*seconds) > most) {
        let detail = format!("rescheduleCriticalSeconds < 0 or rescheduleCriticalSeconds > {most} is not permitted");
        errors.push(Error::invalid(&path.child("rescheduleCriticalSeconds"), seconds, detail));
    }
}

/// A pod must have been tried in all subsets but the last before the first one is tried again.
fn most_seconds(subsets: usize) -> i64 {
    let tried = i64::try_from(subsets).unwrap_or(i64::MAX).saturating_sub(1);
    if tried < 1 { i64::from(i32::MAX) } else { (UNSCHEDULABLE_FOR.as_secs() - LEEWAY_SECONDS) / tried }
}

/// The reference shows where in its memory the selector is; this shows the selector.
fn filter_problem(filter: &TargetFilter) -> Option<Error> {
    let problem = selector_rules::problem(filter.selector.as_ref()?)?;
    Some(Error::invalid(&Path::new("spec").child("targetFilter"), Shown::json(filter), problem))
}
