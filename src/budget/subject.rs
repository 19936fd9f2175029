//! A pod as budgets see it, kept small: every pod of the cluster is kept.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    available,
    keys::{MIRROR, NO_PROTECT, RELATED, RELATED_OLD},
};
use crate::base::{
    interned::Interner,
    observed::{SharedLabels, Wire, is_newer},
    workload::Owner,
};

/// By how many seconds clocks of servers and of the API server may differ.
pub const CLOCKS_DIFFER_BY: i64 = 2;

/// A pod that budgets may guard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Subject {
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
    /// The budget that it is linked to.
    pub link: Option<Arc<str>>,
    /// Only the older annotation says what it is linked to.
    pub is_link_old: bool,
    /// Neither finished nor being deleted.
    pub is_active: bool,
    /// It is being deleted.
    pub is_terminating: bool,
    /// Ready, in service, and not in the middle of a change.
    pub is_available: bool,
    /// Its annotations say that no budget guards it.
    pub is_exempt: bool,
    /// It shows what a file of its node says: the kubelet runs it, whatever becomes of the object.
    pub is_mirror: bool,
    /// The kubelet has seen its present spec, as far as it says.
    pub is_observed: bool,
    /// The scheduler wants its place for one that is more important.
    pub is_preempted: bool,
}

impl Subject {
    /// Reads a pod.
    pub fn read(pod: &Wire, interner: &mut Interner) -> Self {
        let metadata = &pod.metadata;
        let link = [RELATED, RELATED_OLD].into_iter().filter_map(|key| pod.annotation(key)).find(|name| !name.is_empty());
        let is_link_old = link.is_some() && pod.annotation(RELATED).is_none_or(str::is_empty);
        let preempted = pod.condition("DisruptionTarget").filter(|target| target.status == "True");
        Self {
            namespace: interner.of(metadata.namespace.as_deref().unwrap_or_default()),
            name: metadata.name.as_deref().unwrap_or_default().into(),
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            resource_version: metadata.resource_version.as_deref().unwrap_or_default().into(),
            labels: SharedLabels::of(metadata.labels.iter().flatten(), interner),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            controller: Owner::controller(metadata.owner_references.as_deref().unwrap_or_default(), interner).map(Arc::new),
            link: link.map(|name| interner.of(name)),
            is_link_old,
            is_active: available::is_active(pod),
            is_terminating: metadata.deletion_timestamp.is_some(),
            is_available: available::is_available(pod),
            is_exempt: pod.annotation(NO_PROTECT).is_some_and(is_true),
            is_mirror: pod.annotation(MIRROR).is_some(),
            is_observed: pod.is_observed(),
            is_preempted: preempted.is_some_and(|target| target.reason == "PreemptionByScheduler"),
        }
    }

    /// Whether this is what a later version of the object said.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        is_newer(&self.resource_version, &other.resource_version)
    }

    /// Whether two versions of a pod differ in nothing that budgets look at.
    pub fn is_same_to_budgets(&self, other: &Self) -> bool {
        *self == Self { resource_version: self.resource_version.clone(), ..other.clone() }
    }

    /// Whether this pod is not the one of its name for which a disruption was admitted then, but came later. Times have no fractions of
    /// seconds, and are of two clocks: if it may have been there already, it counts as the same.
    pub fn came_after(&self, admitted: Timestamp) -> bool {
        self.created.is_some_and(|created| created.as_second() > admitted.as_second().saturating_add(CLOCKS_DIFFER_BY))
    }
}

/// What Go's decoder of truth values takes for true.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}
