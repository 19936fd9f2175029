//! What would make a pod unavailable, held against the budgets that it counts for. (reference: `pub.md` §7, §13)
//!
//! Beside the reference: everything is judged on the copy of the budget that is written, or that was read for the purpose. A budget that
//! was not counted since it was made or changed refuses until it is. A pod that is recorded passes again without another unit; if its
//! record will soon lapse, it is renewed, so that the reconciler does not give away a second time what this pod is about to use.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    index::{Budget, Operation},
    refusal::{self, Reason},
    subject::{CLOCKS_DIFFER_BY, Subject},
};
use crate::admission::claim::{Claim, Taken};

/// How long a deletion or eviction that was admitted is waited for.
pub const DISRUPTED_FOR: SignedDuration = SignedDuration::from_secs(20);
/// How long a change that was admitted is waited for.
pub const UNAVAILABLE_FOR: SignedDuration = SignedDuration::from_secs(10);
/// How many disruptions a budget records at most.
pub const MOST_RECORDS: usize = 2000;

/// A unit of a budget, wanted for a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Take {
    /// Namespace of budget and pod.
    pub namespace: Arc<str>,
    /// The budget.
    pub budget: Arc<str>,
    /// The pod.
    pub pod: Arc<Subject>,
    /// Whether this is the pod as it is. If it is only what the mirror says, another one may have its name by now.
    pub is_certain: bool,
    /// What is to happen to it.
    pub operation: Operation,
    /// Whether a resize is guarded against only where it is named.
    pub resize_is_its_own: bool,
    /// With which code an eviction is refused.
    pub eviction_code: u16,
}

/// How long a record will hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Record {
    /// It may be given back before what is admitted now is seen to have happened.
    Old,
    /// Long enough.
    Young,
}

impl Claim for Take {
    type Object = Budget;
    type Gain = ();

    fn take(&self, budget: &mut Budget, now: Timestamp) -> Taken<()> {
        if !self.is_guarded_by(budget) {
            return Taken::Needless(());
        }
        match self.recorded(budget, now) {
            None => {}
            Some(_) if !self.is_certain => return self.refused(budget, Reason::Unsure, now),
            Some(Record::Young) => return Taken::Needless(()),
            Some(Record::Old) => {
                self.record(budget, now);
                return Taken::Taken(());
            }
        }
        // What the scheduler pushes out for something more important is recorded, but never held up.
        if !budget.is_observed() && !self.pod.is_preempted {
            return self.refused(budget, Reason::NotCounted, now);
        }
        let status = &mut budget.status;
        if status.desired_available == 0 {
            return Taken::Needless(());
        }
        if !self.pod.is_preempted {
            if status.unavailable_allowed <= 0 {
                return self.refused(budget, Reason::NoRoom, now);
            }
            if status.disrupted_pods.len() + status.unavailable_pods.len() >= MOST_RECORDS {
                return self.refused(budget, Reason::TooManyRecords, now);
            }
        }
        status.unavailable_allowed = (status.unavailable_allowed - 1).max(0);
        self.record(budget, now);
        Taken::Taken(())
    }
}

impl Take {
    /// Whether the budget has a say, by what its author wrote. (§7.3, steps 3, 4 and 6)
    fn is_guarded_by(&self, budget: &Budget) -> bool {
        let is_ignored = budget.rules.ignored.as_ref().is_some_and(|ignored| ignored.matches(&self.pod.labels));
        !budget.is_terminating && !is_ignored && budget.rules.guards_against(self.operation, self.resize_is_its_own)
    }

    /// Whether this pod is recorded, and if so, whether the record will soon lapse: when half of its time is over.
    fn recorded(&self, budget: &Budget, now: Timestamp) -> Option<Record> {
        let status = &budget.status;
        let of = |records: &BTreeMap<String, Timestamp>, length: SignedDuration| {
            let admitted = records.get(&*self.pod.name).filter(|admitted| !self.is_another_than(**admitted))?;
            Some(if now.duration_since(*admitted) <= length / 2 { Record::Young } else { Record::Old })
        };
        of(&status.disrupted_pods, DISRUPTED_FOR).max(of(&status.unavailable_pods, UNAVAILABLE_FOR))
    }

    /// Whether what was recorded then may have been an earlier pod of the name. Within one second nobody can tell: then the record is not
    /// this pod's, and a unit is taken for it.
    fn is_another_than(&self, admitted: Timestamp) -> bool {
        self.pod.created.is_some_and(|created| created.as_second() >= admitted.as_second())
    }

    fn record(&self, budget: &mut Budget, now: Timestamp) {
        let status = &mut budget.status;
        // A resize stands where the reference puts it.
        let records = if self.operation == Operation::Update { &mut status.unavailable_pods } else { &mut status.disrupted_pods };
        records.insert(self.pod.name.to_string(), self.second(now));
    }

    /// The second that is recorded, as it is stored: without fractions. Never one before the pod was made, by whichever clock, for then the
    /// record would be taken for that of an earlier pod.
    fn second(&self, now: Timestamp) -> Timestamp {
        let made = self.pod.created.map_or(i64::MIN, Timestamp::as_second);
        let ahead = if self.is_certain { 0 } else { CLOCKS_DIFFER_BY };
        Timestamp::from_second(made.max(now.as_second() + ahead)).unwrap_or(now)
    }

    fn refused(&self, budget: &Budget, reason: Reason, now: Timestamp) -> Taken<()> {
        Taken::Refused(refusal::denial(self, budget, reason, now))
    }
}

#[cfg(test)]
mod tests;
