//! What a handler answers.

use std::fmt;

use jiff::Timestamp;

use super::{
    ask::{Answer, Ask},
    claim::Claimable,
    edits::Edits,
    reason::Reason,
};
use crate::plan::Event;

/// The answer to a review. `C` is what may be claimed.
#[derive(Debug)]
#[must_use]
pub enum Verdict<C: Claimable> {
    /// Nothing more has to be asked or written.
    Decided(Decision),
    /// The decision needs facts that are not mirrored.
    Ask(Ask<C>),
    /// The decision takes something of which there is only so much.
    Claim(Claims<C>),
}

/// What has to be taken before a request may pass: all of it, or nothing.
#[must_use]
pub struct Claims<C: Claimable> {
    /// What is taken, in an order in which everybody takes; never empty.
    pub claims: Vec<C>,
    /// Whether it could be taken is to be found out, but nothing is to be taken.
    pub is_dry_run: bool,
    then: Then<C>,
}

type Then<C> = Box<dyn for<'s> FnOnce(Vec<<C as Claimable>::Gain>, &<C as Claimable>::Snapshot<'s>, Timestamp) -> Decision + Send>;

/// Yes or no, and what to say with it.
#[derive(Debug, Default)]
#[must_use]
pub struct Decision {
    /// The changes to make to an allowed object, or why it is refused.
    pub outcome: Outcome,
    /// Shown to the client by the API server.
    pub warnings: Vec<String>,
    /// What was done, for the log; empty if there is nothing to tell.
    pub note: String,
    /// Why an object is admitted as it is. Why one is refused, its denial says.
    pub reason: Reason,
    /// What those who look after objects should know, unless nothing is stored.
    pub events: Vec<Event>,
}

/// Yes, with changes, or no.
#[derive(Debug)]
pub enum Outcome {
    /// The object is admitted with these changes.
    Allow(Edits),
    /// The object is refused.
    Deny(Denial),
}

/// A refusal, as the API server passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// HTTP status code.
    pub code: u16,
    /// Reason in a word, as in `metav1.Status`.
    pub reason: &'static str,
    /// The sentence for the user.
    pub message: String,
    /// After how many seconds it may be worth while to try again.
    pub retry_after: Option<u32>,
    /// Why, in a word of our own, for who counts.
    pub grounds: Reason,
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Allow(Edits::default())
    }
}

impl Decision {
    /// Admitted as it is, for this reason.
    pub fn allow(reason: Reason) -> Self {
        Self { reason, ..Self::default() }
    }

    /// Refused.
    pub fn deny(denial: Denial) -> Self {
        Self { outcome: Outcome::Deny(denial), ..Self::default() }
    }

    /// The same; nobody is told of what is not stored.
    pub fn unless_dry(mut self, is_dry_run: bool) -> Self {
        if is_dry_run {
            self.events.clear();
        }
        self
    }

    /// Why it is as it is.
    pub const fn grounds(&self) -> Reason {
        match &self.outcome {
            Outcome::Allow(_) => self.reason,
            Outcome::Deny(denial) => denial.grounds,
        }
    }
}

impl<C: Claimable> Claims<C> {
    /// Takes all of these; `then` gives the decision when that is done, from what each of them gave, in their order.
    pub fn new(
        claims: Vec<C>,
        is_dry_run: bool,
        then: impl for<'s> FnOnce(Vec<C::Gain>, &C::Snapshot<'s>, Timestamp) -> Decision + Send + 'static,
    ) -> Self {
        Self { claims, is_dry_run, then: Box::new(then) }
    }

    /// Takes all of these; the request may pass then as it is.
    pub fn to_pass(claims: Vec<C>, is_dry_run: bool) -> Self {
        Self::new(claims, is_dry_run, |_, _, _| Decision::allow(Reason::Granted))
    }

    /// The decision, when all is taken: what each claim gave, in their order.
    pub fn settle(self, gains: Vec<C::Gain>, snapshot: &C::Snapshot<'_>, now: Timestamp) -> Decision {
        (self.then)(gains, snapshot, now)
    }
}

impl<C: Claimable + fmt::Debug> fmt::Debug for Claims<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("claims", &self.claims).field("is_dry_run", &self.is_dry_run).finish_non_exhaustive()
    }
}

impl<C: Claimable> Verdict<C> {
    /// Admitted as it is: nothing here has a say.
    pub fn allow() -> Self {
        Self::allow_as(Reason::NoMatch)
    }

    /// Admitted as it is, for this reason.
    pub fn allow_as(reason: Reason) -> Self {
        Self::Decided(Decision::allow(reason))
    }

    /// Refused.
    pub fn deny(denial: Denial) -> Self {
        Self::Decided(Decision::deny(denial))
    }

    /// The same, and what is decided in the end goes through `change` first. What cannot be taken is refused without it.
    pub fn changed(self, change: impl Fn(Decision) -> Decision + Clone + Send + 'static) -> Self
    where
        C: 'static,
    {
        match self {
            Self::Decided(decision) => Self::Decided(change(decision)),
            Self::Claim(Claims { claims, is_dry_run, then }) => {
                Self::Claim(Claims::new(claims, is_dry_run, move |gains, snapshot, now| change(then(gains, snapshot, now))))
            }
            Self::Ask(Ask { questions, settle }) => {
                Self::Ask(Ask::then(questions, move |answers, snapshot, now| settle(answers, snapshot, now).changed(change)))
            }
        }
    }

    /// The decision where there is no one to ask, and nothing is taken.
    pub fn unasked(self, snapshot: &C::Snapshot<'_>, now: Timestamp) -> Decision {
        match self {
            Self::Decided(decision) => decision,
            Self::Claim(claims) => claims.settle(Vec::new(), snapshot, now),
            Self::Ask(ask) => {
                let nobody = ask.questions.iter().map(|_| Answer::nobody()).collect();
                ask.settle(nobody, snapshot, now).unasked(snapshot, now)
            }
        }
    }
}

impl Denial {
    /// The object cannot be read: 400.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest", message: message.into(), retry_after: None, grounds: Reason::Unreadable }
    }

    /// The object breaks rules of its kind: 422. (The reference says 500, which some clients try again for ever.)
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: 422, reason: "Invalid", message: message.into(), retry_after: None, grounds: Reason::Validation }
    }

    /// Not now, but perhaps after so many seconds: 429, on which whoever evicts tries again.
    pub fn later(message: impl Into<String>, seconds: u32) -> Self {
        Self { code: 429, reason: "TooManyRequests", message: message.into(), retry_after: Some(seconds), grounds: Reason::Unsettled }
    }

    /// The object may not be what it would become: 403. (The reference says 500, which some clients try again for ever.)
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { code: 403, reason: "Forbidden", message: message.into(), retry_after: None, grounds: Reason::Validation }
    }

    /// The same, for this reason.
    #[must_use]
    pub fn because(self, grounds: Reason) -> Self {
        Self { grounds, ..self }
    }
}
