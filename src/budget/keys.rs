//! Keys under which budgets and pods speak of each other. (reference: `pub.md` §3.1)

/// Annotation of a pod: the budget that guards it.
pub const RELATED: &str = "pub.kruise.io/related-pub";
/// The older name of [`RELATED`]; written beside it, read where that is absent or empty.
pub const RELATED_OLD: &str = "kruise.io/related-pub";
/// Annotation of a pod: with a true value no budget guards it.
pub const NO_PROTECT: &str = "pub.kruise.io/no-protect";
/// How labels of a pod begin that take it out of service.
pub const UNAVAILABLE_LABEL: &str = "unavailable-pod.kruise.io/";
/// Annotation of a budget: what is guarded against, in `v1alpha1`.
pub const PROTECT_OPERATIONS: &str = "kruise.io/pub-protect-operations";
/// Annotation of a budget: how many pods there should be, in `v1alpha1`.
pub const PROTECT_TOTAL: &str = "pub.kruise.io/protect-total-replicas";
/// Annotation of a budget read as `v1alpha1`: what that version has no place for, as JSON.
pub const NEWER_FIELDS: &str = "outrigger.dev/v1beta1-fields";
/// Annotations of a pod: an update in place is under way, and the pod is not to be changed yet. The second one is the older name.
pub const IN_PLACE_GRACE: [&str; 2] = ["apps.kruise.io/inplace-update-grace", "inplace-update-grace"];
/// Annotations of a pod: how far an update in place has come. The second one is the older name.
pub const IN_PLACE_STATE: [&str; 2] = ["apps.kruise.io/inplace-update-state", "inplace-update-state"];
/// Annotation of a pod: what the agent of its node says of its containers.
pub const RUNTIME_CONTAINERS: &str = "apps.kruise.io/runtime-containers-meta";
/// Annotation of a pod: which sets were injected.
pub const INJECTED_LIST: &str = "kruise.io/sidecarset-injected-list";
/// Annotation of a pod: how far updates of its sidecars have come.
pub const SIDECAR_STATE: &str = "kruise.io/sidecarset-inplace-update-state";
/// Annotation of the pods by which the kubelet shows what its own files say.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
/// Condition of a budget: whether it guards all that it selects.
pub const ENFORCING: &str = "Enforcing";
/// Annotation of an eviction: the review in which budgets had their say. It is never stored: evictions are not.
pub const JUDGED: &str = "outrigger.dev/judged";
