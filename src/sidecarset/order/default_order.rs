//! The order of every rollout: what serves least goes first. (Kubernetes: `pkg/controller`, `ActivePods`.)

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::base::observed::{Container, Phase, Pod};

/// Sorts pods into the order in which they are updated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    is_assigned: bool,
    phase: u8,
    is_ready: bool,
    ready: Youth,
    restarts: Reverse<i32>,
    sidecar_restarts: Reverse<i32>,
    created: Youth,
}

/// Later times go first; what has no time is the latest of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Youth(Option<Reverse<Timestamp>>);

/// The key of a pod; the smallest goes first.
pub(super) fn key(pod: &Pod) -> Key {
    let ready_since = if pod.is_ready { pod.ready_since } else { None };
    Key {
        is_assigned: pod.is_assigned,
        phase: match pod.phase {
            Phase::Pending | Phase::Succeeded | Phase::Failed => 0,
            Phase::Unknown => 1,
            Phase::Running => 2,
        },
        is_ready: pod.is_ready,
        ready: Youth(ready_since.map(Reverse)),
        restarts: Reverse(most_restarts(pod.containers.iter())),
        sidecar_restarts: Reverse(most_restarts(pod.init_containers.iter().filter(|container| container.is_native_sidecar))),
        created: Youth(pod.created.map(Reverse)),
    }
}

fn most_restarts<'p>(containers: impl Iterator<Item = &'p Container>) -> i32 {
    containers.filter_map(|container| Some(container.status.as_ref()?.restarts)).max().unwrap_or_default().max(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::observed::ContainerStatus;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn serving() -> Pod {
        Pod { is_assigned: true, phase: Phase::Running, is_ready: true, ready_since: at(50), created: at(10), ..Pod::default() }
    }

    fn restarted(restarts: i32, is_native_sidecar: bool) -> Arc<[Container]> {
        let status = Some(ContainerStatus { restarts, ..ContainerStatus::default() });
        [Container { is_native_sidecar, status, ..Container::default() }].into()
    }

    #[test]
    fn what_serves_least_goes_first() {
        let in_order = [
            ("unassigned", Pod { is_assigned: false, ..serving() }),
            ("pending", Pod { phase: Phase::Pending, ..serving() }),
            ("unknown", Pod { phase: Phase::Unknown, ..serving() }),
            ("not ready, restarted", Pod { is_ready: false, ready_since: at(1), containers: restarted(1, false), ..serving() }),
            ("not ready", Pod { is_ready: false, ready_since: at(99), ..serving() }),
            ("ready, nobody knows since when", Pod { ready_since: None, ..serving() }),
            ("ready for a short time", Pod { ready_since: at(60), ..serving() }),
            ("restarted often", Pod { containers: restarted(3, false), init_containers: restarted(1, true), ..serving() }),
            ("restarted, with its sidecar", Pod { containers: restarted(2, false), init_containers: restarted(1, true), ..serving() }),
            ("restarted", Pod { containers: restarted(2, false), ..serving() }),
            ("made at a time unknown", Pod { created: None, ..serving() }),
            ("younger", Pod { created: at(20), ..serving() }),
            ("older", serving()),
        ];
        for (first, second) in in_order.iter().zip(&in_order[1..]) {
            assert!(key(&first.1) < key(&second.1), "{} before {}", first.0, second.0);
        }
    }

    #[test]
    fn what_an_init_container_that_ends_did_does_not_count() {
        let pod = Pod { init_containers: restarted(9, false), ..serving() };
        assert_eq!(key(&pod), key(&serving()));
    }

    #[test]
    fn a_finished_pod_counts_as_pending() {
        for phase in [Phase::Succeeded, Phase::Failed] {
            assert_eq!(key(&Pod { phase, ..serving() }), key(&Pod { phase: Phase::Pending, ..serving() }));
        }
    }
}
