//! The readiness gate that the reference's workloads wait for: pods that they manage get it at birth.
//! (`pkg/webhook/pod/mutating/pod_readiness.go`)

use crate::{
    admission::edits::{Edits, Step},
    base::{decode::DecodeError, gates::Gates, pod::Spec},
    sidecarset::inject::Pod,
};

const CONDITION: &str = "KruisePodReady";
const GROUP: &str = "apps.kruise.io";

/// Adds the gate to pods whose controller is of the group `apps.kruise.io`, and with the feature gate to all.
pub fn add(pod: Pod<'_, '_>, gates: &Gates, edits: &mut Edits) -> Result<(), DecodeError> {
    let is_managed = pod.meta.controller().is_some_and(|owner| owner.group() == GROUP);
    if !is_managed && !gates.readiness_gate_everywhere {
        return Ok(());
    }
    let own = Spec::read(pod.object)?.readiness_gates;
    if own.iter().flatten().any(|gate| gate.condition_type == CONDITION) {
        return Ok(());
    }
    let gate = format!("{{\"conditionType\":\"{CONDITION}\"}}");
    edits.append(&[Step::Member("spec"), Step::Member("readinessGates")], own.is_some(), [gate.as_str()].into_iter());
    Ok(())
}
