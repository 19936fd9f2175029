//! The rules of an election by a Lease, without a clock and without a client: what to write now, given what was seen.
//!
//! They are those of Kubernetes' own components. What a rival's clock says is never looked at: a lease has run out when *we*
//! have seen it unchanged for as long as its holder asked for, by our own monotonic clock. A write always carries the
//! `resourceVersion` that was seen, so that of two who try at once only one succeeds.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use tokio::time::Instant;

/// The name of the lease. Not `kruise-manager`, OpenKruise's own: during a migration both elect their leaders.
pub const NAME: &str = "outrigger";

/// How long things may take; only combinations that keep two leaders apart exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    lease_seconds: i32,
    renew: Duration,
    retry: Duration,
}

/// Durations that do not go together. The texts name the flags.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimesError {
    /// A Lease counts whole seconds; a part of one would be lost, and rivals would come early.
    #[error("--leader-elect-lease-duration: expected whole seconds, at least 1 and at most 2147483647, found {0:?}")]
    Lease(Duration),
    /// The leader would go on when others already may begin.
    #[error("--leader-elect-renew-deadline: expected less than the lease duration of {lease:?}, found {renew:?}")]
    Renew {
        /// The lease duration.
        lease: Duration,
        /// The renew deadline.
        renew: Duration,
    },
    /// The leader could not try in time, or the API server would be asked without a pause.
    #[error(
        "--leader-elect-retry-period: expected more than zero, and with a fifth on top less than the renew deadline of {renew:?}, found {retry:?}"
    )]
    Retry {
        /// The renew deadline.
        renew: Duration,
        /// The retry period.
        retry: Duration,
    },
}

impl Times {
    /// `lease` is how long rivals wait for a silent leader, `renew` after how long without a renewal a leader steps down,
    /// `retry` how long to wait between two tries.
    pub fn new(lease: Duration, renew: Duration, retry: Duration) -> Result<Self, TimesError> {
        let seconds = i32::try_from(lease.as_secs()).ok().filter(|seconds| *seconds > 0 && lease.subsec_nanos() == 0);
        let lease_seconds = seconds.ok_or(TimesError::Lease(lease))?;
        if renew >= lease {
            return Err(TimesError::Renew { lease, renew });
        }
        if retry.is_zero() || retry.saturating_mul(6) / 5 >= renew {
            return Err(TimesError::Retry { renew, retry });
        }
        Ok(Self { lease_seconds, renew, retry })
    }

    /// How long a leader stays one without a renewal, counted from the moment at which it began the last one that succeeded.
    pub const fn renew(&self) -> Duration {
        self.renew
    }

    /// How long to wait between two tries.
    pub const fn retry(&self) -> Duration {
        self.retry
    }

    /// How long one request may take: half of a deadline, so that one that hangs leaves time for another.
    pub fn request(&self) -> Duration {
        self.renew / 2
    }
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Ours alone, and never set: what is decided by.
    pub monotonic: Instant,
    /// What is written into the lease, for people.
    pub wall: Timestamp,
}

/// The lease as it was last seen, and since when it has looked like that.
#[derive(Clone, Debug, Default)]
pub enum Observed {
    /// There was none, whenever we looked.
    #[default]
    Never,
    /// It was there, and then was not: its holder may not know yet.
    Gone {
        /// As it was when last seen.
        last: Box<Lease>,
        /// When it was first missed.
        since: Instant,
    },
    /// It is there.
    Present {
        /// As it is.
        lease: Box<Lease>,
        /// When it was first seen so.
        since: Instant,
    },
}

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Another holds it: nothing before this moment, unless the lease changes.
    Wait(Instant),
    /// Try to create this one.
    Create(Box<Lease>),
    /// Try to replace it with this one, which carries the `resourceVersion` that was seen.
    Replace(Box<Lease>),
}

impl Observed {
    /// Takes in what an API server has answered at `at`. Any change at all counts as a sign of life of the holder.
    #[must_use]
    pub fn see(self, found: Option<Lease>, at: Instant) -> Self {
        match (self, found) {
            (Self::Present { lease, since }, Some(found)) if *lease == found => Self::Present { lease, since },
            (_, Some(found)) => Self::Present { lease: Box::new(found), since: at },
            (Self::Present { lease, .. }, None) => Self::Gone { last: lease, since: at },
            (before, None) => before,
        }
    }

