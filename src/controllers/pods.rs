//! The reconciler of pods whose work is done while sidecars of theirs still run.

use jiff::Timestamp;

use crate::{
    base::observed::Pod,
    cluster::{apply::Failure, facts::Facts},
    plan::{Action, Event, Form, Kind, Patch, Plan, Target, Task, reporter},
    terminator::{
        classify::is_virtual,
        plan::{self as decisions, Action as Step, World},
    },
};

/// The plan for a pod. Fails if what it depends on beside the pod cannot be found out, its node above all: on the other kind
/// of node its sidecars would get the wrong end.
pub async fn plan(pod: &Pod, facts: &Facts, now: Timestamp) -> Result<Plan, Failure> {
    let world = world(pod, facts, now).await?;
    Ok(in_order(pod, decisions::plan(pod, &world)))
}

async fn world(pod: &Pod, facts: &Facts, now: Timestamp) -> Result<World, Failure> {
    let node = pod.ending.as_ref().map(|ending| ending.node.to_string()).unwrap_or_default();
    let is_virtual_node = is_virtual(&facts.labels(&target(Kind::NODE, "", &node, "")).await?);
    let has_recreate_requests = facts.is_served(Kind::CONTAINER_RECREATE_REQUEST).await?;
    let mut existing_requests = Vec::new();
    if has_recreate_requests && !is_virtual_node {
        for name in decisions::request_names(pod) {
            if facts.exists(&target(Kind::CONTAINER_RECREATE_REQUEST, &pod.namespace, &name, "")).await? {
                existing_requests.push(name);
            }
        }
    }
    Ok(World { has_recreate_requests, existing_requests, is_virtual_node, now })
}

fn target(kind: Kind, namespace: &str, name: &str, uid: &str) -> Target {
    Target { kind, namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() }
}

/// The steps as a plan. An event that follows a step is told when that has succeeded.
fn in_order(pod: &Pod, steps: Vec<Step>) -> Plan {
    let mut plan = Plan::default();
    let about = target(Kind::POD, &pod.namespace, &pod.name, &pod.uid);
    let patch = |sub_resource, body| Action::Patch(Patch { target: about.clone(), sub_resource, form: Form::Strategic, body });
    for step in steps {
        let action = match step {
            Step::CreateRequest(body) => {
                let name = body.pointer("/metadata/name").and_then(serde_json::Value::as_str).unwrap_or_default();
                Action::Create { target: target(Kind::CONTAINER_RECREATE_REQUEST, &pod.namespace, name, ""), body }
            }
            Step::ChangeImages(body) => patch("", body),
            Step::MarkFinished(body) => patch("status", body),
            Step::Tell(told) => {
                let event = Event {
                    by: reporter::TERMINATOR,
                    about: about.clone(),
                    is_warning: told.is_warning,
                    reason: told.reason,
                    note: told.message,
                };
                match plan.first.last_mut().filter(|task| task.done.is_none()) {
                    Some(task) => task.done = Some(event),
                    None => plan.events.push(event),
                }
                continue;
            }
        };
        let note = "the work has ended, but the sidecars could not be ended".to_owned();
        let failed = Event { by: reporter::TERMINATOR, about: about.clone(), is_warning: true, reason: "SidecarNotTerminated", note };
        plan.first.push(Task { action, done: None, failed: Some(failed) });
    }
    plan
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::terminator::plan::Event as Told;

    fn tell(is_warning: bool, reason: &'static str) -> Step {
        Step::Tell(Told { is_warning, reason, message: "m".to_owned() })
    }

    #[test]
    fn steps_keep_their_order_and_each_event_waits_for_its_own() {
        let pod = Pod { namespace: "jobs".into(), name: "load".into(), uid: "u".into(), ..Pod::default() };
        let steps = vec![
            Step::ChangeImages(json!(1)),
            tell(false, "Images"),
            Step::MarkFinished(json!(2)),
            tell(false, "Marked"),
            Step::CreateRequest(json!({"metadata": {"name": "r"}})),
            tell(false, "Asked"),
            tell(true, "Unattended"),
        ];
        let plan = in_order(&pod, steps);
        let shown: Vec<_> = plan
            .first
            .iter()
            .map(|task| {
                let what = match &task.action {
                    Action::Patch(patch) => {
                        assert_eq!((patch.form, &*patch.target.uid), (Form::Strategic, "u"));
                        format!("{} {} {}", patch.target.name, patch.sub_resource, patch.body)
                    }
                    Action::Create { target, .. } => format!("{} {}/{}", target.kind.kind, target.namespace, target.name),
                    other => panic!("{other:?}"),
                };
                (what, task.done.as_ref().unwrap().reason)
            })
            .collect();
        let expected = [("load  1", "Images"), ("load status 2", "Marked"), ("ContainerRecreateRequest jobs/r", "Asked")];
        assert_eq!(shown, expected.map(|(what, told)| (what.to_owned(), told)));
        let told: Vec<_> = plan.events.iter().map(|event| (event.is_warning, event.reason, &*event.about.name)).collect();
        assert_eq!(told, [(true, "Unattended", "load")]);
        assert!(plan.status.is_none() && plan.each.is_empty());
    }
}
