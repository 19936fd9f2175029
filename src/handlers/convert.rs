//! `/convert`: objects of our kinds in another of their versions, for every client that asks for one that is not stored.

use serde_json::{Value, value::RawValue};

use crate::{
    admission::{
        conversion::{self, Response},
        review::ReviewError,
    },
    budget, sidecarset, spread,
};

/// Where the API server sends objects to be converted, of all our kinds.
pub const PATH: &str = "/convert";

/// Turns an object into one of the version that is named; says which object it is if that cannot be.
type Convert = fn(&mut Value, &str) -> Result<(), String>;

/// Kinds that have several versions.
const KINDS: [(&str, Convert); 3] = [
    ("SidecarSet", |object, desired| sidecarset::v1alpha1::convert(object, desired).map_err(|error| error.to_string())),
    ("PodUnavailableBudget", |object, desired| budget::v1alpha1::convert(object, desired).map_err(|error| error.to_string())),
    ("WorkloadSpread", |object, desired| spread::v1alpha1::convert(object, desired).map_err(|error| error.to_string())),
];

/// What became of a review.
#[derive(Debug)]
pub struct Converted {
    /// The response's bytes.
    pub response: Vec<u8>,
    /// How many objects were converted, or why none was.
    pub outcome: Result<usize, String>,
}

/// Answers the review in `body`. One object that cannot be converted fails it for all: half an answer would be a list that
/// silently lacks objects. Fails if the body is no review.
pub fn answer(body: &[u8]) -> Result<Converted, ReviewError> {
    let request = conversion::read(body)?;
    let mut response = Response::to(&request, body.len());
    for (index, object) in request.objects.iter().enumerate() {
        match converted(object, &request.desired) {
            Ok(object) => response.push(&object),
            Err(problem) => {
                let problem = format!("objects[{index}]: {problem}");
                return Ok(Converted { response: response.fail(&problem), outcome: Err(problem) });
            }
        }
    }
    let count = response.len();
    Ok(Converted { response: response.finish(), outcome: Ok(count) })
}

/// Brings an object of one of our kinds that is of the older version to the present one; anything else is left as it is.
pub fn modernized(object: &mut Value) -> Result<(), String> {
    let text = |member: &str| object.get(member).and_then(Value::as_str).unwrap_or_default();
    let known = KINDS.iter().find(|(known, _)| *known == text("kind"));
    match known.zip(text("apiVersion").split_once('/').filter(|(_, version)| *version == "v1alpha1")) {
        Some(((_, convert), (group, _))) => {
            let present = format!("{group}/v1beta1");
            convert(object, &present)
        }
        None => Ok(()),
    }
}

