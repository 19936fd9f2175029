//! The recorded answers of the reference, through two doors: the pure function and HTTPS. Then each admitted pod is taken
//! through once more: nothing changes.

pub(crate) mod compare;
mod conversions;
mod sets;

use std::fs;

use jiff::Timestamp;
use outrigger::{
    base::gates::Gates,
    offline::{documents::Document, files::Folder, reviews},
    state::State,
};
use serde_json::{Value, json};

use self::compare::{Differences, case, differences, patched, recorded};
use crate::support::HttpsServer;

/// Steps of the hook beside SidecarSet that are not built yet, and nothing else. A case that begins to agree has to be
/// taken off the list.
const NOT_BUILT_YET: [&str; 10] = [
    "ss-inject-gate-enhanced-liveness",
    "ss-inject-gate-probe-marker",
    "ss-inject-other-launch-bad-number",
    "ss-inject-other-launch-env",
    "ss-inject-other-launch-from-patched",
    "ss-inject-other-launch-ordered",
    "ss-inject-other-pps-required",
    "ss-inject-other-pub-by-selector",
    "ss-inject-other-pub-by-target",
    "ss-inject-other-steps-together",
];

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const LATER: Timestamp = Timestamp::constant(1_800_003_600, 0);

/// All cases of a folder, each with the state that it was recorded over.
fn cases(folder: &str) -> Vec<(String, Value, State)> {
    let mut cases = all(folder);
    // Conversions have a form of their own.
    cases.retain(|(_, case, _)| case["requests"].is_array());
    assert!(cases.len() >= if folder == "inject" { 138 } else { 88 }, "cases are missing");
    cases
}

fn all(folder: &str) -> Vec<(String, Value, State)> {
    let mut files: Vec<_> = fs::read_dir(recorded(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
        .iter()
        .map(|file| case(file))
        .map(|(name, case)| (name, state(&case), case))
        .map(|(name, state, case)| (name, case, state))
        .collect()
}

fn state(case: &Value) -> State {
    let folder = tempfile::tempdir().unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": case["state"]});
    fs::write(folder.path().join("state.json"), list.to_string()).unwrap();
    let gates: Vec<_> = case["gates"].as_object().into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
    let folder = Folder {
        path: folder.path().to_owned(),
        own_namespace: "kruise-system".to_owned(),
        gates: Gates::parse(&gates.join(",")).unwrap(),
    };
    folder.load().unwrap().0
}

fn review(request: &Value) -> Value {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
}

fn offline(state: &mut State, one: &Value, now: Timestamp) -> Value {
    let mut value = review(&one["request"]);
    value["path"] = one["path"].clone();
    let document = Document { file: "case".to_owned(), number: 1, value };
    reviews::answer(&document, state, &[], now).unwrap()["response"].clone()
}

fn https(server: &HttpsServer, one: &Value) -> Value {
    let body = review(&one["request"]).to_string().into_bytes();
    server.post(one["path"].as_str().unwrap(), body).1["response"].clone()
}

/// Judges all cases by a door, which gets the recorded requests with their paths; returns those that do not agree, and why.
fn judge(folder: &str, mut door: impl FnMut(State, &[Value]) -> Vec<Value>) -> Vec<(String, String)> {
    let on_purpose = Differences::read();
    let mut bad = Vec::new();
    for (name, case, state) in cases(folder) {
        let requests = case["requests"].as_array().unwrap();
        let answers = door(state, requests);
        assert_eq!(answers.len(), requests.len());
        let mut problems = Vec::new();
        for (index, answer) in answers.iter().enumerate() {
            let recorded = &requests[index]["want"];
            if let Some(want) = on_purpose.wanted(&name, index, recorded) {
                let found = differences(&requests[index]["request"], recorded, &want, answer);
                problems.extend(found.into_iter().map(|problem| format!("request {index}: {problem}")));
            }
        }
        if !problems.is_empty() {
            bad.push((name, problems.join("\n")));
        }
    }
    bad
}

fn assert_only_what_is_not_built(bad: &[(String, String)]) {
    let unexpected: Vec<_> = bad
        .iter()
        .filter(|(name, _)| !NOT_BUILT_YET.contains(&name.as_str()))
        .map(|(name, problem)| format!("{name}\n{problem}"))
        .collect();
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    let built: Vec<_> = NOT_BUILT_YET.iter().filter(|name| !bad.iter().any(|(bad, _)| bad == *name)).collect();
    assert!(built.is_empty(), "these agree by now: {built:?}");
}

#[test]
fn recorded_injections_agree_through_the_pure_function() {
    let bad = judge("inject", |mut state, requests| requests.iter().map(|request| offline(&mut state, request, NOW)).collect());
    assert_only_what_is_not_built(&bad);
}

#[test]
fn recorded_injections_agree_through_https() {
    let server = HttpsServer::start();
    let bad = judge("inject", |state, requests| {
        *server.state.write() = state;
        requests.iter().map(|request| https(&server, request)).collect()
    });
    assert_only_what_is_not_built(&bad);
}

#[test]
fn recorded_sets_agree_through_the_pure_function() {
    let bad = judge("sidecarset", |mut state, requests| requests.iter().map(|request| offline(&mut state, request, NOW)).collect());
    assert_none(&bad);
}

#[test]
fn recorded_sets_agree_through_https() {
    let server = HttpsServer::start();
    let bad = judge("sidecarset", |state, requests| {
        *server.state.write() = state;
        requests.iter().map(|request| https(&server, request)).collect()
    });
    assert_none(&bad);
}

fn assert_none(bad: &[(String, String)]) {
    let texts: Vec<_> = bad.iter().map(|(name, problem)| format!("{name}\n{problem}")).collect();
    assert!(texts.is_empty(), "{} cases:\n{}", texts.len(), texts.join("\n"));
}

/// Answers of the reference that are no fixed points, so that agreeing with them and changing nothing exclude each other:
/// a variable is taken from a container that the same injection then replaces.
const NO_FIXED_POINT: [(&str, usize); 1] = [("ss-inject-env-transfer-from-existing-sidecar", 1)];

#[test]
fn injecting_a_recorded_pod_again_changes_nothing() {
    let mut changed = Vec::new();
    for (name, case, mut state) in cases("inject") {
        for (index, one) in case["requests"].as_array().unwrap().iter().enumerate() {
            let (request, first) = (&one["request"], offline(&mut state, one, NOW));
            if first["allowed"] != json!(true) || request["object"].is_null() || NO_FIXED_POINT.contains(&(name.as_str(), index)) {
                continue;
            }
            let once = patched(request, &first);
            let mut again = one.clone();
            again["request"]["object"] = once.clone();
            let second = offline(&mut state, &again, LATER);
            if second.get("patch").is_some() || second["allowed"] != json!(true) {
                changed.push(format!("{name}, request {index}: {once}\nbecame {}\n{second}", patched(&again["request"], &second)));
            }
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n\n"));
}
