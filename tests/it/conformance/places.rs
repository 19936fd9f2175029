//! The statuses of recorded spreads, held against those that our reconciler would write over the same objects.

use jiff::{SignedDuration, Timestamp};
use outrigger::spread::{
    api::{SubsetStatus, WorkloadSpreadStatus},
    picture::Picture,
    plan::status_of,
};
use serde_json::Value;

use super::{NOW, cases};

/// The latest moment that a value speaks of.
fn latest(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Array(items) => items.iter().filter_map(latest).max(),
        Value::Object(members) => members.values().filter_map(latest).max(),
        _ => None,
    }
}

#[test]
fn recorded_spreads_are_counted_as_they_were() {
    let (mut bad, mut spreads) = (Vec::new(), 0);
    // Statuses that were made up, and held still by a Deployment that the reference cannot count.
    for (name, case, state, _) in cases("spread").into_iter().filter(|(name, ..)| !name.starts_with("ws-status-")) {
        let objects = case["state"].as_array().unwrap();
        let now = objects.iter().filter_map(|object| latest(&object["status"])).max().unwrap_or(NOW) + SignedDuration::from_secs(1);
        for spread in state.snapshot().spreads.all().filter(|spread| spread.has_status && !spread.is_terminating) {
            let picture = state.snapshot().picture_of_spread(&spread.namespace, &spread.name).unwrap();
            let target = spread.rules.target.as_ref().unwrap();
            let is_target = |object: &&Value| object["kind"] == *target.kind && object["metadata"]["name"] == *target.name;
            let wanted = objects.iter().find(is_target).map(|object| state.snapshot().total_in(spread, object));
            let status = status_of(&Picture { total: wanted.unwrap_or_default(), listed_at: Some(now), ..picture }, now);
            spreads += 1;
            if shown(&status) != shown(&spread.status) {
                bad.push(format!("{name} {}:\n  {}\n  {}", spread.name, shown(&status), shown(&spread.status)));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(spreads >= 70, "{spreads}");
}

fn shown(status: &WorkloadSpreadStatus) -> String {
    let of = |subsets: &[SubsetStatus]| serde_json::to_string(subsets).unwrap();
    let versions = status.versioned_subset_statuses.iter().map(|(revision, subsets)| format!("{revision}: {}", of(subsets)));
    std::iter::once(of(&status.subset_statuses)).chain(versions).collect::<Vec<_>>().join("\n    ")
}
