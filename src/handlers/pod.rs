//! New pods: the steps in the order in which they build on each other.
//! (`pkg/webhook/pod/mutating/pod_create_update_handler.go`)

use jiff::Timestamp;

use serde_json::{Value, value::RawValue};

use super::{
    Ask, Claim, Claims, Gain, Verdict,
    place::{Arrival, Learned, Placing, learn, placed, placing},
    told,
};
use crate::{
    admission::{
        ask::{Answer, Question},
        edits::{Annotations, Edits},
        reason::Reason,
        review::Request,
        verdict::{Decision, Denial, Outcome},
    },
    base::{
        decode::DecodeError,
        pod::{MIRROR, Meta},
        reasons::Reasons,
    },
    sidecarset::{
        index::Entry,
        inject::{InjectError, Pod, inject},
        select::{Selected, candidates, select},
    },
    spread::{
        claim::Take,
        inject::{self as places, unplace},
        keys::MATCHED,
    },
    state::Snapshot,
};

/// How many objects are asked for before a pod is let go without a place.
const MOST_QUESTIONS: usize = 8;

/// `/mutate-pod`: what a new pod becomes.
pub fn mutate(request: &Request<'_>, snapshot: &Snapshot<'_>, now: Timestamp) -> Verdict {
    begin(request, snapshot, now, &mut ())
}

/// The same, saying of every set there is whether it applies.
pub fn explain(request: &Request<'_>, snapshot: &Snapshot<'_>, now: Timestamp, reasons: &mut Vec<crate::base::reasons::Reason>) -> Verdict {
    begin(request, snapshot, now, reasons)
}

fn begin<R: Reasons>(request: &Request<'_>, snapshot: &Snapshot<'_>, now: Timestamp, reasons: &mut R) -> Verdict {
    let is_new_pod = request.operation == "CREATE" && request.sub_resource.is_empty() && request.resource.resource == "pods";
    if !is_new_pod {
        return Verdict::allow();
    }
    if !snapshot.gates.pod_webhook {
        return Verdict::allow_as(Reason::Off);
    }
    let Some(object) = request.object else { return Verdict::deny(Denial::unreadable("request.object: missing")) };
    let read = match Meta::read(object) {
        Ok(read) => read,
        Err(error) => return Verdict::deny(Denial::unreadable(error.to_string())),
    };
    let bare = Meta::default();
    let meta = read.as_ref().unwrap_or(&bare);
    // The kubelet runs its mirror pods as its files say, whatever stands in the API.
    if meta.annotation(MIRROR).is_some() {
        return Verdict::allow_as(Reason::StaticPod);
    }
    let namespace =
        [meta.namespace.as_ref(), request.namespace.as_ref(), "default"].into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let arrival = Arrival { meta, object, namespace, review: (&request.uid, now) };
    match placing(arrival, &Learned::new(), snapshot) {
        Placing::Free => {
            let decision = Raw { object, meta: read.as_ref(), namespace }.decision(&Placing::Free, snapshot, now, reasons);
            Verdict::Decided(decision.unless_dry(request.is_dry_run()))
        }
        placing => {
            let waiting = Waiting {
                object: object.to_owned(),
                namespace: namespace.to_owned(),
                id: request.uid.to_string(),
                is_dry_run: request.is_dry_run(),
                learned: Learned::new(),
            };
            waiting.go_on(placing, snapshot, now, reasons)
        }
    }
}

/// A pod whose place has to be found out, or taken.
struct Waiting {
    object: Box<RawValue>,
    namespace: String,
    id: String,
    is_dry_run: bool,
    learned: Learned,
}

impl Waiting {
    fn decision<R: Reasons>(&self, placing: &Placing, snapshot: &Snapshot<'_>, now: Timestamp, reasons: &mut R) -> Decision {
        // It was read before: the review would not have come this far.
        let meta = Meta::read(&self.object).ok().flatten();
        let raw = Raw { object: &self.object, meta: meta.as_ref(), namespace: &self.namespace };
        raw.decision(placing, snapshot, now, reasons).unless_dry(self.is_dry_run)
    }

