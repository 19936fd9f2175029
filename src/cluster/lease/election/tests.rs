use serde_json::{Value, json};

use super::*;

const WALL: &str = "2026-11-22T10:00:00.000000Z";
const EARLIER: &str = "2026-11-22T09:59:58.000000Z";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn times() -> Times {
    Times::new(seconds(15), seconds(10), seconds(2)).unwrap()
}

fn lease(spec: &Value) -> Lease {
    let metadata = json!({"name": "outrigger", "resourceVersion": "7", "labels": {"who": "cares"}});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn held_by(holder: &str) -> Lease {
    lease(&json!({
        "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 3,
        "acquireTime": EARLIER, "renewTime": EARLIER,
    }))
}

/// The step `me` takes `later` after the lease was first seen so.
fn after(later: u64, observed: impl FnOnce(Instant) -> Observed) -> (Step, Instant) {
    let since = Instant::now();
    let now = Now { monotonic: since + seconds(later), wall: WALL.parse().unwrap() };
    (next(&observed(since), "me", &times(), now), since)
}

fn present(lease: Lease) -> impl FnOnce(Instant) -> Observed {
    move |since| Observed::Present { lease: Box::new(lease), since }
}

fn replacing(later: u64, seen: Lease) -> Value {
    match after(later, present(seen)).0 {
        Step::Replace(lease) => serde_json::to_value(lease).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn assert_waits(later: u64, until: u64, seen: Lease) {
    let (step, since) = after(later, present(seen));
    assert_eq!(step, Step::Wait(since + seconds(until)));
}

#[test]
fn a_lease_that_was_never_there_is_created() {
    let Step::Create(lease) = after(0, |_| Observed::Never).0 else { panic!() };
    assert_eq!(
        serde_json::to_value(lease).unwrap(),
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "outrigger"},
            "spec": {
                "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 0,
                "acquireTime": WALL, "renewTime": WALL,
            },
        })
    );
}

#[test]
fn our_own_lease_is_renewed_with_the_version_that_was_seen_and_keeps_its_history() {
    let written = replacing(2, held_by("me"));
    assert_eq!(written["metadata"]["resourceVersion"], "7");
    assert_eq!(
        written["spec"],
        json!({
            "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 3,
            "acquireTime": EARLIER, "renewTime": WALL,
        })
    );
}

#[test]
fn a_lease_of_another_is_taken_when_it_was_seen_unchanged_for_its_duration_and_not_before() {
    assert_waits(0, 15, held_by("you"));
    assert_waits(14, 15, held_by("you"));
    let written = replacing(15, held_by("you"));
    assert_eq!(written["metadata"], json!({"name": "outrigger", "resourceVersion": "7", "labels": {"who": "cares"}}));
    assert_eq!(
        written["spec"],
        json!({
            "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 4,
            "acquireTime": WALL, "renewTime": WALL,
        })
    );
}

#[test]
fn what_the_clock_of_another_says_does_not_matter() {
    for renewed in ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"] {
        let mut seen = held_by("you");
        seen.spec.as_mut().unwrap().renew_time = Some(MicroTime(renewed.parse().unwrap()));
        assert_waits(14, 15, seen.clone());
        assert_eq!(replacing(15, seen)["spec"]["holderIdentity"], "me");
    }
}

#[test]
fn the_duration_that_the_holder_asked_for_binds() {
    for (asked, until) in [(json!(60), 60), (json!(3), 3), (json!(null), 15), (json!(0), 15), (json!(-5), 15)] {
        let seen = lease(&json!({"holderIdentity": "you", "leaseDurationSeconds": asked}));
        assert_waits(until - 1, until, seen.clone());
        assert_eq!(replacing(until, seen)["spec"]["leaseDurationSeconds"], 15);
    }
}

#[test]
fn a_released_lease_is_taken_at_once() {
    for spec in [json!({"leaseDurationSeconds": 1, "leaseTransitions": 8}), json!({"holderIdentity": "", "leaseTransitions": 8})] {
        let written = replacing(0, lease(&spec));
        assert_eq!((&written["spec"]["holderIdentity"], &written["spec"]["leaseTransitions"]), (&json!("me"), &json!(9)));
    }
    let empty: Lease = serde_json::from_value(json!({"metadata": {"name": "outrigger", "resourceVersion": "1"}})).unwrap();
    assert_eq!(replacing(0, empty)["spec"]["leaseTransitions"], 1);
}

