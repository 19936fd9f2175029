//! What is done about which review: the only room that knows several features. Pure.

pub mod pod;
pub mod readiness_gate;

use jiff::Timestamp;

use crate::{
    admission::{review::Request, verdict::Verdict},
    state::Snapshot,
};

/// Decides a review on what is known at this moment.
pub type Handler = fn(&Request<'_>, &Snapshot<'_>, Timestamp) -> Verdict;
