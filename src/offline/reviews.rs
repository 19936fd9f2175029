//! `outrigger review`: recorded reviews answered in order over one state.

use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use super::{
    ask, claims,
    documents::{Document, DocumentError},
};
use crate::{
    admission::{
        edits::Edits,
        review::{self, Request},
        verdict::{Decision, Outcome},
    },
    handlers::{self, Registration, TABLE, Verdict, convert},
    state::State,
};

/// The response to one recorded review, an `AdmissionReview` or a `ConversionReview`, as JSON.
///
/// An admission review goes through every hook that the API server would ask, in its order, and gets one answer: the patch of
/// those that change, unless one of those that judge says no. A document with a `path` beside its `request` is a review as one
/// hook gets it, and is answered by that hook alone. What a hook asks, `objects` answer.
pub fn answer(document: &Document, state: &mut State, objects: &[Value], now: Timestamp) -> Result<Value, DocumentError> {
    let wrong = |field: &str, problem: String| document.error(field, problem);
    let body = document.value.to_string();
    let response = if document.value.get("kind").and_then(Value::as_str) == Some("ConversionReview") {
        convert::answer(body.as_bytes()).map_err(|error| wrong("request", error.to_string()))?.response
    } else {
        let request = review::read(body.as_bytes()).map_err(|error| wrong("request", error.to_string()))?;
        let only = document.value.get("path").and_then(Value::as_str);
        let hooks: Vec<_> = match only {
            Some(path) => TABLE.iter().find(|hook| hook.path == path).into_iter().collect(),
            None => handlers::of(&request).collect(),
        };
        let decision = decide(&request, hooks, (state, objects), now).map_err(|problem| wrong("request.object", problem))?;
        review::write(&request.uid, &decision)
    };
    serde_json::from_slice(&response).map_err(|error| wrong("response", error.to_string()))
}

/// What no hook is registered for, the API server lets pass.
fn decide<'h>(
    request: &Request<'_>,
    hooks: impl IntoIterator<Item = &'h Registration>,
    (state, objects): (&mut State, &[Value]),
    now: Timestamp,
) -> Result<Decision, String> {
    let mut answer = Decision::default();
    let mut object = request.object.map(ToOwned::to_owned);
    for hook in hooks {
        let seen = Request { object: object.as_deref(), ..request.clone() };
        let verdict = (hook.handler)(&seen, &state.snapshot(), now);
        let decision = decided(verdict, state, objects, now);
        answer.warnings.extend(decision.warnings);
        match decision.outcome {
            Outcome::Deny(denial) => return Ok(Decision { outcome: Outcome::Deny(denial), ..answer }),
            Outcome::Allow(edits) if edits.is_empty() => {}
            Outcome::Allow(edits) => {
                object = object.map(|object| patched(&object, &edits)).transpose()?;
                answer.outcome = Outcome::Allow(edits);
                answer.note = decision.note;
            }
        }
    }
    Ok(answer)
}

/// The decision: these objects are asked, and what is claimed is taken from the picture.
fn decided(mut verdict: Verdict, state: &mut State, objects: &[Value], now: Timestamp) -> Decision {
    loop {
        match verdict {
            Verdict::Decided(decision) => return decision,
            Verdict::Claim(claims) => return claims::settle(state, claims, now).0,
            Verdict::Ask(open) => {
                let answers = open.questions.iter().map(|question| ask::answer(question, objects)).collect();
                verdict = open.settle(answers, &state.snapshot(), now);
            }
        }
    }
}

fn patched(object: &RawValue, edits: &Edits) -> Result<Box<RawValue>, String> {
    let mut after: Value = serde_json::from_str(object.get()).map_err(|error| error.to_string())?;
    let patch: json_patch::Patch = serde_json::from_str(&edits.to_json_patch()).map_err(|error| error.to_string())?;
    json_patch::patch(&mut after, &patch).map_err(|error| error.to_string())?;
    RawValue::from_string(after.to_string()).map_err(|error| error.to_string())
}
