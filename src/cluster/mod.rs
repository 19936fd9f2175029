//! The cluster's API server, as a client sees it. The only room that writes there.

pub mod client;
pub mod lease;
pub mod watch;
