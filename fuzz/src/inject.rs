//! Pods and sets of all shapes: what comes out is a pod with all that was in it, and injecting it again changes nothing.

use k8s_openapi::api::core::v1::Pod;
use outrigger::{
    admission::review,
    handlers::{Registration, TABLE},
};
use serde_json::{Value, json};

use super::{
    choices::Choices,
    cluster::{Cluster, LATER, NOW, check, decide, state},
};

/// Takes choices of sets and of a pod.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let sets: Vec<_> = choices.some(&["log", "mesh", "hot"]).into_iter().map(|name| set(name, &mut choices)).collect();
    let cluster = Cluster { state: state(&sets), objects: sets, reviews: Vec::new() };
    let pod = pod(&mut choices);
    let hook = TABLE.iter().find(|hook| hook.path == "/mutate-pod").unwrap();
    let Some(once) = injected(hook, &cluster, &pod, NOW) else { return };
    let read: Pod = serde_json::from_value(once.clone()).unwrap_or_else(|error| panic!("{error}: {pod} became {once}"));
    let mut names: Vec<_> = read
        .spec
        .iter()
        .flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()))
        .map(|one| &one.name)
        .collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "one name twice: {pod} became {once}");
    kept(&pod, &once);
    let twice = injected(hook, &cluster, &once, LATER);
    // Two sets that write one annotation in turns may well write it again, as it is.
    let twice = twice.unwrap_or_else(|| once.clone());
    assert!(twice == once, "{pod}\nwith {}\nbecame {once}\nand then {twice}", Value::Array(cluster.objects));
}

fn injected(hook: &Registration, cluster: &Cluster, pod: &Value, now: jiff::Timestamp) -> Option<Value> {
    let request = json!({"uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "shop", "object": pod});
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
    let request = review::read(body.as_bytes()).unwrap();
    let decision = decide(hook, &request, cluster, &mut Choices::new(&[]), now);
    check(&request, &decision)
}

/// The pod's own containers and volumes are there with all that they had, in their order.
fn kept(before: &Value, after: &Value) {
    for list in ["containers", "initContainers", "volumes"] {
        let of = |pod: &Value| pod["spec"][list].as_array().cloned().unwrap_or_default();
        let after = of(after);
        let mut rest = after.iter();
        for own in of(before) {
            let found = rest.find(|item| item["name"] == own["name"]).unwrap_or_else(|| panic!("{list} lost {}", own["name"]));
            assert_eq!(found["own"], own["own"]);
        }
    }
    assert_eq!(before["metadata"]["labels"], after["metadata"]["labels"]);
}

fn env(choices: &mut Choices<'_>) -> Value {
    choices
        .several(3, |choices| {
            let name = choices.pick(&["A", "B", "POD_NAME", "IS_INJECTED", "SIDECARSET_VERSION"]);
            if choices.yes() {
                json!({"name": name, "value": choices.text()})
            } else {
                json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
            }
        })
        .into()
}

fn mounts(choices: &mut Choices<'_>) -> Value {
    choices
        .several(3, |choices| {
            let mut mount =
                json!({"name": choices.pick(&["data", "spool", "conf"]), "mountPath": choices.pick(&["/data", "/spool", "/a/b"])});
            if choices.yes() {
                mount["subPathExpr"] = json!(choices.pick(&["$(A)/x", "$(POD_NAME)$(B)", "$$(A)", "$("]));
            }
            mount
        })
        .into()
}

fn resources(choices: &mut Choices<'_>) -> Value {
    let amounts = ["100m", "1", "64Mi", "0.1", "1e3", "0"];
    let one = |choices: &mut Choices<'_>| json!({"cpu": choices.pick(&amounts), "memory": choices.pick(&amounts)});
    json!({"requests": one(choices), "limits": one(choices)})
}

fn pod(choices: &mut Choices<'_>) -> Value {
    // No container of the pod has the name of a sidecar: it would be replaced, and what others took from it were gone the second time.
    let own = |name: &str, choices: &mut Choices<'_>| {
        let mut container =
            json!({"name": name, "image": "app:1", "env": env(choices), "volumeMounts": mounts(choices), "own": choices.text()});
        if choices.yes() {
            container["resources"] = resources(choices);
        }
        if choices.yes() {
            container["volumeDevices"] = json!([{"name": "raw", "devicePath": "/dev/raw"}]);
        }
        container
    };
    let containers: Vec<_> = ["web", "api"].iter().take(1 + choices.below(2)).map(|name| own(name, choices)).collect();
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"app": "web"}}, "spec": {"containers": containers}});
    if choices.yes() {
        let mut init = own("setup", choices);
        if choices.yes() {
            init["restartPolicy"] = json!("Always");
        }
        pod["spec"]["initContainers"] = json!([init]);
    }
    let volumes: Vec<_> =
        choices.some(&["data", "spool", "conf"]).into_iter().map(|name| json!({"name": name, "emptyDir": {}, "own": name})).collect();
    if !volumes.is_empty() {
        pod["spec"]["volumes"] = json!(volumes);
    }
    if choices.yes() {
        let text = choices.text();
        pod["metadata"]["annotations"] = json!({"cfg": choices.pick(&["{}", "{\"z\":1,\"a\":{\"y\":[1]}}", "not json", ""]), "source": choices.pick(&["web", "api", "gone"]), "free": text});
    }
    pod
}

