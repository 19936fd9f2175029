//! What holds for every budget that is written or read: it is answered, and what nobody here knows comes through.

use super::*;

const PATH: &str = "/validate-policy-kruise-io-podunavailablebudget";
const ALPHA: &str = "policy.kruise.io/v1alpha1";
const BETA: &str = "policy.kruise.io/v1beta1";

fn review(state: &mut State, value: Value) -> Value {
    reviews::answer(&Document { file: "test".to_owned(), number: 1, value }, state, &[], NOW).unwrap()["response"].clone()
}

fn judged(state: &mut State, version: &str, object: &Value, old: &Value) -> Value {
    let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
    let resource = json!({"group": "policy.kruise.io", "version": version.rsplit('/').next(), "resource": "podunavailablebudgets"});
    let request =
        json!({"uid": "u", "operation": operation, "namespace": "shop", "resource": resource, "object": object, "oldObject": old});
    review(state, json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "path": PATH, "request": request}))
}

fn converted(desired: &str, object: &Value) -> Value {
    let request = json!({"uid": "u", "desiredAPIVersion": desired, "objects": [object]});
    review(&mut State::default(), json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "request": request}))
}

/// A budget with every member, so that oddities find a place.
fn budget(version: &'static str) -> impl Strategy<Value = Value> {
    let pods = prop_oneof![
        Just(
            json!({"selector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}]}})
        ),
        Just(json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "newer": 1}})),
    ];
    let amount = prop_oneof![Just(json!({"maxUnavailable": "20%"})), Just(json!({"minAvailable": 3}))];
    let newer = json!({"protectOperations": ["DELETE", "RESIZE"], "protectTotalReplicas": 4, "ignoredPodSelector": {"matchLabels": {"debug": "true"}}, "future": {"deep": [1]}});
    (pods, amount).prop_map(move |(pods, amount)| {
        let annotations = json!({"kruise.io/pub-protect-operations": "EVICT, UPDATE", "pub.kruise.io/protect-total-replicas": "4", "keep": "me"});
        let mut budget = json!({"apiVersion": version, "kind": "PodUnavailableBudget", "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
            "spec": {}, "status": {"disruptedPods": {"web-0": "2026-01-01T00:00:00Z"}, "unavailableAllowed": 1}, "future": [1]});
        let spec = budget["spec"].as_object_mut().unwrap();
        let parts = [pods, amount].into_iter().chain((version == BETA).then(|| newer.clone()));
        spec.extend(parts.flat_map(|part| part.as_object().cloned().unwrap()));
        budget
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No budget is so odd that there is no answer, in any version, whatever stands beside it. (A panic fails the test.)
    #[test]
    fn odd_budgets_are_answered(good in prop_oneof![budget(ALPHA), budget(BETA)], is_update in any::<bool>(), oddities in proptest::collection::vec((any::<prop::sample::Index>(), odd()), 1..4)) {
        let mut bad = good.clone();
        for (place, odd) in oddities {
            let mut all = Vec::new();
            places(&bad, "", &mut all);
            *bad.pointer_mut(place.get::<String>(&all)).unwrap() = odd;
        }
        let mut state = State::default();
        if let Ok(stored) = serde_json::from_value(bad.clone()) {
            state.apply_budget(stored);
        }
        let mut other = good.clone();
        other["metadata"]["name"] = json!("other");
        let version = good["apiVersion"].as_str().unwrap();
        for (new, old) in [(&bad, &good), (&good, &bad), (&other, &bad)] {
            let response = judged(&mut state, version, new, if is_update { old } else { &Value::Null });
            match response["allowed"].as_bool() {
                Some(true) => prop_assert_eq!(response.get("patch"), None),
                Some(false) => prop_assert!(response["status"]["message"].as_str().is_some_and(|message| message.len() > 5), "{}", response),
                None => prop_assert!(false, "{}", response),
            }
        }
        for desired in [ALPHA, BETA, "v1", ""] {
            let result = converted(desired, &bad);
            let is_said = result["result"]["status"] == "Success" || result["result"]["message"].as_str().is_some_and(|message| message.len() > 5);
            prop_assert!(is_said, "{}", result);
        }
    }

    /// What the present version says instead of annotations goes before them, and they are gone afterwards.
    #[test]
    fn conversion_there_and_back_changes_nothing_but_annotations_that_say_it_twice(good in budget(BETA)) {
        let there = converted(ALPHA, &good)["convertedObjects"][0].clone();
        prop_assert_eq!(&there["apiVersion"], ALPHA);
        prop_assert_eq!(&there["metadata"]["annotations"]["kruise.io/pub-protect-operations"], "DELETE,RESIZE");
        let mut wanted = good;
        wanted["metadata"]["annotations"] = json!({"keep": "me"});
        prop_assert_eq!(&converted(BETA, &there)["convertedObjects"], &json!([wanted]));
    }
}
