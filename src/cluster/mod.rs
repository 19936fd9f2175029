//! The cluster's API server, as a client sees it. The only room that writes there.

pub mod ask;
pub mod client;
pub mod watch;
