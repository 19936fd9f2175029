//! Pods for tests, written in a line.

use serde_json::{Value, json};

use crate::base::{
    interned::Interner,
    observed::{Pod, Wire},
};

/// A pod as `RESTARTS PHASE CONTAINER…`, where a container is `name+wish=state`: a wish is `kill`, `ignore` or `image`, and a
/// state is an exit code, `~` while it runs, `-` if it is in none, `?` if nothing is reported of it.
pub(super) fn pod(line: &str) -> Pod {
    let mut words = line.split_whitespace();
    let (restarts, phase) = (words.next().unwrap(), words.next().unwrap());
    let containers: Vec<_> = words.map(|word| word.split_once('=').unwrap()).collect();
    let specs: Vec<_> = containers.iter().map(|(container, _)| spec(container)).collect();
    let statuses: Vec<_> = containers.iter().filter_map(|(container, state)| status(container.split('+').next().unwrap(), state)).collect();
    let object = json!({
        "metadata": {"namespace": "jobs", "name": "load-x7k", "uid": "u1", "resourceVersion": "42"},
        "spec": {"restartPolicy": restarts, "nodeName": "n1", "containers": specs},
        "status": {"phase": phase, "containerStatuses": statuses}});
    let wire: Wire = serde_json::from_value(object).unwrap();
    wire.observe(&mut Interner::default())
}

fn spec(container: &str) -> Value {
    let mut parts = container.split('+');
    let name = parts.next().unwrap();
    let env: Vec<_> = parts
        .map(|wish| match wish {
            "kill" => json!({"name": "KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT", "value": "true"}),
            "ignore" => json!({"name": "KRUISE_TERMINATE_SIDECAR_IGNORE_EXIT_CODE", "value": "true"}),
            "image" => json!({"name": "KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT_WITH_IMAGE", "value": "exit:1"}),
            other => panic!("{other}"),
        })
        .collect();
    json!({"name": name, "image": format!("{name}:1"), "env": env})
}

fn status(name: &str, state: &str) -> Option<Value> {
    let state = match state {
        "?" => return None,
        "-" => json!({}),
        "~" => json!({"running": {"startedAt": "2026-01-02T03:04:05Z"}}),
        code => json!({"terminated": {"exitCode": code.parse::<i32>().unwrap()}}),
    };
    Some(json!({"name": name, "state": state}))
}
