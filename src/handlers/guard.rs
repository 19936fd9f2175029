//! `/validate-pod`: deletions, evictions and changes of pods, held against budgets.
//! (`pkg/webhook/pod/validating`; reference: `pub.md` §7)
//!
//! A deletion and a change are judged by the stored pod that comes with the review. Of an eviction only the name comes: the mirror says
//! whether the pod is guarded; where it says that it is not, the API server is asked, for the mirror may be behind.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Ask, Claim, Claims, Verdict};
use crate::{
    admission::{
        ask::{Answer, Question},
        review::Request,
        verdict::Denial,
    },
    base::{decode::DecodeError, interned::Interner, observed::Wire, workload::Owner},
    budget::{
        change,
        guard::Take,
        index::{Budget, Operation},
        subject::Subject,
    },
    state::Snapshot,
};

/// Whether a pod can be spared.
pub fn validate(request: &Request<'_>, snapshot: &Snapshot<'_>, _: Timestamp) -> Verdict {
    let of_pods = request.resource.group.is_empty() && request.resource.resource == "pods";
    if !of_pods || snapshot.is_leaving(&request.namespace) {
        return Verdict::allow();
    }
    let verdict = match (request.operation.as_ref(), request.sub_resource.as_ref()) {
        ("DELETE", "") => delete(request, snapshot),
        ("CREATE", "eviction") => evict(request, snapshot),
        ("UPDATE", "" | "resize") => update(request, snapshot),
        _ => Ok(Verdict::allow()),
    };
    verdict.unwrap_or_else(|error| Verdict::deny(Denial::unreadable(error.to_string())))
}

fn delete(request: &Request<'_>, snapshot: &Snapshot<'_>) -> Result<Verdict, DecodeError> {
    let Some(old) = request.old_object.filter(|_| snapshot.gates.budgets_on_delete) else { return Ok(Verdict::allow()) };
    let pod = subject(&decoded(old)?, request);
    Ok(judge_known(pod, Operation::Delete, is_dry_run(request), snapshot))
}

fn update(request: &Request<'_>, snapshot: &Snapshot<'_>) -> Result<Verdict, DecodeError> {
    let (Some(old), Some(new)) = (request.old_object, request.object) else { return Ok(Verdict::allow()) };
    if !snapshot.gates.budgets_on_update {
        return Ok(Verdict::allow());
    }
    let pod = subject(&decoded(old)?, request);
    // The larger part of the work is spared for pods that are not guarded anyway.
    if is_free(&pod) {
        return Ok(Verdict::allow());
    }
    match change::operation(&decoded(old)?, &decoded(new)?) {
        Some(operation) => Ok(judge_known(pod, operation, is_dry_run(request), snapshot)),
        None => Ok(Verdict::allow()),
    }
}

