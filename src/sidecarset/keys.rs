//! Annotations, labels and variables by which sets, revisions and injected pods are known. Wire constants of the reference.

/// Annotation of a set and of its revisions, and of injected pods: the hash of the sidecars.
pub const HASH: &str = "kruise.io/sidecarset-hash";
/// The same, computed with every image blanked.
pub const HASH_WITHOUT_IMAGE: &str = "kruise.io/sidecarset-hash-without-image";
/// Annotation of injected pods: names of the injected sets, sorted, joined by commas.
pub const INJECTED_LIST: &str = "kruise.io/sidecarset-injected-list";
/// Annotation of pods with hot-upgrade sidecars: JSON object from sidecar name to the name of its live twin.
pub const WORKING_HOT_UPGRADE: &str = "kruise.io/sidecarset-working-hotupgrade-container";
/// Prefix of the pod annotation that holds the version of a hot-upgrade container.
pub const VERSION_PREFIX: &str = "version.sidecarset.kruise.io/";
/// Prefix of the pod annotation that holds the version of the other twin.
pub const VERSION_ALT_PREFIX: &str = "versionalt.sidecarset.kruise.io/";
/// Annotation of a set: exactly `true` makes it a canary of the set that [`CANARY_BASE`] names.
pub const CANARY: &str = "apps.kruise.io/sidecarset-canary";
/// Annotation of a canary: the name of its base set.
pub const CANARY_BASE: &str = "apps.kruise.io/sidecarset-base";
/// Label of `v1alpha1` sets and of revisions: the custom version.
pub const CUSTOM_VERSION: &str = "apps.kruise.io/sidecarset-custom-version";
/// Label of revisions: the set they belong to.
pub const SET_NAME: &str = "kruise.io/sidecarset-name";
/// Label of revisions: the hash that their name is made with.
pub const REVISION_HASH: &str = "controller.kubernetes.io/hash";
/// Variable that marks every injected container.
pub const IS_INJECTED: &str = "IS_INJECTED";
/// Annotation of pods whose sidecars were updated in place: JSON object from set name to what ran before.
pub const IN_PLACE_STATE: &str = "kruise.io/sidecarset-inplace-update-state";
/// Pod condition that says of each set whether it can be updated in place; its message is a JSON object from set name to that.
pub const UPGRADABLE: &str = "SidecarSetUpgradable";
/// Annotation of a set, ours: exactly `"true"` lets it have native sidecars together with `RollingUpdate`.
pub const UPDATE_NATIVE: &str = "outrigger.kruise.io/update-native-sidecars";
