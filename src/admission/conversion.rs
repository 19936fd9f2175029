//! `ConversionReview`: objects of a custom resource that the API server wants in another version.
//! (Kubernetes: `staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1/types.go`.)

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{edits::push_quoted, review::ReviewError};
use crate::base::decode::{or_default, text};

/// What `ReviewError` calls such a body.
const KIND: &str = "ConversionReview";
const API_VERSION: &str = "apiextensions.k8s.io/v1";
/// Has the same members; API servers that are offered both take the other.
const OLDER_API_VERSION: &str = "apiextensions.k8s.io/v1beta1";

/// What is to be converted. Objects stay raw: a list may hold thousands, and only one at a time is taken apart.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `apiVersion` of the review, which the response repeats.
    pub api_version: &'static str,
    /// Identifies this request; the response repeats it.
    pub uid: Cow<'a, str>,
    /// The `apiVersion` that all objects are to have.
    pub desired: Cow<'a, str>,
    /// The objects.
    pub objects: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    api_version: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    request: Option<Asked<'a>>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    uid: Cow<'a, str>,
    #[serde(borrow, default, rename = "desiredAPIVersion", deserialize_with = "text")]
    desired: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    objects: Vec<&'a RawValue>,
}

/// Reads a review.
pub fn read(body: &[u8]) -> Result<Request<'_>, ReviewError> {
    let text = std::str::from_utf8(body).map_err(|error| ReviewError::NotJson(error.to_string()))?;
    let review: Review<'_> = serde_json::from_str(text).map_err(|_| ReviewError::explain::<Review<'_>>(KIND, text))?;
    ReviewError::unless_equal("kind", KIND, &review.kind)?;
    let older = (review.api_version == OLDER_API_VERSION).then_some(OLDER_API_VERSION);
    let api_version =
        older.map_or_else(|| ReviewError::unless_equal("apiVersion", API_VERSION, &review.api_version).map(|()| API_VERSION), Ok)?;
    let missing = |field| ReviewError::Missing { kind: KIND, field };
    let asked = review.request.ok_or_else(|| missing("request"))?;
    if asked.uid.is_empty() {
        return Err(missing("request.uid"));
    }
    Ok(Request { api_version, uid: asked.uid, desired: asked.desired, objects: asked.objects })
}

/// The response to a review, in the making.
#[derive(Debug)]
#[must_use]
pub struct Response {
    out: Vec<u8>,
    /// Where the result begins.
    result: usize,
    /// How many objects it has.
    count: usize,
}

impl Response {
    /// Answers the request; `room` is how many bytes the objects will need, more or less.
    pub fn to(request: &Request<'_>, room: usize) -> Self {
        let mut head = String::from(r#"{"kind":"ConversionReview","apiVersion":"#);
        push_quoted(&mut head, request.api_version);
        head.push_str(r#","response":{"uid":"#);
        push_quoted(&mut head, &request.uid);
        let result = head.len();
        let mut out = head.into_bytes();
        out.reserve(room.saturating_add(256));
        out.extend_from_slice(br#","result":{"status":"Success"},"convertedObjects":["#);
        Self { out, result, count: 0 }
    }

    /// One more converted object.
    pub fn push(&mut self, object: &Value) {
        if self.count > 0 {
            self.out.push(b',');
        }
        self.count += 1;
        // Writing a value to memory does not fail.
        let _ = serde_json::to_writer(&mut self.out, object);
    }

    /// How many objects it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The response's bytes: all objects are converted.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"]}}");
        self.out
    }

    /// The response's bytes: nothing is converted.
    pub fn fail(mut self, message: &str) -> Vec<u8> {
        self.out.truncate(self.result);
        let mut quoted = String::new();
        push_quoted(&mut quoted, message);
        self.out.extend_from_slice(br#","result":{"status":"Failure","message":"#);
        self.out.extend_from_slice(quoted.as_bytes());
        self.out.extend_from_slice(br#"},"convertedObjects":[]}}"#);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut review = json!({"kind": KIND, "apiVersion": API_VERSION, "request": {
            "uid": "u-1", "desiredAPIVersion": "example.io/v2", "objects": [{"a": 1}, {"b": [null]}]}});
        change(&mut review);
        review.to_string().into_bytes()
    }

    #[test]
    fn a_review_of_either_version_is_read_and_answered_in_its_own() {
        for version in [API_VERSION, OLDER_API_VERSION] {
            let bytes = body(|review| review["apiVersion"] = json!(version));
            let request = read(&bytes).unwrap();
            assert_eq!((request.api_version, request.uid.as_ref(), request.desired.as_ref()), (version, "u-1", "example.io/v2"));
            let mut response = Response::to(&request, 0);
            for object in &request.objects {
                response.push(&serde_json::from_str(object.get()).unwrap());
            }
            assert_eq!(response.len(), 2);
            let answer: Value = serde_json::from_slice(&response.finish()).unwrap();
            let response = json!({"uid": "u-1", "result": {"status": "Success"}, "convertedObjects": [{"a": 1}, {"b": [null]}]});
            assert_eq!(answer, json!({"kind": KIND, "apiVersion": version, "response": response}));
        }
    }

    #[test]
    fn a_failure_has_a_message_and_no_objects() {
        let bytes = body(|review| review["request"]["uid"] = json!("\""));
        let mut response = Response::to(&read(&bytes).unwrap(), 0);
        response.push(&json!({}));
        let answer: Value = serde_json::from_slice(&response.fail("no \"way\"\n")).unwrap();
        let result = json!({"status": "Failure", "message": "no \"way\"\n"});
        assert_eq!(answer["response"], json!({"uid": "\"", "result": result, "convertedObjects": []}));
    }

    #[test]
    fn what_is_wrong_with_a_review_is_named() {
        let of = |change: fn(&mut Value)| read(&body(change)).unwrap_err().to_string();
        assert_eq!(of(|r| r["kind"] = json!("AdmissionReview")), "kind: expected `ConversionReview`, found `AdmissionReview`");
        assert_eq!(of(|r| r["apiVersion"] = json!("v1")), "apiVersion: expected `apiextensions.k8s.io/v1`, found `v1`");
        assert_eq!(of(|r| r["request"] = Value::Null), "ConversionReview: request: missing");
        assert_eq!(of(|r| r["request"]["uid"] = Value::Null), "ConversionReview: request.uid: missing");
        let found = of(|r| r["request"]["objects"] = json!(7));
        assert!(found.starts_with("ConversionReview: request.objects: invalid type: integer `7`"), "{found}");
        assert!(read(b"{").unwrap_err().to_string().starts_with("the body is not JSON: EOF"));
    }
}
