//! Disruptions that were admitted, and until when they count: until they are seen to have happened, or can no longer happen.
//! (reference: `pub.md` §9.4)

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    api::PodUnavailableBudgetStatus,
    guard::{DISRUPTED_FOR, UNAVAILABLE_FOR},
    subject::Subject,
};

/// How long a changed pod has until its kubelet has seen the change.
pub const SEEN_WITHIN: SignedDuration = SignedDuration::from_mins(5);
/// A record that is further ahead of our clock was written by a clock that is wrong, and would never be over.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

/// The records that still count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// Pods that may be deleted or evicted.
    pub disrupted: BTreeMap<String, Timestamp>,
    /// Pods that may be changed.
    pub unavailable: BTreeMap<String, Timestamp>,
    /// When the next one is over.
    pub next: Option<Timestamp>,
    /// Pods that were to go and did not.
    pub stayed: Vec<Arc<Subject>>,
    /// Pods that were to be changed, and had their time for it.
    pub changed: Vec<Arc<Subject>>,
}

impl Records {
    /// Whether there is one of this pod.
    pub fn has(&self, pod: &str) -> bool {
        self.disrupted.contains_key(pod) || self.unavailable.contains_key(pod)
    }

    /// Those of a status that still count, for pods of which this much is known. Of those that are `behind` it is known that more has
    /// happened than `pods` say: until that is seen, they must not be counted.
    pub fn kept(
        status: &PodUnavailableBudgetStatus,
        pods: &BTreeMap<Arc<str>, Arc<Subject>>,
        behind: &BTreeSet<Arc<str>>,
        now: Timestamp,
    ) -> Self {
        let mut kept = Self::default();
        for (name, at) in &status.disrupted_pods {
            let pod = pods.get(name.as_str());
            match Fate::of(*at, DISRUPTED_FOR, pod, now) {
                Fate::Counts(at) => kept.keep(name, at, DISRUPTED_FOR, true),
                Fate::Over if behind.contains(name.as_str()) => drop(kept.disrupted.insert(name.clone(), *at)),
                Fate::Over => kept.stayed.extend(pod.filter(|pod| pod.is_active).cloned()),
                Fate::Happened => {}
            }
        }
        for (name, at) in &status.unavailable_pods {
            let pod = pods.get(name.as_str());
            let is_unseen = pod.is_some_and(|pod| pod.is_active && !pod.is_observed);
            let lasts = if is_unseen { SEEN_WITHIN } else { UNAVAILABLE_FOR };
            match Fate::of(*at, lasts, pod, now) {
                Fate::Counts(at) => kept.keep(name, at, lasts, false),
                Fate::Over if behind.contains(name.as_str()) => drop(kept.unavailable.insert(name.clone(), *at)),
                Fate::Over => kept.changed.extend(pod.filter(|pod| pod.is_active).cloned()),
                Fate::Happened => {}
            }
        }
        kept
    }

    fn keep(&mut self, name: &str, at: Timestamp, lasts: SignedDuration, is_disruption: bool) {
        let records = if is_disruption { &mut self.disrupted } else { &mut self.unavailable };
        records.insert(name.to_owned(), at);
        self.next = self.next.into_iter().chain(end(at, lasts)).min();
    }
}

/// What becomes of a record.
enum Fate {
    /// It counts, and is of this time.
    Counts(Timestamp),
    /// What was admitted has happened.
    Happened,
    /// Its time is over.
    Over,
}

impl Fate {
    fn of(at: Timestamp, lasts: SignedDuration, pod: Option<&Arc<Subject>>, now: Timestamp) -> Self {
        let at = if now.checked_add(AHEAD).is_ok_and(|latest| at > latest) { now } else { at };
        // What is known of pods may be behind: one that is not known yet may be one that was admitted to go.
        if pod.is_some_and(|pod| pod.came_after(at) || has_gone_since(pod, at)) {
            Self::Happened
        } else if end(at, lasts).is_some_and(|end| now > end) {
            Self::Over
        } else {
            Self::Counts(at)
        }
    }
}

fn end(at: Timestamp, lasts: SignedDuration) -> Option<Timestamp> {
    at.checked_add(lasts).ok()
}

