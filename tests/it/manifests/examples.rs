//! The examples are read by the types that the server reads them with, and say nothing that those do not know.

use k8s_openapi::{
    Resource,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Container, Namespace, Pod, Volume},
    },
};
use outrigger::{budget::api::PodUnavailableBudget, sidecarset::api::SidecarSet, spread::api::WorkloadSpread};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{committed, documents};

/// An object that was read and written again by its type.
fn reread<T: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let typed: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"));
    serde_json::to_value(typed).unwrap()
}

/// Paths of what is in `written` and not, or otherwise, in `read`.
fn lost(path: &str, written: &Value, read: &Value) -> Vec<String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => written
            .iter()
            .flat_map(|(name, value)| lost(&format!("{path}.{name}"), value, read.get(name).unwrap_or(&Value::Null)))
            .collect(),
        (Value::Array(written), Value::Array(read)) if written.len() == read.len() => {
            written.iter().zip(read).enumerate().flat_map(|(i, (written, read))| lost(&format!("{path}[{i}]"), written, read)).collect()
        }
        (Value::Null, _) => Vec::new(),
        _ if written == read => Vec::new(),
        _ => vec![path.to_owned()],
    }
}

fn examples() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(committed().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        // What is put together from what is rendered is tried on a cluster.
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        found.extend(documents(&text).into_iter().map(|document| (name.clone(), document)));
    }
    found
}

fn sets() -> Vec<(String, Value)> {
    examples().into_iter().filter(|(_, document)| document["kind"] == "SidecarSet").collect()
}

#[test]
fn examples_use_only_members_that_exist() {
    for (file, document) in examples() {
        let read = match document["kind"].as_str().unwrap() {
            "SidecarSet" => reread::<SidecarSet>(&document),
            "PodUnavailableBudget" => reread::<PodUnavailableBudget>(&document),
            "WorkloadSpread" => reread::<WorkloadSpread>(&document),
            Namespace::KIND => reread::<Namespace>(&document),
            ConfigMap::KIND => reread::<ConfigMap>(&document),
            Pod::KIND => reread::<Pod>(&document),
            Deployment::KIND => reread::<Deployment>(&document),
            "AdmissionReview" => continue,
            kind => panic!("{file}: no example of a {kind} is expected"),
        };
        assert_eq!(lost("", &document, &read), [""; 0], "{file}");
    }
}

/// The server keeps what it does not know of a container; an example has nothing of that kind.
#[test]
fn sidecars_and_volumes_of_examples_are_kubernetes() {
    let own = ["podInjectPolicy", "upgradeStrategy", "shareVolumePolicy", "shareVolumeDevicePolicy", "transferEnv", "resourcesPolicy"];
    assert!(!sets().is_empty());
    for (file, set) in sets() {
        for list in ["containers", "initContainers"] {
            for container in set["spec"].get(list).and_then(Value::as_array).into_iter().flatten() {
                let mut container = container.clone();
                container.as_object_mut().unwrap().retain(|name, _| !own.contains(&name.as_str()));
                assert_eq!(lost(list, &container, &reread::<Container>(&container)), [""; 0], "{file}");
            }
        }
        for volume in set["spec"].get("volumes").and_then(Value::as_array).into_iter().flatten() {
            assert_eq!(lost("volumes", volume, &reread::<Volume>(volume)), [""; 0], "{file}");
        }
    }
}

#[test]
fn examples_are_written_as_by_hand() {
    for (file, set) in sets() {
        let text = set.to_string();
        for stored in ["status\":", "creationTimestamp", "kruise.io/sidecarset-hash", "terminationMessagePath", "revisionHistoryLimit"] {
            assert!(!text.contains(stored), "{file}: {stored}");
        }
    }
}

#[test]
fn the_review_is_one_of_a_pod_that_two_sets_select() {
    let examples = examples();
    let (_, review) = examples.iter().find(|(file, _)| file == "pod-review.json").unwrap();
    let request = &review["request"];
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!((&request["operation"], &request["resource"]["resource"]), (&"CREATE".into(), &"pods".into()));
    assert_eq!(lost("", &request["object"], &reread::<Pod>(&request["object"])), [""; 0]);
    assert_eq!(request["namespace"], request["object"]["metadata"]["namespace"]);

    let selecting = sets().into_iter().filter(|(_, set)| {
        let namespace = examples.iter().find(|(_, o)| o["kind"] == "Namespace" && o["metadata"]["name"] == request["namespace"]).unwrap();
        selects(&set["spec"]["selector"], &request["object"]["metadata"]["labels"])
            && selects(&set["spec"]["namespaceSelector"], &namespace.1["metadata"]["labels"])
    });
    assert_eq!(selecting.count(), 2);
}

/// As far as the examples go: no selector selects everything.
fn selects(selector: &Value, labels: &Value) -> bool {
    let equal =
        selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    equal
        && expressions.into_iter().all(|expression| {
            let label = labels.get(expression["key"].as_str().unwrap());
            let listed =
                expression.get("values").and_then(Value::as_array).is_some_and(|values| label.is_some_and(|label| values.contains(label)));
            match expression["operator"].as_str().unwrap() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => label.is_some(),
                operator => panic!("{operator}"),
            }
        })
}
