//! Why a review is answered as it is, in a word out of a few: what is counted, and the first thing that a log line says.
//!
//! The words are an interface, dashboards and alerts are made of them. What exactly was the matter is said by a message beside them.

/// Why an answer is what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Allowed: nothing here has a say.
    #[default]
    NoMatch,
    /// The feature is switched off.
    Off,
    /// Allowed: a static pod, which its node runs anyway.
    StaticPod,
    /// Allowed: everything is in the pod already.
    Unchanged,
    /// Patched with sidecars.
    Sidecars,
    /// Patched for its place in a subset.
    Place,
    /// Patched with sidecars and for its place.
    SidecarsAndPlace,
    /// Patched with marks of ours alone: a readiness gate, a link to a budget.
    Marks,
    /// A spread is about the pod and has no place for it.
    NoPlace,
    /// Nobody could tell whether there is a place; the pod goes without one.
    PlaceUnknown,
    /// Patched with what its author left out.
    Defaults,
    /// Allowed: the object keeps the rules of its kind.
    Valid,
    /// Allowed: no budget guards the pod.
    NotGuarded,
    /// Allowed: all budgets had room.
    Granted,
    /// Allowed: the pod gives back its place.
    PlaceReturned,
    /// Allowed: nothing keeps the object.
    Unprotected,
    /// The object was converted.
    Converted,
    /// Denied: the object cannot be read.
    Unreadable,
    /// Denied: the object breaks the rules of its kind.
    Validation,
    /// Denied: all pods that a budget guards and that are there are needed.
    Budget,
    /// Denied: the pods of a budget were not counted since it was made or changed.
    BudgetNotCounted,
    /// Denied: a budget has more disruptions under way than it records.
    BudgetRecords,
    /// Denied: a pod of the name was admitted to go a moment ago.
    BudgetUnsure,
    /// Denied: deletion protection keeps the object.
    Protection,
    /// Denied: the revision that a set injects is gone or broken.
    Revision,
    /// Denied: sidecars cannot be put into the pod.
    Injection,
    /// Denied: the patch of a subset does not fit the pod.
    PlaceMisfit,
    /// Denied: the place that the pod would take is that of one that was lost, and not free yet.
    PlaceAwaited,
    /// Denied: an object that the pod belongs to, or the pod itself, does not exist.
    NotFound,
    /// Denied: what had to be taken could not be read or written.
    Unsettled,
    /// Denied: what had to be known was not answered.
    Unanswered,
    /// Denied: there was no time left.
    Late,
}

impl Reason {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoMatch => "no-match",
            Self::Off => "off",
            Self::StaticPod => "static-pod",
            Self::Unchanged => "unchanged",
            Self::Sidecars => "sidecars",
            Self::Place => "place",
            Self::SidecarsAndPlace => "sidecars-and-place",
            Self::Marks => "marks",
            Self::NoPlace => "no-place",
            Self::PlaceUnknown => "place-unknown",
            Self::Defaults => "defaults",
            Self::Valid => "valid",
            Self::NotGuarded => "not-guarded",
            Self::Granted => "granted",
            Self::PlaceReturned => "place-returned",
            Self::Unprotected => "unprotected",
            Self::Converted => "converted",
            Self::Unreadable => "unreadable",
            Self::Validation => "validation",
            Self::Budget => "budget",
            Self::BudgetNotCounted => "budget-not-counted",
            Self::BudgetRecords => "budget-records",
            Self::BudgetUnsure => "budget-unsure",
            Self::Protection => "protection",
            Self::Revision => "revision",
            Self::Injection => "injection",
            Self::PlaceMisfit => "place-misfit",
            Self::PlaceAwaited => "place-awaited",
            Self::NotFound => "not-found",
            Self::Unsettled => "unsettled",
            Self::Unanswered => "unanswered",
            Self::Late => "late",
        }
    }
}
