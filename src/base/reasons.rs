//! Why a decision came out as it did, said while it is made.
//!
//! Deciding functions report each step to a [`Reasons`]. The server passes `()`, which compiles to nothing; `inject --why`
//! and tests pass a [`Vec`] and read it.

/// Where a deciding function says why.
pub trait Reasons {
    /// Whether to look at all objects that could matter, also at those that an index rules out.
    const WANTS_ALL: bool;

    /// `subject` is the object that the step is about; `reason` is only called by a sink that keeps it.
    fn say(&mut self, subject: &str, reason: impl FnOnce() -> String);
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Name of the object that the step is about.
    pub subject: String,
    /// What was found, as a clause.
    pub text: String,
}

impl Reasons for () {
    const WANTS_ALL: bool = false;

    #[inline]
    fn say(&mut self, _: &str, _: impl FnOnce() -> String) {}
}

impl Reasons for Vec<Reason> {
    const WANTS_ALL: bool = true;

    fn say(&mut self, subject: &str, reason: impl FnOnce() -> String) {
        self.push(Reason { subject: subject.to_owned(), text: reason() });
    }
}
