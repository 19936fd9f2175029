//! What the operator sees: logs and numbers.

pub mod log;
pub mod metrics;
