//! What is done about which review: the only room that knows several features. Pure.
//!
//! The table below says which request of the API server is answered under which path, by which function, and what the
//! server is told to do when no answer comes. The webhook configurations are rendered from it, so that what is registered
//! is what is served.

pub mod budget_link;
pub mod budgets;
pub mod convert;
pub mod delete;
pub mod guard;
pub mod objects;
pub mod place;
pub mod pod;
pub mod readiness_gate;
pub mod shadow;
pub mod spreads;
mod told;

use jiff::Timestamp;

use crate::{
    admission::{ask, claim::Claimable, review::Request, verdict},
    budget::guard::Take,
    spread::claim,
    state::Snapshot,
};

/// What may be claimed.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// A unit of a PodUnavailableBudget.
    Budget(Take),
    /// A place in a subset of a WorkloadSpread, or that one is given back.
    Spread(claim::Take),
}

/// What was got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gain {
    /// What was claimed, of which nothing more is to be said.
    Unit,
    /// A place in a subset; `None` if the pod goes through as it is.
    Place(Option<claim::Place>),
    /// Nobody could tell whether there is a place, and why.
    Unsettled(String),
}

impl Claimable for Claim {
    type Gain = Gain;
    type Snapshot<'s> = Snapshot<'s>;
}

/// The answer of a handler.
pub type Verdict = verdict::Verdict<Claim>;
/// The questions of a handler.
pub type Ask = ask::Ask<Claim>;
/// What has to be taken before a request may pass.
pub type Claims = verdict::Claims<Claim>;

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
    /// All but those of our own namespace and of `kube-system`, and only pods that are linked to a budget.
    Guarded,
    /// All but those of our own namespace and of `kube-system`, and only pods that a spread has placed and that are linked to no budget.
    Placed,
    /// All but those of our own namespace and of `kube-system`.
    Elsewhere,
    /// All but those of our own namespace and of `kube-system`, which must come up without us, and of namespaces and
    /// objects with [`OPT_OUT_LABEL`].
    Ordinary,
    /// Those about objects with the label of deletion protection, whatever its value.
    Protected,
}

/// What the API server does when a hook does not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Goes on without it, unless the manifests are rendered strict.
    Admit,
    /// Goes on without it, however the manifests are rendered.
    LetGo,
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
pub const TABLE: &[Registration] = &[
    Registration {
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
        // A place in a subset.
        side_effects: SideEffects::UnlessDryRun,
        asked_again: true,
        handler: pod::mutate,
    },
    Registration {
        path: "/mutate-apps-kruise-io-sidecarset",
        name: "msidecarset.outrigger.kruise.io",
        mutates: true,
        // Whatever a later hook changes has to be in the hashes.
        asked_again: true,
        handler: objects::mutate,
        ..SIDECAR_SETS
    },
    Registration {
        path: "/validate-apps-kruise-io-sidecarset",
        name: "vsidecarset.outrigger.kruise.io",
        handler: objects::validate,
        ..SIDECAR_SETS
    },
    Registration { name: "vpod.outrigger.kruise.io", resources: &["pods", "pods/resize"], operations: &["UPDATE", "DELETE"], ..GUARD },
    Registration {
        name: "vpodplace.outrigger.kruise.io",
        resources: &["pods"],
        operations: &["DELETE"],
        scope: Scope::Placed,
        // A place that is not given back is found free by the reconciler a moment later.
        unanswered: Unanswered::LetGo,
        timeout_seconds: 3,
        ..GUARD
    },
    Registration {
        // The path under which the reference judges evictions is served as well, but not registered for them.
        path: "/mutate-pod-eviction",
        name: "mpodeviction.outrigger.kruise.io",
        mutates: true,
        resources: &["pods/eviction"],
        operations: &["CREATE"],
        // The review does not show the pod.
        scope: Scope::Elsewhere,
        // Where there are budgets, what is not marked by the answer is refused by a policy (see `manifests`).
        unanswered: Unanswered::LetGo,
        handler: guard::mark_eviction,
        ..GUARD
    },
    Registration {
        path: "/validate-policy-kruise-io-podunavailablebudget",
        name: "vpodunavailablebudget.outrigger.kruise.io",
        group: "policy.kruise.io",
        resources: &["podunavailablebudgets"],
        handler: budgets::validate,
        // A budget that cannot be understood guards nothing, and its author would not know.
        ..SIDECAR_SETS
    },
    Registration {
        path: "/validate-apps-kruise-io-workloadspread",
        name: "vworkloadspread.outrigger.kruise.io",
        resources: &["workloadspreads"],
        // Two questions are asked one after the other.
        timeout_seconds: 10,
        handler: spreads::validate,
        // A spread that cannot be understood places nothing, and its author would not know.
        ..SIDECAR_SETS
    },
    Registration { path: "/validate-namespace", name: "vnamespace.outrigger.kruise.io", resources: &["namespaces"], ..PROTECTED },
    Registration { path: "/validate-service", name: "vservice.outrigger.kruise.io", resources: &["services"], ..PROTECTED },
    Registration {
        path: "/validate-persistentvolumeclaim",
        name: "vpersistentvolumeclaim.outrigger.kruise.io",
        resources: &["persistentvolumeclaims"],
        ..PROTECTED
    },
    Registration {
        path: "/validate-customresourcedefinition",
        name: "vcustomresourcedefinition.outrigger.kruise.io",
        group: "apiextensions.k8s.io",
        versions: &["v1", "v1beta1"],
        resources: &["customresourcedefinitions"],
        ..PROTECTED
    },
    Registration {
        path: "/validate-ingress",
        name: "vingress.outrigger.kruise.io",
        group: "networking.k8s.io",
        versions: &["v1", "v1beta1"],
        resources: &["ingresses"],
        ..PROTECTED
    },
    Registration {
        path: "/validate-apps-deployment",
        name: "vdeployment.outrigger.kruise.io",
        group: "apps",
        resources: &["deployments"],
        ..PROTECTED
    },
    Registration {
        path: "/validate-apps-replicaset",
        name: "vreplicaset.outrigger.kruise.io",
        group: "apps",
        resources: &["replicasets"],
        ..PROTECTED
    },
    Registration {
        path: "/validate-apps-statefulset",
        name: "vstatefulset.outrigger.kruise.io",
        group: "apps",
        resources: &["statefulsets"],
        ..PROTECTED
    },
    Registration {
        path: "/validate-apps-kruise-io-cloneset",
        name: "vcloneset.outrigger.kruise.io",
        resources: &["clonesets"],
        ..PROTECTED_BY_KRUISE
    },
    Registration {
        path: "/validate-apps-kruise-io-statefulset",
        name: "vadvancedstatefulset.outrigger.kruise.io",
        resources: &["statefulsets"],
        ..PROTECTED_BY_KRUISE
    },
    Registration {
        path: "/validate-apps-kruise-io-uniteddeployment",
        name: "vuniteddeployment.outrigger.kruise.io",
        resources: &["uniteddeployments"],
        ..PROTECTED_BY_KRUISE
    },
];

