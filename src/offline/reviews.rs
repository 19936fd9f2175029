//! `outrigger review`: recorded AdmissionReviews answered in order over one state.

use jiff::Timestamp;
use serde_json::Value;

use super::documents::{Document, DocumentError};
use crate::{
    admission::{
        review,
        verdict::Verdict,
    },
    handlers,
    state::State,
};

/// The response to one recorded review, as an AdmissionReview in JSON.
pub fn answer(document: &Document, state: &State, now: Timestamp) -> Result<Value, DocumentError> {
    let body = document.value.to_string();
    let request = review::read(body.as_bytes()).map_err(|error| document.error("request", error.to_string()))?;
    let handler = handlers::of(&request).ok_or_else(|| {
        let resource = &request.resource;
        let what = [resource.group.as_ref(), resource.version.as_ref(), resource.resource.as_ref(), request.sub_resource.as_ref()].join("/");
        document.error("request.resource", format!("no hook is registered for {} of {}", request.operation, what.trim_matches('/')))
    })?;
    let Verdict::Decided(decision) = handler(&request, &state.snapshot(), now);
    serde_json::from_slice(&review::write(&request.uid, &decision)).map_err(|error| document.error("response", error.to_string()))
}
