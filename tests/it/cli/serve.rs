//! `outrigger serve --from`: a folder is the cluster.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use outrigger::{
    base::gates::Gates,
    offline::files::{Folder, Follow},
    telemetry::metrics::Metrics,
};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{MESH, WRONG};
use crate::world::{
    binary::{Serving, folder, outrigger, run},
    client::{Answer, BOTH, Client, Protocol, review, tls},
    ends, until,
};

/// The names of the containers that the set adds to a pod with `app: web`; all sets have one, and its image tells which.
async fn added(serving: &Serving) -> bool {
    let mut request: Value = serde_json::from_str(&review("web")).unwrap();
    request["request"]["object"]["metadata"]["labels"] = json!({"app": "web"});
    let mut client = Client::connect(serving.reviews, &serving.trust(), Protocol::Http2).await;
    let answer: Answer = client.post("/mutate-pod", request.to_string()).await;
    let response = &answer.json()["response"];
    assert_eq!(response["allowed"], json!(true));
    response["patch"].is_string()
}

#[test]
fn the_admin_port_says_how_it_is() {
    let from = folder([("mesh.yaml", MESH), ("more.json", r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}"#)]);
    let serving = Serving::folder(from.path());
    assert_eq!(serving.get("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(serving.get("/readyz"), (200, "ok\n".to_owned()));
    let (status, metrics) = serving.get("/metrics");
    assert!(status == 200 && metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(metrics.contains("# TYPE outrigger_reviews counter"), "{metrics}");
    let (status, objects) = serving.get("/objects");
    let objects: Value = serde_json::from_str(&objects).unwrap();
    assert_eq!((status, &objects["kind"], &objects["apiVersion"]), (200, &json!("List"), &json!("v1")));
    let names: Vec<_> = objects["items"].as_array().unwrap().iter().map(|object| object["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["mesh", "s"]);
    assert_eq!(serving.get("/mutate-pod").0, 404);
}

/// Asks for the end and asserts that it comes soon and is a good one.
fn assert_ends(mut serving: Serving) {
    let since = Instant::now();
    serving.terminate();
    let status = serving.wait();
    let took = since.elapsed();
    assert!(status.success() && took < Duration::from_secs(2), "{status} after {took:?}\n{}", serving.log());
}

#[test]
fn sigterm_ends_it() {
    let from = folder([]);
    assert_ends(Serving::folder(from.path()));
}

// A thread of its own drives the clients while this one waits for the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_it_beside_clients_that_stay() {
    let from = folder([]);
    let serving = Serving::folder(from.path());
    let mut clients = Vec::new();
    for protocol in BOTH {
        let mut client = Client::connect(serving.reviews, &serving.trust(), protocol).await;
        client.post("/mutate-pod", review("before")).await.assert_admits("before");
        clients.push(client);
    }
    let shaken = tls(serving.reviews, serving.trust(), "localhost", &["http/1.1"]).await.unwrap();
    tokio::task::block_in_place(|| assert_ends(serving));
    drop((clients, shaken));
}

#[test]
fn sigterm_ends_it_beside_clients_of_the_admin_port_that_stay() {
    let from = folder([]);
    let serving = Serving::folder(from.path());
    let silent = TcpStream::connect(serving.admin).unwrap();
    let mut kept = TcpStream::connect(serving.admin).unwrap();
    kept.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert!(kept.read(&mut [0; 512]).unwrap() > 0);
    let mut half = TcpStream::connect(serving.admin).unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\nho").unwrap();
    assert_eq!(serving.get("/livez").0, 200);
    assert_ends(serving);
    drop((silent, kept, half));
}

#[tokio::test]
async fn flags_may_be_environment_variables() {
    let from = folder([("mesh.yaml", MESH)]);
    let own = tempfile::tempdir().unwrap();
    let mut command = outrigger();
    command.arg("serve").env("OUTRIGGER_FROM", from.path()).env("OUTRIGGER_CERTS", own.path());
    command.env("OUTRIGGER_LISTEN", "127.0.0.1:0").env("OUTRIGGER_ADMIN", "127.0.0.1:0");
    let certs = own.path().to_owned();
    let serving = Serving::spawn(command.env("OUTRIGGER_LOG", "info,outrigger=debug"), certs, own);
    assert!(added(&serving).await);
    // The answer may be here before the line about it.
    until("a line of that level", async || serving.log().contains("DEBUG").then_some(())).await;
}

#[test]
fn variables_that_say_nonsense_are_refused_by_name() {
    let from = folder([]);
    let election = ["leader-elect", "leader-elect-lease-duration", "leader-elect-renew-deadline", "leader-elect-retry-period"];
    for flag in ["listen", "admin", "linger", "log-format"].into_iter().chain(election) {
        let variable = format!("OUTRIGGER_{}", flag.to_uppercase().replace('-', "_"));
        let found = run(outrigger().args(["serve", "--from"]).arg(from.path()).env(&variable, "nonsense"), "");
        assert!(!found.ok && found.err.contains(&format!("--{flag}")), "{variable}: {}", found.err);
    }
}

#[test]
fn durations_of_an_election_that_do_not_go_together_are_refused_at_the_start() {
    let found = run(outrigger().args(["serve", "--leader-elect-lease-duration", "10s", "--leader-elect-renew-deadline=1m"]), "");
    let said = "outrigger: --leader-elect-renew-deadline: expected less than the lease duration of 10s, found 60s";
    assert!(!found.ok && found.err.contains(said), "{}", found.err);
}

#[test]
fn a_start_over_a_wrong_manifest_says_what_is_wrong_with_it() {
    let wrong = |text: &str| {
        let from = folder([("a.yaml", MESH), ("b.yaml", text)]);
        let found = run(outrigger().args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--from"]).arg(from.path()), "");
        assert!(!found.ok, "{text}");
        let file = from.path().join("b.yaml").display().to_string();
        let said = found.err.split_once(&format!("outrigger: {file}: ")).unwrap_or_else(|| panic!("{}", found.err));
        said.1.trim_end().to_owned()
    };
    assert_eq!(wrong(WRONG), "document 2 (SidecarSet wrong): spec.selector.matchLabels.app: expected string, found `5`");
    assert_eq!(wrong(&MESH.replace("containers", "container")), "document 1 (SidecarSet mesh): spec.container: there is no such field");
    assert_eq!(wrong(&MESH.replace("name: mesh", "")), "document 1 (SidecarSet): metadata.name: missing");
    assert_eq!(wrong("- a\n- b\n"), "document 1: .: expected an object");
    assert!(wrong("a: [\n").contains("line "), "{}", wrong("a: [\n"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let found = run(outrigger().args(["serve", "--from", "no/such/folder"]), "");
    assert!(!found.ok && found.err.contains("no/such/folder: "), "{}", found.err);
}

/// Writes a manifest in one step, so that no half of it is ever seen.
fn write(folder: &TempDir, name: &str, text: &str) {
    let draft = folder.path().join("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, folder.path().join(name)).unwrap();
}

#[tokio::test]
async fn a_manifest_that_becomes_wrong_leaves_the_last_good_state_until_it_is_mended() {
    let from = folder([]);
    let serving = Serving::folder(from.path());
    assert!(!added(&serving).await);
    write(&from, "mesh.yaml", MESH);
    until("the new manifest is taken up", async || added(&serving).await.then_some(())).await;

    write(&from, "wrong.yaml", WRONG);
    until("the wrong manifest is counted", async || (serving.metric("outrigger_manifest_errors_total") == 1).then_some(())).await;
    assert!(added(&serving).await);
    assert_eq!(serving.get("/readyz").0, 200);
    let said = format!(
        "{}: document 2 (SidecarSet wrong): spec.selector.matchLabels.app: expected string",
        from.path().join("wrong.yaml").display()
    );
    assert!(serving.log().contains(&said), "{}", serving.log());
    let names = serving.get("/objects").1;
    assert!(!names.contains("wrong"), "{names}");

    write(&from, "wrong.yaml", &WRONG.replace('5', "\"five\""));
    std::fs::remove_file(from.path().join("mesh.yaml")).unwrap();
    until("the mended folder is taken up", async || (!added(&serving).await).then_some(())).await;
    until("its objects as well", async || serving.get("/objects").1.contains("wrong").then_some(())).await;
}

#[tokio::test]
async fn a_change_between_the_first_look_and_the_next_is_not_missed() {
    let from = folder([]);
    let folder = Folder { path: from.path().to_owned(), own_namespace: "own".to_owned(), gates: Gates::default() };
    let seen = folder.stamp();
    let (state, all) = folder.load().unwrap();
    write(&from, "mesh.yaml", MESH);
    let (state, objects, metrics) = (Arc::new(RwLock::new(state)), Arc::new(RwLock::new(all)), Arc::new(Metrics::new()));
    let stop = CancellationToken::new();
    let follow = Follow { folder, seen, every: Duration::from_millis(5), state, objects: Arc::clone(&objects), metrics };
    let follows = TaskTracker::new().spawn(follow.run(stop.clone()));
    until("the change is taken up", async || (objects.read().len() == 1).then_some(())).await;
    stop.cancel();
    ends("the following", follows).await.unwrap();
}

/// The pod that `inject` makes in this folder of one labelled `app: web`, as it looks when it is up.
fn injected(from: &TempDir, name: &str) -> Value {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "main:1"}]}});
    let made = run(outrigger().args(["inject", "-o", "json", "-f", "-", "--from"]).arg(from.path()), &pod.to_string());
    let mut made: Value = serde_json::from_str(&made.out).unwrap_or_else(|_| panic!("{}", made.err));
    let runs = |container: &Value| json!({"name": container["name"], "image": container["image"], "ready": true, "state": {"running": {}}});
    let statuses: Vec<_> = made["spec"]["containers"].as_array().unwrap().iter().map(runs).collect();
    assert_eq!(statuses.len(), 2);
    let ready = json!([{"type": "Ready", "status": "True"}]);
    made["status"] = json!({"phase": "Running", "conditions": ready, "containerStatuses": statuses});
    made
}

#[tokio::test]
async fn a_set_without_a_status_shows_the_one_that_its_reconciler_would_write() {
    let stored = MESH.replace("name: mesh", "name: stored").replace("app: web", "app: other")
        + "status: {matchedPods: 7, updatedPods: 0, readyPods: 0}\n";
    let from = folder([("mesh.yaml", MESH), ("stored.yaml", &stored)]);
    let new = injected(&from, "new");
    let mut old = injected(&from, "old");
    let hashes = &mut old["metadata"]["annotations"]["kruise.io/sidecarset-hash"];
    let mut hash: Value = serde_json::from_str(hashes.as_str().unwrap()).unwrap();
    hash["mesh"]["hash"] = json!("of-before");
    *hashes = hash.to_string().into();
    let stranger =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger", "namespace": "shop", "labels": {"app": "web"}}});
    let pods = [&new, &old, &stranger].map(Value::to_string);
    write(&from, "pods.json", &pods.join("\n"));

    let serving = Serving::folder(from.path());
    let status = |name: &str| {
        let objects: Value = serde_json::from_str(&serving.get("/objects").1).unwrap();
        objects["items"].as_array().unwrap().iter().find(|object| object["metadata"]["name"] == name).unwrap()["status"].clone()
    };
    let mesh = status("mesh");
    let counts = ["matchedPods", "updatedPods", "readyPods", "updatedReadyPods"].map(|count| mesh[count].clone());
    assert_eq!(counts, [2, 1, 2, 1].map(Value::from), "{mesh}");
    let condition = &mesh["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["status"], &condition["reason"]),
        (&json!("Updated"), &json!("False"), &json!("RollingUpdate"))
    );
    assert!(mesh["latestRevision"].as_str().unwrap().starts_with("mesh-"), "{mesh}");
    assert!(mesh.as_object().unwrap().values().all(|member| !member.is_null()), "{mesh}");
    assert_eq!(status("mesh"), mesh, "asked again, it is the same");
    assert_eq!(status("stored"), json!({"matchedPods": 7, "updatedPods": 0, "readyPods": 0}));
    assert_eq!(status("stranger"), Value::Null);

    write(&from, "pods.json", &new.to_string());
    until("the folder is read again", async || (status("mesh")["matchedPods"] == 1).then_some(())).await;
    assert_eq!(status("mesh")["conditions"][0]["reason"], "AllPodsUpdatedAndReady");
}

#[test]
fn a_pod_that_is_none_is_named() {
    let from = folder([("pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: odd}\nspec: {containers: {}}\n")]);
    let found = run(outrigger().args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--from"]).arg(from.path()), "");
    assert!(!found.ok && found.err.contains("pod.yaml: document 1 (Pod odd): spec.containers: "), "{}", found.err);
}

const SPREAD: &str = "apiVersion: apps.kruise.io/v1alpha1\nkind: WorkloadSpread\nmetadata: {name: web, namespace: shop}\nspec:\n  targetRef: {apiVersion: apps/v1, kind: ReplicaSet, name: web}\n  subsets:\n  - {name: a, maxReplicas: 3, requiredNodeSelectorTerm: {matchFields: []}}\n  - {name: b}\n";

#[test]
fn spreads_of_both_versions_are_read_and_say_how_they_stand() {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "w", "controller": true}]);
    let pod = |name: &str, subset: &str| {
        let mark = json!({"name": "web", "subset": subset}).to_string();
        json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"}, "metadata": {"name": name, "namespace": "shop", "uid": name,
            "ownerReferences": owner, "annotations": {"apps.kruise.io/matched-workloadspread": mark}}})
    };
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "shop", "uid": "w"}, "spec": {"replicas": 4}});
    let mut unplaced = pod("four", "");
    unplaced["metadata"]["annotations"] = json!({});
    let objects = [set, pod("one", "a"), pod("two", "a"), pod("three", "b"), unplaced].map(|object| object.to_string()).join("\n");
    let stored = format!("{}status: {{summary: as it was}}\n", SPREAD.replace("name: web", "name: stored"));
    let newer = stored.replace("v1alpha1", "v1beta1").replace("SelectorTerm", "Selector");
    // Pods come before what they belong to: the order of files does not matter.
    let from = folder([("spread.yaml", SPREAD), ("stored.yaml", newer.as_str()), ("pods.json", objects.as_str())]);
    let serving = Serving::folder(from.path());
    let objects: Value = serde_json::from_str(&serving.get("/objects").1).unwrap();
    let status = |name: &str| {
        let is_it = |object: &&Value| object["kind"] == "WorkloadSpread" && object["metadata"]["name"] == name;
        objects["items"].as_array().unwrap().iter().find(is_it).unwrap()["status"].clone()
    };
    assert_eq!(status("web")["summary"], "a 2/3, b 1, elsewhere 1");
    assert_eq!(status("web")["versionedSubsetStatuses"]["versionIgnored"][0]["missingReplicas"], 1);
    assert_eq!(status("stored"), json!({"summary": "as it was"}));
}

#[test]
fn a_slip_in_a_spread_is_found_at_its_field() {
    let wrong = |text: &str| {
        let from = folder([("spread.yaml", text)]);
        let found = run(outrigger().args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--from"]).arg(from.path()), "");
        assert!(!found.ok);
        found.err
    };
    for (from, to, said) in [
        ("maxReplicas", "maxReplica", "spec.subsets[0].maxReplica: there is no such field"),
        ("SelectorTerm", "Selectors", "spec.subsets[0].requiredNodeSelectors: there is no such field"),
        ("{name: b}", "{}", "spec.subsets[1].name: missing"),
        ("subsets:", "places:", "spec.subsets: missing"),
    ] {
        let found = wrong(&SPREAD.replace(from, to));
        assert!(found.contains(&format!("spread.yaml: document 1 (WorkloadSpread web): {said}")), "{found}");
    }
}
