//! Objects of our kinds in another of their versions, and back.

use outrigger::handlers::convert::answer;
use serde_json::{Value, json};

use super::{choices::Choices, cluster::cluster};

const GROUPS: [(&str, &str); 3] =
    [("SidecarSet", "apps.kruise.io"), ("PodUnavailableBudget", "policy.kruise.io"), ("WorkloadSpread", "apps.kruise.io")];
const VERSIONS: [&str; 2] = ["v1beta1", "v1alpha1"];

/// Takes choices of an object and of what is changed in it.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let ours: Vec<_> = cluster().objects.iter().filter(|object| GROUPS.iter().any(|(kind, _)| object["kind"] == *kind)).collect();
    let mut object = choices.pick(&ours).clone();
    let (_, group) = GROUPS.iter().find(|(kind, _)| object["kind"] == *kind).unwrap();
    let from = choices.below(2);
    let versions = VERSIONS.map(|version| format!("{group}/{version}"));
    object["apiVersion"] = json!(versions[from]);
    choices.mutate(&mut object);
    let Some(there) = converted(&object, &versions[1 - from]) else { return };
    assert_eq!(there["apiVersion"], versions[1 - from]);
    // The present version has a place for everything, so that what comes back from there is the same to whoever reads it there.
    let back = converted(&there, &versions[from]).unwrap_or_else(|| panic!("{object} became {there}, which does not come back"));
    let again = converted(&back, &versions[1 - from]).unwrap_or_else(|| panic!("{back}, which came of {object}, does not convert"));
    assert_eq!(again, there, "{object} came back as {back}");
}

fn converted(object: &Value, desired: &str) -> Option<Value> {
    let request = json!({"uid": "u", "desiredAPIVersion": desired, "objects": [object]});
    let body = json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "request": request}).to_string();
    let answer = answer(body.as_bytes()).unwrap();
    let response: Value = serde_json::from_slice(&answer.response).unwrap();
    let objects = response["response"]["convertedObjects"].as_array().unwrap();
    assert_eq!(objects.len(), usize::from(answer.outcome.is_ok()), "{response}");
    objects.first().cloned()
}
