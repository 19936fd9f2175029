//! Leader election, with a scripted API server and a clock that jumps from one event to the next.

mod chaos;
mod replica;

use std::{
    sync::Arc,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use self::replica::{BREATH, Floor, LEASE, RENEW, RETRY, Replica};
use crate::{
    api_server::{ApiServer, End, Fate},
    world::metric,
};

const SECOND: Duration = Duration::from_secs(1);

/// Two replicas of which the first leads and the second knows it.
async fn pair() -> (ApiServer, Replica, Replica) {
    let server = ApiServer::default();
    let mut first = Replica::start(&server, "first");
    first.leads_within(BREATH).await;
    let second = Replica::start(&server, "second");
    sleep(RETRY * 3).await;
    assert!(first.is_leader() && !second.is_leader());
    (server, first, second)
}

#[tokio::test(start_paused = true)]
async fn the_only_replica_leads_at_once_and_goes_on_leading() {
    let server = ApiServer::default();
    let mut only = Replica::start(&server, "only");
    let term = only.leads_within(BREATH).await;
    let before = server.lease();
    assert_eq!((&before["spec"]["holderIdentity"], &before["spec"]["leaseTransitions"]), (&json!("only"), &json!(0)));
    sleep(LEASE * 20).await;
    let after = server.lease();
    assert!(term.is_current() && term.number() == 1);
    assert_eq!((&after["spec"]["acquireTime"], &after["spec"]["leaseTransitions"]), (&before["spec"]["acquireTime"], &json!(0)));
    assert_ne!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    let metrics = only.metrics.to_text();
    assert_eq!((metric(&metrics, "outrigger_leader"), metric(&metrics, "outrigger_leader_transitions_total")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_replaced_after_the_lease_duration_and_at_most_a_retry_period() {
    let (server, first, mut second) = pair().await;
    let killed = first.kill();
    second.leads_within(LEASE + RETRY + BREATH).await;
    // Its last renewal may have been a retry period ago.
    assert!(killed.elapsed() + RETRY + BREATH >= LEASE, "{:?}", killed.elapsed());
    assert_eq!((server.holder().as_deref(), &server.lease()["spec"]["leaseTransitions"]), (Some("second"), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_hands_over_at_once() {
    let (server, first, mut second) = pair().await;
    let term = first.leadership.borrow().clone().unwrap();
    first.stop.cancel();
    assert!(!term.is_current() && term.begin().is_none(), "it worked on after it was told to stop");
    timeout(BREATH, first.election).await.unwrap().unwrap();
    let released = server.lease();
    assert_eq!((server.holder(), &released["spec"]["leaseDurationSeconds"]), (None, &json!(1)));
    second.leads_within(RETRY + BREATH).await;
    assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(1));
    let metrics = first.metrics.to_text();
    assert_eq!((metric(&metrics, "outrigger_leader"), metric(&metrics, "outrigger_leader_transitions_total")), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_not_released_before_the_last_work_is_done() {
    let (server, first, mut second) = pair().await;
    let work = first.leadership.borrow().as_ref().unwrap().begin().unwrap();
    first.stop.cancel();
    sleep(SECOND * 5).await;
    assert_eq!((server.holder().as_deref(), second.is_leader()), (Some("first"), false));
    drop(work);
    timeout(BREATH, first.election).await.unwrap().unwrap();
    assert_eq!(server.holder(), None);
    second.leads_within(RETRY + BREATH).await;
}

#[tokio::test(start_paused = true)]
async fn work_without_end_does_not_hold_up_the_shutdown_and_the_lease_runs_out() {
    let (server, first, mut second) = pair().await;
    let _work = first.leadership.borrow().as_ref().unwrap().begin().unwrap();
    first.stop.cancel();
    let stopped = Instant::now();
    timeout(RENEW, first.election).await.unwrap().unwrap();
    assert_eq!(server.holder().as_deref(), Some("first"));
    second.leads_within(LEASE).await;
    assert!(stopped.elapsed() + RETRY + BREATH >= LEASE, "{:?}", stopped.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_steps_down_before_anybody_else_may_begin() {
    for end in [End::Refused(500), End::Refused(503), End::Hangs, End::Refused(403)] {
        let (_server, first, mut second) = pair().await;
        let term = first.leadership.borrow().clone().unwrap();
        first.fares(Fate::of(end));
        let since = Instant::now();
        timeout(RENEW + BREATH, term.ended().cancelled()).await.unwrap_or_else(|_| panic!("{end:?}: it leads on"));
        assert!(since.elapsed() + RETRY + BREATH >= RENEW, "{end:?}: given up after {:?}", since.elapsed());
        assert!(!first.is_leader() && !second.is_leader());
        let between = Instant::now();
        second.leads_within(LEASE).await;
        assert!(between.elapsed() + RENEW + BREATH >= LEASE, "{end:?}: only {:?} lay between", between.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_cut_off_leads_again_under_a_new_number_when_its_old_work_is_done() {
    let server = ApiServer::default();
    let mut only = Replica::start(&server, "only");
    let term = only.leads_within(BREATH).await;
    let work = term.begin().unwrap();
    only.fares(Fate::of(End::Hangs));
    timeout(RENEW + BREATH, term.ended().cancelled()).await.unwrap();
    only.fares(Fate::GOOD);
    sleep(LEASE * 2).await;
    assert!(only.leadership.borrow().is_none(), "two terms of one replica worked at the same time");
    drop(work);
    let again = only.leads_within(RETRY * 2).await;
    assert_eq!((term.number(), again.number()), (1, 2));
    assert!(again.is_current() && !term.is_current() && term.begin().is_none());
    assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(0), "the holder has not changed");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_was_lost_does_not_end_the_term() {
    let server = ApiServer::default();
    let mut only = Replica::start(&server, "only");
    let term = only.leads_within(BREATH).await;
    for _ in 0..20 {
        only.fares(Fate::of(End::Lost));
        sleep(RETRY + BREATH).await;
        only.fares(Fate::GOOD);
        sleep(RETRY * 2).await;
    }
    assert!(term.is_current());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_counts_from_the_question() {
    let (_server, first, second) = pair().await;
    let term = first.leadership.borrow().clone().unwrap();
    let slow = Fate { back: SECOND * 4, ..Fate::GOOD };
    first.fares(slow);
    // At the latest now the slow renewal has begun; its answer comes when nothing else does any more.
    sleep(RETRY).await;
    first.fares(Fate::of(End::Hangs));
    let since = Instant::now();
    timeout(LEASE, term.ended().cancelled()).await.unwrap();
    assert!(since.elapsed() <= RENEW + BREATH, "it counts from the answer: {:?}", since.elapsed());
    assert!(!second.is_leader());
}

#[tokio::test(start_paused = true)]
async fn jumps_of_the_clocks_on_the_wall_change_nothing() {
    let server = ApiServer::default();
    let year = 31_536_000;
    let (ahead, behind) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let clock = |offset: &Arc<AtomicI64>| {
        let offset = Arc::clone(offset);
        move || Timestamp::constant(1_800_000_000, 0) + SignedDuration::from_secs(offset.load(Ordering::Relaxed))
    };
    let mut first = Replica::with_clock(&server, "first", clock(&ahead));
    let term = first.leads_within(BREATH).await;
    let second = Replica::with_clock(&server, "second", clock(&behind));
    for jump in [year, -year, 0, 20 * year, -20 * year, 16, -16] {
        ahead.store(jump, Ordering::Relaxed);
        behind.store(-jump, Ordering::Relaxed);
        sleep(LEASE * 2).await;
        assert!(term.is_current() && !second.is_leader(), "{jump}");
    }
    assert_eq!(server.lease()["spec"]["leaseTransitions"], json!(0));
}

#[tokio::test(start_paused = true)]
async fn who_seizes_the_lease_deposes_the_leader_and_is_respected() {
    let (server, first, mut second) = pair().await;
    let term = first.leadership.borrow().clone().unwrap();
    server.seize("kubectl", 60);
    let seized = Instant::now();
    timeout(RETRY + BREATH, term.ended().cancelled()).await.unwrap();
    sleep(SECOND * 50).await;
    assert!(!first.is_leader() && !second.is_leader());
    let _ = timeout(SECOND * 20, async {
        while !first.is_leader() && !second.is_leader() {
            second.leadership.changed().await.unwrap_or(());
        }
    })
    .await;
    sleep(SECOND * 5).await;
    assert!(first.is_leader() != second.is_leader() && seized.elapsed() >= SECOND * 60);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_no_invitation() {
    let (server, first, second) = pair().await;
    let term = first.leadership.borrow().clone().unwrap();
    let floor = Floor::default();
    let _works = (first.works(&floor, SECOND), second.works(&floor, SECOND));
    server.delete();
    timeout(RETRY + BREATH, term.ended().cancelled()).await.unwrap();
    sleep(RETRY * 2).await;
    assert!(first.is_leader() && !second.is_leader(), "who had seen it held does not take it");
    assert_eq!(first.leadership.borrow().as_ref().unwrap().number(), 2);
    assert_eq!(floor.collisions(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_deleted_under_a_leader_that_cannot_know_of_it_is_not_made_anew_at_once() {
    let (server, first, mut second) = pair().await;
    first.fares(Fate::of(End::Hangs));
    server.delete();
    let deleted = Instant::now();
    second.leads_within(LEASE + RETRY + BREATH).await;
    assert!(deleted.elapsed() >= LEASE && !first.is_leader(), "{:?}", deleted.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_may_not_touch_leases_asks_again_until_it_may() {
    let server = ApiServer::default();
    let mut only = Replica::start(&server, "only");
    only.fares(Fate::of(End::Refused(403)));
    sleep(LEASE * 3).await;
    assert!(!only.is_leader());
    only.fares(Fate::GOOD);
    only.leads_within(RETRY + BREATH).await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_never_led_stops_without_a_word() {
    let (server, first, second) = pair().await;
    let before = server.holder();
    second.stop.cancel();
    timeout(BREATH, second.election).await.unwrap().unwrap();
    assert!(first.is_leader() && server.holder() == before);
}

#[tokio::test(start_paused = true)]
async fn a_claim_under_way_at_the_stop_is_given_back() {
    for end in [End::Answered, End::Lost] {
        let server = ApiServer::default();
        let only = Replica::start(&server, "only");
        let mut fates = [Fate::GOOD, Fate { there: SECOND, back: SECOND, end }].into_iter();
        *only.fate.lock() = Box::new(move || fates.next().unwrap_or(Fate::GOOD));
        sleep(SECOND).await;
        assert!(server.lease().is_null() && !only.is_leader(), "{end:?}: it is not under way");
        only.stop.cancel();
        timeout(RENEW, only.election).await.unwrap().unwrap();
        assert!(!server.lease().is_null(), "{end:?}: nothing was claimed");
        assert_eq!(server.holder(), None, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_election_that_dies_takes_its_term_with_it() {
    let (_server, first, _second) = pair().await;
    let term = first.leadership.borrow().clone().unwrap();
    first.kill();
    timeout(BREATH, term.ended().cancelled()).await.unwrap();
    assert!(first.leadership.borrow().is_none());
}
