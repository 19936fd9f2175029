//! The recorded answers of the reference, through two doors: the pure function and HTTPS. Then each admitted pod is taken
//! through once more: nothing changes.

pub(crate) mod compare;
mod conversions;
mod counts;
mod places;
mod sets;
mod spreads;

use std::fs;

use jiff::{SignedDuration, Timestamp};
use outrigger::{
    base::gates::Gates,
    offline::{documents::Document, files::Folder, reviews},
    state::State,
};
use serde_json::{Value, json};

use self::compare::{Differences, case, differences, left_otherwise, patched, recorded};
use crate::support::HttpsServer;

/// Steps of the hook beside SidecarSet that are not built yet, and nothing else. A case that begins to agree has to be
/// taken off the list.
const NOT_BUILT_YET: [&str; 8] = [
    "ss-inject-gate-enhanced-liveness",
    "ss-inject-gate-probe-marker",
    "ss-inject-other-launch-bad-number",
    "ss-inject-other-launch-env",
    "ss-inject-other-launch-from-patched",
    "ss-inject-other-launch-ordered",
    "ss-inject-other-pps-required",
    "ss-inject-other-steps-together",
];

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const LATER: Timestamp = Timestamp::constant(1_800_003_600, 0);

/// A case, with the state that it was recorded over and the objects in it.
type Case = (String, Value, State, Vec<Value>);

/// All cases of a folder.
fn cases(folder: &str) -> Vec<Case> {
    let mut cases = all(folder);
    // Conversions have a form of their own.
    cases.retain(|(_, case, ..)| case["requests"].is_array());
    let least = [("inject", 138), ("sidecarset", 88), ("budget", 76), ("protect", 34), ("spread", 103)]
        .iter()
        .find(|(known, _)| *known == folder)
        .unwrap()
        .1;
    assert!(cases.len() >= least, "cases are missing");
    cases
}

fn all(folder: &str) -> Vec<Case> {
    let mut files: Vec<_> = fs::read_dir(recorded(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
        .iter()
        .map(|file| case(file))
        .map(|(name, case)| (name, loaded(&case), case))
        .map(|(name, (state, objects), case)| (name, case, state, objects))
        .collect()
}

fn state(case: &Value) -> State {
    loaded(case).0
}

fn loaded(case: &Value) -> (State, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": case["state"]});
    fs::write(folder.path().join("state.json"), list.to_string()).unwrap();
    let gates: Vec<_> = case["gates"].as_object().into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
    let folder = Folder {
        path: folder.path().to_owned(),
        own_namespace: "kruise-system".to_owned(),
        gates: Gates::parse(&gates.join(",")).unwrap(),
    };
    folder.load().unwrap()
}

fn review(request: &Value) -> Value {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
}

fn offline(state: &mut State, objects: &[Value], one: &Value, now: Timestamp) -> Value {
    let mut value = review(&one["request"]);
    value["path"] = one["path"].clone();
    let document = Document { file: "case".to_owned(), number: 1, value };
    reviews::answer(&document, state, objects, now).unwrap()["response"].clone()
}

fn https(server: &HttpsServer, one: &Value) -> Value {
    let body = review(&one["request"]).to_string().into_bytes();
    server.post(one["path"].as_str().unwrap(), body).1["response"].clone()
}

/// What a door gives for a request.
struct Seen {
    answer: Value,
    /// The objects behind the door that hooks keep something in, as they stand then.
    objects: Vec<Value>,
}

/// The pure function, over all requests of a case.
fn through_the_function(mut state: State, objects: &[Value], requests: &[Value]) -> Vec<Seen> {
    // All recorded reviews have one id: new pods are told apart by when they come.
    let mut ask = |(at, request): (i64, &Value)| {
        let after = SignedDuration::from_secs(if request["path"] == "/mutate-pod" { at } else { 0 });
        let answer = offline(&mut state, objects, request, NOW + after);
        Seen { answer, objects: kept_in(&state) }
    };
    (0..).zip(requests).map(&mut ask).collect()
}

/// The objects in a picture that hooks keep something in.
fn kept_in(state: &State) -> Vec<Value> {
    let object = |kind: &str, namespace: &str, name: &str, status: Value| json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "status": status});
    let snapshot = state.snapshot();
    let budgets = snapshot.budgets.all().map(|one| object("PodUnavailableBudget", &one.namespace, &one.name, json!(one.status)));
    let spreads = snapshot.spreads.all().map(|one| object("WorkloadSpread", &one.namespace, &one.name, json!(one.status)));
    budgets.chain(spreads).collect()
}

/// HTTPS, over all requests of a case.
fn through_https(server: &HttpsServer, state: State, objects: Vec<Value>, requests: &[Value]) -> Vec<Seen> {
    *server.state.write() = state;
    *server.objects.write() = objects;
    let ask = |request| Seen { answer: https(server, request), objects: server.objects.read().clone() };
    requests.iter().map(ask).collect()
}

