//! What every reconcile returns: what is to be written, and what is to be told. Plain values; `cluster::apply` carries them out.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::SignedDuration;
use serde_json::Value;

/// An object that is reconciled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A SidecarSet, by name.
    SidecarSet(Arc<str>),
    /// A PodUnavailableBudget.
    Budget {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// A WorkloadSpread.
    Spread {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// A pod whose work is done while sidecars of it still run.
    Pod {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

/// What a reconcile wants done. An empty plan means that everything is as it should be.
#[derive(Debug, Default)]
#[must_use]
pub struct Plan {
    /// Done first, one after another. If one fails, nothing else of the plan is done.
    pub first: Vec<Task>,
    /// The status of the object that was reconciled; written at most once a second.
    pub status: Option<Patch>,
    /// Done then, each for itself: one that fails stops no other.
    pub each: Vec<Task>,
    /// To be told, unless it was told already.
    pub events: Vec<Event>,
    /// How many claims were given and not used in time, as the status says when it is written.
    pub lapsed: usize,
    /// After how long the object is to be looked at again, if nothing happens before.
    pub again: Option<SignedDuration>,
}

/// A request, and what is told when it is answered.
#[derive(Debug)]
pub struct Task {
    /// The request.
    pub action: Action,
    /// Told when it succeeds.
    pub done: Option<Event>,
    /// Told, with the reason, when it is refused.
    pub failed: Option<Event>,
}

impl Task {
    /// A request of which nothing is told.
    pub const fn of(action: Action) -> Self {
        Self { action, done: None, failed: None }
    }
}

/// One request to the API server.
#[derive(Debug)]
pub enum Action {
    /// A new object.
    Create {
        /// Where.
        target: Target,
        /// The whole object.
        body: Value,
    },
    /// A change.
    Patch(Patch),
    /// A change that depends on annotations that are not mirrored: they are read first.
    Compose {
        /// The object, by its own name and version.
        target: Target,
        /// The version of the object that the plan was made from; if it has changed, the plan is made again.
        resource_version: String,
        /// Makes the patch of the object's annotations, or says why there is none.
        body: Compose,
    },
    /// A deletion, of this version of the object only.
    Delete {
        /// The object.
        target: Target,
        /// Its version.
        resource_version: String,
    },
}

/// Makes a patch of annotations.
pub struct Compose(pub Arc<FromAnnotations>);

/// The body of a patch from an object's annotations, or why there is none.
pub type FromAnnotations = dyn Fn(&BTreeMap<String, String>) -> Result<Value, String> + Send + Sync;

impl fmt::Debug for Compose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compose")
    }
}

/// A change of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// The object.
    pub target: Target,
    /// Its subresource; empty for the object itself.
    pub sub_resource: &'static str,
    /// How the body is to be understood.
    pub form: Form,
    /// The changed members. With `metadata.resourceVersion` it is refused if the object has changed since.
    pub body: Value,
}

/// How the body of a patch is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RFC 7396: lists are replaced.
    Merge,
    /// Lists of named items are merged by name; only for Kubernetes' own kinds.
    Strategic,
}

/// An object of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What tells it from an earlier object of its name; empty if that does not matter.
    pub uid: String,
}

/// A kind of objects, by its coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group, empty for the core one.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// The kind's own name.
    pub kind: &'static str,
    /// The resource, as it stands in paths.
    pub plural: &'static str,
}

impl Kind {
    /// Pods.
    pub const POD: Self = Self { group: "", version: "v1", kind: "Pod", plural: "pods" };
    /// The history of objects.
    pub const CONTROLLER_REVISION: Self = Self { group: "apps", version: "v1", kind: "ControllerRevision", plural: "controllerrevisions" };
    /// Nodes.
    pub const NODE: Self = Self { group: "", version: "v1", kind: "Node", plural: "nodes" };
    /// What asks the agent of a node to end containers.
    pub const CONTAINER_RECREATE_REQUEST: Self =
        Self { group: "apps.kruise.io", version: "v1alpha1", kind: "ContainerRecreateRequest", plural: "containerrecreaterequests" };
    /// SidecarSets.
    pub const SIDECAR_SET: Self = Self { group: "apps.kruise.io", version: "v1beta1", kind: "SidecarSet", plural: "sidecarsets" };

    /// Budgets of unavailable pods.
    pub const BUDGET: Self =
        Self { group: "policy.kruise.io", version: "v1beta1", kind: "PodUnavailableBudget", plural: "podunavailablebudgets" };

    /// Spreads of workloads.
    pub const SPREAD: Self = Self { group: "apps.kruise.io", version: "v1beta1", kind: "WorkloadSpread", plural: "workloadspreads" };

    /// `group/version`, or the version alone for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Who tells events: the names of the reference's controllers, by which they are looked for.
pub mod reporter {
    /// Of SidecarSets and their pods.
    pub const SIDECAR_SETS: &str = "sidecarset-controller";
    /// Of budgets.
    pub const BUDGETS: &str = "podunavailablebudget-controller";
    /// Of what budgets refuse.
    pub const BUDGET_GUARD: &str = "pub-controller";
    /// Of spreads.
    pub const SPREADS: &str = "workloadspread-controller";
    /// Of sidecars that are ended.
    pub const TERMINATOR: &str = "sidecarterminator-controller";
    /// Of deletion protection.
    pub const PROTECTION: &str = "protection-controller";
}

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who tells it: one of [`reporter`].
    pub by: &'static str,
    /// The object.
    pub about: Target,
    /// Whether somebody should look at it.
    pub is_warning: bool,
    /// What happened, in a word.
    pub reason: &'static str,
    /// What happened, in a sentence.
    pub note: String,
}

impl Plan {
    /// Whether nothing is to be written.
    pub fn is_done(&self) -> bool {
        self.first.is_empty() && self.status.is_none() && self.each.is_empty()
    }
}
