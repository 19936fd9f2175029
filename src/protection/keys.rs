//! Labels and annotations of protected objects.

/// Says whether an object may be deleted.
pub const LABEL: &str = "policy.kruise.io/delete-protection";
/// Value of [`LABEL`]: never.
pub const ALWAYS: &str = "Always";
/// Value of [`LABEL`]: not while something hangs on it.
pub const CASCADING: &str = "Cascading";

/// Annotation: why. Told to whoever is refused.
pub const REASON: &str = "outrigger.dev/protection-reason";
/// Annotation: who can be asked about it. Told to whoever is refused.
pub const OWNER: &str = "outrigger.dev/protection-owner";
/// Annotation: when the protection ends, as RFC 3339 has it.
pub const UNTIL: &str = "outrigger.dev/protection-until";

/// How much of an annotation is told, in characters.
pub const LONGEST_TOLD: usize = 256;
