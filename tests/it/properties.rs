//! What holds for every pod, set and budget: injecting twice is injecting once, and nothing that nobody here knows is lost.

mod budgets;
mod sets;

use jiff::Timestamp;
use outrigger::{
    offline::{documents::Document, reviews},
    state::State,
};
use proptest::{prelude::*, sample::subsequence};
use serde_json::{Value, json};

use crate::conformance::compare::patched;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const LATER: Timestamp = Timestamp::constant(1_800_003_600, 0);

fn some_of(all: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(all, 0..=all.len())
}

fn env() -> impl Strategy<Value = Value> {
    let one =
        (prop_oneof![Just("A"), Just("B"), Just("POD_NAME"), Just("IS_INJECTED")], prop_oneof![Just("1"), Just("true"), Just("\"<&>\n")]);
    proptest::collection::vec(one, 0..4)
        .prop_map(|all| all.into_iter().map(|(name, value)| json!({"name": name, "value": value, "futureEnv": 1})).collect())
}

fn mounts() -> impl Strategy<Value = Value> {
    let one =
        (prop_oneof![Just("data"), Just("spool"), Just("conf")], prop_oneof![Just("/data"), Just("/spool"), Just("/dev/x")], any::<bool>());
    proptest::collection::vec(one, 0..3).prop_map(|all| {
        let mount = |(name, path, with_expression)| {
            let mut mount = json!({"name": name, "mountPath": path, "futureMount": {}});
            if with_expression {
                mount["subPathExpr"] = json!("$(POD_NAME)/$(A)");
            }
            mount
        };
        all.into_iter().map(mount).collect()
    })
}

/// A container of the pod. Its name is never that of a sidecar: such a container is replaced, and what others took from it
/// is gone the second time.
fn application(name: &'static str) -> impl Strategy<Value = Value> {
    (env(), mounts(), any::<bool>()).prop_map(move |(env, mounts, has_resources)| {
        let mut container = json!({"name": name, "image": "app:1", "env": env, "volumeMounts": mounts, "futureMember": {"deep": [name]}});
        if has_resources {
            container["resources"] = json!({"limits": {"cpu": "150m", "memory": "64Mi"}, "requests": {"cpu": "0.1"}});
        }
        container
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let containers = (application("web"), application("api"), any::<bool>())
        .prop_map(|(web, api, both)| if both { json!([web, api]) } else { json!([web]) });
    let annotations = prop_oneof![
        Just(None),
        Just(Some(json!({}))),
        Just(Some(json!({"cfg": "{\"z\": 1, \"a\": {\"y\": [1]}}", "source": "api"}))),
        Just(Some(Value::Null))
    ];
    let init = prop_oneof![
        Just(None),
        Just(Some(json!([]))),
        Just(Some(
            json!([{"name": "setup", "image": "s:1"}, {"name": "own-native", "image": "n:1", "restartPolicy": "Always", "resources": {"limits": {"cpu": "1"}}}])
        ))
    ];
    (containers, annotations, init, some_of(&["data", "spool"]), some_of(&["p", "q"])).prop_map(|(containers, annotations, init, volumes, secrets)| {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "labels": {"app": "web"}}, "spec": {"containers": containers, "futureSpec": [1]}});
        if let Some(annotations) = annotations {
            pod["metadata"]["annotations"] = annotations;
        }
        if let Some(init) = init {
            pod["spec"]["initContainers"] = init;
        }
        if !volumes.is_empty() {
            pod["spec"]["volumes"] = volumes.iter().map(|name| json!({"name": name, "futureVolume": {"own": true}})).collect();
        }
        if !secrets.is_empty() {
            pod["spec"]["imagePullSecrets"] = secrets.iter().chain(&secrets).map(|name| json!({"name": name})).collect();
        }
        pod
    })
}

fn sidecar(name: &'static str) -> impl Strategy<Value = Value> {
    let upgrade = prop_oneof![
        Just(json!({})),
        Just(json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"})),
        Just(json!({"upgradeType": "HotUpgrade"}))
    ];
    let policy = prop_oneof![Just("BeforeAppContainer"), Just("AfterAppContainer"), Just("Odd")];
    let transfer = prop_oneof![
        Just(json!([])),
        Just(json!([{"sourceContainerName": "web", "envNames": ["B", "A"]}, {"sourceContainerName": "log", "envName": "A"}])),
        Just(json!([{"sourceContainerNameFrom": {"fieldRef": {"fieldPath": "metadata.annotations['source']"}}, "envName": "A"}])),
    ];
    let share = prop_oneof![Just("enabled"), Just("disabled")];
    let resources = any::<bool>().prop_map(|computed| {
        if computed {
            json!({"targetContainersMode": "sum", "targetContainersNameRegex": ".*", "resourcesExpr": {"requests": {"cpu": "cpu*50%"}}})
        } else {
            Value::Null
        }
    });
    (upgrade, policy, transfer, share, resources, (env(), mounts(), any::<bool>())).prop_map(move |(upgrade, policy, transfer, share, resources, (env, mounts, native))| {
        let mut sidecar = json!({"name": name, "image": format!("{name}:1"), "podInjectPolicy": policy, "upgradeStrategy": upgrade, "shareVolumePolicy": {"type": share},
            "transferEnv": transfer, "env": env, "volumeMounts": mounts, "futureSidecar": {"deep": {"of": name}}});
        if !resources.is_null() {
            sidecar["resourcesPolicy"] = resources;
        }
        if native {
            sidecar["restartPolicy"] = json!("Always");
        }
        sidecar
    })
}

fn set(name: &'static str, sidecars: [&'static str; 2], init: &'static str) -> impl Strategy<Value = Value> {
    let merge = prop_oneof![
        Just(json!([])),
        Just(
            json!([{"patchPolicy": "MergePatchJson", "annotations": {"cfg": "{\"b\": {\"q\": 1, \"p\": [2]}, \"gone\": null}"}}, {"annotations": {"kept": "x"}}])
        )
    ];
    (sidecar(sidecars[0]), sidecar(sidecars[1]), sidecar(init), any::<bool>(), merge).prop_map(move |(first, second, init, has_init, metadata)| {
        json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name}, "spec": {
            "selector": {"matchLabels": {"app": "web"}}, "containers": [first, second], "initContainers": if has_init { json!([init]) } else { json!([]) },
            "volumes": [{"name": "data", "futureVolume": {"of": name}}, {"name": "spool", "emptyDir": {}}, {"name": "conf", "configMap": {"name": "c", "futureSource": 1}}],
            "imagePullSecrets": [{"name": "q"}, {"name": name}], "patchPodMetadata": metadata}})
    })
}

