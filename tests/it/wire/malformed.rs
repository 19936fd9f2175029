//! Bodies that nobody should send, at the real binary with all hooks: each is answered in bounded time, on a connection that lives on.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use outrigger::handlers::{TABLE, convert};
use serde_json::{Value, json};

use crate::world::{
    binary::Serving,
    client::{BOTH, Client, Protocol, review},
    ends,
};

/// Longer than any answer may take, although this build is slow and the machine is shared. A walk over all triples of five
/// thousand things takes minutes.
const BOUND: Duration = Duration::from_secs(20);
/// So many of one thing are a request of half a megabyte.
const MANY: usize = 5_000;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn serving() -> Serving {
    Serving::folder(&folder("fuzz/cluster"))
}

fn paths() -> Vec<&'static str> {
    let mut paths: Vec<_> = TABLE.iter().map(|hook| hook.path).chain([convert::PATH]).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// A review, or what has a review's answer: yes, no, or a sentence about what is wrong with it.
async fn assert_answered(client: &mut Client, path: &str, name: &str, body: Vec<u8>) {
    let since = Instant::now();
    let answer = ends(name, client.try_post(path, body)).await.unwrap_or_else(|error| panic!("{name} at {path}: {error}"));
    let took = since.elapsed();
    assert!(took < BOUND, "{name} at {path} took {took:?}");
    match answer.status {
        200 if path == convert::PATH => assert!(answer.json()["response"]["result"]["status"].is_string(), "{name}: {answer:?}"),
        200 => assert!(answer.json()["response"]["allowed"].is_boolean(), "{name} at {path}: {answer:?}"),
        400 => assert!(answer.text.lines().count() == 1 && answer.text.len() < 8192, "{name} at {path}: {answer:?}"),
        _ => panic!("{name} at {path}: {answer:?}"),
    }
}

/// Nothing panicked, and whoever comes now is served.
async fn assert_unharmed(serving: &Serving) {
    let panics = serving.get("/metrics").1;
    let panics: Vec<_> = panics.lines().filter(|line| line.starts_with("outrigger_panics_total") && !line.ends_with(" 0")).collect();
    assert!(panics.is_empty(), "{panics:?}\n{}", serving.log());
    let mut client = Client::connect(serving.reviews, &serving.trust(), Protocol::Http2).await;
    client.post("/mutate-pod", review("good")).await.assert_admits("good");
}

#[tokio::test]
async fn every_body_of_the_corpus_is_answered_by_every_hook_and_the_connection_lives_on() {
    let serving = serving();
    let mut corpus: Vec<_> = fs::read_dir(folder("tests/it/wire/corpus")).unwrap().map(|entry| entry.unwrap().path()).collect();
    corpus.sort();
    assert!(corpus.len() >= 120, "bodies are missing");
    for protocol in BOTH {
        let mut client = Client::connect(serving.reviews, &serving.trust(), protocol).await;
        for path in paths() {
            for file in &corpus {
                assert_answered(&mut client, path, &file.display().to_string(), fs::read(file).unwrap()).await;
            }
        }
        assert!(!client.closed.is_finished(), "{protocol:?}");
    }
    assert_unharmed(&serving).await;
}

/// Brackets within each other, where an object is expected, in an object, and all over.
fn deep() -> Vec<(String, Vec<u8>)> {
    let mut bodies = Vec::new();
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"metadata":"#, "}]")] {
        for depth in [100, 127, 128, 129, 1_000, 200_000] {
            let middle = if open == "[" { "" } else { "1" };
            let nested = open.repeat(depth) + middle + &close.repeat(depth);
            let name = format!("{open} {depth} deep");
            bodies.push((name.clone(), nested.clone().into_bytes()));
            bodies.push((format!("{name}, open"), open.repeat(depth).into_bytes()));
            for member in ["object", "oldObject", "uid", "x"] {
                let body = review("deep").replacen("\"uid\"", &format!("\"{member}\":{nested},\"uid\""), 1);
                bodies.push((format!("{name}, as {member}"), body.into_bytes()));
            }
            let object = format!(
                r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p","labels":{{"app":"web"}}}},"spec":{{"containers":[{{"name":"main","image":"i","new":{nested}}}],"new":{nested}}}}}"#
            );
            let request = format!(
                r#"{{"uid":"u","operation":"CREATE","namespace":"shop","resource":{{"group":"","version":"v1","resource":"pods"}},"object":{object}}}"#
            );
            let body = format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{request}}}"#);
            bodies.push((format!("{name}, in a container"), body.into_bytes()));
        }
    }
    bodies.retain(|(_, body)| body.len() <= 8 << 20);
    bodies
}

