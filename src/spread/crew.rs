//! The pods of a revision against the number that their ReplicaSet wants.
//!
//! A server that dies between the write of a place and its answer has noted a pod that never comes, and the ReplicaSet makes another
//! one for it. Were that one sent on, to a later subset, its place would be free again when the note lapses, and nobody would come for
//! it any more. But a ReplicaSet never makes more pods than it wants: where more would be, together with those that are noted and were
//! not seen yet, one of these never comes. Then the newcomer has to wait until it is known which. (The reference does not look.)

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::admission::{reason::Reason, verdict::Denial};

/// The pods of one revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crew {
    /// How many its ReplicaSet wants.
    pub wanted: i32,
    /// How many there are that are neither finished nor on their way out.
    pub here: i32,
    /// How many are noted that were not seen yet.
    pub noted: i32,
    /// How many were sent to subsets without a limit, where nothing is noted, and were not seen yet.
    pub sent: i32,
    /// How many of either kind were added since this was counted.
    pub added: i32,
    /// How many of those were sent where nothing is noted.
    pub added_unnoted: i32,
}

impl Crew {
    /// Whether a newcomer is one too many, unless one of those that are noted never comes.
    pub fn is_complete(self) -> bool {
        let coming = self.noted.saturating_add(self.sent).saturating_add(self.added);
        self.noted > 0 && self.here.saturating_add(coming) >= self.wanted
    }
}

/// The crews of a spread, by revision: only of those are there any whose ReplicaSet is known, and of which pods are noted. What is
/// known beside a spread is not part of it: it makes no difference between two.
#[derive(Clone, Debug, Default)]
pub struct Crews(pub BTreeMap<Arc<str>, Crew>);

impl PartialEq for Crews {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Crews {
    /// Whether a newcomer of this revision has to wait.
    pub fn is_complete(&self, revision: &str) -> bool {
        self.0.get(revision).is_some_and(|crew| crew.is_complete())
    }

    /// One more pod of this revision is on its way, noted or not.
    pub fn add(&mut self, revision: &Arc<str>, is_noted: bool) {
        let crew = self.0.entry(Arc::clone(revision)).or_insert_with(|| Crew { wanted: i32::MAX, ..Crew::default() });
        crew.added = crew.added.saturating_add(1);
        if !is_noted {
            crew.added_unnoted = crew.added_unnoted.saturating_add(1);
        }
    }

    /// How many pods of each revision were sent where nothing is noted.
    pub fn unnoted(&self) -> impl Iterator<Item = (&Arc<str>, i32)> {
        self.0.iter().map(|(revision, crew)| (revision, crew.added_unnoted)).filter(|(_, count)| *count > 0)
    }
}

/// What a newcomer is told that has to wait.
pub fn wait(spread: &str) -> Denial {
    let text = format!(
        "WorkloadSpread {spread:?}: there would be more pods than the ReplicaSet wants, if all come that were given a place; \
         one of them has been lost, and its place is free again within half a minute"
    );
    Denial::later(text, 1).because(Reason::PlaceAwaited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_too_many_where_all_are_here_or_coming_and_some_are_only_noted() {
        let crew = Crew { wanted: 5, here: 2, noted: 1, sent: 1, ..Crew::default() };
        assert!(!crew.is_complete(), "one is wanted");
        assert!(Crew { added: 1, ..crew }.is_complete());
        assert!(Crew { sent: 2, ..crew }.is_complete() && Crew { here: 3, ..crew }.is_complete());
        // Whoever is counted by what the watch says alone may be gone by now: nobody waits for that.
        assert!(!Crew { here: 5, noted: 0, ..crew }.is_complete());
    }

    #[test]
    fn pods_that_are_added_count_for_their_revision_and_make_no_spread_differ() {
        let (one, two): (Arc<str>, Arc<str>) = ("1".into(), "2".into());
        let mut crews = Crews(BTreeMap::from([(Arc::clone(&one), Crew { wanted: 3, noted: 1, ..Crew::default() })]));
        let before = crews.clone();
        for is_noted in [true, false] {
            assert!(!crews.is_complete("1"));
            crews.add(&one, is_noted);
            crews.add(&two, false);
        }
        assert!(crews.is_complete("1") && !crews.is_complete("2") && crews == before);
        assert_eq!(crews.unnoted().collect::<Vec<_>>(), [(&one, 1), (&two, 2)]);
    }
}
