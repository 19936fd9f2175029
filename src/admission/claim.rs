//! Taking something of which there is only so much, and which all replicas share: a unit of a budget, a place in a subset.
//!
//! What is taken stands in one object of the API server, and is taken by writing that object in the version that was read. So a claim
//! is a pure function of the object: all claims that wait for one object are folded over it and written at once, and folded again over
//! a newer one if somebody else was first.

use jiff::Timestamp;

use super::verdict::Denial;

/// What has to be taken of one object before a request may pass.
pub trait Claim {
    /// The object, as far as claims look at it.
    type Object;

    /// Takes its part of the object, or says why not. The object is left as it is unless something was taken.
    fn take(&self, object: &mut Self::Object, now: Timestamp) -> Taken;

    /// Gives back what this claim took, if it still is there. Says whether the object was changed.
    fn give_back(&self, object: &mut Self::Object) -> bool;
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The request may pass without.
    Needless,
    /// The request may pass as soon as the changed object is stored.
    Taken,
    /// There is nothing left to be taken.
    Refused(Denial),
}
