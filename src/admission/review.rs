//! `AdmissionReview` v1: the request's bytes become a [`Request`] in one pass, with the objects left raw; a [`Decision`]
//! becomes the response's bytes. (Kubernetes: `staging/src/k8s.io/api/admission/v1/types.go`.)

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    edits::{list, push_quoted, quoted},
    verdict::{Decision, Outcome},
};
use crate::base::decode::{or_default, text};

const KIND: &str = "AdmissionReview";
const API_VERSION: &str = "admission.k8s.io/v1";

/// What the API server asks about.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Identifies this request; the response repeats it.
    #[serde(borrow, default, deserialize_with = "text")]
    pub uid: Cow<'a, str>,
    /// Resource that the client asked for, as the webhook was registered for it.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub resource: Resource<'a>,
    /// Subresource, empty if none.
    #[serde(borrow, default, deserialize_with = "text")]
    pub sub_resource: Cow<'a, str>,
    /// Name of the object; may be empty on CREATE.
    #[serde(borrow, default, deserialize_with = "text")]
    pub name: Cow<'a, str>,
    /// Namespace of the request, empty for what lives in none.
    #[serde(borrow, default, deserialize_with = "text")]
    pub namespace: Cow<'a, str>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow, default, deserialize_with = "text")]
    pub operation: Cow<'a, str>,
    /// Who asks.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub user_info: User<'a>,
    /// The object as it would be stored.
    #[serde(borrow, default)]
    pub object: Option<&'a RawValue>,
    /// The object as it is stored.
    #[serde(borrow, default)]
    pub old_object: Option<&'a RawValue>,
    /// The options of the operation.
    #[serde(borrow, default)]
    pub options: Option<&'a RawValue>,
    /// Nothing will be stored.
    #[serde(default, deserialize_with = "or_default")]
    pub dry_run: bool,
}

impl Request<'_> {
    /// Whether the request changes nothing, by the review or by its options.
    pub fn is_dry_run(&self) -> bool {
        let of = |options: &RawValue| serde_json::from_str::<Options>(options.get()).is_ok_and(|options| options.is_dry_run());
        self.dry_run || self.options.is_some_and(of)
    }
}

/// What is read of the options of an operation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// The stages in which nothing is stored.
    #[serde(default)]
    pub dry_run: Option<Vec<String>>,
}

impl Options {
    /// Whether nothing is stored.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run.as_ref().is_some_and(|stages| !stages.is_empty())
    }
}

/// A resource by its coordinates.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Resource<'a> {
    /// API group, empty for the core one.
    #[serde(borrow, default, deserialize_with = "text")]
    pub group: Cow<'a, str>,
    /// Version.
    #[serde(borrow, default, deserialize_with = "text")]
    pub version: Cow<'a, str>,
    /// Plural name.
    #[serde(borrow, default, deserialize_with = "text")]
    pub resource: Cow<'a, str>,
}

/// Who sent a request to the API server.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct User<'a> {
    /// Name of the user or service account.
    #[serde(borrow, default, deserialize_with = "text")]
    pub username: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    api_version: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    request: Option<Request<'a>>,
}

/// Why a body is not a review that can be answered.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReviewError {
    /// The bytes are no JSON text.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON, but a member is missing or of another type.
    #[error("{kind}: {path}: {problem}")]
    Member {
        /// Kind of the review.
        kind: &'static str,
        /// Where.
        path: String,
        /// What was expected.
        problem: String,
    },
    /// Another kind or version.
    #[error("{field}: expected `{expected}`, found `{found}`")]
    Other {
        /// `kind` or `apiVersion`.
        field: &'static str,
        /// The one that is spoken here.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A review without a request, or a request without a uid.
    #[error("{kind}: {field}: missing")]
    Missing {
        /// Kind of the review.
        kind: &'static str,
        /// The member.
        field: &'static str,
    },
}

impl ReviewError {
    /// Reads a text once more, slowly, to learn where the trouble is.
    pub(super) fn explain<'t, T: Deserialize<'t>>(kind: &'static str, text: &'t str) -> Self {
        let mut decoder = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, T>(&mut decoder) {
            Ok(_) => decoder.end().map_or_else(|error| Self::NotJson(error.to_string()), |()| Self::Missing { kind, field: "request" }),
            Err(error) if error.inner().is_data() => {
                let path = error.path().to_string();
                Self::Member { kind, path, problem: error.into_inner().to_string() }
            }
            Err(error) => Self::NotJson(error.into_inner().to_string()),
        }
    }

    /// The error of a field with another text than the one that is spoken here.
    pub(super) fn unless_equal(field: &'static str, expected: &'static str, found: &str) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self::Other { field, expected, found: found.to_owned() }) }
    }
}

/// Reads a review.
pub fn read(body: &[u8]) -> Result<Request<'_>, ReviewError> {
    let text = std::str::from_utf8(body).map_err(|error| ReviewError::NotJson(error.to_string()))?;
    let review: Review<'_> = serde_json::from_str(text).map_err(|_| ReviewError::explain::<Review<'_>>(KIND, text))?;
    ReviewError::unless_equal("kind", KIND, &review.kind)?;
    ReviewError::unless_equal("apiVersion", API_VERSION, &review.api_version)?;
    let missing = |field| ReviewError::Missing { kind: KIND, field };
    let request = review.request.ok_or_else(|| missing("request"))?;
    if request.uid.is_empty() {
        return Err(missing("request.uid"));
    }
    Ok(request)
}