#[tokio::test]
async fn brackets_within_brackets_do_not_use_up_the_stack() {
    let serving = serving();
    let mut client = Client::connect(serving.reviews, &serving.trust(), Protocol::Http2).await;
    for path in ["/mutate-pod", "/validate-pod", "/mutate-apps-kruise-io-sidecarset", "/validate-apps-kruise-io-workloadspread", "/convert"]
    {
        for (name, body) in deep() {
            assert_answered(&mut client, path, &name, body).await;
        }
    }
    assert!(!client.closed.is_finished());
    assert_unharmed(&serving).await;
}

fn of_pods(operation: &str, object: &Value, old: &Value) -> Value {
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    json!({"uid": "u", "operation": operation, "namespace": "shop", "name": "web-1-a", "resource": resource, "object": object, "oldObject": old})
}

/// Many of everything that a pod has lists of, alike and each of another name.
#[expect(clippy::too_many_lines, reason = "a list of all lists")]
fn crowded_pods() -> Vec<(String, Value)> {
    let pod = || {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "r", "controller": true}]);
        let metadata = json!({"name": "web-1-c", "labels": {"app": "web", "tier": "front"}, "annotations": {"kruise.io/related-pub": "web"}, "ownerReferences": owner});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "main", "image": "i"}]}})
    };
    let lists = [
        ("/spec/containers", r#"{"name":"@"}"#),
        ("/spec/initContainers", r#"{"name":"@"}"#),
        ("/spec/volumes", r#"{"name":"@"}"#),
        ("/spec/tolerations", r#"{"key":"@"}"#),
        ("/spec/imagePullSecrets", r#"{"name":"@"}"#),
        ("/spec/readinessGates", r#"{"conditionType":"@"}"#),
        ("/spec/containers/0/env", r#"{"name":"@","value":"$(A)"}"#),
        ("/spec/containers/0/volumeMounts", r#"{"name":"@"}"#),
        ("/spec/containers/0/ports", r#"{"name":"@"}"#),
        ("/metadata/ownerReferences", r#"{"name":"@","uid":"@"}"#),
        ("/metadata/finalizers", r#""@""#),
        ("/status/conditions", r#"{"type":"@"}"#),
        ("/status/containerStatuses", r#"{"name":"@"}"#),
    ];
    let mut pods = Vec::new();
    for (list, item) in lists {
        for is_alike in [true, false] {
            let items = (0..MANY).map(|number| {
                serde_json::from_str(&item.replace('@', &if is_alike { "a".to_owned() } else { format!("n{number}") })).unwrap()
            });
            let items: Vec<Value> = items.collect();
            let mut pod = pod();
            let (at, name) = list.rsplit_once('/').unwrap();
            if pod.pointer(at).is_none() {
                pod["status"] = json!({});
            }
            let all = pod.pointer_mut(at).unwrap();
            match all[name].as_array_mut() {
                Some(present) => present.extend(items),
                None => all[name] = json!(items),
            }
            pods.push((format!("{list}, {}", if is_alike { "alike" } else { "different" }), pod));
        }
    }
    for map in ["labels", "annotations"] {
        let mut pod = pod();
        pod["metadata"][map].as_object_mut().unwrap().extend((0..MANY * 2).map(|number| (format!("k{number}"), json!("v"))));
        pods.push((map.to_owned(), pod));
    }
    pods
}

#[tokio::test]
async fn a_pod_with_thousands_of_something_takes_no_time_for_each_pair() {
    let serving = serving();
    let mut client = Client::connect(serving.reviews, &serving.trust(), Protocol::Http2).await;
    let envelope = |request: Value| {
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string().into_bytes()
    };
    for (name, pod) in crowded_pods() {
        assert_answered(&mut client, "/mutate-pod", &name, envelope(of_pods("CREATE", &pod, &Value::Null))).await;
        let body = envelope(of_pods("UPDATE", &pod, &pod));
        if body.len() <= 8 << 20 {
            assert_answered(&mut client, "/mutate-pod", &name, body.clone()).await;
            assert_answered(&mut client, "/validate-pod", &name, body).await;
        }
    }
    assert_unharmed(&serving).await;
}

/// Many of everything that our own objects have lists of.
#[expect(clippy::too_many_lines, reason = "a list of all lists")]
fn crowded_objects() -> Vec<(String, &'static str, Value)> {
    let numbers = |item: &str| -> Vec<Value> {
        (0..MANY).map(|number| serde_json::from_str(&item.replace('@', &format!("n{number}"))).unwrap()).collect()
    };
    let set =
        |spec: Value| json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "crowd"}, "spec": spec});
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let spread = |spec: Value| json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": "crowd", "namespace": "shop"}, "spec": spec});
    let budget = |spec: Value| json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "metadata": {"name": "crowd", "namespace": "shop"}, "spec": spec});
    let selector = json!({"matchLabels": {"app": "web"}});
    let expressions = json!({"matchExpressions": numbers(r#"{"key":"@","operator":"In","values":["@","b"]}"#)});
    let values = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": numbers(r#""@""#)}]});
    let one = json!([{"name": "one", "image": "i"}]);
    let patch = json!({"spec": {"containers": numbers(r#"{"name":"@"}"#), "tolerations": numbers(r#"{"key":"@"}"#)}});
    vec![
        ("containers".to_owned(), "sidecarsets", set(json!({"selector": selector, "containers": numbers(r#"{"name":"@","image":"i"}"#)}))),
        (
            "init containers".to_owned(),
            "sidecarsets",
            set(json!({"selector": selector, "containers": one, "initContainers": numbers(r#"{"name":"@","image":"i"}"#)})),
        ),
        (
            "volumes".to_owned(),
            "sidecarsets",
            set(json!({"selector": selector, "containers": one, "volumes": numbers(r#"{"name":"@","emptyDir":{}}"#)})),
        ),
        (
            "mounts".to_owned(),
            "sidecarsets",
            set(
                json!({"selector": selector, "containers": [{"name": "one", "image": "i", "volumeMounts": numbers(r#"{"name":"@","mountPath":"/@"}"#)}]}),
            ),
        ),
        (
            "transferred".to_owned(),
            "sidecarsets",
            set(
                json!({"selector": selector, "containers": [{"name": "one", "image": "i", "transferEnv": numbers(r#"{"sourceContainerName":"main","envName":"@"}"#)}]}),
            ),
        ),
        (
            "patches".to_owned(),
            "sidecarsets",
            set(json!({"selector": selector, "containers": one, "patchPodMetadata": numbers(r#"{"annotations":{"@":"1"}}"#)})),
        ),
        (
            "scatter".to_owned(),
            "sidecarsets",
            set(
                json!({"selector": selector, "containers": one, "updateStrategy": {"scatterStrategy": numbers(r#"{"key":"@","value":"1"}"#)}}),
            ),
        ),
        ("expressions".to_owned(), "sidecarsets", set(json!({"selector": expressions, "containers": one}))),
        ("values".to_owned(), "sidecarsets", set(json!({"selector": values, "containers": one}))),
        ("expressions".to_owned(), "podunavailablebudgets", budget(json!({"selector": expressions, "maxUnavailable": 1}))),
        ("values".to_owned(), "podunavailablebudgets", budget(json!({"selector": values, "maxUnavailable": 1}))),
        (
            "operations".to_owned(),
            "podunavailablebudgets",
            budget(json!({"selector": selector, "maxUnavailable": 1, "protectOperations": numbers(r#""@""#)})),
        ),
        (
            "subsets".to_owned(),
            "workloadspreads",
            spread(json!({"targetRef": target, "subsets": numbers(r#"{"name":"@","maxReplicas":1}"#)})),
        ),
        ("a patch".to_owned(), "workloadspreads", spread(json!({"targetRef": target, "subsets": [{"name": "a", "patch": patch}]}))),
        (
            "tolerations".to_owned(),
            "workloadspreads",
            spread(json!({"targetRef": target, "subsets": [{"name": "a", "tolerations": numbers(r#"{"key":"@","operator":"Exists"}"#)}]})),
        ),
        (
            "terms".to_owned(),
            "workloadspreads",
            spread(
                json!({"targetRef": target, "subsets": [{"name": "a", "preferredNodeSelector": numbers(r#"{"weight":1,"preference":{"matchExpressions":[{"key":"@","operator":"Exists"}]}}"#)}]}),
            ),
        ),
    ]
}

#[tokio::test]
async fn an_object_with_thousands_of_something_takes_no_time_for_each_pair() {
    let serving = serving();
    let mut client = Client::connect(serving.reviews, &serving.trust(), Protocol::Http2).await;
    for (what, plural, object) in crowded_objects() {
        let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap();
        for hook in
            TABLE.iter().filter(|hook| hook.group == group && hook.resources.contains(&plural) && hook.operations.contains(&"CREATE"))
        {
            for operation in ["CREATE", "UPDATE"] {
                let old = if operation == "UPDATE" { object.clone() } else { Value::Null };
                let resource = json!({"group": group, "version": version, "resource": plural});
                let request = json!({"uid": "u", "operation": operation, "namespace": "shop", "name": "crowd", "resource": resource, "object": object, "oldObject": old});
                let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
                if body.len() <= 8 << 20 {
                    assert_answered(&mut client, hook.path, &format!("{plural} with many {what}, {operation}"), body.into_bytes()).await;
                }
            }
        }
        let request = json!({"uid": "u", "desiredAPIVersion": format!("{group}/v1alpha1"), "objects": [object]});
        let body = json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "request": request}).to_string();
        assert_answered(&mut client, convert::PATH, &format!("{plural} with many {what}"), body.into_bytes()).await;
    }
    assert_unharmed(&serving).await;
}
