//! Names that spreads, their pods and their controllers know each other by. (reference: `workloadspread.md` §2)

use jiff::SignedDuration;

/// On a pod: which spread placed it, and where.
pub const MATCHED: &str = "apps.kruise.io/matched-workloadspread";
/// On a pod: how dear it is to those who choose which pods go when there are too many.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// On a spread: what subsets patch into metadata is not patched into pods that were there before.
pub const IGNORE_METADATA: &str = "workloadspread.kruise.io/ignore-patch-existing-pods-metadata";
/// Under what pods are counted that have no revision of their own.
pub const NO_REVISION: &str = "versionIgnored";
/// The condition of a subset.
pub const SCHEDULABLE: &str = "Schedulable";
/// How long a pod that was given a place is waited for.
pub const CREATING_FOR: SignedDuration = SignedDuration::from_secs(30);
/// How long a pod that gave back its place is waited for to go.
pub const DELETING_FOR: SignedDuration = SignedDuration::from_secs(15);
/// How long a subset is passed over in which pods found no node.
pub const UNSCHEDULABLE_FOR: SignedDuration = SignedDuration::from_secs(300);
/// How many places are left where there is no limit.
pub const UNLIMITED: i32 = -1;
