//! What the status of a set says: how many pods are how far, and why those that are behind are behind.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    api::{SidecarSet, SidecarSetStatus},
    member::Member,
};

/// The condition of a set that says whether all of its pods have the present content.
pub const UPDATED: &str = "Updated";
/// How many pods are named in a sentence.
const NAMED: usize = 3;

/// How many pods are how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pods of the set.
    pub matched: usize,
    /// Those with the present content, by their own note.
    pub updated: usize,
    /// Those whose sidecars run what they should, and that are ready.
    pub ready: usize,
    /// Those that are both.
    pub updated_ready: usize,
}

/// Why a pod does not have the present content. What needs somebody's attention comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The update strategy cannot be understood.
    InvalidStrategy,
    /// The API server did not take the change.
    Refused,
    /// The API server lets no images of native sidecars be changed in running pods.
    NativeRefused,
    /// More than images has changed, so only a new pod can have it.
    NotUpgradable,
    /// Sets of the type `NotUpdate` leave running pods alone.
    NotUpdate,
    /// The rollout is paused.
    Paused,
    /// The update selector does not match.
    NotSelected,
    /// The partition keeps it back.
    Partition,
    /// An earlier change of an image is still on its way.
    InFlight,
    /// It waits until enough others are available.
    MaxUnavailable,
    /// It is being changed now.
    Updating,
}

impl Why {
    const fn reason(self) -> &'static str {
        match self {
            Self::InvalidStrategy => "InvalidStrategy",
            Self::Refused => "UpdateRefused",
            Self::NativeRefused => "NativeSidecarsFixed",
            Self::NotUpgradable => "NotUpgradable",
            Self::NotUpdate => "NotUpdate",
            Self::Paused => "Paused",
            Self::NotSelected => "NotSelected",
            Self::Partition => "Partition",
            Self::InFlight | Self::MaxUnavailable | Self::Updating => "RollingUpdate",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::InvalidStrategy => "held, because the update strategy cannot be understood",
            Self::Refused => "not changed, because the API server refused",
            Self::NativeRefused => {
                "not updated, because this API server lets no native sidecar be changed: they get it when they are made anew"
            }
            Self::NotUpgradable => "cannot be updated in place, because more than images changed: they get it when they are made anew",
            Self::NotUpdate => "left as they are by updateStrategy.type NotUpdate",
            Self::Paused => "held by updateStrategy.paused",
            Self::NotSelected => "not selected by updateStrategy.selector",
            Self::Partition => "held by updateStrategy.partition",
            Self::InFlight => "still changing to an earlier revision",
            Self::MaxUnavailable => "waiting for updateStrategy.maxUnavailable",
            Self::Updating => "being updated",
        }
    }

    /// Whether the rollout comes to an end although such pods are left.
    const fn is_final(self) -> bool {
        !matches!(self, Self::InFlight | Self::MaxUnavailable | Self::Updating)
    }
}

/// The pods that are behind, by what keeps them: how many, and the first few.
#[derive(Debug, Default)]
pub struct Behind<'m>(BTreeMap<Why, (usize, Vec<&'m Member>)>);

impl<'m> Behind<'m> {
    /// Counts a pod.
    pub fn add(&mut self, why: Why, member: &'m Member) {
        let (count, named) = self.0.entry(why).or_default();
        *count += 1;
        if named.len() < NAMED {
            named.push(member);
        }
    }

    /// How many pods are kept by this.
    pub fn count(&self, why: Why) -> usize {
        self.0.get(&why).map_or(0, |(count, _)| *count)
    }
}

/// The status of a set, from what was counted.
pub fn status(set: &SidecarSet, counts: Counts, behind: &Behind<'_>, problem: Option<&str>, now: Timestamp) -> SidecarSetStatus {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let stored = set.status.clone().unwrap_or_default();
    SidecarSetStatus {
        observed_generation: set.metadata.generation.filter(|generation| *generation != 0),
        matched_pods: number(counts.matched),
        updated_pods: number(counts.updated),
        ready_pods: number(counts.ready),
        updated_ready_pods: Some(number(counts.updated_ready)).filter(|count| *count != 0),
        conditions: vec![updated(set, counts, behind, problem, now)],
        ..stored
    }
}

fn updated(set: &SidecarSet, counts: Counts, behind: &Behind<'_>, problem: Option<&str>, now: Timestamp) -> Condition {
    let (is_true, reason) = match behind.0.keys().next() {
        Some(why) => (false, why.reason()),
        None if counts.updated_ready < counts.updated => (true, "AllPodsUpdated"),
        None => (true, "AllPodsUpdatedAndReady"),
    };
    let mut message =
        format!("{} of {} pods have the present revision, {} of them are ready", counts.updated, counts.matched, counts.updated_ready);
    for (why, (count, named)) in &behind.0 {
        let _ = write!(message, "; {count} {}", why.sentence());
        if let (Why::InvalidStrategy, Some(problem)) = (why, problem) {
            let _ = write!(message, ": {problem}");
        }
        // The pods of a rollout that goes on change all the time, and each change would be a write.
        if why.is_final() {
            let names: Vec<_> = named.iter().map(|member| format!("{}/{}", member.pod.namespace, member.pod.name)).collect();
            let more = if *count > named.len() { ", …" } else { "" };
            let _ = write!(message, " ({}{more})", names.join(", "));
        }
    }
    let status = if is_true { "True" } else { "False" };
    let stored = set.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == UPDATED);
    let since = stored.filter(|stored| stored.status == status).map(|stored| stored.last_transition_time.clone());
    Condition {
        type_: UPDATED.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: set.metadata.generation,
        last_transition_time: since.unwrap_or_else(|| Time(whole_seconds(now))),
    }
}

/// Kubernetes stores times in whole seconds; with more, the status would never be what was written.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