    fn go_on<R: Reasons>(self, placing: Placing, snapshot: &Snapshot<'_>, now: Timestamp, reasons: &mut R) -> Verdict {
        match placing {
            Placing::Claim(take) => {
                // Which sets apply is said of the pod as it came.
                if R::WANTS_ALL {
                    drop(self.decision(&Placing::Nowhere, snapshot, now, reasons));
                }
                let (is_dry_run, claims) = (self.is_dry_run, vec![Claim::Spread(take.clone())]);
                Verdict::Claim(Claims::new(claims, is_dry_run, move |gains, snapshot, now| self.settled(&take, gains, snapshot, now)))
            }
            Placing::Ask(question) if self.learned.len() < MOST_QUESTIONS => {
                let asked = question.clone();
                let answered = move |answers: Vec<Answer>, snapshot: &Snapshot<'_>, now| self.answered(&asked, answers, snapshot, now);
                Verdict::Ask(Ask::then(vec![question], answered))
            }
            Placing::Ask(_) => self.unplaced("its owners are too many", snapshot, now),
            known => Verdict::Decided(self.decision(&known, snapshot, now, reasons)),
        }
    }

    fn answered(mut self, question: &Question, answers: Vec<Answer>, snapshot: &Snapshot<'_>, now: Timestamp) -> Verdict {
        let answer = answers.into_iter().next().unwrap_or_else(Answer::nobody);
        if let Err(problem) = learn(question, answer, &mut self.learned) {
            return self.unplaced(&problem, snapshot, now);
        }
        let meta = Meta::read(&self.object).ok().flatten().unwrap_or_default();
        let arrival = Arrival { meta: &meta, object: &self.object, namespace: &self.namespace, review: (&self.id, now) };
        let placing = placing(arrival, &self.learned, snapshot);
        drop(meta);
        self.go_on(placing, snapshot, now, &mut ())
    }

    /// Nobody can tell where the pod belongs: it is not held up for that.
    fn unplaced(&self, why: &str, snapshot: &Snapshot<'_>, now: Timestamp) -> Verdict {
        let mut decision = self.decision(&Placing::Nowhere, snapshot, now, &mut ());
        decision.warnings.push(format!("the pod was given no place of a WorkloadSpread: {why}"));
        decision.reason = Reason::PlaceUnknown;
        Verdict::Decided(decision)
    }

    fn settled(&self, take: &Take, gains: Vec<Gain>, snapshot: &Snapshot<'_>, now: Timestamp) -> Decision {
        let gain = gains.into_iter().next().unwrap_or(Gain::Place(None));
        let events = told::of_place(take, &gain, snapshot);
        let (placing, warning) = match gain {
            Gain::Place(place) => (placed(take, place, snapshot), None),
            Gain::Unit => (Placing::Nowhere, None),
            Gain::Unsettled(why) => (Placing::Nowhere, Some(why)),
        };
        let mut decision = self.decision(&placing, snapshot, now, &mut ());
        if let Some(why) = warning {
            decision.warnings.push(format!("WorkloadSpread {:?} gave the pod no place: {why}", take.spread));
            decision.reason = Reason::PlaceUnknown;
        }
        decision.events.extend(events);
        decision.unless_dry(self.is_dry_run)
    }
}

/// A pod as it came.
#[derive(Clone, Copy)]
struct Raw<'o, 'm> {
    object: &'o RawValue,
    /// Its metadata; `None` if it has none.
    meta: Option<&'m Meta<'o>>,
    namespace: &'m str,
}

impl Raw<'_, '_> {
    /// What the pod becomes when its place is known.
    fn decision<R: Reasons>(self, placing: &Placing, snapshot: &Snapshot<'_>, now: Timestamp, reasons: &mut R) -> Decision {
        self.decided(placing, snapshot, now, reasons).unwrap_or_else(Decision::deny)
    }

    fn decided<R: Reasons>(self, placing: &Placing, snapshot: &Snapshot<'_>, now: Timestamp, reasons: &mut R) -> Result<Decision, Denial> {
        let Self { object, meta, namespace } = self;
        let unreadable = |error: DecodeError| Denial::unreadable(error.to_string());
        let mut edits = Edits::of(match meta {
            None => Annotations::NoMetadata,
            Some(Meta { annotations: None, .. }) => Annotations::Absent,
            Some(_) => Annotations::Present,
        });
        let bare = Meta::default();
        let meta = meta.unwrap_or(&bare);
        let pod = Pod { meta, object, namespace };
        super::readiness_gate::add(pod, snapshot.gates, &mut edits).map_err(unreadable)?;
        let decision = match after_placing(object, meta, placing, &mut edits)? {
            None => steps(pod, snapshot, now, &mut edits, reasons)?,
            Some(object) => {
                let meta = Meta::read(&object).map_err(unreadable)?.unwrap_or_default();
                steps(Pod { meta: &meta, object: &object, namespace }, snapshot, now, &mut edits, reasons)?
            }
        };
        let reason = reason(placing, &decision, &edits);
        let note = match placing {
            Placing::In(_, mark) => format!("subset {}/{} {}", mark.spread, mark.subset, decision.note),
            _ => decision.note,
        };
        Ok(Decision { outcome: Outcome::Allow(edits), note: note.trim_end().to_owned(), reason, ..decision })
    }
}