/// Writes the response to the request with this uid.
pub fn write(uid: &str, decision: &Decision) -> Vec<u8> {
    let patch = match &decision.outcome {
        Outcome::Allow(edits) if !edits.is_empty() => Some(edits.to_json_patch()),
        _ => None,
    };
    let mut out = String::with_capacity(256 + patch.as_ref().map_or(0, |patch| patch.len().div_ceil(3) * 4));
    out.push_str(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"#);
    push_quoted(&mut out, uid);
    match &decision.outcome {
        Outcome::Allow(_) => {
            out.push_str(r#","allowed":true"#);
            if let Some(patch) = patch {
                out.push_str(r#","patchType":"JSONPatch","patch":""#);
                STANDARD.encode_string(patch, &mut out);
                out.push('"');
            }
        }
        Outcome::Deny(denial) => {
            out.push_str(r#","allowed":false,"status":{"status":"Failure","message":"#);
            push_quoted(&mut out, &denial.message);
            out.push_str(r#","reason":"#);
            push_quoted(&mut out, denial.reason);
            out.push_str(r#","code":"#);
            out.push_str(&denial.code.to_string());
            if let Some(seconds) = denial.retry_after {
                out.push_str(r#","details":{"retryAfterSeconds":"#);
                out.push_str(&seconds.to_string());
                out.push('}');
            }
            out.push('}');
        }
    }
    if !decision.warnings.is_empty() {
        let warnings: Vec<_> = decision.warnings.iter().map(|warning| quoted(warning)).collect();
        out.push_str(r#","warnings":"#);
        out.push_str(&list(warnings.iter().map(String::as_str)));
    }
    out.push_str("}}");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admission::verdict::Denial;

    fn body(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut review = json!({"kind": "AdmissionReview", "apiVersion": API_VERSION, "request": {
            "uid": "u-1", "resource": {"group": "", "version": "v1", "resource": "pods"}, "operation": "CREATE", "namespace": "shop",
            "userInfo": {"username": "ann", "groups": ["a"]}, "object": {"a": [1, {"b": "\u{1F6F6}"}]}, "oldObject": null, "dryRun": true}});
        change(&mut review);
        review.to_string().into_bytes()
    }

    #[test]
    fn a_review_is_read_with_its_object_raw() {
        let bytes = body(|_| ());
        let request = read(&bytes).unwrap();
        assert_eq!((request.uid.as_ref(), request.operation.as_ref(), request.resource.resource.as_ref()), ("u-1", "CREATE", "pods"));
        assert_eq!((request.user_info.username.as_ref(), request.dry_run), ("ann", true));
        assert_eq!(request.object.unwrap().get(), "{\"a\":[1,{\"b\":\"\u{1F6F6}\"}]}");
        assert!(request.old_object.is_none());
    }

    #[test]
    fn what_is_wrong_with_a_review_is_named() {
        let of = |change: fn(&mut Value)| read(&body(change)).unwrap_err().to_string();
        assert_eq!(of(|r| r["kind"] = json!("Pod")), "kind: expected `AdmissionReview`, found `Pod`");
        assert_eq!(
            of(|r| r["apiVersion"] = json!("admission.k8s.io/v2")),
            "apiVersion: expected `admission.k8s.io/v1`, found `admission.k8s.io/v2`"
        );
        assert_eq!(of(|r| r["request"] = Value::Null), "AdmissionReview: request: missing");
        assert_eq!(of(|r| r["request"]["uid"] = json!("")), "AdmissionReview: request.uid: missing");
        assert!(
            of(|r| r["request"]["name"] = json!(7))
                .starts_with("AdmissionReview: request.name: invalid type: integer `7`, expected a string")
        );
        assert_eq!(of(|r| *r = json!([])), "kind: expected `AdmissionReview`, found ``");
        assert!(read(b"{\"kind\":").unwrap_err().to_string().starts_with("the body is not JSON: EOF"));
        assert!(read(b"\xff").unwrap_err().to_string().starts_with("the body is not JSON: invalid utf-8"));
        let twice = read(&body(|_| ()).repeat(2)).unwrap_err().to_string();
        assert!(twice.starts_with("the body is not JSON: trailing characters"), "{twice}");
    }

    #[test]
    fn a_denial_says_code_reason_and_message() {
        let decision = Decision { warnings: vec!["w".to_owned()], ..Decision::deny(Denial::forbidden("no \"way\"")) };
        let response: Value = serde_json::from_slice(&write("u-1", &decision)).unwrap();
        assert_eq!(
            response,
            json!({"kind": "AdmissionReview", "apiVersion": API_VERSION, "response": {"uid": "u-1", "allowed": false,
                "status": {"status": "Failure", "code": 403, "reason": "Forbidden", "message": "no \"way\""}, "warnings": ["w"]}})
        );
    }

    #[test]
    fn a_denial_says_when_to_try_again() {
        let denial = Denial { retry_after: Some(7), ..Denial::forbidden("later") };
        let decision = Decision { outcome: Outcome::Deny(denial), ..Decision::default() };
        let response: Value = serde_json::from_slice(&write("u-1", &decision)).unwrap();
        assert_eq!(response["response"]["status"]["details"], json!({"retryAfterSeconds": 7}));
    }
}
