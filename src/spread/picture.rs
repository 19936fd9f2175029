//! What the reconciler of a spread looks at, taken from the picture of the cluster at one moment.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{index::Spread, pod::Pod};
use crate::base::selector::Selector;

/// Everything that a plan is made from. The spread is of the same moment as the pods: a place that was taken later is noted in a later
/// version of it, and the status that is written on this one is refused.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The spread.
    pub spread: Arc<Spread>,
    /// The pods that are its, in order of their names.
    pub pods: Vec<Arc<Pod>>,
    /// Pods that may be its: whose they are is not known to the top. The target's scale may say so.
    pub candidates: Vec<Arc<Pod>>,
    /// How many pods there should be; 0 if nobody can tell. Only percentages depend on it.
    pub total: i32,
    /// What is wrong with what was found out; told with the spread.
    pub problems: Vec<String>,
    /// The revision whose pods are to stay when others go; `None` if it is not known.
    pub current: Option<Arc<str>>,
    /// Pods that it placed and that are gone: their notes may still be there.
    pub departed: Vec<Departed>,
    /// When the last list of the pods of its namespace was begun; `None` if not all are known.
    pub listed_at: Option<Timestamp>,
    /// Where pods that nobody placed would fit, by uid. Those that were not looked at are not in it.
    pub fits: BTreeMap<Arc<str>, Vec<Fit>>,
}

/// A subset that a running pod fits in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Its index.
    pub subset: usize,
    /// How well, without regard to room.
    pub score: i64,
}

/// A pod that was placed and is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// Under what it was noted.
    pub key: Arc<str>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// What the scale of a target says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scaled {
    /// How many pods there should be.
    pub total: i32,
    /// Which they are.
    pub selector: Option<Selector>,
}

impl Picture {
    /// Takes those of the candidates in that the scale of the target selects.
    #[must_use]
    pub fn selecting(mut self, scaled: &Scaled) -> Self {
        let candidates = std::mem::take(&mut self.candidates);
        if let Some(selector) = &scaled.selector {
            self.pods.extend(candidates.into_iter().filter(|pod| selector.matches(&pod.labels)));
            self.pods.sort_by(|one, other| one.name.cmp(&other.name));
        }
        self
    }
}
