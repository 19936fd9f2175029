//! What each container is to the end of its pod, and which pods are due.

use crate::base::{
    observed::{ContainerEnding, Ending, Phase, Pod, Restarts, Wishes},
    selector::Labels,
};

/// What a container is to the end of its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the pod is there for. It is never ended from outside.
    Work,
    /// A sidecar that is killed.
    Killed,
    /// A sidecar that is killed and whose exit code does not count: the pod is marked as finished before.
    KilledUncounted,
    /// A sidecar that gets an image that ends at once.
    Replaced,
    /// A sidecar that asks for an end that nobody can give it on this kind of node.
    Unattended,
}

impl Role {
    /// The role of a container on a virtual node, where only images can be changed, or on one with a kubelet, where
    /// containers can be killed.
    pub fn of(wishes: &Wishes, is_virtual_node: bool) -> Self {
        match (is_virtual_node, wishes.ends_with_job, wishes.exit_image.is_some()) {
            (_, false, false) => Self::Work,
            (true, _, true) => Self::Replaced,
            (false, true, _) if wishes.ignores_exit_code => Self::KilledUncounted,
            (false, true, _) => Self::Killed,
            (true, true, false) | (false, false, true) => Self::Unattended,
        }
    }
}

/// Whether the labels are those of a virtual node.
pub fn is_virtual(node_labels: &impl Labels) -> bool {
    node_labels.label("type") == Some("virtual-kubelet")
}

/// Whether the work of a pod is done while a sidecar still runs: all of it has ended, and has ended well if what fails is
/// started again. A pod that has not started, is being deleted, or never ends of itself is not due.
pub fn is_due(pod: &Pod) -> bool {
    let Some(ending) = pod.ending.as_deref() else { return false };
    if pod.is_terminating || pod.phase == Phase::Pending || pod.reported != pod.containers.len() {
        return false;
    }
    let is_done = match ending.restarts {
        Restarts::Always => return false,
        Restarts::OnFailure => has_succeeded(ending),
        Restarts::Never => work(ending).all(|container| container.exit_code.is_some()),
    };
    is_done && ending.containers.iter().any(|container| container.wishes.is_sidecar() && container.exit_code.is_none())
}

/// Whether all of a pod's work has ended well.
pub fn has_succeeded(ending: &Ending) -> bool {
    work(ending).all(|container| container.exit_code == Some(0))
}

fn work(ending: &Ending) -> impl Iterator<Item = &ContainerEnding> {
    ending.containers.iter().filter(|container| !container.wishes.is_sidecar())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::drawn::pod, *};

    #[test]
    fn what_a_container_asks_for_and_where_it_runs_make_its_role() {
        for (wishes, with_kubelet, on_virtual_node) in [
            ("", Role::Work, Role::Work),
            ("+ignore", Role::Work, Role::Work),
            ("+kill", Role::Killed, Role::Unattended),
            ("+kill+ignore", Role::KilledUncounted, Role::Unattended),
            ("+image", Role::Unattended, Role::Replaced),
            ("+image+ignore", Role::Unattended, Role::Replaced),
            ("+kill+image", Role::Killed, Role::Replaced),
            ("+kill+image+ignore", Role::KilledUncounted, Role::Replaced),
        ] {
            // The second container is there so that the pod has a sidecar at all.
            let pod = pod(&format!("Never Running x{wishes}=~ other+kill=~"));
            let wishes = &pod.ending.as_ref().unwrap().containers[0].wishes;
            assert_eq!((Role::of(wishes, false), Role::of(wishes, true)), (with_kubelet, on_virtual_node), "{wishes:?}");
        }
    }

    #[test]
    fn pods_are_due_as_in_the_reference() {
        for (line, due) in [
            ("Never Running main=127 side+kill=~", true),
            ("OnFailure Running main=0 side+kill+ignore=~", true),
            ("OnFailure Running main=0 side+image=~", true),
            // When changes are looked at.
            ("Never Pending main=0 side+kill=~", false),
            ("Always Running main=0 side+kill=~", false),
            ("Never Running main=137 side+kill=-", true),
            ("Never Running main=0 side+kill=-", true),
            ("Never Running main=0 side+kill=0", false),
            ("Never Succeeded main=0 side+kill=0", false),
            ("Never Succeeded main=0 side+kill=137", false),
            ("Never Running main=- side+kill=0", false),
            ("Never Running main=- side+kill=-", false),
            // Which policy waits for what.
            ("OnFailure Running main=1 side+kill=~", false),
            ("Sometimes Running main=0 side+kill=~", false),
            ("Never Running a=0 b=~ side+kill=~", false),
            ("OnFailure Running a=0 b=1 side+kill=~", false),
            // One that has ended counts as ended even if it failed; one that has not keeps the pod due.
            ("OnFailure Running main=0 a+kill=137 b+kill=~", true),
            ("OnFailure Running main=0 a+kill=137 b+kill=0", false),
            // While the kubelet does not report on all of them, nothing is known.
            ("Never Running main=0 side+kill=?", false),
            ("Never Running main=0 side=~", false),
            ("Never Unknown main=0 side+kill=~", true),
        ] {
            assert_eq!(is_due(&pod(line)), due, "{line}");
        }
    }

    #[test]
    fn a_pod_that_is_being_deleted_is_not_due() {
        assert!(!is_due(&Pod { is_terminating: true, ..pod("Never Running main=0 side+kill=~") }));
    }

    #[test]
    fn a_node_is_virtual_by_its_label() {
        let labels = |value: &str| BTreeMap::from([("type".to_owned(), value.to_owned())]);
        assert!(is_virtual(&labels("virtual-kubelet")));
        assert!(!is_virtual(&labels("kubelet")) && !is_virtual(&BTreeMap::new()));
    }
}
