//! `/validate-pod`: deletions, evictions and changes of pods, held against budgets.
//! (`pkg/webhook/pod/validating`; reference: `pub.md` §7)
//!
//! A deletion and a change are judged by the stored pod that comes with the review. Of an eviction only the name comes: the mirror says
//! whether the pod is guarded; where it says that it is not, the API server is asked, for the mirror may be behind.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{Ask, Claim, Claims, Verdict, place::returned, told};
use crate::{
    admission::{
        ask::{Answer, Question},
        edits::{Annotations, Edits},
        reason::Reason,
        review::{Options, Request},
        verdict::{Decision, Denial, Outcome},
    },
    base::{decode::DecodeError, interned::Interner, observed::Wire, workload::Owner},
    budget::{
        change,
        guard::Take,
        index::{Budget, Operation},
        keys::JUDGED,
        subject::Subject,
    },
    plan::{Kind, Target, reporter},
    state::Snapshot,
};

/// Whether a pod can be spared.
pub fn validate(request: &Request<'_>, snapshot: &Snapshot<'_>, _: Timestamp) -> Verdict {
    let of_pods = request.resource.group.is_empty() && request.resource.resource == "pods";
    if !of_pods || snapshot.is_leaving(&request.namespace) {
        return free();
    }
    let verdict = match (request.operation.as_ref(), request.sub_resource.as_ref()) {
        ("DELETE", "") => delete(request, snapshot),
        ("CREATE", "eviction") => evict(request, snapshot),
        ("UPDATE", "" | "resize") => update(request, snapshot),
        _ => Ok(free()),
    };
    verdict.unwrap_or_else(|error| Verdict::deny(Denial::unreadable(error.to_string())))
}

/// The same for an eviction, which is marked if it may pass: where there are budgets, a policy of the API server's own refuses evictions
/// that nobody has judged, and everywhere else they pass also while no server answers.
pub fn mark_eviction(request: &Request<'_>, snapshot: &Snapshot<'_>, now: Timestamp) -> Verdict {
    // What is no eviction has nothing to be marked.
    let Some(object) = request.object else { return validate(request, snapshot, now) };
    let place = match decoded::<Eviction>(object) {
        Ok(eviction) => eviction.place(),
        Err(error) => return Verdict::deny(Denial::unreadable(error.to_string())),
    };
    let uid = request.uid.to_string();
    validate(request, snapshot, now).changed(move |decision| match decision.outcome {
        Outcome::Allow(_) => {
            let mut edits = Edits::of(place);
            edits.set_annotation(JUDGED, uid.clone());
            Decision { outcome: Outcome::Allow(edits), note: "the eviction is marked as judged".to_owned(), ..decision }
        }
        Outcome::Deny(_) => decision,
    })
}

fn delete(request: &Request<'_>, snapshot: &Snapshot<'_>) -> Result<Verdict, DecodeError> {
    let Some(old) = request.old_object else { return Ok(free()) };
    let pod: Wire = decoded(old)?;
    let mut claims = Vec::new();
    if snapshot.gates.budgets_on_delete {
        claims = judge_known(subject(&pod, request), Operation::Delete, snapshot);
    }
    claims.extend(returned(&pod, &request.namespace, snapshot).map(Claim::Spread));
    Ok(verdict(claims, request.is_dry_run()))
}

fn update(request: &Request<'_>, snapshot: &Snapshot<'_>) -> Result<Verdict, DecodeError> {
    let (Some(old), Some(new)) = (request.old_object, request.object) else { return Ok(free()) };
    if !snapshot.gates.budgets_on_update {
        return Ok(free());
    }
    let pod = subject(&decoded(old)?, request);
    // The larger part of the work is spared for pods that are not guarded anyway.
    if is_free(&pod) {
        return Ok(free());
    }
    match change::operation(&decoded(old)?, &decoded(new)?) {
        Some(operation) => Ok(verdict(judge_known(pod, operation, snapshot), request.is_dry_run())),
        None => Ok(free()),
    }
}

