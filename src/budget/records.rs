//! Disruptions that were admitted, and for how long they count: for their whole time. (reference: `pub.md` §9.4)
//!
//! The reference drops a record when it sees its pod go. The next leader may not have seen that yet, and would count the pod; so would
//! this one, if the record was of a later pod of that name. A record of a pod that is gone takes nothing from anybody: it stays.

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
    /// Whether there is one of this pod. That of an earlier pod of its name is none.
    pub fn has(&self, pod: &Subject) -> bool {
        let of = |records: &BTreeMap<String, Timestamp>| records.get(&*pod.name).is_some_and(|at| !pod.came_after(*at));
        of(&self.disrupted) || of(&self.unavailable)
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
            match kept.judge((name, *at), DISRUPTED_FOR, behind, now) {
                Some(at) => drop(kept.disrupted.insert(name.clone(), at)),
                None => kept.stayed.extend(still_there(pods, name, *at)),
            }
        }
        for (name, at) in &status.unavailable_pods {
            let is_unseen = still_there(pods, name, *at).is_some_and(|pod| !pod.is_observed);
            let lasts = if is_unseen { SEEN_WITHIN } else { UNAVAILABLE_FOR };
            match kept.judge((name, *at), lasts, behind, now) {
                Some(at) => drop(kept.unavailable.insert(name.clone(), at)),
                None => kept.changed.extend(still_there(pods, name, *at)),
            }
        }
        kept
    }

    /// Since when a record counts; none if its time is over.
    fn judge(
        &mut self,
        (name, at): (&str, Timestamp),
        lasts: SignedDuration,
        behind: &BTreeSet<Arc<str>>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let at = if now.checked_add(AHEAD).is_ok_and(|latest| at > latest) { now } else { at };
        if end(at, lasts).is_some_and(|end| now > end) {
            return behind.contains(name).then_some(at);
        }
        self.next = self.next.into_iter().chain(end(at, lasts)).min();
        Some(at)
    }
}

/// The pod of which a record was made then, if it is still there.
fn still_there(pods: &BTreeMap<Arc<str>, Arc<Subject>>, name: &str, at: Timestamp) -> Option<Arc<Subject>> {
    pods.get(name).filter(|pod| pod.is_active && !pod.came_after(at)).cloned()
}

fn end(at: Timestamp, lasts: SignedDuration) -> Option<Timestamp> {
    at.checked_add(lasts).ok()
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
        let pods = pod.map(|pod| ("a".into(), Arc::new(pod))).into_iter().collect();
        let kept = Records::kept(&status, &pods, &BTreeSet::new(), now);
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
    fn a_record_stays_when_its_pod_goes_but_is_not_that_of_a_successor() {
        let going = Subject { is_active: false, is_terminating: true, ..pod() };
        assert_eq!(kept(ago(5), Some(going), NOW), [Some(ago(5)); 2]);
        let successor = |age| Subject { created: Some(ago(age)), ..pod() };
        assert_eq!(kept(ago(5), Some(successor(4)), NOW), [Some(ago(5)); 2]);
        let records = Records { disrupted: BTreeMap::from([("a".to_owned(), ago(5))]), ..Records::default() };
        assert_eq!(
            [2, 3, 5, 6].map(|age| records.has(&successor(age))),
            [false, true, true, true],
            "within two seconds it may be the same"
        );
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
        assert_eq!([sure.has(&pod()), behind.has(&pod())], [false, true]);
        assert_eq!([sure.stayed.len(), sure.changed.len(), behind.stayed.len()], [1, 1, 0]);
    }
}