/// Whether the pod is the one that was admitted to go, and goes. One whose deletion was asked for before that is another one: the pod
/// that was admitted has the same name, and has yet to be seen. (Times of the API server have no fractions of seconds.)
fn has_gone_since(pod: &Subject, admitted: Timestamp) -> bool {
    pod.is_terminating && pod.deletion_asked.is_none_or(|asked| asked.as_second().saturating_add(1) >= admitted.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn ago(seconds: i64) -> Timestamp {
        NOW - SignedDuration::from_secs(seconds)
    }

    fn pod() -> Subject {
        Subject { name: "a".into(), created: Some(ago(1000)), is_active: true, is_available: true, is_observed: true, ..Subject::default() }
    }

    /// What is kept of the record of a pod, of which this is known, as a deletion and as a change.
    fn kept(at: Timestamp, pod: Option<Subject>, now: Timestamp) -> [Option<Timestamp>; 2] {
        let of = || BTreeMap::from([("a".to_owned(), at)]);
        let status = PodUnavailableBudgetStatus { disrupted_pods: of(), unavailable_pods: of(), ..PodUnavailableBudgetStatus::default() };
        let kept = Records::kept(&status, &pod.map(|pod| ("a".into(), Arc::new(pod))).into_iter().collect(), &BTreeSet::new(), now);
        assert_eq!(kept.has("a"), !(kept.disrupted.is_empty() && kept.unavailable.is_empty()));
        [kept.disrupted.get("a").copied(), kept.unavailable.get("a").copied()]
    }

    #[test]
    fn a_record_counts_for_its_time_and_to_its_last_moment() {
        for known in [Some(pod()), None] {
            assert_eq!(kept(ago(10), known.clone(), NOW), [Some(ago(10)); 2]);
            let later = NOW + SignedDuration::from_nanos(1);
            assert_eq!(kept(ago(10), known.clone(), later), [Some(ago(10)), None]);
            assert_eq!(kept(ago(20), known.clone(), NOW), [Some(ago(20)), None]);
            assert_eq!(kept(ago(20), known, later), [None; 2]);
        }
    }

    #[test]
    fn a_pod_that_goes_or_has_a_successor_needs_no_record() {
        let going = |asked| Subject { is_active: false, is_terminating: true, deletion_asked: Some(asked), ..pod() };
        assert_eq!(kept(ago(5), Some(going(ago(3))), NOW), [None; 2]);
        assert_eq!(kept(ago(5), Some(going(ago(6))), NOW), [None; 2], "its time was rounded down");
        assert_eq!(kept(ago(5), Some(Subject { created: Some(ago(4)), ..pod() }), NOW), [None; 2]);
        assert_eq!(kept(ago(5), Some(Subject { created: Some(ago(5)), ..pod() }), NOW), [Some(ago(5)); 2], "it may be the same");
    }

    /// The pod of a `StatefulSet` was replaced, and its successor admitted to go, before the watch told of either.
    #[test]
    fn a_pod_that_went_before_the_admission_is_not_the_one_that_was_admitted() {
        let predecessor = Subject { is_active: false, is_terminating: true, deletion_asked: Some(ago(9)), ..pod() };
        assert_eq!(kept(ago(5), Some(predecessor), NOW), [Some(ago(5)); 2]);
    }

    #[test]
    fn a_change_that_the_kubelet_has_not_seen_counts_longer() {
        let unseen = Subject { is_observed: false, ..pod() };
        assert_eq!(kept(ago(250), Some(unseen.clone()), NOW), [None, Some(ago(250))]);
        assert_eq!(kept(ago(301), Some(unseen), NOW), [None; 2]);
    }

    #[test]
    fn a_record_of_a_wrong_clock_begins_now() {
        assert_eq!(kept(NOW + SignedDuration::from_hours(1), Some(pod()), NOW), [Some(NOW); 2]);
        assert_eq!(kept(ago(-30), Some(pod()), NOW), [Some(ago(-30)); 2]);
    }

    #[test]
    fn the_next_end_is_the_earliest_and_who_stays_is_named() {
        let status = PodUnavailableBudgetStatus {
            disrupted_pods: BTreeMap::from([("a".to_owned(), ago(21)), ("b".to_owned(), ago(3))]),
            unavailable_pods: BTreeMap::from([("c".to_owned(), ago(4))]),
            ..PodUnavailableBudgetStatus::default()
        };
        let kept = Records::kept(&status, &BTreeMap::from([("a".into(), Arc::new(pod()))]), &BTreeSet::new(), NOW);
        assert_eq!((kept.next, kept.stayed.len()), (Some(ago(-6)), 1));
    }

    #[test]
    fn a_record_stays_as_long_as_what_is_known_of_its_pod_is_behind() {
        let of = |ago_seconds| BTreeMap::from([("a".to_owned(), ago(ago_seconds))]);
        let status =
            PodUnavailableBudgetStatus { disrupted_pods: of(30), unavailable_pods: of(30), ..PodUnavailableBudgetStatus::default() };
        let pods = BTreeMap::from([("a".into(), Arc::new(pod()))]);
        let of = |behind: &BTreeSet<Arc<str>>| Records::kept(&status, &pods, behind, NOW);
        let (sure, behind) = (of(&BTreeSet::new()), of(&BTreeSet::from(["a".into()])));
        assert_eq!([sure.has("a"), behind.has("a")], [false, true]);
        assert_eq!([sure.stayed.len(), sure.changed.len(), behind.stayed.len()], [1, 1, 0]);
    }
}
