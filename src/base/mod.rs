//! Words: facts and values of Kubernetes that several rooms speak of. Pure; imports nothing of ours.

pub mod decode;
pub mod gates;
pub mod names;
pub mod pod;
pub mod reasons;
pub mod selector;
