//! The cluster's API server, as a client sees it. The only room that writes there.

pub mod apply;
pub mod ask;
pub mod bundles;
pub mod claims;
pub mod client;
pub mod events;
pub mod facts;
mod heard;
pub mod kinds;
pub mod lease;
pub mod listing;
pub mod protected;
pub mod scales;
pub mod secret;
pub mod strangers;
pub mod wake;
pub mod watch;