fn evict(request: &Request<'_>, snapshot: &Snapshot<'_>) -> Result<Verdict, DecodeError> {
    let mirrored = snapshot.subject(&request.namespace, &request.name);
    if !snapshot.gates.budgets_on_delete {
        return Ok(if mirrored.is_some() { Verdict::allow() } else { must_exist(request) });
    }
    let is_dry_run = is_dry_run(request) || is_dry_eviction(request.object)?;
    match mirrored {
        // What is recorded passes again; whether this is that pod, the mirror cannot tell.
        Some(pod) if !is_free(&pod) && !is_recorded(&pod, snapshot) => {
            let owners = snapshot.owners_of(&pod);
            let terms = Terms { is_certain: false, ..Terms::of(Operation::Evict, is_dry_run, snapshot) };
            let budgets = snapshot.budgets.of_namespace(&request.namespace);
            Ok(terms.judge((*pod).clone(), budgets, &owners))
        }
        // Also of one that is going: another one of its name may be there already.
        _ if snapshot.budgets.of_namespace(&request.namespace).next().is_none() => Ok(Verdict::allow()),
        _ => Ok(ask_and_judge(request, is_dry_run, snapshot)),
    }
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

/// Whether the request changes nothing, by the review or by its options.
fn is_dry_run(request: &Request<'_>) -> bool {
    request.dry_run || request.options.is_some_and(|options| decoded::<Options>(options).is_ok_and(|options| options.is_dry()))
}

/// Whether the eviction itself says that it is to change nothing.
fn is_dry_eviction(eviction: Option<&RawValue>) -> Result<bool, DecodeError> {
    let Some(eviction) = eviction else { return Ok(false) };
    Ok(decoded::<Eviction>(eviction)?.delete_options.is_some_and(|options| options.is_dry()))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Eviction {
    #[serde(default)]
    delete_options: Option<Options>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    #[serde(default)]
    dry_run: Option<Vec<String>>,
}

impl Options {
    fn is_dry(&self) -> bool {
        self.dry_run.as_ref().is_some_and(|stages| !stages.is_empty())
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
    is_dry_run: bool,
    /// The pod that is judged is the one that is meant.
    is_certain: bool,
    resize_is_its_own: bool,
    eviction_code: u16,
}

impl Terms {
    const fn of(operation: Operation, is_dry_run: bool, snapshot: &Snapshot<'_>) -> Self {
        let (resize_is_its_own, eviction_code) = (snapshot.gates.resize_is_its_own, snapshot.gates.eviction_code.number());
        Self { operation, is_dry_run, is_certain: true, resize_is_its_own, eviction_code }
    }

    /// What has to be taken for the pod: a unit of the budget that it is linked to, and of all others that select it. A pod whose budget
    /// does not exist is not guarded until it is linked anew.
    fn judge<'b>(self, pod: Subject, budgets: impl Iterator<Item = &'b Arc<Budget>>, owners: &[Owner]) -> Verdict {
        let Some(link) = pod.link.clone().filter(|_| !is_free(&pod)) else { return Verdict::allow() };
        let (leaving, budgets): (Vec<_>, Vec<_>) = budgets.partition(|budget| budget.is_terminating);
        let is_leaving = leaving.iter().any(|budget| budget.name == link);
        let is_selected = |budget: &&&Arc<Budget>| budget.name == link || budget.rules.selects(&pod.labels, owners);
        let mut names: Vec<_> = budgets.iter().filter(is_selected).map(|budget| Arc::clone(&budget.name)).collect();
        if !names.contains(&link) && !is_leaving {
            // Whether it exists shows when it is read. If not, the pod is not guarded until it is linked anew.
            names = vec![link];
        }
        if names.is_empty() {
            return Verdict::allow();
        }
        let pod = Arc::new(pod);
        let take = |budget| {
            let (namespace, pod) = (Arc::clone(&pod.namespace), Arc::clone(&pod));
            let Self { operation, is_certain, resize_is_its_own, eviction_code, .. } = self;
            Claim::Budget(Take { namespace, budget, pod, is_certain, operation, resize_is_its_own, eviction_code })
        };
        let claims = names.into_iter().map(take).collect();
        Verdict::Claim(Claims::to_pass(claims, self.is_dry_run))
    }
}

fn judge_known(pod: Subject, operation: Operation, is_dry_run: bool, snapshot: &Snapshot<'_>) -> Verdict {
    let (owners, namespace) = (snapshot.owners_of(&pod), Arc::clone(&pod.namespace));
    let budgets = snapshot.budgets.of_namespace(&namespace);
    Terms::of(operation, is_dry_run, snapshot).judge(pod, budgets, &owners)
}

/// Asks for the pod of an eviction, and judges what it is now.
fn ask_and_judge(request: &Request<'_>, is_dry_run: bool, snapshot: &Snapshot<'_>) -> Verdict {
    let terms = Terms::of(Operation::Evict, is_dry_run, snapshot);
    let budgets: Vec<_> = snapshot.budgets.of_namespace(&request.namespace).cloned().collect();
    let owners = snapshot.subject(&request.namespace, &request.name).map(|pod| snapshot.owners_of(&pod)).unwrap_or_default();
    let (namespace, name): (Arc<str>, String) = (request.namespace.as_ref().into(), request.name.to_string());
    ask(request, move |answer| match answer {
        Answer::Found(text) => match serde_json::from_str::<Wire>(&text) {
            Ok(pod) => {
                let pod = Subject { namespace, ..Subject::read(&pod, &mut Interner::default()) };
                terms.judge(pod, budgets.iter(), &owners)
            }
            Err(error) => Verdict::deny(Denial::unreadable(format!("pod {name:?}: {error}"))),
        },
        Answer::Unknown(why) => Verdict::deny(unknown(&name, &why, terms.eviction_code)),
        // The API server says so itself.
        _ => Verdict::allow(),
    })
}

/// With budgets off, an eviction of a pod that does not exist is refused, as the reference does for the sake of spreads.
fn must_exist(request: &Request<'_>) -> Verdict {
    let name = request.name.to_string();
    ask(request, move |answer| match answer {
        Answer::Absent => Verdict::deny(Denial::unreadable(format!("Pod {name:?} not found"))),
        _ => Verdict::allow(),
    })
}

fn ask(request: &Request<'_>, settle: impl FnOnce(Answer) -> Verdict + Send + 'static) -> Verdict {
    let question = Question::Pod { namespace: request.namespace.to_string(), name: request.name.to_string() };
    Verdict::Ask(Ask::one(question, settle))
}

fn unknown(pod: &str, why: &str, code: u16) -> Denial {
    let message = format!("nobody can tell whether pod {pod:?} can be spared now: {why}; try again in a second");
    if code == 429 { Denial::later(message, 1) } else { Denial { retry_after: Some(1), ..Denial::forbidden(message) } }
}

#[cfg(test)]
mod tests;
