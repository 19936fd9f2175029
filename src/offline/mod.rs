//! The doors that need no cluster: a folder of manifests is the cluster.

pub mod ask;
pub mod claims;
pub mod documents;
pub mod files;
pub mod pods;
pub mod reviews;
pub mod schema;
mod statuses;
mod workloads;
mod yaml;
