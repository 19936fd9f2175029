use serde_json::{Value, json};

use super::*;
use crate::{
    admission::review,
    base::gates::Gates,
    handlers::{Verdict, guard, objects, pod::mutate},
    state::State,
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn set(name: &str, image: &str) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name, "annotations": {
            "kruise.io/sidecarset-hash": format!("{name} {image}"), "kruise.io/sidecarset-hash-without-image": name}},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": name, "image": image}]}})
}

fn state(sets: &[Value]) -> State {
    let mut state = State::new(Gates::default());
    for set in sets {
        state.apply_set(serde_json::from_value(set.clone()).unwrap()).unwrap();
    }
    state
}

fn pod() -> Value {
    json!({"metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, "annotations": {}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]}})
}

fn decided(verdict: Verdict, state: &State) -> Decision {
    verdict.unasked(&state.snapshot(), NOW)
}

/// What a shadow with this picture says of a new pod.
fn would(state: &State, pod: &Value) -> Would {
    let request = json!({"uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop", "object": pod});
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
    let request = review::read(body.as_bytes()).unwrap();
    let decision = decided(mutate(&request, &state.snapshot(), NOW), state);
    judged(&request, &decision, &state.snapshot(), NOW)
}

/// The pod as a server with this picture makes it.
fn made(state: &State, mut pod: Value) -> Value {
    let request = json!({"uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop", "object": pod});
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
    let decision = decided(mutate(&review::read(body.as_bytes()).unwrap(), &state.snapshot(), NOW), state);
    let Outcome::Allow(edits) = decision.outcome else { panic!("{decision:?}") };
    let patch: json_patch::Patch = serde_json::from_str(&edits.to_json_patch()).unwrap();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

#[test]
fn a_pod_that_the_other_one_made_alike_is_agreement() {
    let state = state(&[set("mesh", "mesh:1"), set("log", "log:1")]);
    assert_eq!(would(&state, &made(&state, pod())), Would::Allow);
}

#[test]
fn a_pod_that_the_other_one_left_alone_would_have_been_patched() {
    let state = state(&[set("mesh", "mesh:1")]);
    let Would::Patch(effects) = would(&state, &pod()) else { panic!("no patch") };
    assert!(effects.iter().any(|effect| effect.starts_with("add /spec/containers/")), "{effects:?}");
    assert!(effects.iter().all(|effect| !effect.contains("mesh:1")), "{effects:?}");
}

#[test]
fn a_pod_with_another_image_would_have_been_patched_in_that_container_alone() {
    let theirs = state(&[set("mesh", "mesh:1"), set("log", "log:1")]);
    let ours = state(&[set("mesh", "mesh:2"), set("log", "log:1")]);
    let Would::Patch(effects) = would(&ours, &made(&theirs, pod())) else { panic!("no patch") };
    let containers: Vec<_> = effects.iter().filter(|effect| effect.contains("/spec/")).collect();
    assert_eq!(containers, ["replace /spec/containers/2"], "{effects:?}");
}

#[test]
fn a_sidecar_that_we_would_not_have_injected_is_told() {
    let theirs = state(&[set("mesh", "mesh:1"), set("log", "log:1")]);
    let ours = state(&[set("log", "log:1")]);
    assert_eq!(would(&ours, &made(&theirs, pod())), Would::LeaveOut(vec!["SidecarSet \"mesh\" was injected".to_owned()]));
}

#[test]
fn a_place_and_a_budget_that_we_do_not_know_are_told() {
    let mut pod = pod();
    pod["metadata"]["annotations"] =
        json!({"apps.kruise.io/matched-workloadspread": r#"{"name":"ws","subset":"a"}"#, "pub.kruise.io/related-pub": "web"});
    let told = ["WorkloadSpread \"ws\" has placed it in subset \"a\"", "it is linked to PodUnavailableBudget \"web\""];
    assert_eq!(would(&state(&[]), &pod), Would::LeaveOut(told.map(str::to_owned).to_vec()));

    let mut known = state(&[]);
    let budget = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 1}});
    known.apply_budget(serde_json::from_value(budget).unwrap());
    pod["metadata"]["annotations"] = json!({"pub.kruise.io/related-pub": "web", "kruise.io/related-pub": "web"});
    assert_eq!(would(&known, &pod), Would::Allow);
}

#[test]
fn marks_mean_something_on_new_pods_alone() {
    let mut mirror = pod();
    mirror["metadata"]["annotations"] = json!({"kruise.io/sidecarset-injected-list": "mesh", "kubernetes.io/config.mirror": "x"});
    assert_eq!(would(&state(&[]), &mirror), Would::Allow);
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "u", "operation": "UPDATE", "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "shop",
        "object": {"metadata": {"annotations": {"kruise.io/sidecarset-injected-list": "mesh"}}}}})
    .to_string();
    let request = review::read(body.as_bytes()).unwrap();
    assert_eq!(judged(&request, &Decision::default(), &state(&[]).snapshot(), NOW), Would::Allow);
}

#[test]
fn the_mark_of_a_judged_eviction_is_no_difference() {
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "eviction",
        "namespace": "shop", "name": "web-1", "object": {"kind": "Eviction", "metadata": {"name": "web-1"}}}})
    .to_string();
    let (request, state) = (review::read(body.as_bytes()).unwrap(), state(&[]));
    let decision = decided(guard::mark_eviction(&request, &state.snapshot(), NOW), &state);
    assert!(matches!(&decision.outcome, Outcome::Allow(edits) if !edits.is_empty()), "{decision:?}");
    assert_eq!(judged(&request, &decision, &state.snapshot(), NOW), Would::Allow);
}

#[test]
fn a_refusal_is_told_in_its_own_words() {
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "a"}, "spec": {}});
    let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "u", "operation": "CREATE", "resource": {"group": "apps.kruise.io", "version": "v1beta1", "resource": "sidecarsets"},
        "object": set}})
    .to_string();
    let (request, state) = (review::read(body.as_bytes()).unwrap(), state(&[]));
    let decision = decided(objects::validate(&request, &state.snapshot(), NOW), &state);
    let Would::Deny(message) = judged(&request, &decision, &state.snapshot(), NOW) else { panic!("{decision:?}") };
    assert!(message.contains("spec.selector"), "{message}");
}
