//! What holds for every set that is written or read: it is answered, and what nobody here knows comes through.

use super::*;

const ALPHA: &str = "apps.kruise.io/v1alpha1";
const BETA: &str = "apps.kruise.io/v1beta1";

fn review(state: &mut State, value: Value) -> Value {
    reviews::answer(&Document { file: "test".to_owned(), number: 1, value }, state, &[], NOW).unwrap()["response"].clone()
}

fn written(state: &mut State, path: &str, object: &Value, old: &Value) -> (Value, Value) {
    let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
    let resource = json!({"group": "apps.kruise.io", "version": "v1beta1", "resource": "sidecarsets"});
    let request = json!({"uid": "u", "operation": operation, "resource": resource, "object": object, "oldObject": old});
    let response = review(state, json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "path": path, "request": request}));
    (response, request)
}

fn converted(desired: &str, object: &Value) -> Value {
    let request = json!({"uid": "u", "desiredAPIVersion": desired, "objects": [object]});
    review(&mut State::default(), json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "request": request}))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// No set is so odd that there is no answer, from any hook, in any version. (A panic fails the test.)
    #[test]
    fn odd_sets_are_answered(good in set("a", ["log", "mesh"], "boot"), older in any::<bool>(), is_update in any::<bool>(), oddities in proptest::collection::vec((any::<prop::sample::Index>(), odd()), 1..4)) {
        let mut good = good;
        good["apiVersion"] = json!(if older { ALPHA } else { BETA });
        let mut set = good.clone();
        for (place, odd) in oddities {
            let mut all = Vec::new();
            places(&set, "", &mut all);
            *set.pointer_mut(place.get::<String>(&all)).unwrap() = odd;
        }
        let old = if is_update { good } else { Value::Null };
        for path in ["/mutate-apps-kruise-io-sidecarset", "/validate-apps-kruise-io-sidecarset"] {
            let (response, request) = written(&mut State::default(), path, &set, &old);
            match response["allowed"].as_bool() {
                // What is patched can be patched: the pointers of the patch exist.
                Some(true) => drop(patched(&request, &response)),
                Some(false) => prop_assert!(response["status"]["message"].as_str().is_some_and(|message| message.len() > 5), "{}", response),
                None => prop_assert!(false, "{}", response),
            }
        }
        for desired in [ALPHA, BETA, "v1", ""] {
            let result = converted(desired, &set);
            let is_said = result["result"]["status"] == "Success" || result["result"]["message"].as_str().is_some_and(|message| message.len() > 5);
            prop_assert!(is_said, "{}", result);
        }
    }

    #[test]
    fn a_set_that_is_filled_in_stays_as_it_is_and_keeps_what_nobody_knows(set in set("a", ["log", "mesh"], "boot")) {
        let (response, request) = written(&mut State::default(), "/mutate-apps-kruise-io-sidecarset", &set, &Value::Null);
        let once = patched(&request, &response);
        for (before, after) in set["spec"]["containers"].as_array().into_iter().flatten().zip(once["spec"]["containers"].as_array().unwrap()) {
            prop_assert_eq!(&after["futureSidecar"], &before["futureSidecar"]);
        }
        prop_assert_eq!(&once["spec"]["volumes"][0]["futureVolume"], &set["spec"]["volumes"][0]["futureVolume"]);
        // An empty list of init containers has a hash of its own, and is written as none.
        if set["spec"]["initContainers"] != json!([]) {
            let (again, _) = written(&mut State::default(), "/mutate-apps-kruise-io-sidecarset", &once, &once);
            prop_assert_eq!(again.get("patch"), None, "{}", once);
        }
    }

    #[test]
    fn conversion_there_and_back_changes_nothing(set in set("a", ["log", "mesh"], "boot"), version in proptest::option::of("[a-z]{1,3}")) {
        let mut set = set;
        if let Some(version) = version {
            set["spec"]["customVersion"] = json!(version);
        }
        let there = converted(ALPHA, &set)["convertedObjects"][0].clone();
        prop_assert_eq!(&there["apiVersion"], ALPHA);
        prop_assert_eq!(&converted(BETA, &there)["convertedObjects"], &json!([set]));
    }
}
