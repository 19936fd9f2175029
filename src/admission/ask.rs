//! Facts that a decision needs and that are not mirrored: a question, and the decision as a function of its answer.
//!
//! Both ends are pure. Whoever drives the handler puts the question to an API server, or says that there is none.

use std::fmt;

use serde_json::Value;

use super::verdict::Decision;

/// What an API server is asked. A question is answered by one request, and changes nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Question {
    /// What it has against this pod, were it made in our own namespace.
    DryRunPod(Value),
}

/// What was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is nothing against it, as far as can be told.
    Good,
    /// It is not valid, for these reasons; never empty.
    Invalid(Vec<Cause>),
    /// Nobody answered; why, in a few words.
    Unknown(String),
}

impl Answer {
    /// There is no cluster, or nobody who asks it.
    pub fn nobody() -> Self {
        Self::Unknown("there is no API server to ask".to_owned())
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Path of the field in the object that was asked about.
    pub field: String,
    /// The API server's words.
    pub message: String,
}

type Settle = Box<dyn FnOnce(Answer) -> Decision + Send>;

/// A decision that waits for an answer.
#[must_use]
pub struct Ask {
    /// What has to be known.
    pub question: Question,
    settle: Settle,
}

impl Ask {
    /// Asks; `settle` makes the decision, whatever the answer.
    pub fn new(question: Question, settle: impl FnOnce(Answer) -> Decision + Send + 'static) -> Self {
        Self { question, settle: Box::new(settle) }
    }

    /// The decision.
    pub fn settle(self, answer: Answer) -> Decision {
        (self.settle)(answer)
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("question", &self.question).finish_non_exhaustive()
    }
}
