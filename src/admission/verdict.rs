//! What a handler answers.

use super::{
    ask::{Answer, Ask},
    edits::Edits,
};

/// The answer to a review. (DESIGN §4 has one more, `Claim`; it comes with the features that need it.)
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// Nothing more has to be asked or written.
    Decided(Decision),
    /// The decision needs a fact that is not mirrored.
    Ask(Ask),
}

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
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Allow(Edits::default())
    }
}

impl Verdict {
    /// Admitted as it is.
    pub fn allow() -> Self {
        Self::Decided(Decision::default())
    }

    /// Refused.
    pub fn deny(denial: Denial) -> Self {
        Self::Decided(Decision { outcome: Outcome::Deny(denial), ..Decision::default() })
    }

    /// The decision where there is no one to ask.
    pub fn unasked(self) -> Decision {
        match self {
            Self::Decided(decision) => decision,
            Self::Ask(ask) => ask.settle(Answer::nobody()),
        }
    }
}

impl Denial {
    /// The object cannot be read: 400.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest", message: message.into() }
    }

    /// The object breaks rules of its kind: 422. (The reference says 500, which some clients try again for ever.)
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: 422, reason: "Invalid", message: message.into() }
    }

    /// The object may not be what it would become: 403. (The reference says 500, which some clients try again for ever.)
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { code: 403, reason: "Forbidden", message: message.into() }
    }
}