/// Why a pod that is admitted is as it is.
fn reason(placing: &Placing, decision: &Decision, edits: &Edits) -> Reason {
    let has_sidecars = decision.reason == Reason::Sidecars;
    match placing {
        Placing::In(..) if has_sidecars => Reason::SidecarsAndPlace,
        Placing::In(..) => Reason::Place,
        Placing::Nowhere => Reason::NoPlace,
        _ if has_sidecars => {
            if edits.is_empty() {
                Reason::Unchanged
            } else {
                Reason::Sidecars
            }
        }
        _ => {
            if edits.is_empty() {
                Reason::NoMatch
            } else {
                Reason::Marks
            }
        }
    }
}

/// The pod as its place makes it; `None` if that changes nothing.
fn after_placing(object: &RawValue, meta: &Meta<'_>, placing: &Placing, edits: &mut Edits) -> Result<Option<Box<RawValue>>, Denial> {
    let read = || serde_json::from_str::<Value>(object.get()).map_err(|error| Denial::unreadable(error.to_string()));
    let after = match placing {
        Placing::In(subset, mark) => places::inject(&read()?, subset, mark, edits)
            .map_err(|error| Denial::forbidden(error.to_string()).because(Reason::PlaceMisfit))?,
        Placing::Nowhere if meta.annotation(MATCHED).is_some() => unplace(&read()?, edits),
        Placing::Refused(denial) => return Err(denial.clone()),
        _ => return Ok(None),
    };
    let text = RawValue::from_string(after.to_string()).map_err(|error| Denial::unreadable(error.to_string()))?;
    Ok(Some(text))
}

/// What is to be done about a pod that has its place; the edits of the decision are in `edits`.
fn steps<R: Reasons>(
    pod: Pod<'_, '_>,
    snapshot: &Snapshot<'_>,
    now: Timestamp,
    edits: &mut Edits,
    reasons: &mut R,
) -> Result<Decision, Denial> {
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
    let warnings = injection.conflicts.iter().map(|conflict| format!("SidecarSet {}: {}", conflict.set, conflict.text)).collect();
    let events = told::conflicts(pod, &selected, &injection.conflicts, snapshot);
    let mut decision = Decision { warnings, events, ..Decision::default() };
    if injection.has_containers {
        let names: Vec<&str> = selected.iter().map(|one| one.set.name.as_str()).collect();
        decision.note = format!("sidecarsets {}", names.join(","));
        decision.reason = Reason::Sidecars;
    }
    Ok(decision)
}

/// The names of the sets that select the pod; none if it would be refused over them.
pub(super) fn names_of_selected(pod: Pod<'_, '_>, snapshot: &Snapshot<'_>) -> Vec<String> {
    selected(pod, snapshot, &mut ()).unwrap_or_default().iter().map(|one| one.set.name.clone()).collect()
}

fn selected<'s, R: Reasons>(pod: Pod<'_, '_>, snapshot: &Snapshot<'s>, reasons: &mut R) -> Result<Vec<Selected<'s>>, Denial> {
    let labels = snapshot.namespace_labels(pod.namespace);
    let result = if R::WANTS_ALL {
        let all = snapshot.sets.all(pod.namespace).into_iter().map(|entry| &**entry as &Entry);
        select(pod.meta, all, labels, snapshot.tally, reasons)
    } else {
        select(pod.meta, candidates(pod.meta, pod.namespace, snapshot.sets), labels, snapshot.tally, reasons)
    };
    result.map_err(|error| Denial::forbidden(error.to_string()).because(Reason::Revision))
}

fn denial(error: InjectError) -> Denial {
    match error {
        InjectError::Decode(error) => Denial::unreadable(error.to_string()),
        other => Denial::forbidden(other.to_string()).because(Reason::Injection),
    }
}
