//! What a spread says of itself: a line for whoever looks, and what has happened.
//!
//! Sentences have no numbers: what changes with every look would be told each time.

use super::{
    adaptive::is_closed,
    api::SubsetStatus,
    index::{Spread, limit},
    picture::Picture,
    plan::{Found, target},
};
use crate::{
    admission::{reason::Reason, verdict::Denial},
    plan::{Event, reporter},
};

/// The subsets in a line: `zone-a 10/10, zone-b 3/10, rest 7`, and what is odd.
pub fn summary(picture: &Picture, subsets: &[SubsetStatus], astray: usize) -> String {
    let rules = &picture.spread.rules;
    let of = |status: &SubsetStatus| {
        let most = rules.subset(&status.name).and_then(|subset| limit(subset, picture.total));
        let most = most.map(|most| format!("/{most}")).unwrap_or_default();
        let closed = if is_closed(status) { " (closed)" } else { "" };
        format!("{} {}{most}{closed}", status.name, status.replicas)
    };
    // Nothing is counted of a workload that is not named.
    let subsets = subsets.iter().filter(|_| rules.target.is_some()).map(of);
    let line = subsets.chain((astray > 0).then(|| format!("elsewhere {astray}"))).collect::<Vec<_>>().join(", ");
    let problems = rules.problems.iter().chain(&picture.problems).cloned();
    Some(line).filter(|line| !line.is_empty()).into_iter().chain(problems).collect::<Vec<_>>().join("; ")
}

/// What is told.
pub fn events(picture: &Picture, found: &Found<'_>) -> Vec<Event> {
    let about = target(&picture.spread);
    let event = |is_warning, reason, note: String| Event { by: reporter::SPREADS, about: about.clone(), is_warning, reason, note };
    let mut events: Vec<_> = problems(picture).map(|problem| event(true, "InvalidSpec", problem)).collect();
    // Nothing else is done about one that names no workload.
    let subsets = picture.spread.rules.subsets.iter().filter(|_| picture.spread.rules.target.is_some());
    for (index, subset) in subsets.enumerate() {
        let name = &subset.name;
        let of = |all: &[usize]| all.get(index).is_some_and(|count| *count > 0);
        if found.revisions.values().any(|revision| of(&revision.count.missed)) {
            let note = format!("pods that were given places in subset {name:?} did not come in time: the places are free again");
            events.push(event(true, "CreatePodFailed", note));
        }
        if found.revisions.values().any(|revision| of(&revision.count.stayed)) {
            let note = format!("pods that were to be deleted in subset {name:?} were not, in time: they take up their places again");
            events.push(event(true, "DeletePodFailed", note));
        }
        let Some(judged) = found.all.judged.get(index) else { continue };
        if judged.is_closed {
            let note = format!("pods of subset {name:?} find no node: it gets none for a while, and they are made anew in the next one");
            events.push(event(true, "PodUnschedulable", note));
        }
        if judged.is_reopened {
            events.push(event(false, "RecoverSchedulable", format!("subset {name:?} gets pods again")));
        }
    }
    if found.groups.astray.iter().any(|pod| pod.is_active()) {
        let note = "some pods are in no subset: there was no room when they were made, or their subset is gone";
        events.push(event(false, "PodsWithoutSubset", note.to_owned()));
    }
    events
}

/// A new pod found no place: all subsets are full, or closed.
pub fn full(spread: &Spread) -> Event {
    warning(spread, "NoPlace", "a new pod was given no place: all subsets are full or closed, and it goes wherever it fits".to_owned())
}

/// Nobody could tell whether there is a place for a new pod, or take it.
pub fn unsettled(spread: &Spread, why: &str) -> Event {
    warning(spread, "PlaceUnsettled", format!("a pod goes without its place being counted, for nobody could tell: {why}"))
}

/// A new pod was refused; nothing if it will pass by itself.
pub fn refused(spread: &Spread, denial: &Denial) -> Option<Event> {
    let reason = match denial.grounds {
        Reason::PlaceMisfit => "PatchMisfit",
        Reason::Unsettled => "PlaceUnsettled",
        _ => return None,
    };
    Some(warning(spread, reason, format!("a new pod was refused: {}", denial.message)))
}

fn warning(spread: &Spread, reason: &'static str, note: String) -> Event {
    Event { by: reporter::SPREADS, about: target(spread), is_warning: true, reason, note }
}

/// What of the spread cannot be used.
fn problems(picture: &Picture) -> impl Iterator<Item = String> {
    picture.spread.rules.problems.iter().chain(&picture.problems).map(|problem| format!("a part of it cannot be used: {problem}"))
}
