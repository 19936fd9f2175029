//! How the sidecars of a pod are ended whose work is done.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::classify::{Role, has_succeeded, is_due};
use crate::base::observed::{Ending, Phase, Pod, SIDECAR_TERMINATED};

/// What is known beside the pod.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The cluster has `ContainerRecreateRequest`s, and so an agent on its nodes that kills containers.
    pub has_recreate_requests: bool,
    /// Which of [`request_names`] exist, whatever became of them.
    pub existing_requests: Vec<String>,
    /// The pod is on a node without a kubelet, where containers cannot be killed.
    pub is_virtual_node: bool,
    /// The time.
    pub now: Timestamp,
}

/// One thing to do. An event stands behind what it speaks of.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create this `ContainerRecreateRequest` in the pod's namespace.
    CreateRequest(Value),
    /// Patch the pod: a strategic merge, of this version of the pod only.
    ChangeImages(Value),
    /// Patch the pod's `status`: a strategic merge, of this pod only and not of a later one of its name.
    MarkFinished(Value),
    /// Tell this of the pod.
    Tell(Event),
}

/// What is told of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Somebody should look at it.
    pub is_warning: bool,
    /// What happened, in a word.
    pub reason: &'static str,
    /// What happened, in a sentence.
    pub message: String,
}

/// A sidecar that has not ended.
struct Open<'p> {
    name: &'p str,
    image: &'p str,
    exit_image: Option<&'p str>,
    role: Role,
}

/// What is to be done for a pod, in order; nothing if it is not due ([`is_due`]).
///
/// Where the reference does otherwise: sidecars of both kinds in one pod get a request each (there one request is made in a
/// pod's life, and the second kind goes without); images that are right already are neither written nor told; sidecars
/// that nobody ends on this kind of node are told; no request is made for a pod that has finished of itself, which would be
/// refused; without an agent on the nodes the pod is marked as finished, and its kubelet ends what still runs.
pub fn plan(pod: &Pod, world: &World) -> Vec<Action> {
    let Some(ending) = pod.ending.as_deref().filter(|_| is_due(pod)) else { return Vec::new() };
    let open = open(pod, ending, world.is_virtual_node);
    let of = |role: Role| open.iter().filter(|sidecar| sidecar.role == role).collect::<Vec<_>>();
    let (killed, uncounted) = (of(Role::Killed), of(Role::KilledUncounted));
    let is_finished = matches!(pod.phase, Phase::Succeeded | Phase::Failed);
    let has_uncounted = has(ending, Role::KilledUncounted, world.is_virtual_node);
    let is_to_be_marked = !is_finished
        && if world.has_recreate_requests { has_uncounted && killed.is_empty() } else { !killed.is_empty() || !uncounted.is_empty() };

    let mut actions = change_images(pod, &of(Role::Replaced));
    if is_to_be_marked {
        actions.extend(mark_finished(pod, ending, world.now));
    }
    if world.has_recreate_requests && (!is_finished || ending.is_marked) {
        // Those whose exit code counts first: the pod is not marked before they have ended.
        let (sidecars, role) = if killed.is_empty() { (uncounted, Role::KilledUncounted) } else { (killed, Role::Killed) };
        actions.extend(request(pod, &sidecars, &request_name(pod, ending, role), &world.existing_requests));
    }
    if !is_finished && !is_to_be_marked {
        actions.extend(tell_unattended(&of(Role::Unattended), world.is_virtual_node));
    }
    actions
}

/// The names of the requests that may exist for a pod.
pub fn request_names(pod: &Pod) -> Vec<String> {
    let Some(ending) = pod.ending.as_deref() else { return Vec::new() };
    let roles = [Role::Killed, Role::KilledUncounted].into_iter().filter(|role| has(ending, *role, false));
    roles.map(|role| request_name(pod, ending, role)).collect()
}

fn has(ending: &Ending, role: Role, is_virtual_node: bool) -> bool {
    ending.containers.iter().any(|container| Role::of(&container.wishes, is_virtual_node) == role)
}

