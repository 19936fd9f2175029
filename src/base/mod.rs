//! Words: facts and values of Kubernetes that several rooms speak of. Pure; imports nothing of ours.

pub mod go_json;
pub mod hash;
pub mod quantity;
pub mod strategic_merge;