/// What the hooks that guard pods have in common.
const GUARD: Registration = Registration {
    path: "/validate-pod",
    name: "",
    mutates: false,
    group: "",
    versions: &["v1"],
    resources: &[],
    operations: &[],
    scope: Scope::Guarded,
    // Only what is guarded can be held up; an unguarded drain is what a budget exists to stop.
    unanswered: Unanswered::Refuse,
    timeout_seconds: 5,
    side_effects: SideEffects::UnlessDryRun,
    asked_again: false,
    handler: guard::validate,
};

/// What the hooks of deletion protection have in common: only what is labelled can ever be held up.
const PROTECTED: Registration = Registration {
    path: "",
    name: "",
    mutates: false,
    group: "",
    versions: &["v1"],
    resources: &[],
    operations: &["DELETE"],
    scope: Scope::Protected,
    // What is gone does not come back.
    unanswered: Unanswered::Refuse,
    timeout_seconds: 5,
    side_effects: SideEffects::Never,
    asked_again: false,
    handler: delete::validate,
};

/// The same for workloads of the reference.
const PROTECTED_BY_KRUISE: Registration = Registration { group: "apps.kruise.io", versions: &["v1alpha1", "v1beta1"], ..PROTECTED };

/// What the hooks of the SidecarSet object have in common. Each is registered for both versions, so it is asked in the one that
/// the client wrote.
const SIDECAR_SETS: Registration = Registration {
    path: "",
    name: "",
    mutates: false,
    group: "apps.kruise.io",
    versions: &["v1alpha1", "v1beta1"],
    resources: &["sidecarsets"],
    operations: &["CREATE", "UPDATE"],
    scope: Scope::Everything,
    // A set without defaults and hashes, or one that breaks every pod, does lasting harm.
    unanswered: Unanswered::Refuse,
    timeout_seconds: 5,
    side_effects: SideEffects::Never,
    asked_again: false,
    handler: |_, _, _| Verdict::allow(),
};

/// The hooks that the API server asks about this request, in its order: first those that change the object, then those that
/// judge what became of it.
pub fn of(request: &Request<'_>) -> impl Iterator<Item = &'static Registration> {
    let resource = &request.resource;
    let name = if request.sub_resource.is_empty() {
        resource.resource.to_string()
    } else {
        format!("{}/{}", resource.resource, request.sub_resource)
    };
    let is_for = |hook: &&'static Registration| {
        hook.group == resource.group
            && hook.versions.contains(&resource.version.as_ref())
            && hook.resources.contains(&name.as_str())
            && hook.operations.contains(&request.operation.as_ref())
    };
    let (mutating, judging): (Vec<_>, Vec<_>) = TABLE.iter().filter(is_for).partition(|hook| hook.mutates);
    mutating.into_iter().chain(judging)
}