fn sidecar(name: &str, choices: &mut Choices<'_>) -> Value {
    let mut sidecar = json!({"name": name, "image": format!("{name}:1"), "env": env(choices), "volumeMounts": mounts(choices),
        "podInjectPolicy": choices.pick(&["BeforeAppContainer", "AfterAppContainer", ""]), "shareVolumePolicy": {"type": choices.pick(&["enabled", "disabled"])}});
    sidecar["transferEnv"] = choices
        .several(2, |choices| match choices.below(3) {
            0 => json!({"sourceContainerName": "web", "envNames": choices.some(&["A", "B"])}),
            1 => json!({"sourceContainerNameFrom": {"fieldRef": {"fieldPath": "metadata.annotations['source']"}}, "envName": "A"}),
            _ => json!({"sourceContainerName": "api", "envName": choices.pick(&["A", "B", "POD_NAME"])}),
        })
        .into();
    match choices.below(4) {
        1 => sidecar["upgradeStrategy"] = json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"}),
        2 => sidecar["restartPolicy"] = json!("Always"),
        3 => {
            let expression = choices.pick(&["cpu*50%", "max(cpu, 100m)", "cpu - 1", "cpu/0", "min(cpu,1)*2"]);
            sidecar["resourcesPolicy"] = json!({"targetContainersMode": choices.pick(&["sum", "max"]), "targetContainersNameRegex": choices.pick(&[".*", "web", "^a"]), "resourcesExpr": {"requests": {"cpu": expression}, "limits": {"cpu": expression}}});
        }
        _ => sidecar["resources"] = resources(choices),
    }
    sidecar
}

fn set(name: &str, choices: &mut Choices<'_>) -> Value {
    let containers: Vec<_> =
        ["one", "two"].into_iter().take(1 + choices.below(2)).map(|end| sidecar(&format!("{name}-{end}"), choices)).collect();
    let init: Vec<_> = choices.some(&["init"]).into_iter().map(|end| sidecar(&format!("{name}-{end}"), choices)).collect();
    let volumes: Vec<_> =
        choices.some(&["data", "spool", "conf"]).into_iter().map(|name| json!({"name": name, "configMap": {"name": "c"}})).collect();
    let patches: Vec<_> = choices
        .several(2, |choices| match choices.below(3) {
            0 => json!({"patchPolicy": "MergePatchJson", "annotations": {"cfg": choices.pick(&["{\"b\":{\"q\":1},\"gone\":null}", "{}"])}}),
            1 => json!({"patchPolicy": "Overwrite", "annotations": {"cfg": "{\"over\":1}", "more": "1"}}),
            _ => json!({"annotations": {"kept": choices.text()}}),
        })
        .into_iter()
        .collect();
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "containers": containers, "initContainers": init, "volumes": volumes,
        "imagePullSecrets": [{"name": choices.pick(&["one", "other"])}], "patchPodMetadata": patches}})
}
