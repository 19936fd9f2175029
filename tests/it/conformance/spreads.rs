//! What recorded spreads and their pods say of each other.

use serde_json::{Value, json};

use super::{cases, compare::patched, through_the_function};

/// Under what the pod that an answer lets in is noted, if it has no name.
fn id(request: &Value, answer: &Value) -> Option<String> {
    let pod = patched(request, answer);
    let mark = pod["metadata"]["annotations"]["apps.kruise.io/matched-workloadspread"].as_str()?;
    let mark: Value = serde_json::from_str(mark).unwrap();
    mark["uid"].as_str().map(str::to_owned)
}

#[test]
fn a_pod_without_a_name_bears_the_id_that_it_is_noted_under_and_no_two_bear_one() {
    let mut ids = 0;
    for (name, case, state, objects) in cases("spread") {
        let requests: Vec<Value> = case["requests"].as_array().unwrap().clone();
        let dry = |request: &Value| request["request"]["dryRun"] == true;
        let is_new = |request: &&Value| request["path"] == "/mutate-pod" && !dry(request) && id(&request["request"], &json!({})).is_none();
        let requests: Vec<Value> = requests.iter().filter(is_new).cloned().collect();
        let mut seen: Vec<String> = Vec::new();
        for (request, seen_then) in requests.iter().zip(through_the_function(state, &objects, &requests)) {
            let Some(id) = id(&request["request"], &seen_then.answer) else { continue };
            let is_noted = |spread: &Value| spread["status"]["versionedSubsetStatuses"].to_string().contains(&format!("\"{id}\":\""));
            assert!(seen_then.objects.iter().any(is_noted), "{name}: {id} is not noted");
            assert!(!seen.contains(&id), "{name}: {id} is borne by two");
            seen.push(id);
            ids += 1;
        }
    }
    assert!(ids >= 8, "only {ids} pods without a name");
}