fn answer(state: &mut State, pod: &Value, now: Timestamp) -> (Value, Value) {
    let request = json!({"uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "shop", "object": pod});
    let value = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request});
    let response = reviews::answer(&Document { file: "test".to_owned(), number: 1, value }, state, &[], now).unwrap()["response"].clone();
    let object = patched(&request, &response);
    (response, object)
}

/// Whether all that `part` says is said by `whole`, too.
fn says(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| says(whole, part))),
        (whole, part) => whole == part,
    }
}

/// All places of a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    for (key, member) in value.as_object().into_iter().flatten() {
        places(member, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        places(item, &format!("{at}/{index}"), found);
    }
}

fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(7)),
        Just(json!(-1.5)),
        Just(json!(true)),
        Just(json!("")),
        Just(json!("$(A)\u{0}\u{2028}")),
        Just(json!([])),
        Just(json!([null])),
        Just(json!({})),
        Just(json!({"name": null})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn injecting_twice_is_injecting_once(pod in pod(), first in set("a", ["log", "mesh"], "boot"), second in set("b", ["metrics", "log"], "mesh")) {
        let mut state = State::default();
        for set in [first, second] {
            state.apply_set(serde_json::from_value(set).unwrap()).unwrap();
        }
        let (response, once) = answer(&mut state, &pod, NOW);
        prop_assert_eq!(&response["allowed"], &json!(true), "{}", response);
        let (again, twice) = answer(&mut state, &once, LATER);
        prop_assert_eq!(again.get("patch"), None, "{} became {}", once, twice);
    }

    #[test]
    fn what_nobody_here_knows_survives(pod in pod(), set in set("a", ["log", "mesh"], "boot")) {
        let mut state = State::default();
        state.apply_set(serde_json::from_value(set.clone()).unwrap()).unwrap();
        let (_, injected) = answer(&mut state, &pod, NOW);
        // The pod's own containers: all there, in their order, untouched.
        for list in ["containers", "initContainers"] {
            let own: Vec<&Value> = pod["spec"][list].as_array().into_iter().flatten().collect();
            let names: Vec<&Value> = own.iter().map(|container| &container["name"]).collect();
            let kept: Vec<&Value> = injected["spec"][list].as_array().into_iter().flatten().filter(|container| names.contains(&&container["name"])).collect();
            prop_assert_eq!(kept, own);
        }
        prop_assert_eq!(&injected["spec"]["futureSpec"], &pod["spec"]["futureSpec"]);
        // The pod's own volumes, and those of the set where the pod has none of the name.
        let volumes: Vec<&Value> = injected["spec"]["volumes"].as_array().into_iter().flatten().collect();
        for own in pod["spec"]["volumes"].as_array().into_iter().flatten() {
            prop_assert!(volumes.contains(&own));
        }
        let known = |volume: &&&Value| pod["spec"]["volumes"].as_array().into_iter().flatten().chain(set["spec"]["volumes"].as_array().into_iter().flatten()).any(|one| says(volume, one));
        prop_assert_eq!(volumes.iter().filter(known).count(), volumes.len());
        // Every sidecar with its own unknown member.
        for sidecar in set["spec"]["containers"].as_array().into_iter().flatten() {
            let future = json!({"futureSidecar": sidecar["futureSidecar"]});
            prop_assert!(injected["spec"]["containers"].as_array().unwrap().iter().any(|container| says(container, &future)));
        }
    }

    /// Neither a pod nor a set is so odd that there is no answer. (A panic fails the test.)
    #[test]
    fn odd_pods_and_odd_sets_are_answered(pod in pod(), set in set("a", ["log", "mesh"], "boot"), oddities in proptest::collection::vec((any::<prop::sample::Index>(), odd(), any::<bool>()), 1..4)) {
        let (mut pod, mut set) = (pod, set);
        for (place, odd, is_in_pod) in oddities {
            let target = if is_in_pod { &mut pod } else { &mut set["spec"] };
            let mut all = Vec::new();
            places(target, "", &mut all);
            *target.pointer_mut(place.get::<String>(&all)).unwrap() = odd;
        }
        let mut state = State::default();
        if let Ok(set) = serde_json::from_value(set) {
            let _ = state.apply_set(set);
        }
        let request = json!({"uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "shop", "object": pod});
        let value = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request});
        let response = reviews::answer(&Document { file: "test".to_owned(), number: 1, value }, &mut state, &[], NOW).unwrap()["response"].clone();
        match response["allowed"].as_bool() {
            // What is patched can be patched: the pointers of the patch exist.
            Some(true) => drop(patched(&request, &response)),
            Some(false) => prop_assert!(response["status"]["message"].as_str().is_some_and(|message| message.len() > 5), "{}", response),
            None => prop_assert!(false, "{}", response),
        }
    }
}
