use std::sync::Arc;

use super::{super::drawn::pod, *};

const NAME: &str = "sidecar-termination-u1";
const SECOND_NAME: &str = "sidecar-termination-u1-uncounted";

fn now() -> Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

/// A node with a kubelet and with an agent that kills containers.
fn with_agent() -> World {
    World { has_recreate_requests: true, now: now(), ..World::default() }
}

/// A node with a kubelet only.
fn without_agent() -> World {
    World { has_recreate_requests: false, ..with_agent() }
}

/// A virtual node; the rest of the cluster has agents.
fn on_virtual_node() -> World {
    World { is_virtual_node: true, ..with_agent() }
}

fn told(is_warning: bool, reason: &'static str, message: String) -> Action {
    Action::Tell(Event { is_warning, reason, message })
}

fn asks_as(name: &str, sidecars: &[&str]) -> Vec<Action> {
    let containers: Vec<_> = sidecars.iter().map(|name| json!({"name": name})).collect();
    let request = json!({
        "apiVersion": "apps.kruise.io/v1alpha1",
        "kind": "ContainerRecreateRequest",
        "metadata": {
            "namespace": "jobs",
            "name": name,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "load-x7k", "uid": "u1", "controller": true, "blockOwnerDeletion": true}]},
        "spec": {"podName": "load-x7k", "containers": containers, "strategy": {"forceRecreate": true, "failurePolicy": "Ignore"}}});
    let message = format!("Asking the agent of the node to end the sidecars {}: ContainerRecreateRequest {name}", sidecars.join(", "));
    vec![Action::CreateRequest(request), told(false, "SidecarTerminator", message)]
}

fn asks(sidecars: &[&str]) -> Vec<Action> {
    asks_as(NAME, sidecars)
}

