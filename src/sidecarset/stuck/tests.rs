use std::sync::Arc;

use super::*;
use crate::sidecarset::fixtures::{Fixture, cold, pod, rollout};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// A pod whose sidecar was updated so many minutes ago.
fn updated(name: &str, rollout: &Rollout, minutes_ago: i64) -> Fixture {
    let at = NOW - SignedDuration::from_mins(minutes_ago);
    let state = format!(r#"{{"log":{{"revision":"r","updateTimestamp":"{at}","lastContainerStatuses":{{"log":{{"imageID":"old"}}}}}}}}"#);
    pod(name).image("log", "log:v2").injected(rollout).annotated("kruise.io/sidecarset-inplace-update-state", &state)
}

fn told(down: &[Fixture], is_waited_for: bool) -> (Option<String>, Option<SignedDuration>) {
    let rollout = rollout("log", cold("log:v2"));
    let members: Vec<_> = down.iter().map(Fixture::member).collect();
    let stuck = Stuck::find(&rollout, members.iter().map(Arc::as_ref), NOW);
    let event = stuck.event(&rollout, is_waited_for);
    assert!(event.iter().all(|event| event.reason == "RolloutStuck" && event.is_warning && event.about.uid == "uid-log"));
    (event.map(|event| event.note), stuck.next)
}

#[test]
fn a_pod_has_its_time_and_is_looked_at_again_when_that_is_over() {
    let rollout = rollout("log", cold("log:v2"));
    let of = |minutes| told(&[updated("web-1", &rollout, minutes).down("log"), updated("web-2", &rollout, 1).down("log")], false);
    assert_eq!(of(4), (None, Some(SignedDuration::from_mins(6))));
    let (note, next) = of(10);
    assert_eq!(note.unwrap(), "updated more than 10 min ago and not available since: shop/web-1; container log of web-1 is not ready");
    assert_eq!(next, Some(SignedDuration::from_mins(9)));
    assert_eq!(told(&[pod("web-1").image("log", "log:v2").injected(&rollout)], true), (None, None), "nobody knows since when");
}

#[test]
fn the_first_few_are_named_and_what_they_lack() {
    let rollout = rollout("log", cold("log:v2"));
    let down: Vec<_> = (1..=4).map(|number| updated(&format!("web-{number}"), &rollout, 60).down("log")).collect();
    assert_eq!(
        told(&down, true).0.unwrap(),
        "updated more than 10 min ago and not available since: shop/web-1, shop/web-2, shop/web-3, …; container log of web-1 is not ready; \
         other pods wait for them (updateStrategy.maxUnavailable)"
    );
    let old = updated("web-1", &rollout, 60).reports("log", "log:v1", "old");
    assert!(told(&[old], false).0.unwrap().ends_with("container log of web-1 does not run its new image"));
}
