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
    /// What one has of it.
    type Gain;

    /// Takes its part of the object, or says why not. The object is left as it is unless something was taken. Taking once more what was
    /// taken already costs nothing, so that a claim whose answer was lost can be made again.
    fn take(&self, object: &mut Self::Object, now: Timestamp) -> Taken<Self::Gain>;
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken<G> {
    /// The request may pass without a change of the object, if this is how the object is stored at this moment.
    Needless(G),
    /// The object says that it was taken before: whatever has happened to it since, the request may pass.
    Held(G),
    /// The request may pass as soon as the changed object is stored.
    Taken(G),
    /// What the claim was made from does not hold for the object any more: whoever made it has to look again.
    Stale,
    /// There is nothing left to be taken.
    Refused(Denial),
}

/// A claim that waits for its object.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'c, C> {
    /// What is claimed.
    pub claim: &'c C,
    /// Whether it could be taken is to be found out, but nothing is to be taken.
    pub is_trial: bool,
}

/// Lets all that wait take their part of the object, in their order; gives what became of each. The object has changed if something
/// was taken that was no trial: then it has to be stored before any of these requests may pass.
pub fn fold<'c, C: Claim + 'c>(
    object: &mut C::Object,
    waiting: impl IntoIterator<Item = Waiting<'c, C>>,
    now: Timestamp,
) -> Vec<Taken<C::Gain>>
where
    C::Object: Clone,
{
    let take = |Waiting { claim, is_trial }: Waiting<'c, C>| {
        if is_trial { claim.take(&mut object.clone(), now) } else { claim.take(object, now) }
    };
    waiting.into_iter().map(take).collect()
}

/// What may be claimed in all, and what a handler looks at when it goes on with what it has got.
pub trait Claimable: 'static {
    /// What one has of a claim.
    type Gain;
    /// What is known when it goes on.
    type Snapshot<'s>;
}