fn marks(phase: &str) -> Vec<Action> {
    let condition = json!({"type": "SidecarTerminated", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z", "message": "Terminated by Sidecar Terminator"});
    let patch = json!({"metadata": {"uid": "u1"}, "status": {"phase": phase, "conditions": [condition]}});
    let message = format!("Marked as {phase}: the work has ended, and the kubelet ends the sidecars that still run");
    vec![Action::MarkFinished(patch), told(false, "SidecarTerminator", message)]
}

fn gives_images(sidecars: &[&str]) -> Vec<Action> {
    let containers: Vec<_> = sidecars.iter().map(|name| json!({"name": name, "image": "exit:1"})).collect();
    let patch = json!({"metadata": {"uid": "u1", "resourceVersion": "42"}, "spec": {"containers": containers}});
    let message = format!("Giving the sidecars {} the images that end them", sidecars.join(", "));
    vec![Action::ChangeImages(patch), told(false, "SidecarTerminator", message)]
}

fn warns(sidecars: &str, wanted: &str) -> Vec<Action> {
    vec![told(true, "SidecarNotTerminated", format!("The work has ended, but nobody ends the sidecars {sidecars}: {wanted}"))]
}

const IMAGE_IS_WANTED: &str = "on a virtual node they need KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT_WITH_IMAGE";
const SWITCH_IS_WANTED: &str = "on a node with a kubelet they need KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT=true";

fn assert_plans(world: &World, cases: &[(&str, Vec<Action>)]) {
    for (line, expected) in cases {
        assert_eq!(plan(&pod(line), world), *expected, "{line}");
    }
}

#[test]
fn with_an_agent_sidecars_are_killed_as_in_the_reference() {
    let last_one = [marks("Succeeded"), asks_as(SECOND_NAME, &["c"])].concat();
    assert_plans(
        &with_agent(),
        &[
            ("Never Running main=- side+kill+image=~", vec![]),
            ("Never Running main=137 side+kill+image=~", asks(&["side"])),
            ("Never Failed main=137 side+kill+image=137", vec![]),
            ("Never Running main=0 side+kill+image=~", asks(&["side"])),
            ("OnFailure Running main=- side+kill+image=~", vec![]),
            ("OnFailure Running main=137 side+kill+image=0", vec![]),
            ("OnFailure Succeeded main=0 side+kill+image=0", vec![]),
            ("OnFailure Running m1=0 m2=0 a+kill=- b+kill=-", asks(&["a", "b"])),
            ("OnFailure Running m1=0 m2=0 a+kill=~ b+kill=~", asks(&["a", "b"])),
            ("OnFailure Running m1=0 m2=0 a+kill=0 b+kill=-", asks(&["b"])),
            ("OnFailure Running m1=0 m2=- a+kill=0 b+kill=-", vec![]),
            ("OnFailure Running m1=0 m2=0 a+kill=- b+kill=- c+kill+ignore=-", asks(&["a", "b"])),
            // The reference asks under the first name, under which it cannot be asked twice.
            ("OnFailure Running m1=0 m2=0 a+kill=0 b+kill=0 c+kill+ignore=-", last_one),
        ],
    );
}

#[test]
fn on_a_virtual_node_sidecars_get_images_as_in_the_reference() {
    assert_plans(
        &on_virtual_node(),
        &[
            ("Never Running main=- side+image=-", vec![]),
            ("Never Running main=137 side+image=-", gives_images(&["side"])),
            ("Never Running main=0 side+kill+image=-", gives_images(&["side"])),
            ("OnFailure Running main=- side+kill+image=-", vec![]),
            ("OnFailure Running main=137 side+kill+image=-", vec![]),
            ("OnFailure Running main=0 side+kill+image=-", gives_images(&["side"])),
            ("OnFailure Running m1=0 m2=0 a+kill+image=- b+kill+image=-", gives_images(&["a", "b"])),
            ("OnFailure Running m1=0 m2=0 a+kill+image=0 b+kill+image=-", gives_images(&["b"])),
            ("OnFailure Running m1=0 m2=- a+kill+image=0 b+kill+image=-", vec![]),
        ],
    );
}

#[test]
fn a_sidecar_whose_exit_code_does_not_count_is_killed_after_the_pod_is_marked() {
    assert_plans(
        &with_agent(),
        &[
            ("Never Running main=0 side+kill+ignore=~", [marks("Succeeded"), asks(&["side"])].concat()),
            ("Never Running main=1 side+kill+ignore=~", [marks("Failed"), asks(&["side"])].concat()),
            ("Never Running main=0 a+kill=1 b+kill+ignore=~", [marks("Succeeded"), asks_as(SECOND_NAME, &["b"])].concat()),
        ],
    );
}

#[test]
fn without_an_agent_the_pod_is_marked_and_its_kubelet_does_the_rest() {
    assert_plans(
        &without_agent(),
        &[
            ("Never Running main=0 side+kill=~", marks("Succeeded")),
            ("Never Running m1=0 m2=3 side+kill=~", marks("Failed")),
            ("OnFailure Running main=0 a+kill=~ b+kill+ignore=~", marks("Succeeded")),
            ("OnFailure Running main=0 a+kill+ignore=~ b+image=~", marks("Succeeded")),
            ("OnFailure Running main=1 side+kill=~", vec![]),
            ("Never Running main=~ side+kill=~", vec![]),
            ("Never Succeeded main=0 side+kill=~", vec![]),
        ],
    );
}

#[test]
fn what_was_asked_for_is_not_asked_for_again() {
    let both = "OnFailure Running main=0 a+kill=~ b+kill+ignore=~";
    let asked = |names: &[&str]| World { existing_requests: names.iter().map(|name| (*name).to_owned()).collect(), ..with_agent() };
    assert_eq!(plan(&pod(both), &asked(&[NAME])), []);
    // The second kind gets its own, whatever became of the first.
    let first_is_over = "OnFailure Running main=0 a+kill=0 b+kill+ignore=~";
    assert_eq!(plan(&pod(first_is_over), &asked(&[NAME])), [marks("Succeeded"), asks_as(SECOND_NAME, &["b"])].concat());
    assert_eq!(plan(&pod(first_is_over), &asked(&[NAME, SECOND_NAME])), marks("Succeeded"));
}

#[test]
fn only_a_pod_that_was_marked_is_asked_for_once_it_has_finished() {
    let finished = pod("Never Succeeded main=0 side+kill+ignore=~");
    assert_eq!(plan(&finished, &with_agent()), []);
    let mut marked = finished;
    marked.ending.as_mut().unwrap().is_marked = true;
    assert_eq!(plan(&marked, &with_agent()), asks(&["side"]));
    assert_eq!(plan(&marked, &without_agent()), []);
}

#[test]
fn an_image_that_is_right_already_is_neither_written_nor_told() {
    let mut given = pod("Never Running main=0 a+image=~ b+image=~");
    Arc::make_mut(&mut given.containers)[1].image = "exit:1".into();
    assert_eq!(plan(&given, &on_virtual_node()), gives_images(&["b"]));
    Arc::make_mut(&mut given.containers)[2].image = "exit:1".into();
    assert_eq!(plan(&given, &on_virtual_node()), []);
}

#[test]
fn sidecars_that_nobody_ends_here_are_told() {
    assert_plans(
        &on_virtual_node(),
        &[
            ("Never Running main=0 a+kill=~ b+kill+ignore=~ c+kill=0", warns("a, b", IMAGE_IS_WANTED)),
            ("Never Running main=0 a+kill=~ b+image=~", [gives_images(&["b"]), warns("a", IMAGE_IS_WANTED)].concat()),
        ],
    );
    assert_plans(&without_agent(), &[("Never Running main=0 a+image=~", warns("a", SWITCH_IS_WANTED))]);
    assert_plans(
        &with_agent(),
        &[
            ("Never Running main=0 a+image=~ b+kill=~", [asks(&["b"]), warns("a", SWITCH_IS_WANTED)].concat()),
            // Whose pod is finished, or is about to be, is ended with it.
            ("Never Succeeded main=0 a+image=~", vec![]),
            ("Never Running main=0 a+image=~ b+kill+ignore=0", marks("Succeeded")),
        ],
    );
}

#[test]
fn a_plan_that_is_made_again_tells_the_same() {
    let pod = pod("Never Running main=0 a+image=~ b+kill=~");
    let later = World { now: "2027-01-01T00:00:00Z".parse().unwrap(), ..with_agent() };
    assert_eq!(plan(&pod, &with_agent()), plan(&pod, &later));
}

#[test]
fn a_pod_that_does_not_ask_for_an_end_gets_none() {
    assert_plans(&with_agent(), &[("Never Running main=0 side=~", vec![]), ("OnFailure Running main=0 side+ignore=~", vec![])]);
    assert_eq!(request_names(&pod("Never Running main=0 side=~")), [""; 0]);
}

#[test]
fn only_requests_that_may_exist_are_named() {
    assert_eq!(request_names(&pod("Never Running main=0 a+kill=~")), [NAME]);
    assert_eq!(request_names(&pod("Never Running main=0 a+kill+ignore=~")), [NAME]);
    assert_eq!(request_names(&pod("Never Running main=0 a+kill=0 b+kill+ignore=~")), [NAME, SECOND_NAME]);
    assert_eq!(request_names(&pod("Never Running main=0 a+image=~")), [""; 0]);
}
