//! Facts that a decision needs and that are not mirrored: a few questions, and the verdict as a function of their answers.
//!
//! Both ends are pure. Whoever drives the handler puts the question to an API server, or says that there is none.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use super::{claim::Claimable, verdict::Verdict};
use crate::base::selector::Selector;

/// What an API server is asked. A question is answered by one request, and changes nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Question {
    /// What it has against this pod, were it made in our own namespace.
    DryRunPod(Value),
    /// How many there are of these.
    HowMany(Listing),
    /// This object, as it is at this moment, in whatever version is served.
    Object {
        /// API group, empty for the core one.
        group: String,
        /// Its kind.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// This pod, as it is at this moment.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// Objects of one kind, and how they are counted. It is counted page by page, until something was found or everything was seen: a
/// small number is exact, a large one is a lower bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// API group, empty for the core one.
    pub group: String,
    /// A version that is served.
    pub version: String,
    /// The resource, as it stands in paths.
    pub plural: String,
    /// The kind's own name.
    pub kind: String,
    /// Where; everywhere if it is empty.
    pub namespace: String,
    /// Which labels they have.
    pub labels: Selector,
    /// Fields that they do not have with these values, as `status.phase` and `Failed`.
    pub unlike: &'static [(&'static str, &'static str)],
    /// What each of them counts for.
    pub count: Count,
}

/// What an object counts for.
#[derive(Clone)]
pub struct Count {
    /// Whether more of an object is looked at than its metadata.
    pub is_of_content: bool,
    of: Arc<dyn Fn(&Value) -> u64 + Send + Sync>,
}

impl Count {
    /// Looks at metadata alone: that is all there is of an object.
    pub fn by_metadata(of: impl Fn(&Value) -> u64 + Send + Sync + 'static) -> Self {
        Self { is_of_content: false, of: Arc::new(of) }
    }

    /// Looks at whole objects.
    pub fn by_content(of: impl Fn(&Value) -> u64 + Send + Sync + 'static) -> Self {
        Self { is_of_content: true, of: Arc::new(of) }
    }

    /// What this object counts for.
    pub fn of(&self, object: &Value) -> u64 {
        (self.of)(object)
    }
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Count").field("is_of_content", &self.is_of_content).finish_non_exhaustive()
    }
}

impl PartialEq for Count {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.of, &other.of)
    }
}

/// What was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is nothing against it, as far as can be told.
    Good,
    /// It is not valid, for these reasons; never empty.
    Invalid(Vec<Cause>),
    /// So many there are.
    Counted {
        /// How many were seen.
        count: u64,
        /// Whether everything was seen: there may be more otherwise.
        is_all: bool,
    },
    /// The object, as JSON.
    Found(String),
    /// There is no such object.
    Absent,
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

type Settle<C> = Box<dyn for<'s> FnOnce(Vec<Answer>, &<C as Claimable>::Snapshot<'s>, Timestamp) -> Verdict<C> + Send>;

/// A verdict that waits for answers. `C` is what may be claimed then.
#[must_use]
pub struct Ask<C: Claimable> {
    /// What has to be known; a few.
    pub questions: Vec<Question>,
    pub(super) settle: Settle<C>,
}

impl<C: Claimable> Ask<C> {
    /// Asks; `settle` gives the verdict, whatever the answers: one for each question, in their order.
    pub fn new(questions: Vec<Question>, settle: impl FnOnce(Vec<Answer>) -> Verdict<C> + Send + 'static) -> Self {
        Self::then(questions, |answers, _, _| settle(answers))
    }

    /// Asks; `settle` gives the verdict from the answers and from what is known by then.
    pub fn then(
        questions: Vec<Question>,
        settle: impl for<'s> FnOnce(Vec<Answer>, &C::Snapshot<'s>, Timestamp) -> Verdict<C> + Send + 'static,
    ) -> Self {
        Self { questions, settle: Box::new(settle) }
    }

    /// Asks one question.
    pub fn one(question: Question, settle: impl FnOnce(Answer) -> Verdict<C> + Send + 'static) -> Self {
        Self::new(vec![question], |answers| settle(answers.into_iter().next().unwrap_or_else(Answer::nobody)))
    }

    /// The verdict. An answer that is missing is one of nobody.
    pub fn settle(self, answers: Vec<Answer>, snapshot: &C::Snapshot<'_>, now: Timestamp) -> Verdict<C> {
        (self.settle)(answers, snapshot, now)
    }
}

impl<C: Claimable> fmt::Debug for Ask<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("questions", &self.questions).finish_non_exhaustive()
    }
}
