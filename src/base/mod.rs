//! Words: facts and values of Kubernetes that several rooms speak of. Pure; imports nothing of ours.

pub mod decode;
pub mod definition;
pub mod field;
pub mod gates;
pub mod go_json;
pub mod go_regex;
pub mod go_text;
pub mod hash;
pub mod image;
pub mod installation;
pub mod interned;
pub mod intstr;
pub mod names;
pub mod observed;
pub mod pod;
pub mod quantity;
pub mod reasons;
pub mod selector;
pub mod selector_rules;
pub mod strategic_merge;
pub mod workload;