fn evict(request: &Request<'_>, snapshot: &Snapshot<'_>) -> Result<Verdict, DecodeError> {
    let mirrored = snapshot.subject(&request.namespace, &request.name);
    let is_dry_run = request.is_dry_run() || is_dry_eviction(request.object)?;
    // The mirror does not tell for sure whether the pod has a place to give back.
    if snapshot.gates.spreads && snapshot.spreads.is_any_in(&request.namespace) {
        return Ok(ask_and_judge(request, is_dry_run, true));
    }
    if !snapshot.gates.budgets_on_delete {
        return Ok(if mirrored.is_some() { free() } else { ask_and_judge(request, is_dry_run, true) });
    }
    match mirrored {
        // What is recorded passes again; whether this is that pod, the mirror cannot tell.
        Some(pod) if !is_free(&pod) && !is_recorded(&pod, snapshot) => {
            let owners = snapshot.owners_of(&pod);
            let terms = Terms { is_certain: false, ..Terms::of(Operation::Evict, snapshot) };
            let budgets = snapshot.budgets.of_namespace(&request.namespace);
            Ok(verdict(terms.judge((*pod).clone(), budgets, &owners), is_dry_run))
        }
        // Also of one that is going: another one of its name may be there already.
        _ if snapshot.budgets.of_namespace(&request.namespace).next().is_none() => Ok(free()),
        _ => Ok(ask_and_judge(request, is_dry_run, false)),
    }
}

/// The request may pass when all of this is taken.
fn verdict(claims: Vec<Claim>, is_dry_run: bool) -> Verdict {
    if claims.is_empty() {
        return free();
    }
    let is_guarded = claims.iter().any(|claim| matches!(claim, Claim::Budget(_)));
    let reason = if is_guarded { Reason::Granted } else { Reason::PlaceReturned };
    Verdict::Claim(Claims::new(claims, is_dry_run, move |_, _, _| Decision::allow(reason)))
}

/// No budget has a say.
fn free() -> Verdict {
    Verdict::allow_as(Reason::NotGuarded)
}

/// Whether a budget has admitted that a pod of this name goes or is changed, as far as known.
fn is_recorded(pod: &Subject, snapshot: &Snapshot<'_>) -> bool {
    snapshot.budgets.of_namespace(&pod.namespace).any(|budget| {
        let status = &budget.status;
        status.disrupted_pods.contains_key(&*pod.name) || status.unavailable_pods.contains_key(&*pod.name)
    })
}

/// The pod that a review shows. What it says of its namespace may be missing.
fn subject(pod: &Wire, request: &Request<'_>) -> Subject {
    Subject { namespace: request.namespace.as_ref().into(), ..Subject::read(pod, &mut Interner::default()) }
}

fn decoded<'r, T: Deserialize<'r>>(object: &'r RawValue) -> Result<T, DecodeError> {
    serde_json::from_str(object.get()).map_err(|_| DecodeError::of::<T>(object))
}

/// Whether the eviction itself says that it is to change nothing.
fn is_dry_eviction(eviction: Option<&RawValue>) -> Result<bool, DecodeError> {
    let Some(eviction) = eviction else { return Ok(false) };
    Ok(decoded::<Eviction>(eviction)?.delete_options.is_some_and(|options| options.is_dry_run()))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Eviction {
    #[serde(default)]
    delete_options: Option<Options>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: Option<IgnoredAny>,
}

impl Eviction {
    /// Where its annotations can be put.
    const fn place(&self) -> Annotations {
        match &self.metadata {
            None => Annotations::NoMetadata,
            Some(Metadata { annotations: None }) => Annotations::Absent,
            Some(_) => Annotations::Present,
        }
    }
}

/// Whether no budget has a say, whatever there are. What is not available can be spared; what mirrors a file of its node is run anyway.
fn is_free(pod: &Subject) -> bool {
    pod.link.is_none() || pod.is_exempt || pod.is_mirror || !pod.is_available
}

/// How to judge.
#[derive(Clone, Copy)]
struct Terms {
    operation: Operation,
    /// The pod that is judged is the one that is meant.
    is_certain: bool,
    resize_is_its_own: bool,
    eviction_code: u16,
}

impl Terms {
    const fn of(operation: Operation, snapshot: &Snapshot<'_>) -> Self {
        let (resize_is_its_own, eviction_code) = (snapshot.gates.resize_is_its_own, snapshot.gates.eviction_code.number());
        Self { operation, is_certain: true, resize_is_its_own, eviction_code }
    }

    /// What has to be taken for the pod: a unit of the budget that it is linked to, and of all others that select it. A pod whose budget
    /// does not exist is not guarded until it is linked anew.
    fn judge<'b>(self, pod: Subject, budgets: impl Iterator<Item = &'b Arc<Budget>>, owners: &[Owner]) -> Vec<Claim> {
        let Some(link) = pod.link.clone().filter(|_| !is_free(&pod)) else { return Vec::new() };
        let (leaving, budgets): (Vec<_>, Vec<_>) = budgets.partition(|budget| budget.is_terminating);
        let is_leaving = leaving.iter().any(|budget| budget.name == link);
        let is_selected = |budget: &&&Arc<Budget>| budget.name == link || budget.rules.selects(&pod.labels, owners);
        let mut names: Vec<_> = budgets.iter().filter(is_selected).map(|budget| Arc::clone(&budget.name)).collect();
        if !names.contains(&link) && !is_leaving {
            // Whether it exists shows when it is read. If not, the pod is not guarded until it is linked anew.
            names = vec![link];
        }
        let pod = Arc::new(pod);
        let take = |budget| {
            let (namespace, pod) = (Arc::clone(&pod.namespace), Arc::clone(&pod));
            let Self { operation, is_certain, resize_is_its_own, eviction_code } = self;
            Claim::Budget(Take { namespace, budget, pod, is_certain, operation, resize_is_its_own, eviction_code })
        };
        names.into_iter().map(take).collect()
    }
}