    /// Who holds it; of a lease that is gone, nobody.
    pub fn holder(&self) -> Option<&str> {
        match self {
            Self::Present { lease, .. } => holder(lease),
            Self::Never | Self::Gone { .. } => None,
        }
    }

    /// When a lease held by another may be taken; none if it may be taken now.
    fn rivals_until(&self, identity: &str, times: &Times) -> Option<Instant> {
        let (Self::Present { lease, since } | Self::Gone { last: lease, since }) = self else { return None };
        holder(lease).filter(|holder| *holder != identity)?;
        // What the holder asked for binds, not what we would ask for.
        let asked = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).filter(|seconds| *seconds > 0);
        let seconds = asked.unwrap_or(times.lease_seconds).unsigned_abs();
        Some(*since + Duration::from_secs(seconds.into()))
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// What `identity` does next to become the leader or to stay it.
///
/// A lease that was never there is created at once; one that was held by another and has been deleted is respected as if it
/// were there, because its holder does not know of it yet.
pub fn next(observed: &Observed, identity: &str, times: &Times, now: Now) -> Step {
    if let Some(until) = observed.rivals_until(identity, times)
        && until > now.monotonic
    {
        return Step::Wait(until);
    }
    match observed {
        Observed::Never => Step::Create(Box::new(new(identity, times, now.wall))),
        Observed::Gone { last, .. } => {
            let mut lease = new(identity, times, now.wall);
            lease.metadata.labels.clone_from(&last.metadata.labels);
            lease.metadata.annotations.clone_from(&last.metadata.annotations);
            Step::Create(Box::new(lease))
        }
        Observed::Present { lease, .. } => Step::Replace(Box::new(taken(lease, identity, times, now.wall))),
    }
}

/// The lease as `identity` gives it back: whoever sees it may take it at once. None if it is not ours to give.
pub fn release(observed: &Observed, identity: &str, wall: Timestamp) -> Option<Box<Lease>> {
    let Observed::Present { lease, .. } = observed else { return None };
    if holder(lease) != Some(identity) {
        return None;
    }
    let mut lease = lease.clone();
    let spec = lease.spec.get_or_insert_default();
    // The shortest that is valid, for those who look at nothing but the time.
    spec.lease_duration_seconds = Some(1);
    spec.holder_identity = None;
    spec.acquire_time = Some(MicroTime(wall));
    spec.renew_time = Some(MicroTime(wall));
    Some(lease)
}

fn new(identity: &str, times: &Times, wall: Timestamp) -> Lease {
    let spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(times.lease_seconds),
        acquire_time: Some(MicroTime(wall)),
        renew_time: Some(MicroTime(wall)),
        lease_transitions: Some(0),
        ..LeaseSpec::default()
    };
    Lease { metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() }, spec: Some(spec) }
}

/// The lease with us as its holder. All that we do not know of stays as it is.
fn taken(seen: &Lease, identity: &str, times: &Times, wall: Timestamp) -> Lease {
    let is_ours = holder(seen) == Some(identity);
    let mut lease = seen.clone();
    let spec = lease.spec.get_or_insert_default();
    if !is_ours {
        spec.holder_identity = Some(identity.to_owned());
        spec.acquire_time = Some(MicroTime(wall));
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
    }
    spec.lease_duration_seconds = Some(times.lease_seconds);
    spec.renew_time = Some(MicroTime(unlike(spec.renew_time.as_ref(), wall)));
    lease
}

/// A time of renewal that differs from the last one even where the clock stands still: a write that changes nothing is not
/// stored, so rivals would not see it.
fn unlike(last: Option<&MicroTime>, wall: Timestamp) -> Timestamp {
    let whole = |time: Timestamp| time.as_microsecond();
    let is_same = last.is_some_and(|last| whole(last.0) == whole(wall));
    if is_same { wall.checked_add(SignedDuration::from_micros(1)).unwrap_or(wall) } else { wall }
}

#[cfg(test)]
mod tests;
