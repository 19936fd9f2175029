//! New pods: the steps in the order in which they build on each other.
//! (`pkg/webhook/pod/mutating/pod_create_update_handler.go`)

use jiff::Timestamp;

use super::Verdict;
use crate::{
    admission::{
        edits::{Annotations, Edits},
        review::Request,
        verdict::{Decision, Denial, Outcome},
    },
    base::{
        pod::{MIRROR, Meta},
        reasons::Reasons,
    },
    sidecarset::{
        index::Entry,
        inject::{InjectError, Pod, inject},
        select::{Selected, candidates, select},
    },
    state::Snapshot,
};

/// `/mutate-pod`: what a new pod becomes.
pub fn mutate(request: &Request<'_>, snapshot: &Snapshot<'_>, now: Timestamp) -> Verdict {
    decide(request, snapshot, now, &mut ())
}

/// The same, saying of every set there is whether it applies.
pub fn explain(request: &Request<'_>, snapshot: &Snapshot<'_>, now: Timestamp, reasons: &mut Vec<crate::base::reasons::Reason>) -> Verdict {
    decide(request, snapshot, now, reasons)
}

fn decide<R: Reasons>(request: &Request<'_>, snapshot: &Snapshot<'_>, now: Timestamp, reasons: &mut R) -> Verdict {
    let is_new_pod = request.operation == "CREATE" && request.sub_resource.is_empty() && request.resource.resource == "pods";
    if !is_new_pod || !snapshot.gates.pod_webhook {
        return Verdict::allow();
    }
    let Some(object) = request.object else { return Verdict::deny(Denial::unreadable("request.object: missing")) };
    let meta = match Meta::read(object) {
        Ok(meta) => meta,
        Err(error) => return Verdict::deny(Denial::unreadable(error.to_string())),
    };
    let place = match &meta {
        None => Annotations::NoMetadata,
        Some(Meta { annotations: None, .. }) => Annotations::Absent,
        Some(_) => Annotations::Present,
    };
    let meta = meta.unwrap_or_default();
    // The kubelet runs its mirror pods as its files say, whatever stands in the API.
    if meta.annotation(MIRROR).is_some() {
        return Verdict::allow();
    }
    let namespace =
        [meta.namespace.as_ref(), request.namespace.as_ref(), "default"].into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let mut edits = Edits::of(place);
    let pod = Pod { meta: &meta, object, namespace };
    Verdict::Decided(match steps(pod, snapshot, now, &mut edits, reasons) {
        Ok(decision) => Decision { outcome: Outcome::Allow(edits), ..decision },
        Err(denial) => Decision { outcome: Outcome::Deny(denial), ..Decision::default() },
    })
}

/// What is to be done about a pod; the edits of the decision are in `edits`.
fn steps<R: Reasons>(
    pod: Pod<'_, '_>,
    snapshot: &Snapshot<'_>,
    now: Timestamp,
    edits: &mut Edits,
    reasons: &mut R,
) -> Result<Decision, Denial> {
    super::readiness_gate::add(pod, snapshot.gates, edits).map_err(|error| Denial::unreadable(error.to_string()))?;
    let decision = sidecars(pod, snapshot, now, edits, reasons)?;
    super::budget_link::add(pod, snapshot, edits);
    Ok(decision)
}

/// Puts the sidecars of all sets that select the pod into it.
fn sidecars<R: Reasons>(
    pod: Pod<'_, '_>,
    snapshot: &Snapshot<'_>,
    now: Timestamp,
    edits: &mut Edits,
    reasons: &mut R,
) -> Result<Decision, Denial> {
    let selected = selected(pod, snapshot, reasons)?;
    if selected.is_empty() {
        return Ok(Decision::default());
    }
    let injection = inject(pod, &selected, snapshot.gates, now, edits).map_err(denial)?;
    let mut decision = Decision { warnings: injection.warnings, ..Decision::default() };
    if injection.has_containers {
        let names: Vec<&str> = selected.iter().map(|one| one.set.name.as_str()).collect();
        decision.note = format!("sidecarsets {}", names.join(","));
    }
    Ok(decision)
}

fn selected<'s, R: Reasons>(pod: Pod<'_, '_>, snapshot: &Snapshot<'s>, reasons: &mut R) -> Result<Vec<Selected<'s>>, Denial> {
    let labels = snapshot.namespace_labels(pod.namespace);
    let result = if R::WANTS_ALL {
        let all = snapshot.sets.all(pod.namespace).into_iter().map(|entry| &**entry as &Entry);
        select(pod.meta, all, labels, snapshot.tally, reasons)
    } else {
        select(pod.meta, candidates(pod.meta, pod.namespace, snapshot.sets), labels, snapshot.tally, reasons)
    };
    result.map_err(|error| Denial::forbidden(error.to_string()))
}

fn denial(error: InjectError) -> Denial {
    match error {
        InjectError::Decode(error) => Denial::unreadable(error.to_string()),
        other => Denial::forbidden(other.to_string()),
    }
}
