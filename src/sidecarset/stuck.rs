//! A rollout that does not go on: pods that were updated in place and are not available since. As long as they are not, others wait
//! for them, and somebody should look.

use jiff::{SignedDuration, Timestamp};

use super::{member::Member, rollout::Rollout, tell::target};
use crate::plan::{Event, reporter};

/// How long an updated pod may take until it is available again: an image has to be pulled, and the sidecar to get ready.
pub const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// How many pods are named.
const NAMED: usize = 3;

/// The pods for which a rollout has waited too long.
#[derive(Debug)]
pub struct Stuck<'m> {
    pods: Vec<&'m Member>,
    /// After how long the next one will have taken too long.
    pub next: Option<SignedDuration>,
}

impl<'m> Stuck<'m> {
    /// Looks for them among the pods that were updated and are not available, in their order.
    pub fn find(rollout: &Rollout, down: impl Iterator<Item = &'m Member>, now: Timestamp) -> Self {
        let mut stuck = Self { pods: Vec::new(), next: None };
        for member in down {
            let Some(since) = member.marks.state(&rollout.name).and_then(|state| state.at) else { continue };
            let left = STUCK_AFTER - now.duration_since(since);
            if left.is_positive() {
                stuck.next = stuck.next.into_iter().chain([left]).min();
            } else {
                stuck.pods.push(member);
            }
        }
        stuck
    }

    /// What is told of the set: which pods, since when, and what they lack. Without counts: what changes would be told each time.
    pub fn event(&self, rollout: &Rollout, is_waited_for: bool) -> Option<Event> {
        let first = self.pods.first()?;
        let names: Vec<_> = self.pods.iter().take(NAMED).map(|member| format!("{}/{}", member.pod.namespace, member.pod.name)).collect();
        let more = if self.pods.len() > NAMED { ", …" } else { "" };
        let minutes = STUCK_AFTER.as_mins();
        let mut note =
            format!("updated more than {minutes} min ago and not available since: {}{more}; {}", names.join(", "), lacks(rollout, first));
        if is_waited_for {
            note.push_str("; other pods wait for them (updateStrategy.maxUnavailable)");
        }
        Some(Event { by: reporter::SIDECAR_SETS, about: target(rollout), is_warning: true, reason: "RolloutStuck", note })
    }
}

/// What keeps a pod from being available.
fn lacks(rollout: &Rollout, member: &Member) -> String {
    let is_down = |name: &&String| member.status(name).is_none_or(|status| !status.is_ready);
    let is_old = |name: &&String| !member.is_consistent(rollout, [name.as_str()]);
    match (rollout.containers.iter().find(is_down), rollout.containers.iter().find(is_old)) {
        (Some(name), _) => format!("container {name} of {} is not ready", member.pod.name),
        (None, Some(name)) => format!("container {name} of {} does not run its new image", member.pod.name),
        (None, None) => format!("{} itself is not ready", member.pod.name),
    }
}

#[cfg(test)]
mod tests;