fn judge_known(pod: Subject, operation: Operation, snapshot: &Snapshot<'_>) -> Vec<Claim> {
    let (owners, namespace) = (snapshot.owners_of(&pod), Arc::clone(&pod.namespace));
    let budgets = snapshot.budgets.of_namespace(&namespace);
    Terms::of(operation, snapshot).judge(pod, budgets, &owners)
}

/// Asks for the pod of an eviction, and judges what it is now. Where spreads have a say, or nobody guards, the eviction of a pod that
/// does not exist is refused, as the reference does for the sake of spreads; else the API server says so itself.
fn ask_and_judge(request: &Request<'_>, is_dry_run: bool, must_exist: bool) -> Verdict {
    let (namespace, name): (Arc<str>, String) = (request.namespace.as_ref().into(), request.name.to_string());
    let question = Question::Pod { namespace: request.namespace.to_string(), name: name.clone() };
    let judge = move |answers: Vec<Answer>, snapshot: &Snapshot<'_>, _: Timestamp| match answers
        .into_iter()
        .next()
        .unwrap_or_else(Answer::nobody)
    {
        Answer::Found(text) => match serde_json::from_str::<Wire>(&text) {
            Ok(pod) => verdict(leaves(&pod, &namespace, snapshot), is_dry_run),
            Err(error) => Verdict::deny(Denial::unreadable(format!("pod {name:?}: {error}"))),
        },
        Answer::Unknown(why) if snapshot.gates.budgets_on_delete && snapshot.budgets.of_namespace(&namespace).next().is_some() => {
            let denial = unknown(&name, &why, snapshot.gates.eviction_code.number());
            let uid = snapshot.subject(&namespace, &name).map(|pod| pod.uid.to_string()).unwrap_or_default();
            let about = Target { kind: Kind::POD, namespace: namespace.to_string(), name: name.clone(), uid };
            let decision = Decision { events: vec![told::unanswered(reporter::BUDGET_GUARD, about, &why)], ..Decision::deny(denial) };
            Verdict::Decided(decision.unless_dry(is_dry_run))
        }
        Answer::Absent if must_exist => Verdict::deny(Denial::unreadable(format!("Pod {name:?} not found")).because(Reason::NotFound)),
        _ => free(),
    };
    Verdict::Ask(Ask::then(vec![question], judge))
}

/// What has to be taken, and what is given back, when a pod is evicted.
fn leaves(pod: &Wire, namespace: &Arc<str>, snapshot: &Snapshot<'_>) -> Vec<Claim> {
    let mut claims = Vec::new();
    if snapshot.gates.budgets_on_delete {
        let subject = Subject { namespace: Arc::clone(namespace), ..Subject::read(pod, &mut Interner::default()) };
        claims = judge_known(subject, Operation::Evict, snapshot);
    }
    claims.extend(returned(pod, namespace, snapshot).map(Claim::Spread));
    claims
}

fn unknown(pod: &str, why: &str, code: u16) -> Denial {
    let message = format!("nobody can tell whether pod {pod:?} can be spared now: {why}; try again in a second");
    let denial = if code == 429 { Denial::later(message, 1) } else { Denial { retry_after: Some(1), ..Denial::forbidden(message) } };
    denial.because(Reason::Unanswered)
}

#[cfg(test)]
mod tests;
