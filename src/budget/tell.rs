//! What a budget says of itself: whether it guards what it selects, and what has happened.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    count::{Count, Unlearnt},
    desired::AmountError,
    guard::Take,
    index::Need,
    keys::ENFORCING,
    picture::{Picture, Scale, Standing},
    records::Records,
    subject::Subject,
};
use crate::{
    admission::reason::Reason,
    plan::{Event, Kind, Target, reporter},
};

/// Whether a budget guards what it selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcing {
    /// Whether it does.
    pub is_so: bool,
    /// Why, in a word.
    pub reason: &'static str,
    /// Why, in a sentence.
    pub message: String,
    /// It is about how many pods there should be.
    is_about_count: bool,
}

/// Judges a budget: the gravest that is in the way of it.
pub fn enforcing(picture: &Picture, count: &Count<'_>, amount: Option<&AmountError>) -> Enforcing {
    let rules = &picture.budget.rules;
    let not = |reason, message| Enforcing { is_so: false, reason, message, is_about_count: false };
    if let Some(problem) = rules.problems.first() {
        return not("InvalidSpec", format!("a part of it cannot be used: {problem}"));
    }
    if let Some(error) = amount {
        return Enforcing {
            is_about_count: true,
            ..not("InvalidSpec", format!("no pod may go, since it is not known how many are needed: {error}"))
        };
    }
    if let Some(unlearnt) = &count.unlearnt
        && let Some((reason, message)) = unlearnt_words(picture, unlearnt)
    {
        return Enforcing { is_about_count: true, ..not(reason, message) };
    }
    if count.pods.iter().any(|pod| pod.is_mirror) {
        let message = "it selects static pods: their nodes run and end them as files there say, whatever is asked of the API server";
        return not("StaticPods", message.to_owned());
    }
    let so = |reason, message: &str| Enforcing { is_so: true, reason, message: message.to_owned(), is_about_count: false };
    let is_gone = picture.target.as_ref().is_some_and(|target| picture.standing(target) == Standing::Gone);
    if is_gone {
        return so("TargetGone", "the workload that it names does not exist, or is being deleted: there is nothing to guard");
    }
    so("Enforced", "all pods that it selects are guarded")
}

/// What it means that a scale cannot be learnt; nothing if nothing depends on it.
fn unlearnt_words(picture: &Picture, unlearnt: &Unlearnt<'_>) -> Option<(&'static str, String)> {
    let (reason, why) = match unlearnt.scale {
        Scale::Found(_) | Scale::Missing => return None,
        Scale::UnknownKind => ("UnknownKind", "there is no such kind".to_owned()),
        Scale::NoScale => ("NoScale", "objects of this kind have no scale".to_owned()),
        Scale::Forbidden => ("ScaleForbidden", "its scale may not be read".to_owned()),
        Scale::Unanswered(problem) => ("ScaleUnanswered", problem.clone()),
    };
    let owner = unlearnt.owner;
    let group = if owner.group.is_empty() { String::new() } else { format!(".{}", owner.group) };
    let what = format!("{}{group} {:?}", owner.kind, owner.name);
    if unlearnt.is_target {
        return Some((
            reason,
            format!("how many pods {what} should have is not known ({why}): those that are linked here are counted instead"),
        ));
    }
    // A fixed number holds, however many there are.
    let is_fixed = matches!(picture.budget.rules.need, Need::MinAvailable(IntOrString::Int(_)));
    let message =
        format!("how many pods {what} should have is not known ({why}): its pods count themselves, and one that is gone is not missed");
    (!is_fixed).then_some((reason, message))
}

/// What is told.
pub fn events(picture: &Picture, count: &Count<'_>, records: &Records, enforcing: &Enforcing) -> Vec<Event> {
    let budget = &picture.budget;
    let about = super::plan::target(picture);
    let event =
        |is_warning, reason, note: &str| Event { by: reporter::BUDGETS, about: about.clone(), is_warning, reason, note: note.to_owned() };
    let mut events = Vec::new();
    let before = budget.status.conditions.iter().find(|condition| condition.type_ == ENFORCING);
    let is_said = before.is_some_and(|before| before.status == "False" && before.message == enforcing.message);
    if !enforcing.is_so && !is_said {
        let reason = if enforcing.is_about_count { "CalculateExpectedPodCountFailed" } else { "NotEnforcing" };
        events.push(event(true, reason, &enforcing.message));
    }
    let had_pods = !budget.has_status || budget.status.current_available > 0;
    if count.pods.is_empty() && had_pods {
        events.push(event(false, "NoPods", "there are no pods that it guards"));
    }
    events.extend(records.stayed.iter().map(|pod| stayed(picture, pod)));
    events
}

/// A pod that was admitted to go is still there: what it was reckoned with is given back.
fn stayed(picture: &Picture, pod: &Subject) -> Event {
    let note = format!("budget {:?} let this pod go, but it was not deleted in time; it counts as available again", picture.budget.name);
    Event { by: reporter::BUDGETS, about: target_of(pod), is_warning: true, reason: "NotDeleted", note }
}

/// A budget has refused a disruption: told of the pod, as the reference does, and of the budget, whose `uid` this is. Without numbers:
/// what changes with every try would be told each time. What passes within a second is told of the pod alone.
pub fn refused(take: &Take, uid: &str, grounds: Reason) -> Vec<Event> {
    let event = |by, about, reason, note| Event { by, about, is_warning: true, reason, note };
    let (operation, pod) = (take.operation.name(), target_of(&take.pod));
    let note = format!("budget {:?} does not let it go ({operation}) at present", take.budget);
    let pod = event(reporter::BUDGET_GUARD, pod, "PubPreventPodDeletion", note);
    let why = match grounds {
        Reason::Budget => Some(("DisruptionRefused", "all pods that are available are needed")),
        Reason::BudgetRecords => Some(("DisruptionRefused", "more disruptions are under way than are recorded")),
        Reason::Unsettled => Some(("DisruptionUnsettled", "the budget could not be read or written in time")),
        _ => None,
    };
    let of_budget = why.map(|(reason, why)| {
        let (namespace, name) = (take.namespace.to_string(), take.budget.to_string());
        let about = Target { kind: Kind::BUDGET, namespace, name, uid: uid.to_owned() };
        event(reporter::BUDGETS, about, reason, format!("a disruption ({operation}) was refused: {why}"))
    });
    [Some(pod), of_budget].into_iter().flatten().collect()
}

/// A pod, for requests and events.
pub fn target_of(pod: &Subject) -> Target {
    Target { kind: Kind::POD, namespace: pod.namespace.to_string(), name: pod.name.to_string(), uid: pod.uid.to_string() }
}
