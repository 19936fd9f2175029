//! The pod to ask the API server about: would a pod with all of this in it be admitted? The rules of containers and volumes are
//! those of its own version that way.
//!
//! It is created as a dry run. What the API server says of the containers and volumes (the causes of a 422) is the verdict, what
//! it says of anything else is about the stand-in and not about the set.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{SidecarSet, containers, init_containers};
use crate::{
    base::field::{Error, Path},
    sidecarset::default,
};

/// Longer than any hook sleeps: how long a pod may take to stop is the pod's own matter.
const GRACE_SECONDS: i64 = 1_000_000_000;

/// The pod, with all init containers, containers and volumes of the set in their order, so that the API server's paths are the
/// set's own. A set without containers gets a placeholder, which is the last one and has a name of its own.
pub fn stand_in_pod(set: &SidecarSet, namespace: &str) -> Value {
    let mut set = set.clone();
    default::apply(&mut set);
    let of = |sidecars: &[super::SidecarContainer]| sidecars.iter().map(|sidecar| container(&sidecar.container)).collect::<Vec<_>>();
    let (init, mut regular) = (of(init_containers(&set)), of(containers(&set)));
    if regular.is_empty() {
        regular.push(json!({"name": free_name(&set), "image": "placeholder"}));
    }
    let mut spec = Map::new();
    let mut put = |member: &str, value: Value| spec.insert(member.to_owned(), value);
    put("restartPolicy", json!("Always"));
    put("terminationGracePeriodSeconds", json!(GRACE_SECONDS));
    put("automountServiceAccountToken", json!(false));
    // What these ask of their pod is not in the set, so the stand-in has it.
    let all = || init.iter().chain(&regular);
    if all().any(|one| one.pointer("/securityContext/windowsOptions/hostProcess") == Some(&json!(true))) {
        put("hostNetwork", json!(true));
    } else if all().any(|one| one.pointer("/securityContext/procMount") == Some(&json!("Unmasked"))) {
        put("hostUsers", json!(false));
    }
    let claims: BTreeSet<&str> = all().flat_map(claims).collect();
    if !claims.is_empty() {
        put("resourceClaims", claims.iter().map(|name| json!({"name": name, "resourceClaimName": "stand-in"})).collect());
    }
    put("volumes", json!(set.spec.volumes));
    put("initContainers", Value::Array(init));
    put("containers", Value::Array(regular));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "sidecarset-stand-in-", "namespace": namespace}, "spec": spec})
}

/// What the API server said of the pod that stood in for the set, said of the set. `causes` are field and message of each cause
/// of its 422. Causes about the placeholder, and about other parts of the pod than containers and volumes, are left out.
pub fn from_stand_in(set: &SidecarSet, causes: &[(String, String)]) -> Vec<Error> {
    let own = [
        ("spec.containers", containers(set).len()),
        ("spec.initContainers", init_containers(set).len()),
        ("spec.volumes", set.spec.volumes.len()),
    ];
    let is_own = |field: &str| {
        own.iter().any(|(list, length)| {
            let Some(rest) = field.strip_prefix(list) else { return false };
            let index = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).and_then(|(index, _)| index.parse::<usize>().ok());
            // A cause about the whole list is the set's, if it has one.
            let is_whole = rest.is_empty() || rest.starts_with('.');
            index.map_or_else(|| is_whole && *length > 0, |index| index < *length)
        })
    };
    causes.iter().filter(|(field, _)| is_own(field)).map(|(field, message)| Error::told(&Path::new(field), message)).collect()
}

fn container(members: &Map<String, Value>) -> Value {
    let mut members = members.clone();
    default::apply_to_startup(&mut members);
    Value::Object(members)
}

/// Names of the resource claims that a container uses.
fn claims(container: &Value) -> impl Iterator<Item = &str> {
    let claims = container.pointer("/resources/claims").and_then(Value::as_array);
    claims.into_iter().flatten().filter_map(|claim| claim.get("name")?.as_str())
}

