//! A server that only watches: every review passes as it is, and what would have been done is counted and logged.

use std::sync::Arc;

use futures::{FutureExt, future::ready};
use jiff::Timestamp;

use super::http::{Asked, Outside, Settled};
use crate::{
    admission::{
        ask::{Answer, Question},
        review::Request,
        verdict::Decision,
    },
    handlers::{
        Claims,
        shadow::{Would, judged},
    },
    state::Snapshot,
    telemetry::metrics::{Metrics, ShadowMetrics},
};

/// How many operations of a patch a line of the log tells.
const OPERATIONS_TOLD: usize = 12;

/// Who tells what one hook would have done.
#[derive(Clone)]
pub struct Shadow {
    path: &'static str,
    metrics: ShadowMetrics,
}

impl Outside {
    /// The same for a server that only watches: what is claimed is tried and not taken, and questions that are more than a look at what
    /// there is are not put.
    #[must_use]
    pub fn watching(self) -> Self {
        let settled = self.settled.map(|settled| {
            Arc::new(move |mut claims: Claims| {
                claims.is_dry_run = true;
                settled(claims)
            }) as Settled
        });
        let asked = self.asked.map(|asked| {
            Arc::new(move |question| match question {
                // To ask is to create, as far as rights go.
                Question::DryRunPod(_) => ready(Answer::nobody()).boxed(),
                question => asked(question),
            }) as Asked
        });
        Self { asked, settled, told: None, is_shadow: true }
    }
}

impl Shadow {
    /// Tells of the hook under `path`.
    pub fn new(path: &'static str, metrics: &Metrics) -> Self {
        Self { path, metrics: metrics.shadow(path) }
    }

    /// Tells what would have been done; `None` if there was no decision. The answer, whatever it was, is that the request may pass.
    pub fn seen(&self, request: &Request<'_>, decided: Option<&Decision>, snapshot: &Snapshot<'_>, now: Timestamp) -> Decision {
        let (metrics, why) = match decided {
            None => (&self.metrics.failed, Some("nobody knows: there was no decision".to_owned())),
            Some(decision) => match judged(request, decision, snapshot, now) {
                Would::Allow => (&self.metrics.allowed, None),
                Would::Patch(effects) => (&self.metrics.patched, Some(patched(&effects, &decision.note))),
                Would::LeaveOut(what) => (&self.metrics.left_out, Some(format!("would have been left out: {}", what.join("; ")))),
                Would::Deny(message) => (&self.metrics.denied, Some(format!("would have been denied: {message}"))),
            },
        };
        metrics.inc();
        if let Some(why) = why {
            let (operation, resource, dry_run) = (&request.operation, &request.resource.resource, request.is_dry_run());
            let (namespace, name, user) = (&request.namespace, &request.name, &request.user_info.username);
            tracing::info!(hook = self.path, %operation, %resource, %namespace, %name, %user, dry_run, "shadow: {why}");
        }
        Decision::default()
    }
}

/// Paths without values: they may be secret.
fn patched(effects: &[String], note: &str) -> String {
    let told: Vec<&str> = effects.iter().take(OPERATIONS_TOLD).map(String::as_str).collect();
    let more = match effects.len().saturating_sub(told.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    format!("would have been patched{note}: {}{more}", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_patch_is_told_in_part() {
        let effects: Vec<String> = (0..15).map(|at| format!("add /spec/containers/{at}")).collect();
        let told = patched(&effects, "sidecarsets mesh");
        assert!(told.starts_with("would have been patched (sidecarsets mesh): add /spec/containers/0, "), "{told}");
        assert!(told.ends_with("add /spec/containers/11 and 3 more"), "{told}");
        assert_eq!(patched(&effects[..1], ""), "would have been patched: add /spec/containers/0");
    }
}
