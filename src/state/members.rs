//! Pods that sets were injected into, found by set.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::sidecarset::member::Member;

/// Namespace and name.
type Key = Arc<str>;

/// All pods that sets were injected into.
#[derive(Debug, Default)]
pub struct Members {
    by_name: HashMap<Key, Arc<Member>>,
    /// In order of their names, in which plans want them.
    by_set: HashMap<Arc<str>, BTreeMap<Key, Arc<Member>>>,
}

impl Members {
    /// Takes in a pod as the API server has it. What is older than what is known is passed over: answers to our own requests
    /// come before the watch tells of them. Returns the sets for which something has changed.
    pub fn apply(&mut self, member: Member) -> BTreeSet<Arc<str>> {
        let key = key(&member.pod.namespace, &member.pod.name);
        let Some(known) = self.by_name.get(&key) else { return self.insert(key, member) };
        if !member.pod.is_newer_than(&known.pod) {
            return BTreeSet::new();
        }
        if is_same_to_sets(known, &member) {
            // Only the version is new; the next request needs it.
            self.insert(key, member);
            return BTreeSet::new();
        }
        let mut changed = self.remove(&key);
        changed.extend(self.insert(key, member));
        changed
    }

    /// Takes in the answer to a request of ours. A pod that is gone by now stays gone.
    pub fn assume(&mut self, member: Member) -> BTreeSet<Arc<str>> {
        let key = key(&member.pod.namespace, &member.pod.name);
        if self.by_name.contains_key(&key) { self.apply(member) } else { BTreeSet::new() }
    }

    /// Forgets a pod. Returns the sets that it was of.
    pub fn delete(&mut self, namespace: &str, name: &str) -> BTreeSet<Arc<str>> {
        self.remove(&key(namespace, name))
    }

    /// These are all pods that there are; of one that is known in a later version, that stays.
    pub fn reset(&mut self, all: Vec<Member>) {
        let mut before = std::mem::take(self);
        for member in all {
            let key = key(&member.pod.namespace, &member.pod.name);
            match before.by_name.remove(&key).filter(|known| known.pod.is_newer_than(&member.pod)) {
                Some(known) => self.insert_shared(key, known),
                None => drop(self.insert(key, member)),
            }
        }
    }

    /// The pods of a set, by namespace and name.
    pub fn of_set(&self, set: &str) -> impl Iterator<Item = &Arc<Member>> {
        self.by_set.get(set).into_iter().flat_map(BTreeMap::values)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn insert(&mut self, key: Key, member: Member) -> BTreeSet<Arc<str>> {
        let sets = member.marks.sets.iter().cloned().collect();
        self.insert_shared(key, Arc::new(member));
        sets
    }

    fn insert_shared(&mut self, key: Key, member: Arc<Member>) {
        for set in &member.marks.sets {
            self.by_set.entry(set.clone()).or_default().insert(key.clone(), Arc::clone(&member));
        }
        self.by_name.insert(key, member);
    }

    fn remove(&mut self, key: &Key) -> BTreeSet<Arc<str>> {
        let Some(member) = self.by_name.remove(key) else { return BTreeSet::new() };
        for set in &member.marks.sets {
            if let Some(members) = self.by_set.get_mut(set) {
                members.remove(key);
                if members.is_empty() {
                    self.by_set.remove(set);
                }
            }
        }
        member.marks.sets.iter().cloned().collect()
    }
}

/// Whether two versions of a pod differ in nothing that a set looks at.
fn is_same_to_sets(one: &Member, other: &Member) -> bool {
    let mut pod = one.pod.clone();
    pod.resource_version.clone_from(&other.pod.resource_version);
    pod == other.pod && one.marks == other.marks
}

fn key(namespace: &str, name: &str) -> Key {
    format!("{namespace}/{name}").into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::base::interned::Interner;

    fn member(name: &str, version: u64, sets: &str, phase: &str) -> Member {
        let object = json!({"metadata": {"namespace": "shop", "name": name, "uid": name, "resourceVersion": version.to_string(),
            "annotations": {"kruise.io/sidecarset-injected-list": sets}}, "status": {"phase": phase}});
        Member::read(&serde_json::from_value(object).unwrap(), &mut Interner::default())
    }

    fn names(members: &Members, set: &str) -> Vec<String> {
        let mut names: Vec<_> = members.of_set(set).map(|member| member.pod.name.to_string()).collect();
        names.sort();
        names
    }

    fn sets(changed: &BTreeSet<Arc<str>>) -> Vec<&str> {
        changed.iter().map(|set| &**set).collect()
    }

    #[test]
    fn a_change_concerns_the_sets_before_and_after_it() {
        let mut members = Members::default();
        assert_eq!(sets(&members.apply(member("a", 1, "log", ""))), ["log"]);
        assert_eq!(sets(&members.apply(member("a", 2, "mesh", ""))), ["log", "mesh"]);
        assert_eq!((names(&members, "log"), names(&members, "mesh")), (vec![], vec!["a".to_owned()]));
        assert_eq!(sets(&members.delete("shop", "a")), ["mesh"]);
        assert!(members.is_empty() && members.by_set.is_empty());
    }

    #[test]
    fn a_change_that_no_set_looks_at_concerns_none_but_its_version_is_kept() {
        let mut members = Members::default();
        members.apply(member("a", 1, "log", "Running"));
        assert!(members.apply(member("a", 2, "log", "Running")).is_empty());
        assert_eq!(&*members.of_set("log").next().unwrap().pod.resource_version, "2");
    }

    #[test]
    fn an_answer_is_not_undone_by_an_older_event() {
        let mut members = Members::default();
        members.apply(member("a", 1, "log", ""));
        members.assume(member("a", 5, "log", "Running"));
        assert!(members.apply(member("a", 3, "mesh", "")).is_empty());
        members.reset(vec![member("a", 4, "mesh", "")]);
        assert_eq!(names(&members, "log"), ["a"]);
    }

    #[test]
    fn an_answer_about_a_pod_that_is_gone_does_not_bring_it_back() {
        let mut members = Members::default();
        assert!(members.assume(member("a", 5, "log", "")).is_empty());
        assert!(members.is_empty());
    }

    proptest! {
        #[test]
        fn the_index_answers_as_a_walk_would(steps in proptest::collection::vec((0..4u8, 0..4u8, 0..8u64, 0..6u8), 0..60)) {
            let mut members = Members::default();
            for (name, sets, version, what) in steps {
                let name = name.to_string();
                let sets = ["log", "mesh", "log,mesh", ""][usize::from(sets)];
                match what {
                    0 => drop(members.delete("shop", &name)),
                    1 => members.reset(vec![member(&name, version, sets, "")]),
                    2 => drop(members.assume(member(&name, version, sets, ""))),
                    _ => drop(members.apply(member(&name, version, sets, ""))),
                }
                for set in ["log", "mesh"] {
                    let mut walked: Vec<_> = members.by_name.values().filter(|member| member.marks.sets.iter().any(|s| &**s == set)).map(|member| member.pod.name.to_string()).collect();
                    walked.sort();
                    prop_assert_eq!(names(&members, set), walked);
                }
            }
        }
    }
}