#[test]
fn a_lease_that_was_deleted_under_its_holder_is_respected_until_its_holder_must_have_noticed() {
    let gone = |last: Lease| move |since| Observed::Gone { last: Box::new(last), since };
    let (step, since) = after(14, gone(held_by("you")));
    assert_eq!(step, Step::Wait(since + seconds(15)));
    for (later, last) in [(15, held_by("you")), (0, held_by("me")), (0, held_by(""))] {
        let Step::Create(lease) = after(later, gone(last)).0 else { panic!() };
        assert_eq!(lease.metadata.resource_version, None);
        assert_eq!(lease.metadata.labels.unwrap()["who"], "cares");
    }
}

#[test]
fn any_change_of_the_lease_begins_the_time_anew_and_the_same_again_does_not() {
    let start = Instant::now();
    let since = |observed: &Observed| match observed {
        Observed::Never => panic!(),
        Observed::Present { since, .. } | Observed::Gone { since, .. } => *since - start,
    };
    let mut seen = held_by("you");
    let observed = Observed::Never.see(None, start).see(Some(seen.clone()), start + seconds(1)).see(Some(seen.clone()), start + seconds(5));
    assert_eq!(since(&observed), seconds(1));
    // A holder whose clock stands still renews all the same.
    seen.metadata.resource_version = Some("8".to_owned());
    let observed = observed.see(Some(seen.clone()), start + seconds(6));
    assert_eq!(since(&observed), seconds(6));
    let observed = observed.see(None, start + seconds(7)).see(None, start + seconds(9));
    assert_eq!((since(&observed), observed.holder()), (seconds(7), None));
    let observed = observed.see(Some(seen), start + seconds(10));
    assert_eq!((since(&observed), observed.holder()), (seconds(10), Some("you")));
}

#[test]
fn a_renewal_differs_from_the_last_one_even_when_the_clock_stands_still() {
    let mut seen = held_by("me");
    seen.spec.as_mut().unwrap().renew_time = Some(MicroTime(WALL.parse().unwrap()));
    assert_eq!(replacing(2, seen)["spec"]["renewTime"], "2026-11-22T10:00:00.000001Z");
}

#[test]
fn only_what_is_ours_is_released_and_keeps_the_count_of_transitions() {
    let wall = WALL.parse().unwrap();
    let seen = |lease| Observed::Present { lease: Box::new(lease), since: Instant::now() };
    let released = serde_json::to_value(release(&seen(held_by("me")), "me", wall).unwrap()).unwrap();
    assert_eq!(released["metadata"]["resourceVersion"], "7");
    assert_eq!(released["spec"], json!({"leaseDurationSeconds": 1, "leaseTransitions": 3, "acquireTime": WALL, "renewTime": WALL}));
    assert_eq!(release(&seen(held_by("you")), "me", wall), None);
    assert_eq!(release(&seen(held_by("")), "", wall), None);
    assert_eq!(release(&Observed::Never, "me", wall), None);
    assert_eq!(release(&Observed::Gone { last: Box::new(held_by("me")), since: Instant::now() }, "me", wall), None);
}

#[test]
fn durations_that_do_not_keep_two_leaders_apart_are_refused_by_the_name_of_their_flag() {
    let said = |lease: u64, renew: u64, retry: u64| {
        let millis = Duration::from_millis;
        Times::new(millis(lease), millis(renew), millis(retry)).map_err(|error| error.to_string())
    };
    assert_eq!(said(15_000, 10_000, 2_000), Ok(times()));
    for (lease, renew, retry, flag) in [
        (0, 0, 0, "lease-duration"),
        (999, 500, 100, "lease-duration"),
        (1_500, 1_200, 100, "lease-duration"),
        (u64::MAX, 1_000, 100, "lease-duration"),
        (15_000, 15_000, 2_000, "renew-deadline"),
        (15_000, 20_000, 2_000, "renew-deadline"),
        (15_000, 10_000, 0, "retry-period"),
        (15_000, 10_000, 8_400, "retry-period"),
        (15_000, 10_000, u64::MAX, "retry-period"),
        (15_000, 0, 2_000, "retry-period"),
    ] {
        let text = said(lease, renew, retry).unwrap_err();
        assert!(text.starts_with(&format!("--leader-elect-{flag}: expected ")) && text.contains(", found "), "{text}");
    }
    assert_eq!(
        said(15_000, 15_000, 2_000).unwrap_err(),
        "--leader-elect-renew-deadline: expected less than the lease duration of 15s, found 15s"
    );
    assert!(said(15_000, 10_000, 8_300).is_ok());
}
