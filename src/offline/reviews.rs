//! `outrigger review`: recorded AdmissionReviews answered in order over one state.

use jiff::Timestamp;
use serde_json::Value;

use super::documents::{Document, DocumentError};
use crate::{
    admission::{review, verdict::Verdict},
    handlers,
    state::State,
};

/// The response to one recorded review, as an AdmissionReview in JSON.
pub fn answer(document: &Document, state: &State, now: Timestamp) -> Result<Value, DocumentError> {
    let body = document.value.to_string();
    let request = review::read(body.as_bytes()).map_err(|error| document.error("request", error.to_string()))?;
    // What no hook is registered for, the API server lets pass.
    let verdict = handlers::of(&request).map_or_else(Verdict::allow, |handler| handler(&request, &state.snapshot(), now));
    let Verdict::Decided(decision) = verdict;
    serde_json::from_slice(&review::write(&request.uid, &decision)).map_err(|error| document.error("response", error.to_string()))
}
