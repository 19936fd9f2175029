//! How the parts of an installation are called: what is rendered, what the server looks for unless it is given other names, and what its own
//! objects are.

/// The name of everything that needs no other one; both webhook configurations have it.
pub const NAME: &str = "outrigger";
/// The namespace.
pub const NAMESPACE: &str = "outrigger-system";
/// The Service that the API server sends reviews to.
pub const SERVICE: &str = "outrigger-webhook";
/// The Service that the API server sends conversions to.
pub const CONVERSION_SERVICE: &str = "outrigger-conversion";
/// The Secret with the authority that replicas share where they make their certificates themselves, and the right to that.
pub const AUTHORITY: &str = "outrigger-authority";
/// The definitions of our kinds, which nobody can call otherwise.
pub const DEFINITIONS: [&str; 3] =
    ["sidecarsets.apps.kruise.io", "podunavailablebudgets.policy.kruise.io", "workloadspreads.apps.kruise.io"];