fn converted(object: &RawValue, desired: &str) -> Result<Value, String> {
    let mut object: Value = serde_json::from_str(object.get()).map_err(|error| error.to_string())?;
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some((_, convert)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let known = KINDS.map(|(known, _)| known).join(" or ");
        return Err(format!("{kind} {name:?}: kind: must be {known} to be converted, is {kind:?}"));
    };
    convert(&mut object, desired)?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sidecarset::v1alpha1;

    fn asked(desired: &str, objects: &Value) -> Value {
        let body = json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "request": {"uid": "u", "desiredAPIVersion": desired, "objects": objects}});
        serde_json::from_slice(&answer(body.to_string().as_bytes()).unwrap().response).unwrap()
    }

    fn set(version: &str, name: &str) -> Value {
        json!({"apiVersion": version, "kind": "SidecarSet", "metadata": {"name": name}, "spec": {"containers": [{"name": "a", "new": 1.5}]}})
    }

    #[test]
    fn the_older_version_is_brought_to_the_present_one_and_all_else_is_left_alone() {
        let brought = |mut object: Value| modernized(&mut object).map(|()| object);
        assert_eq!(brought(set(v1alpha1::V1ALPHA1, "a")), Ok(set(v1alpha1::V1BETA1, "a")));
        let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "data": {}});
        for same in [set(v1alpha1::V1BETA1, "a"), revision, json!({"kind": "CloneSet", "apiVersion": "apps.kruise.io/v1alpha1"}), json!([])]
        {
            assert_eq!(brought(same.clone()), Ok(same));
        }
    }

    #[test]
    fn many_objects_are_converted_in_their_order() {
        let objects: Vec<_> = (0..300).map(|number| set(v1alpha1::V1ALPHA1, &format!("s{number}"))).collect();
        let answer = asked(v1alpha1::V1BETA1, &json!(objects));
        let want: Vec<_> = (0..300).map(|number| set(v1alpha1::V1BETA1, &format!("s{number}"))).collect();
        assert_eq!(answer["response"]["convertedObjects"], json!(want));
        assert_eq!(answer["response"]["result"], json!({"status": "Success"}));
    }

    #[test]
    fn one_object_that_cannot_be_converted_fails_the_review_and_is_named() {
        let good = set(v1alpha1::V1ALPHA1, "good");
        let list = json!({"apiVersion": v1alpha1::V1ALPHA1, "kind": "SidecarSetList", "items": [good]});
        for (desired, bad, said) in [
            (
                v1alpha1::V1BETA1,
                set(v1alpha1::V1BETA1, "there"),
                r#"objects[1]: SidecarSet "there": apiVersion: must be apps.kruise.io/v1alpha1 to be converted, is "apps.kruise.io/v1beta1""#,
            ),
            (
                v1alpha1::V1BETA1,
                list,
                r#"objects[1]: SidecarSetList "": kind: must be SidecarSet or PodUnavailableBudget or WorkloadSpread to be converted, is "SidecarSetList""#,
            ),
            (
                v1alpha1::V1BETA1,
                json!(7),
                r#"objects[1]:  "": kind: must be SidecarSet or PodUnavailableBudget or WorkloadSpread to be converted, is """#,
            ),
            (
                "apps.kruise.io/v1",
                good.clone(),
                r#"objects[0]: SidecarSet "good": desiredAPIVersion: must be apps.kruise.io/v1beta1 or apps.kruise.io/v1alpha1, is "apps.kruise.io/v1""#,
            ),
        ] {
            let answer = asked(desired, &json!([good, bad]));
            assert_eq!(answer["response"]["result"], json!({"status": "Failure", "message": said}));
            assert_eq!(answer["response"]["convertedObjects"], json!([]));
        }
    }

    #[test]
    fn each_kind_is_converted_by_its_own_rules() {
        let budget = |version: &str, annotations: Value, spec: Value| json!({"apiVersion": format!("policy.kruise.io/{version}"), "kind": "PodUnavailableBudget", "metadata": annotations, "spec": spec});
        let older = budget("v1alpha1", json!({"annotations": {"kruise.io/pub-protect-operations": "EVICT"}}), json!({"minAvailable": 1}));
        let newer = budget("v1beta1", json!({}), json!({"minAvailable": 1, "protectOperations": ["EVICT"]}));
        assert_eq!(asked("policy.kruise.io/v1beta1", &json!([older]))["response"]["convertedObjects"], json!([newer]));
        assert_eq!(asked("policy.kruise.io/v1alpha1", &json!([newer]))["response"]["convertedObjects"], json!([older]));
    }

    #[test]
    fn spreads_have_rules_of_their_own_too() {
        let spread = |version: &str, name: &str| json!({"apiVersion": format!("apps.kruise.io/{version}"), "kind": "WorkloadSpread", "spec": {"subsets": [{name: {}}]}});
        let (older, newer) = (spread("v1alpha1", "requiredNodeSelectorTerm"), spread("v1beta1", "requiredNodeSelector"));
        assert_eq!(asked(v1alpha1::V1BETA1, &json!([older]))["response"]["convertedObjects"], json!([newer]));
        assert_eq!(asked(v1alpha1::V1ALPHA1, &json!([newer]))["response"]["convertedObjects"], json!([older]));
    }

    #[test]
    fn no_objects_are_converted_to_no_objects() {
        assert_eq!(asked(v1alpha1::V1BETA1, &json!([]))["response"]["result"]["status"], "Success");
    }
}
