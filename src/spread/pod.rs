//! A pod as spreads see it, kept small.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    keys::{DELETION_COST, MATCHED},
    mark::Mark,
};
use crate::base::{
    interned::Interner,
    observed::{Phase, SharedLabels, Wire, is_newer},
    workload::Owner,
};

/// A pod that a spread may have placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What tells it from an earlier pod of its name.
    pub uid: Arc<str>,
    /// The version of the object that this was read from.
    pub resource_version: Box<str>,
    /// Its labels.
    pub labels: SharedLabels,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whose it is.
    pub controller: Option<Arc<Owner>>,
    /// What it says of its place.
    pub mark: Option<Mark>,
    /// It is being deleted.
    pub is_terminating: bool,
    /// How far it has come.
    pub phase: Phase,
    /// The node that it is on.
    pub node: Option<Arc<str>>,
    /// The scheduler has found no node for it.
    pub is_unschedulable: bool,
    /// Since when it is ready; `None` if it is not.
    pub ready_since: Option<Timestamp>,
    /// It is ready.
    pub is_ready: bool,
    /// How often a container of it was restarted, of the one that was most often.
    pub restarts: i32,
    /// How dear it says it is.
    pub cost: Option<Box<str>>,
}

impl Pod {
    /// Whether it is neither finished nor on its way out.
    pub fn is_active(&self) -> bool {
        !self.is_terminating && !matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether this is what a later version of the object said.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.uid != other.uid || is_newer(&self.resource_version, &other.resource_version)
    }

    /// Whether two versions of a pod differ in nothing that spreads look at.
    pub fn is_same_to_spreads(&self, other: &Self) -> bool {
        *self == Self { resource_version: self.resource_version.clone(), ..other.clone() }
    }

    /// Reads a pod.
    pub fn read(pod: &Wire, interner: &mut Interner) -> Self {
        let metadata = &pod.metadata;
        let scheduled = pod.condition("PodScheduled");
        let ready = pod.condition("Ready").filter(|ready| ready.status == "True");
        let shared = |mark: Mark, interner: &mut Interner| Mark {
            spread: interner.of(&mark.spread),
            subset: interner.of(&mark.subset),
            uid: mark.uid,
        };
        Self {
            namespace: interner.of(metadata.namespace.as_deref().unwrap_or_default()),
            name: metadata.name.as_deref().unwrap_or_default().into(),
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            resource_version: metadata.resource_version.as_deref().unwrap_or_default().into(),
            labels: SharedLabels::of(metadata.labels.iter().flatten(), interner),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            controller: Owner::controller(metadata.owner_references.as_deref().unwrap_or_default(), interner).map(Arc::new),
            mark: pod.annotation(MATCHED).and_then(Mark::read).map(|mark| shared(mark, interner)),
            is_terminating: metadata.deletion_timestamp.is_some(),
            phase: pod.phase(),
            node: Some(pod.node()).filter(|node| !node.is_empty()).map(|node| interner.of(node)),
            is_unschedulable: scheduled.is_some_and(|scheduled| scheduled.status == "False" && scheduled.reason == "Unschedulable"),
            is_ready: ready.is_some(),
            ready_since: ready.and_then(|ready| ready.last_transition_time),
            restarts: pod.most_restarts(),
            cost: pod.annotation(DELETION_COST).map(Into::into),
        }
    }
}

/// Under what a pod was noted when it was given its place: the id that it carries, or else its name.
pub fn note_key(pod: &Pod) -> Arc<str> {
    let id = pod.mark.as_ref().map(|mark| &mark.uid).filter(|uid| !uid.is_empty());
    Arc::clone(id.unwrap_or(&pod.name))
}

/// The revision that a pod is counted under, by its labels; [`NO_REVISION`](super::keys::NO_REVISION) if its owners have none that count.
/// (reference: `workloadspread.md` §4.4)
pub fn revision<'l>(labels: &'l impl crate::base::selector::Labels, controller: Option<&Owner>) -> &'l str {
    let has_revisions =
        controller.is_some_and(|owner| owner.kind.eq_ignore_ascii_case("Deployment") || owner.kind.eq_ignore_ascii_case("ReplicaSet"));
    let hash = || labels.label("pod-template-hash").filter(|hash| !hash.is_empty());
    let end = || labels.label("controller-revision-hash").map(|name| name.rsplit_once('-').map_or(name, |(_, end)| end));
    if has_revisions { hash().or_else(end) } else { None }.unwrap_or(super::keys::NO_REVISION)
}
