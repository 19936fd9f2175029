//! The integration tests, in one binary.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking, also in what tests share")]

mod api_server;
mod architecture;
mod budgets;
mod certificates;
mod claims;
mod cli;
mod conformance;
mod fuzzed;
mod lease;
mod lifting;
mod manifests;
mod properties;
mod reconciling;
mod spreads;
mod support;
mod wire;
mod world;
