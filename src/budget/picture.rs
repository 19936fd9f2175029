//! What the reconciler of a budget looks at, taken from the picture of the cluster at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{index::Budget, subject::Subject};
use crate::base::workload::{Owner, Workload};

/// A workload without the version by which somebody named it: group, kind and name.
pub type Coordinates = [Arc<str>; 3];

/// Everything that a plan is made from. The budget is of the same moment as the pods: whatever was taken from it later has a later
/// version, and the status that is written on this one is refused.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The budget.
    pub budget: Arc<Budget>,
    /// All budgets of its namespace, by name.
    pub budgets: Vec<Arc<Budget>>,
    /// The pods that may count. With a selector, those that match it; with a target, those below it, and if its kind is not mirrored
    /// all of the namespace.
    pub families: Vec<Family>,
    /// Workloads that make pods which match the selector, each with those above it.
    pub templates: Vec<Vec<Ancestor>>,
    /// The workload that is named.
    pub target: Option<Ancestor>,
    /// Those of the pods that the status records which are known.
    pub recorded: BTreeMap<Arc<str>, Arc<Subject>>,
    /// What the API server says of workloads that are not mirrored.
    pub scales: BTreeMap<Coordinates, Scale>,
    /// Pods of which the picture is behind: they go or have gone, by what the API server says.
    pub behind: BTreeSet<Arc<str>>,
}

/// Pods of one controller.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// From the controller upwards; empty for pods that have none.
    pub ancestors: Vec<Ancestor>,
    /// In order of their names.
    pub pods: Vec<Arc<Subject>>,
}

/// A workload that others belong to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ancestor {
    /// How it is named.
    pub owner: Owner,
    /// What is known of it.
    pub workload: Option<Arc<Workload>>,
    /// All workloads of its kind are known: one that is not does not exist.
    pub is_mirrored: bool,
}

/// What the API server says of the scale of a workload.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// It has one.
    Found(Arc<Workload>),
    /// There is no such object.
    Missing,
    /// There is no such kind.
    UnknownKind,
    /// Objects of its kind have none.
    NoScale,
    /// It may not be read.
    Forbidden,
    /// Nobody knows at the moment.
    Unanswered(String),
}

/// Whether a workload is there, as far as known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing<'p> {
    /// It is, and says how many pods it should have.
    Lives(&'p Workload),
    /// It is not, or not for long.
    Gone,
    /// How many pods it should have cannot be learnt.
    Unlearnt(&'p Scale),
    /// It has yet to be asked for.
    Pending,
}

impl Owner {
    /// Which object is meant, whatever the version.
    pub fn coordinates(&self) -> Coordinates {
        [Arc::clone(&self.group), Arc::clone(&self.kind), Arc::clone(&self.name)]
    }
}

impl Picture {
    /// Whether a workload is there.
    pub fn standing<'p>(&'p self, ancestor: &'p Ancestor) -> Standing<'p> {
        let lives = |workload: &'p Workload| if workload.is_terminating { Standing::Gone } else { Standing::Lives(workload) };
        if let Some(workload) = &ancestor.workload {
            return lives(workload);
        }
        if ancestor.is_mirrored {
            return Standing::Gone;
        }
        match self.scales.get(&ancestor.owner.coordinates()) {
            None => Standing::Pending,
            Some(Scale::Found(workload)) if ancestor.owner.is_same(&workload.identity) => lives(workload),
            // One that was made anew under its name is another one.
            Some(Scale::Found(_) | Scale::Missing) => Standing::Gone,
            Some(unlearnt) => Standing::Unlearnt(unlearnt),
        }
    }
}