/// A name that no init container has.
fn free_name(set: &SidecarSet) -> String {
    let mut name = "placeholder".to_owned();
    while init_containers(set).iter().any(|sidecar| sidecar.name() == name) {
        name.push('x');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(spec: &Value) -> SidecarSet {
        let object = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "s"}, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    fn said(set: &SidecarSet, causes: &[(&str, &str)]) -> Vec<String> {
        let causes: Vec<_> = causes.iter().map(|(field, message)| ((*field).to_owned(), (*message).to_owned())).collect();
        from_stand_in(set, &causes).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_stand_in_has_all_containers_and_volumes_of_the_set_and_nothing_that_only_sets_have() {
        let set = set(&json!({
            "initContainers": [{"name": "i", "image": "i:1", "restartPolicy": "Always", "podInjectPolicy": "BeforeAppContainer"}],
            "containers": [{"name": "c", "image": "c:1", "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e:1"},
                "transferEnv": [{"sourceContainerName": "app", "envName": "A"}], "shareVolumePolicy": {"type": "enabled"},
                "startupProbe": {"httpGet": {"port": 80}}, "newer": {"member": 1}}],
            "volumes": [{"name": "v"}]}));
        let pod = stand_in_pod(&set, "kruise-system");
        assert_eq!(pod["metadata"]["namespace"], "kruise-system");
        let spec = &pod["spec"];
        assert_eq!(
            spec["containers"],
            json!([{"name": "c", "image": "c:1", "startupProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}, "newer": {"member": 1}, "resources": {},
                "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}])
        );
        assert_eq!((&spec["initContainers"][0]["name"], &spec["initContainers"][0]["restartPolicy"]), (&json!("i"), &json!("Always")));
        assert_eq!((&spec["volumes"], &spec["restartPolicy"]), (&json!([{"name": "v", "emptyDir": {}}]), &json!("Always")));
    }

    #[test]
    fn a_set_of_init_containers_gets_a_placeholder_of_another_name() {
        let set = set(&json!({"initContainers": [{"name": "placeholder", "image": "i"}, {"name": "test", "image": "i"}]}));
        assert_eq!(stand_in_pod(&set, "n")["spec"]["containers"], json!([{"name": "placeholderx", "image": "placeholder"}]));
        let causes = [
            ("spec.containers[0].image", "Required value"),
            ("spec.containers", "Required value"),
            ("spec.initContainers[1].env[0].name", "Required value"),
            ("spec.initContainers[2].env[0].name", "Required value"),
        ];
        assert_eq!(said(&set, &causes), ["spec.initContainers[1].env[0].name: Required value"]);
    }

    #[test]
    fn what_containers_ask_of_their_pod_the_stand_in_has() {
        let with = |member: Value| {
            let mut container = json!({"name": "c", "image": "i"});
            container.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
            stand_in_pod(&set(&json!({"containers": [container]})), "n")["spec"].clone()
        };
        assert_eq!(with(json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}))["hostNetwork"], true);
        assert_eq!(with(json!({"securityContext": {"procMount": "Unmasked"}}))["hostUsers"], false);
        let claims = with(json!({"resources": {"claims": [{"name": "gpu"}]}}));
        assert_eq!(claims["resourceClaims"], json!([{"name": "gpu", "resourceClaimName": "stand-in"}]));
        assert!(with(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}))["terminationGracePeriodSeconds"].as_i64() > Some(31));
    }

    #[test]
    fn causes_keep_their_words_and_those_about_the_pod_alone_are_left_out() {
        let set = set(&json!({"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v"}]}));
        let causes = [
            ("spec.containers[0].env[0].name", "Invalid value: \"1A\": a valid environment variable name …"),
            ("spec.volumes[0].hostPath.path", "Required value"),
            ("spec.containers", "Forbidden: too many"),
            ("spec.hostNetwork", "Invalid value: false: no"),
            ("spec.containersX[0]", "Required value"),
            ("metadata.name", "Required value"),
        ];
        assert_eq!(
            said(&set, &causes),
            [
                "spec.containers[0].env[0].name: Invalid value: \"1A\": a valid environment variable name …",
                "spec.volumes[0].hostPath.path: Required value",
                "spec.containers: Forbidden: too many",
            ]
        );
    }
}
