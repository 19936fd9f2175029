//! The integration tests, in one binary.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking, also in what tests share")]

mod api_server;
mod architecture;
mod authority;
mod budgets;
mod certificates;
mod claims;
mod cli;
mod conformance;
mod events;
mod lease;
mod lifting;
mod manifests;
mod monitoring;
#[cfg(feature = "otlp")]
mod otlp;
mod properties;
mod reconciling;
mod shadow;
mod spreads;
mod support;
mod wire;
mod world;
