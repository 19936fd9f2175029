use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::Revision;

/// All revisions, found by name, and by set and custom version, without a walk over them.
#[derive(Clone, Debug, Default)]
pub struct Revisions {
    named: HashMap<String, Arc<Revision>>,
    /// By set, then by custom version, in the order of age.
    versions: HashMap<String, HashMap<String, BTreeMap<Age, Arc<Revision>>>>,
}

/// Later revisions have the greater number; where numbers are equal, time and then name decide.
type Age = (i64, Option<Timestamp>, String);

impl Revisions {
    /// Adds a revision in place of the one of its name.
    pub fn insert(&mut self, revision: Revision) {
        self.remove(&revision.name);
        let revision = Arc::new(revision);
        if let (Some(set), Some(version)) = (&revision.set_name, &revision.custom_version) {
            let versions = self.versions.entry(set.clone()).or_default().entry(version.clone()).or_default();
            versions.insert(age(&revision), Arc::clone(&revision));
        }
        self.named.insert(revision.name.clone(), revision);
    }

    /// Takes away the revision of this name.
    pub fn remove(&mut self, name: &str) -> Option<Arc<Revision>> {
        let revision = self.named.remove(name)?;
        if let (Some(set), Some(version)) = (&revision.set_name, &revision.custom_version) {
            self.forget_version(set, version, &age(&revision));
        }
        Some(revision)
    }

    /// The revision of this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Revision>> {
        self.named.get(name)
    }

    /// The latest revision of a set that was recorded under a custom version.
    pub fn newest_of(&self, set_name: &str, custom_version: &str) -> Option<&Arc<Revision>> {
        self.versions.get(set_name)?.get(custom_version)?.values().next_back()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// What has become empty goes too, so that sets that are gone leave nothing behind.
    fn forget_version(&mut self, set: &str, version: &str, age: &Age) {
        let Some(versions) = self.versions.get_mut(set) else { return };
        if let Some(revisions) = versions.get_mut(version) {
            revisions.remove(age);
            if revisions.is_empty() {
                versions.remove(version);
            }
        }
        if versions.is_empty() {
            self.versions.remove(set);
        }
    }
}

fn age(revision: &Revision) -> Age {
    (revision.number, revision.created, revision.name.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn revision(name: &str, version: &str, number: i64, second: Option<i64>) -> Revision {
        Revision {
            name: name.to_owned(),
            namespace: None,
            set_name: Some("set".to_owned()),
            custom_version: Some(version.to_owned()),
            hash: None,
            hash_without_image: None,
            number,
            created: second.map(|second| Timestamp::from_second(second).unwrap()),
            data: serde_json::Value::Null,
        }
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
        assert!(store.is_empty() && store.versions.is_empty());
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
                let walked = all.values().filter(|revision| revision.custom_version.as_deref() == Some(version)).max_by_key(|revision| age(revision));
                prop_assert_eq!(store.newest_of("set", version).map(|revision| &**revision), walked);
            }
            prop_assert_eq!(store.len(), all.len());
        }
    }
}
