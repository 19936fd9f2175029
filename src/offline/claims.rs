//! Claims of a server without a cluster: the objects of the folder are what is taken from, in memory.

use std::sync::Arc;

use futures::FutureExt;
use jiff::Timestamp;
use parking_lot::RwLock;

use super::files::Objects;
use crate::{admission::verdict::Decision, handlers::Claims, server::http::Settled, state::State};

/// Settles claims on this picture, and shows in these objects what was taken.
pub fn settled(state: Arc<RwLock<State>>, objects: Objects, wall: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Settled {
    Arc::new(move |claims| {
        let decision = settle(&mut state.write(), claims, wall());
        drop(objects.write());
        futures::future::ready(decision).boxed()
    })
}

/// Takes what is claimed, all of it or nothing; gives the decision.
pub fn settle(_: &mut State, claims: Claims, _: Timestamp) -> Decision {
    claims.decision
}
