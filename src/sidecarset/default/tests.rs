use serde_json::json;

use super::{super::recorded, *};

/// Answered otherwise than recorded, on purpose: members that the reference does not know stay, and it panics where we do not.
const DIFFERENT: &[(&str, Option<usize>)] =
    &[("set-default-unknown-fields", None), ("set-hash-unknown-fields", None), ("set-default-transfer-env", Some(1))];

/// Members that Go writes although they are empty, so that empty is as good as absent.
const EMPTY_IS_ABSENT: &[&str] =
    &["resources", "status", "securityContext", "injectionStrategy", "updateStrategy", "annotations", "labels", "upgradeStrategy"];

fn set(spec: &Value) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "s"}, "spec": spec})
}

/// The object without what may be absent as well.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(key, member)| (key, plain(member)));
            let meaningful = |key: &str, member: &Value| {
                let empty = member.as_object().is_some_and(Map::is_empty) || member.as_array().is_some_and(Vec::is_empty);
                !(member.is_null() || empty && EMPTY_IS_ABSENT.contains(&key))
            };
            Value::Object(members.filter(|(key, member)| meaningful(key, member)).map(|(key, member)| (key.clone(), member)).collect())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        scalar => scalar.clone(),
    }
}

#[test]
fn recorded_sets_are_defaulted_as_recorded() {
    let cases = ["set-default-", "set-hash-"].into_iter().flat_map(|prefix| recorded::cases("sidecarset", prefix));
    let mut compared = 0;
    for (name, case) in cases {
        let requests = case["requests"].as_array().unwrap().iter().enumerate();
        for (index, request) in requests.filter(|(_, request)| request["path"] == "/mutate-apps-kruise-io-sidecarset") {
            if DIFFERENT.iter().any(|(case, only)| *case == name && only.is_none_or(|only| only == index)) {
                continue;
            }
            let (object, want) = (&request["request"]["object"], &request["want"]);
            if want["allowed"] == true {
                let got = defaulted(object).unwrap();
                let Some(want) = want.get("object") else {
                    // No patch at all, so not even the artefacts of Go differ.
                    assert_eq!(&got, object, "{name}, request {index}");
                    continue;
                };
                assert_alike(&plain(&got), &plain(want), &format!("{name}, request {index}"));
            } else {
                assert!(defaulted(object).is_err(), "{name}, request {index}");
            }
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} were compared");
}

fn assert_alike(got: &Value, want: &Value, what: &str) {
    let [got, want] = [got, want].map(|value| {
        let mut text = String::new();
        crate::base::go_json::write_value(&mut text, value);
        text.replace(',', ",\n")
    });
    assert!(got == want, "{what}:\n{}", similar::TextDiff::from_lines(&want, &got).unified_diff());
}

#[test]
fn unknown_members_stay_in_the_object_and_out_of_the_hash() {
    for (name, request) in [("set-default-unknown-fields", 0), ("set-hash-unknown-fields", 1), ("set-hash-unknown-fields", 2)] {
        let (_, case) = recorded::cases("sidecarset", name).remove(0);
        let (object, want) = (&case["requests"][request]["request"]["object"], &case["requests"][request]["want"]["object"]);
        let got = defaulted(object).unwrap();
        assert_eq!(got["metadata"]["annotations"], want["metadata"]["annotations"], "{name}, request {request}");
        let given = object["spec"]["containers"][0].as_object().unwrap().iter().filter(|(_, member)| !member.is_null());
        let lost: Vec<_> = given.filter(|(key, _)| got["spec"]["containers"][0].get(*key).is_none()).collect();
        assert_eq!(lost, [], "{name}, request {request}");
    }
}

#[test]
fn defaulting_again_changes_nothing() {
    for (name, case) in recorded::cases("sidecarset", "set-default-").into_iter().chain(recorded::cases("sidecarset", "set-hash-")) {
        for request in case["requests"].as_array().unwrap() {
            if let Ok(once) = defaulted(&request["request"]["object"]) {
                // An empty list of containers is written back as absent, which has another hash.
                if request["request"]["object"]["spec"]["containers"] != json!([]) {
                    assert_eq!(defaulted(&once), Ok(once), "{name}");
                }
            }
        }
    }
}

#[test]
fn a_volume_of_a_kind_that_no_one_knows_gets_no_other_source() {
    let got = defaulted(&set(&json!({"volumes": [{"name": "a", "newKind": {}}, {"name": "b", "emptyDir": null}]}))).unwrap();
    assert_eq!(got["spec"]["volumes"], json!([{"name": "a", "newKind": {}}, {"name": "b", "emptyDir": {}}]));
}

#[test]
fn the_schema_targets_all_containers_unless_the_policy_says_which() {
    for (given, want) in [(json!(null), ".*"), (json!("^web$"), "^web$"), (json!(""), "")] {
        let policy = json!({"targetContainersMode": "sum", "targetContainersNameRegex": given, "resourcesExpr": {}});
        let object = set(&json!({"containers": [{"name": "a", "resourcesPolicy": policy}], "injectionStrategy": {"revision": {}}}));
        let mut read = read(object).unwrap();
        apply_schema(&mut read.spec);
        assert_eq!(read.spec.injection_strategy.revision.unwrap().policy.as_deref(), Some("Always"));
        let policy = read.spec.containers.unwrap().remove(0).resources_policy.unwrap();
        assert_eq!(policy.target_containers_name_regex.as_deref(), Some(want));
    }
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    for (spec, want) in [
        (
            json!({"containers": [{}, {"ports": [{"containerPort": "80"}]}]}),
            "spec.containers[1].ports[0].containerPort: must be a whole number of 32 bits",
        ),
        (json!({"initContainers": [{"env": {}}]}), "spec.initContainers[0].env: must be a list"),
        (json!({"containers": [{"command": ["a", 1]}]}), "spec.containers[0].command[1]: must be a string"),
        (
            json!({"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}),
            "spec.containers[0].resources.limits[cpu]: must be a quantity, such as 100m or 1Gi",
        ),
        (
            json!({"containers": [{"livenessProbe": {"httpGet": {"port": 4_294_967_296_i64}}}]}),
            "spec.containers[0].livenessProbe.httpGet.port: must be a whole number of 32 bits, or a string",
        ),
        (
            json!({"volumes": [{"name": "v", "secret": {"defaultMode": 0.5}}]}),
            "spec.volumes[0].secret.defaultMode: must be a whole number of 32 bits",
        ),
        (json!({"updateStrategy": {"paused": 1}}), "spec.updateStrategy.paused: invalid type: integer `1`, expected a boolean"),
        (json!({"volumes": [{"name": "v", "emptyDir": "x"}]}), "spec.volumes[0].emptyDir: must be an object"),
    ] {
        assert_eq!(defaulted(&set(&spec)).unwrap_err().to_string(), want);
    }
}