/// The name of the request for the sidecars of a role: the reference's, unless another role has that.
fn request_name(pod: &Pod, ending: &Ending, role: Role) -> String {
    let has_both = role == Role::KilledUncounted && has(ending, Role::Killed, false);
    format!("sidecar-termination-{}{}", pod.uid, if has_both { "-uncounted" } else { "" })
}

fn open<'p>(pod: &'p Pod, ending: &'p Ending, is_virtual_node: bool) -> Vec<Open<'p>> {
    let running = pod.containers.iter().zip(&ending.containers).filter(|(_, ending)| ending.exit_code.is_none());
    running
        .map(|(container, ending)| Open {
            name: &container.name,
            image: &container.image,
            exit_image: ending.wishes.exit_image.as_deref(),
            role: Role::of(&ending.wishes, is_virtual_node),
        })
        .collect()
}

fn change_images(pod: &Pod, sidecars: &[&Open]) -> Vec<Action> {
    let changed: Vec<_> =
        sidecars.iter().copied().filter(|sidecar| sidecar.exit_image.is_some_and(|image| image != sidecar.image)).collect();
    if changed.is_empty() {
        return Vec::new();
    }
    let containers: Vec<_> = changed.iter().map(|sidecar| json!({"name": sidecar.name, "image": sidecar.exit_image})).collect();
    let patch = json!({"metadata": {"uid": &*pod.uid, "resourceVersion": pod.resource_version}, "spec": {"containers": containers}});
    vec![Action::ChangeImages(patch), tell(format!("Giving the sidecars {} the images that end them", names(&changed)))]
}

fn mark_finished(pod: &Pod, ending: &Ending, now: Timestamp) -> [Action; 2] {
    let phase = if has_succeeded(ending) { "Succeeded" } else { "Failed" };
    let condition = json!({
        "type": SIDECAR_TERMINATED,
        "status": "True",
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "message": "Terminated by Sidecar Terminator",
    });
    let patch = json!({"metadata": {"uid": &*pod.uid}, "status": {"phase": phase, "conditions": [condition]}});
    [Action::MarkFinished(patch), tell(format!("Marked as {phase}: the work has ended, and the kubelet ends the sidecars that still run"))]
}

/// A request for these sidecars, unless it exists or there are none.
fn request(pod: &Pod, sidecars: &[&Open], name: &str, existing: &[String]) -> Vec<Action> {
    if sidecars.is_empty() || existing.iter().any(|existing| existing == name) {
        return Vec::new();
    }
    let containers: Vec<_> = sidecars.iter().map(|sidecar| json!({"name": sidecar.name})).collect();
    let owner =
        json!({"apiVersion": "v1", "kind": "Pod", "name": &*pod.name, "uid": &*pod.uid, "controller": true, "blockOwnerDeletion": true});
    let request = json!({
        "apiVersion": "apps.kruise.io/v1alpha1",
        "kind": "ContainerRecreateRequest",
        "metadata": {"namespace": &*pod.namespace, "name": name, "ownerReferences": [owner]},
        "spec": {
            "podName": &*pod.name,
            "containers": containers,
            "strategy": {"failurePolicy": "Ignore", "forceRecreate": true},
        },
    });
    let message = format!("Asking the agent of the node to end the sidecars {}: ContainerRecreateRequest {name}", names(sidecars));
    vec![Action::CreateRequest(request), tell(message)]
}

fn tell_unattended(sidecars: &[&Open], is_virtual_node: bool) -> Option<Action> {
    let wanted = if is_virtual_node {
        "on a virtual node they need KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT_WITH_IMAGE"
    } else {
        "on a node with a kubelet they need KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT=true"
    };
    let message = format!("The work has ended, but nobody ends the sidecars {}: {wanted}", names(sidecars));
    (!sidecars.is_empty()).then_some(Action::Tell(Event { is_warning: true, reason: "SidecarNotTerminated", message }))
}

fn tell(message: String) -> Action {
    Action::Tell(Event { is_warning: false, reason: "SidecarTerminator", message })
}

fn names(sidecars: &[&Open]) -> String {
    sidecars.iter().map(|sidecar| sidecar.name).collect::<Vec<_>>().join(", ")
}
