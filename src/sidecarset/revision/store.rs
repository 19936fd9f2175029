use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use super::{Age, Revision};

/// All revisions, found by name, by set, and by set and custom version, without a walk over them.
#[derive(Clone, Debug, Default)]
pub struct Revisions {
    named: BTreeMap<String, Arc<Revision>>,
    sets: HashMap<String, History>,
}

/// The revisions of one set, in the order of age.
#[derive(Clone, Debug, Default)]
struct History {
    all: BTreeMap<Age, Arc<Revision>>,
    versions: HashMap<String, BTreeMap<Age, Arc<Revision>>>,
}

impl Revisions {
    /// Adds a revision in place of the one of its name, which it returns.
    pub fn insert(&mut self, revision: Revision) -> Option<Arc<Revision>> {
        let replaced = self.remove(&revision.name);
        let revision = Arc::new(revision);
        if let Some(set) = &revision.set_name {
            self.sets.entry(set.clone()).or_default().insert(&revision);
        }
        self.named.insert(revision.name.clone(), revision);
        replaced
    }

    /// Takes away the revision of this name.
    pub fn remove(&mut self, name: &str) -> Option<Arc<Revision>> {
        let revision = self.named.remove(name)?;
        // What has become empty goes too, so that sets that are gone leave nothing behind.
        if let Some(set) = &revision.set_name
            && let Some(history) = self.sets.get_mut(set)
        {
            history.remove(&revision);
            if history.all.is_empty() {
                self.sets.remove(set);
            }
        }
        Some(revision)
    }

    /// The revision of this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Revision>> {
        self.named.get(name)
    }

    /// The latest revision of a set that was recorded under a custom version.
    pub fn newest_of(&self, set_name: &str, custom_version: &str) -> Option<&Arc<Revision>> {
        self.sets.get(set_name)?.versions.get(custom_version)?.values().next_back()
    }

    /// All revisions that say by their label that they are of this set, oldest first.
    pub fn of_set(&self, set: &str) -> impl Iterator<Item = &Arc<Revision>> {
        self.sets.get(set).into_iter().flat_map(|history| history.all.values())
    }

    /// All revisions of which the name begins like this, whoever's they are.
    pub fn named_like(&self, prefix: &str) -> impl Iterator<Item = &Arc<Revision>> {
        let from = self.named.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |(name, _)| name.starts_with(prefix)).map(|(_, revision)| revision)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

impl History {
    fn insert(&mut self, revision: &Arc<Revision>) {
        if let Some(version) = &revision.custom_version {
            self.versions.entry(version.clone()).or_default().insert(revision.age(), Arc::clone(revision));
        }
        self.all.insert(revision.age(), Arc::clone(revision));
    }

    fn remove(&mut self, revision: &Revision) {
        let age = revision.age();
        self.all.remove(&age);
        let Some(version) = &revision.custom_version else { return };
        if let Some(revisions) = self.versions.get_mut(version) {
            revisions.remove(&age);
            if revisions.is_empty() {
                self.versions.remove(version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn revision(name: &str, version: &str, number: i64, second: Option<i64>) -> Revision {
        let labels = json!({"kruise.io/sidecarset-name": "set", "apps.kruise.io/sidecarset-custom-version": version});
        let read = Revision::from_object(&json!({"metadata": {"name": name, "labels": labels}, "revision": number})).unwrap();
        Revision { created: second.map(|second| Timestamp::from_second(second).unwrap()), ..read }
    }

    fn names(store: &Revisions, set: &str) -> Vec<String> {
        store.of_set(set).map(|revision| revision.name.clone()).collect()
    }

    #[test]
    fn the_revisions_of_a_set_come_oldest_first_with_or_without_a_version() {
        let mut store = Revisions::default();
        store.insert(revision("b", "v", 2, None));
        store.insert(Revision { custom_version: None, ..revision("a", "", 3, None) });
        store.insert(revision("c", "w", 1, None));
        store.insert(Revision { set_name: Some("other".to_owned()), ..revision("d", "v", 4, None) });
        store.insert(Revision { set_name: None, ..revision("e", "v", 4, None) });
        assert_eq!(
            (names(&store, "set"), names(&store, "other")),
            (vec!["c".to_owned(), "b".to_owned(), "a".to_owned()], vec!["d".to_owned()])
        );
        assert_eq!(store.insert(revision("b", "v", 4, None)).unwrap().number, 2);
        assert_eq!(names(&store, "set"), ["c", "a", "b"]);
        for name in ["a", "b", "c", "d", "e"] {
            store.remove(name);
        }
        assert!(store.is_empty() && store.sets.is_empty() && names(&store, "set").is_empty());
    }

    #[test]
    fn the_newest_has_the_greatest_number_then_time_then_name() {
        for (revisions, want) in [
            (vec![("a", 2, Some(0)), ("b", 3, Some(0)), ("c", 1, Some(9))], "b"),
            (vec![("c", 1, Some(1)), ("a", 1, Some(2)), ("b", 1, None)], "a"),
            (vec![("b", 1, None), ("c", 1, None), ("a", 1, None)], "c"),
        ] {
            let mut store = Revisions::default();
            for (name, number, second) in revisions {
                store.insert(revision(name, "v", number, second));
            }
            assert_eq!(store.newest_of("set", "v").unwrap().name, want);
            assert_eq!(store.newest_of("other", "v"), None);
            assert_eq!(store.newest_of("set", "w"), None);
        }
    }

    #[test]
    fn a_revision_that_is_written_again_leaves_its_old_place() {
        let mut store = Revisions::default();
        store.insert(revision("a", "v1", 1, None));
        store.insert(revision("a", "v2", 1, None));
        assert_eq!(store.newest_of("set", "v1"), None);
        assert_eq!(store.remove("a").unwrap().name, "a");
        assert_eq!(store.remove("a"), None);
        assert!(store.is_empty() && store.sets.is_empty());
    }

    proptest! {
        #[test]
        fn the_index_answers_as_a_walk_would(steps in proptest::collection::vec((0..6u8, 0..2u8, 0..4i64, any::<bool>()), 0..40)) {
            let mut store = Revisions::default();
            let mut all: BTreeMap<String, Revision> = BTreeMap::new();
            for (name, version, number, inserted) in steps {
                let written = revision(&name.to_string(), &version.to_string(), number, None);
                if inserted {
                    all.insert(written.name.clone(), written.clone());
                    store.insert(written);
                } else {
                    all.remove(&written.name);
                    store.remove(&written.name);
                }
            }
            for version in ["0", "1"] {
                let walked = all.values().filter(|revision| revision.custom_version.as_deref() == Some(version)).max_by_key(|revision| revision.age());
                prop_assert_eq!(store.newest_of("set", version).map(|revision| &**revision), walked);
            }
            let mut sorted: Vec<_> = all.values().collect();
            sorted.sort_by_key(|revision| revision.age());
            prop_assert_eq!(store.of_set("set").map(|revision| &**revision).collect::<Vec<_>>(), sorted);
            prop_assert_eq!(store.len(), all.len());
        }
    }
}
