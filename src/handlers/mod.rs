//! What is done about which review: the only room that knows several features. Pure.
//!
//! The table below says which request of the API server is answered under which path, by which function, and what the
//! server is told to do when no answer comes. The webhook configurations are rendered from it, so that what is registered
//! is what is served.

pub mod pod;
pub mod readiness_gate;

use jiff::Timestamp;

use crate::{
    admission::{review::Request, verdict::Verdict},
    state::Snapshot,
};

/// Decides a review on what is known at this moment.
pub type Handler = fn(&Request<'_>, &Snapshot<'_>, Timestamp) -> Verdict;

/// The label that keeps a pod, or all pods of a namespace, away from the hooks that would change it.
pub const OPT_OUT_LABEL: &str = "outrigger.kruise.io/inject";
/// The value of [`OPT_OUT_LABEL`] that does so.
pub const OPT_OUT_VALUE: &str = "disabled";

/// One hook.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Where the API server sends the review.
    pub path: &'static str,
    /// The hook's name in the webhook configuration and in the API server's metrics; a domain name of three labels.
    pub name: &'static str,
    /// Whether the answer may change the object.
    pub mutates: bool,
    /// API group of the resources; empty for the core group.
    pub group: &'static str,
    /// Versions of the resources.
    pub versions: &'static [&'static str],
    /// Resources, as `pods` or `pods/eviction`.
    pub resources: &'static [&'static str],
    /// `CREATE`, `UPDATE`, `DELETE`.
    pub operations: &'static [&'static str],
    /// Whose requests are sent.
    pub scope: Scope,
    /// What becomes of a request when no answer comes.
    pub unanswered: Unanswered,
    /// How long the API server waits.
    pub timeout_seconds: i32,
    /// What answering changes outside the object.
    pub side_effects: SideEffects,
    /// Whether the API server asks again when a later hook changed the object.
    pub asked_again: bool,
    /// Who answers.
    pub handler: Handler,
}

/// Whose requests reach a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everyone's.
    Everything,
    /// All but those of our own namespace and of `kube-system`, which must come up without us, and of namespaces and
    /// objects with [`OPT_OUT_LABEL`].
    Ordinary,
}

/// What the API server does when a hook does not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Goes on without it, unless the manifests are rendered strict.
    Admit,
    /// Refuses the request.
    Refuse,
}

/// What answering a review changes outside the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideEffects {
    /// Nothing.
    Never,
    /// A claim may be written, but not in a dry run.
    UnlessDryRun,
}

/// All hooks.
pub const TABLE: &[Registration] = &[Registration {
    path: "/mutate-pod",
    name: "mpod.outrigger.kruise.io",
    mutates: true,
    group: "",
    versions: &["v1"],
    resources: &["pods"],
    operations: &["CREATE"],
    scope: Scope::Ordinary,
    // A pod without its sidecar can be found and repaired; a cluster without pods cannot.
    unanswered: Unanswered::Admit,
    timeout_seconds: 3,
    side_effects: SideEffects::Never,
    asked_again: true,
    handler: pod::mutate,
}];

/// Who would be asked about this request; `None` if the API server would ask nobody.
pub fn of(request: &Request<'_>) -> Option<Handler> {
    let resource = &request.resource;
    let name = if request.sub_resource.is_empty() {
        resource.resource.to_string()
    } else {
        format!("{}/{}", resource.resource, request.sub_resource)
    };
    let is_for = |hook: &&Registration| {
        hook.group == resource.group
            && hook.versions.contains(&resource.version.as_ref())
            && hook.resources.contains(&name.as_str())
            && hook.operations.contains(&request.operation.as_ref())
    };
    TABLE.iter().find(is_for).map(|hook| hook.handler)
}
