//! How a refusal reads: which budget, how many pods there are and are needed, which disruptions are under way, and when to try again.
//! It begins as the reference's does. (DESIGN §7)

use jiff::Timestamp;

use super::{
    api::PodUnavailableBudgetStatus,
    guard::{DISRUPTED_FOR, MOST_RECORDS, Take, UNAVAILABLE_FOR},
    index::{Budget, Operation},
};
use crate::admission::{reason, verdict::Denial};

/// Why a unit cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// All pods that are there are needed.
    NoRoom,
    /// More disruptions are under way than can be recorded.
    TooManyRecords,
    /// The budget was made or changed, and its pods were not counted since.
    NotCounted,
    /// A pod of this name was admitted to go a moment ago, and it is not known yet whether this is another one.
    Unsure,
}

impl Reason {
    /// The word that it is counted under.
    const fn counted_as(self) -> reason::Reason {
        match self {
            Self::NoRoom => reason::Reason::Budget,
            Self::TooManyRecords => reason::Reason::BudgetRecords,
            Self::NotCounted => reason::Reason::BudgetNotCounted,
            Self::Unsure => reason::Reason::BudgetUnsure,
        }
    }
}

/// How many disruptions a refusal names.
const NAMED: usize = 5;
/// After how many seconds it is worth while to try again, if nothing is known: as often as a drain does.
const LATER: u32 = 5;

/// The refusal of a claim.
pub fn denial(take: &Take, budget: &Budget, reason: Reason, now: Timestamp) -> Denial {
    let status = &budget.status;
    let (text, retry_after) = match reason {
        Reason::NoRoom => (no_room(take, status, now), retry_after(status, now)),
        Reason::TooManyRecords => {
            let text = format!("{MOST_RECORDS} disruptions were admitted and are not over yet, more are not recorded");
            (text, retry_after(status, now))
        }
        Reason::NotCounted => {
            let text = "the budget was made or changed a moment ago, and its pods have not been counted since".to_owned();
            (text, 1)
        }
        Reason::Unsure => (format!("a pod {:?} was admitted to go a moment ago, and this may be another one", take.pod.name), 1),
    };
    refused(take, &text, retry_after).because(reason.counted_as())
}

/// The budget could not be read or written; why, in a few words.
pub fn unsettled(take: &Take, problem: &str) -> Denial {
    refused(take, &format!("nobody can tell whether pod {:?} can be spared now: {problem}", take.pod.name), 1)
        .because(reason::Reason::Unsettled)
}

fn refused(take: &Take, text: &str, retry_after: u32) -> Denial {
    let seconds = if retry_after == 1 { "a second".to_owned() } else { format!("{retry_after} s") };
    let message = format!("podunavailablebudget.policy.kruise.io {:?} is forbidden: {text}; try again in {seconds}", &*take.budget);
    let is_later = take.operation == Operation::Evict && take.eviction_code == 429;
    if is_later { Denial::later(message, retry_after) } else { Denial { retry_after: Some(retry_after), ..Denial::forbidden(message) } }
}

fn no_room(take: &Take, status: &PodUnavailableBudgetStatus, now: Timestamp) -> String {
    let what = match take.operation {
        Operation::Delete => "deleted",
        Operation::Evict => "evicted",
        Operation::Update => "changed",
        Operation::Resize => "resized",
    };
    let mut text = format!(
        "pod {:?} cannot be {what} now: {} of {} pods are available, {} are needed",
        take.pod.name,
        available(status),
        status.total_replicas,
        status.desired_available
    );
    let under_way = under_way(status, now);
    if !under_way.is_empty() {
        text.push_str("; admitted lately: ");
        text.push_str(&under_way);
    }
    text
}

/// How many pods are available without those that were admitted to go since they were counted.
fn available(status: &PodUnavailableBudgetStatus) -> i32 {
    let at_first = (status.current_available - status.desired_available).max(0);
    status.current_available - (at_first - status.unavailable_allowed).max(0)
}

/// The disruptions that were admitted, youngest first.
fn under_way(status: &PodUnavailableBudgetStatus, now: Timestamp) -> String {
    let disrupted = status.disrupted_pods.iter().map(|(pod, at)| (*at, pod, "to go"));
    let changed = status.unavailable_pods.iter().map(|(pod, at)| (*at, pod, "to change"));
    let mut all: Vec<_> = disrupted.chain(changed).collect();
    all.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    let named = all.iter().take(NAMED).map(|(at, pod, what)| {
        let seconds = now.duration_since(*at).as_secs().max(0);
        format!("{pod} ({what}, since {seconds} s)")
    });
    let mut text = named.collect::<Vec<_>>().join(", ");
    if all.len() > NAMED {
        text.push_str(" and ");
        text.push_str(&(all.len() - NAMED).to_string());
        text.push_str(" more");
    }
    text
}

/// Seconds until the first record lapses, but not longer than [`LATER`].
fn retry_after(status: &PodUnavailableBudgetStatus, now: Timestamp) -> u32 {
    let disrupted = status.disrupted_pods.values().map(|at| now.duration_since(*at) - DISRUPTED_FOR);
    let changed = status.unavailable_pods.values().map(|at| now.duration_since(*at) - UNAVAILABLE_FOR);
    let left = disrupted.chain(changed).map(|over| u32::try_from(-over.as_secs()).unwrap_or_default()).min();
    left.unwrap_or(LATER).clamp(1, LATER)
}
