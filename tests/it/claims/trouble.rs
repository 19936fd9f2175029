//! Requests that are refused, lost, late or never answered, and clients that hang up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::join;
use jiff::Timestamp;

use super::world::{WRITE, World, timed};
use crate::api_server::{Asked, End, Fate};

/// The first requests of a sort end in this way; all others do well.
fn first(count: usize, what: &'static str, end: End) -> impl Fn(&Asked) -> Fate + Send + Sync + 'static {
    let left = AtomicUsize::new(count);
    move |asked| {
        let is_hit = asked.is(what) && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if is_hit { Fate::of(end) } else { Fate::GOOD }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_done_but_not_answered_takes_one_unit() {
    let world = World::new(5);
    let replica = world.replica_whose_requests(first(1, WRITE, End::Lost));
    replica.evict("web-1").await.unwrap();
    assert_eq!((world.stored().allowed(), world.count(WRITE)), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_not_done_is_done_again() {
    for end in [End::Refused(409), End::Refused(500), End::Refused(429), End::Refused(503)] {
        let world = World::new(5);
        let replica = world.replica_whose_requests(first(1, WRITE, end));
        replica.evict("web-1").await.unwrap();
        assert_eq!((world.stored().allowed(), world.count(WRITE)), (4, 2), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_always_overtaken_is_given_up_in_time() {
    let world = World::new(5);
    let replica = world.replica_whose_requests(first(usize::MAX, WRITE, End::Refused(409)));
    let (took, denial) = timed(replica.evict("web-1")).await;
    assert!(took <= Duration::from_millis(2100), "{took:?}");
    assert_eq!(denial.unwrap_err().retry_after, Some(1));
    assert_eq!(world.stored().allowed(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_has_no_time_is_not_asked_in_a_hurry() {
    for end in [End::Refused(500), End::Refused(429)] {
        let world = World::new(5);
        let replica = world.replica_whose_requests(first(usize::MAX, WRITE, end));
        let (took, denial) = timed(replica.evict("web-1")).await;
        assert_eq!(denial.unwrap_err().code, 429);
        assert!(took <= Duration::from_millis(2200), "{took:?}");
        let writes = world.count(WRITE);
        assert!((2..=21).contains(&writes), "{end:?}: {writes} writes in two seconds");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_written_is_said_at_once() {
    let world = World::new(5);
    let replica = world.replica_whose_requests(first(usize::MAX, WRITE, End::Refused(403)));
    let (took, denial) = timed(replica.evict("web-1")).await;
    assert!(took < Duration::from_millis(100), "{took:?}");
    let message = denial.unwrap_err().message;
    assert!(
        message.contains("the budget could not be written")
            && message.starts_with("podunavailablebudget.policy.kruise.io \"web\" is forbidden: "),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_server_refuses_within_two_turns_and_nothing_is_recorded_twice() {
    for end in [End::Hangs, End::Mute] {
        let world = World::new(5);
        let is_silent = Arc::new(AtomicBool::new(true));
        let silent = Arc::clone(&is_silent);
        let fate = move |_: &Asked| if silent.load(Ordering::Relaxed) { Fate::of(end) } else { Fate::GOOD };
        let replica = world.replica_whose_requests(fate);
        let early = replica.evict("web-1");
        tokio::task::yield_now().await;
        // This one comes when the first turn has begun.
        let later = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            timed(replica.evict("web-2")).await
        };
        let ((took, early), (took_later, later)) = join!(timed(early), later);
        assert!((Duration::from_secs(2)..=Duration::from_millis(2100)).contains(&took), "{took:?}");
        assert!((Duration::from_secs(2)..=Duration::from_secs(4)).contains(&took_later), "{took_later:?}");
        for denial in [early.unwrap_err(), later.unwrap_err()] {
            assert_eq!((denial.code, denial.reason, denial.retry_after), (429, "TooManyRequests", Some(1)));
            assert!(denial.message.contains("the API server did not answer within 2 s; try again in a second"), "{}", denial.message);
        }
        is_silent.store(false, Ordering::Relaxed);
        replica.evict("web-1").await.unwrap();
        replica.evict("web-2").await.unwrap();
        assert_eq!((world.stored().allowed(), world.stored().recorded().len()), (3, 2), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_leaves_nothing_half_done_and_holds_up_no_one() {
    let world = World::new(5);
    let slow = Fate { back: Duration::from_millis(500), ..Fate::GOOD };
    let replica = world.replica_whose_requests(move |asked| if asked.is(WRITE) { slow } else { Fate::GOOD });
    let first = replica.evict("web-1");
    world.server.until("the write", |asked| asked.iter().any(|one| one.is(WRITE))).await;
    drop(first);
    let second = replica.evict("web-2");
    // Hangs up while it waits for its turn.
    drop(replica.evict("web-3"));
    second.await.unwrap();
    replica.at_rest().await;
    let recorded: Vec<_> = world.stored().recorded().into_iter().collect();
    assert_eq!((recorded, world.stored().allowed()), (["web-1", "web-2", "web-3"].map(str::to_owned).to_vec(), 2));
    replica.evict("web-4").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_panics_costs_those_of_that_turn_alone() {
    let world = World::new(5);
    let is_broken = AtomicBool::new(true);
    let wall = move || {
        assert!(!is_broken.swap(false, Ordering::Relaxed), "the clock breaks, as it should");
        Timestamp::constant(1_800_000_000, 0)
    };
    let replica = world.replica_with(|_| Fate::GOOD, wall);
    let first = replica.evict("web-1");
    tokio::task::yield_now().await;
    let second = replica.evict("web-2");
    let (first, second) = tokio::time::timeout(Duration::from_secs(5), async { join!(first, second) }).await.unwrap();
    assert_eq!(first.unwrap_err().retry_after, Some(1));
    assert!(second.is_ok() || second.unwrap_err().retry_after == Some(1));
    let later = tokio::time::timeout(Duration::from_secs(5), replica.evict("web-3")).await;
    later.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_of_the_pod_and_of_its_budget_unless_nothing_was_meant() {
    let world = World::new(0);
    let replica = world.replica();
    let told = replica.told_of("web-1", false).await;
    assert_eq!(
        told,
        [
            ("Pod web-1 web-1", "pub-controller", "PubPreventPodDeletion"),
            ("PodUnavailableBudget web uid-web", "podunavailablebudget-controller", "DisruptionRefused")
        ]
        .map(|(about, by, reason)| format!("{about}: {by}: {reason}"))
    );
    assert!(replica.told_of("web-1", true).await.is_empty(), "a dry run");
}
