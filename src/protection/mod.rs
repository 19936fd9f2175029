//! Deletion protection: what carries the label `policy.kruise.io/delete-protection` stays.