/// Judges all cases by a door, which gets the recorded requests with their paths; returns those that do not agree, and why.
fn judge(folder: &str, mut door: impl FnMut(State, Vec<Value>, &[Value]) -> Vec<Seen>) -> Vec<(String, String)> {
    let on_purpose = Differences::read();
    let mut bad = Vec::new();
    for (name, case, state, objects) in cases(folder) {
        let requests = case["requests"].as_array().unwrap();
        let seen = door(state, objects, requests);
        assert_eq!(seen.len(), requests.len());
        let mut problems = Vec::new();
        for (index, (one, seen)) in requests.iter().zip(&seen).enumerate() {
            let (request, recorded) = (&one["request"], &one["want"]);
            if let Some(want) = on_purpose.wanted(&name, index, request, recorded) {
                let found = differences(request, recorded, &want, &seen.answer);
                problems.extend(found.into_iter().map(|problem| format!("request {index}: {problem}")));
            }
            let in_the_end = if index + 1 == requests.len() { &case["after"] } else { &Value::Null };
            for after in [&one["after"], in_the_end].into_iter().filter(|_| !on_purpose.leaves_after_open(&name)) {
                let found = left_otherwise(after, &seen.objects);
                problems.extend(found.into_iter().map(|problem| format!("after request {index}: {problem}")));
            }
        }
        if !problems.is_empty() {
            bad.push((name, problems.join("\n")));
        }
    }
    bad
}

/// Asserts that these cases do not agree, and no others.
fn assert_only(expected: &[&str], bad: &[(String, String)]) {
    let unexpected: Vec<_> =
        bad.iter().filter(|(name, _)| !expected.contains(&name.as_str())).map(|(name, problem)| format!("{name}\n{problem}")).collect();
    assert!(unexpected.is_empty(), "{} cases:\n{}", unexpected.len(), unexpected.join("\n"));
    let built: Vec<_> = expected.iter().filter(|name| !bad.iter().any(|(bad, _)| bad == *name)).collect();
    assert!(built.is_empty(), "these agree by now: {built:?}");
}

#[test]
fn recorded_injections_agree_through_the_pure_function() {
    assert_only(&NOT_BUILT_YET, &judge("inject", |state, objects, requests| through_the_function(state, &objects, requests)));
}

#[test]
fn recorded_injections_agree_through_https() {
    let server = HttpsServer::start();
    assert_only(&NOT_BUILT_YET, &judge("inject", |state, objects, requests| through_https(&server, state, objects, requests)));
}

#[test]
fn recorded_sets_agree_through_the_pure_function() {
    assert_only(&[], &judge("sidecarset", |state, objects, requests| through_the_function(state, &objects, requests)));
}

#[test]
fn recorded_sets_agree_through_https() {
    let server = HttpsServer::start();
    assert_only(&[], &judge("sidecarset", |state, objects, requests| through_https(&server, state, objects, requests)));
}

#[test]
fn recorded_budgets_agree_through_both_doors() {
    let server = HttpsServer::start();
    let mut bad = judge("budget", |state, objects, requests| through_the_function(state, &objects, requests));
    bad.extend(judge("budget", |state, objects, requests| through_https(&server, state, objects, requests)));
    assert_only(&[], &bad);
}

#[test]
fn recorded_spreads_agree_through_the_pure_function() {
    assert_only(&[], &judge("spread", |state, objects, requests| through_the_function(state, &objects, requests)));
}

#[test]
fn recorded_spreads_agree_through_https() {
    let server = HttpsServer::start();
    assert_only(&[], &judge("spread", |state, objects, requests| through_https(&server, state, objects, requests)));
}

#[test]
fn recorded_deletions_agree_through_the_pure_function() {
    assert_only(&[], &judge("protect", |state, objects, requests| through_the_function(state, &objects, requests)));
}

#[test]
fn recorded_deletions_agree_through_https() {
    let server = HttpsServer::start();
    assert_only(&[], &judge("protect", |state, objects, requests| through_https(&server, state, objects, requests)));
}

/// Answers of the reference that are no fixed points, so that agreeing with them and changing nothing exclude each other:
/// a variable is taken from a container that the same injection then replaces.
const NO_FIXED_POINT: [(&str, usize); 1] = [("ss-inject-env-transfer-from-existing-sidecar", 1)];

#[test]
fn injecting_a_recorded_pod_again_changes_nothing() {
    let mut changed = Vec::new();
    for (name, case, mut state, objects) in cases("inject") {
        for (index, one) in case["requests"].as_array().unwrap().iter().enumerate() {
            let (request, first) = (&one["request"], offline(&mut state, &objects, one, NOW));
            if first["allowed"] != json!(true) || request["object"].is_null() || NO_FIXED_POINT.contains(&(name.as_str(), index)) {
                continue;
            }
            let once = patched(request, &first);
            let mut again = one.clone();
            again["request"]["object"] = once.clone();
            let second = offline(&mut state, &objects, &again, LATER);
            if second.get("patch").is_some() || second["allowed"] != json!(true) {
                changed.push(format!("{name}, request {index}: {once}\nbecame {}\n{second}", patched(&again["request"], &second)));
            }
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n\n"));
}
