//! All pods as budgets see them, found by namespace, labels and controller.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    base::{observed::SharedLabels, selector::Selector, workload::Owner},
    budget::subject::Subject,
};

type Name = Arc<str>;

/// All pods.
#[derive(Debug, Default)]
pub struct Subjects {
    by_namespace: HashMap<Arc<str>, Pods>,
}

/// The pods of a namespace.
#[derive(Debug, Default)]
pub(super) struct Pods {
    by_name: HashMap<Name, Arc<Subject>>,
    /// All pods of a template have the same labels, so that a selector is held against few.
    labelled: HashMap<SharedLabels, BTreeSet<Name>>,
    controlled: HashMap<Option<Arc<Owner>>, BTreeSet<Name>>,
}

/// What a pod was, and what it is now; `None` where it is not there.
pub(super) type Change = [Option<Arc<Subject>>; 2];

impl Subjects {
    /// The pods of a namespace.
    pub(super) fn of_namespace(&self, namespace: &str) -> Option<&Pods> {
        self.by_namespace.get(namespace)
    }

    /// The pod of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Subject>> {
        self.by_namespace.get(namespace)?.by_name.get(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_namespace.values().map(|pods| pods.by_name.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_namespace.is_empty()
    }

    /// Takes in a pod as the API server has it. What is older than what is known is passed over: answers to our own requests come
    /// before the watch tells of them. Returns what it was and is, if budgets look at anything of what has changed.
    pub(super) fn apply(&mut self, subject: Subject) -> Option<Change> {
        let known = self.get(&subject.namespace, &subject.name).cloned();
        if known.as_ref().is_some_and(|known| !subject.is_newer_than(known)) {
            return None;
        }
        let pods = self.by_namespace.entry(Arc::clone(&subject.namespace)).or_default();
        let is_same = known.as_ref().is_some_and(|known| subject.is_same_to_budgets(known));
        let now = pods.put(subject, known.as_deref());
        (!is_same).then_some([known, Some(now)])
    }

    /// Takes in the answer to a request of ours. A pod that is gone by now stays gone.
    pub(super) fn assume(&mut self, subject: Subject) -> Option<Change> {
        let is_known = self.get(&subject.namespace, &subject.name).is_some_and(|known| known.uid == subject.uid);
        if is_known { self.apply(subject) } else { None }
    }

    /// Forgets a pod.
    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<Change> {
        let pods = self.by_namespace.get_mut(namespace)?;
        let gone = pods.remove(name)?;
        if pods.by_name.is_empty() {
            self.by_namespace.remove(namespace);
        }
        Some([Some(gone), None])
    }

    /// These are all pods that there are; of one that is known in a later version, that stays.
    pub(super) fn reset(&mut self, all: impl IntoIterator<Item = Subject>) {
        let before = std::mem::take(self);
        for subject in all {
            let known = before.get(&subject.namespace, &subject.name).filter(|known| known.is_newer_than(&subject));
            let subject = known.map_or(subject, |known| Subject::clone(known));
            self.by_namespace.entry(Arc::clone(&subject.namespace)).or_default().put(subject, None);
        }
    }
}

impl Pods {
    /// Files a pod, in place of what was known of it.
    fn put(&mut self, mut subject: Subject, known: Option<&Subject>) -> Arc<Subject> {
        if let Some(known) = known.filter(|known| known.labels != subject.labels || known.controller != subject.controller) {
            self.unfile(known);
        }
        let name = known.map_or_else(|| Arc::clone(&subject.name), |known| Arc::clone(&known.name));
        subject.name = Arc::clone(&name);
        // Pods of one controller share what is known of it.
        if let Some((shared, _)) = self.controlled.get_key_value(&subject.controller) {
            subject.controller.clone_from(shared);
        }
        self.labelled.entry(subject.labels.clone()).or_default().insert(Arc::clone(&name));
        self.controlled.entry(subject.controller.clone()).or_default().insert(Arc::clone(&name));
        let subject = Arc::new(subject);
        self.by_name.insert(name, Arc::clone(&subject));
        subject
    }

    fn remove(&mut self, name: &str) -> Option<Arc<Subject>> {
        let gone = self.by_name.remove(name)?;
        self.unfile(&gone);
        Some(gone)
    }

    fn unfile(&mut self, subject: &Subject) {
        if let Some(names) = self.labelled.get_mut(&subject.labels) {
            names.remove(&subject.name);
            if names.is_empty() {
                self.labelled.remove(&subject.labels);
            }
        }
        if let Some(names) = self.controlled.get_mut(&subject.controller) {
            names.remove(&subject.name);
            if names.is_empty() {
                self.controlled.remove(&subject.controller);
            }
        }
    }

    /// All pods that a selector matches.
    pub(super) fn matching(&self, selector: &Selector) -> impl Iterator<Item = &Arc<Subject>> {
        let groups = self.labelled.iter().filter(|(labels, _)| selector.matches(*labels));
        groups.flat_map(|(_, names)| names).filter_map(|name| self.by_name.get(name))
    }

    /// Pods by whose they are, in order of their names.
    pub(super) fn families(&self) -> impl Iterator<Item = (Option<&Arc<Owner>>, impl Iterator<Item = &Arc<Subject>>)> {
        self.controlled.iter().map(|(controller, names)| {
            let pods = names.iter().filter_map(|name| self.by_name.get(name));
            (controller.as_ref(), pods)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::base::{interned::Interner, selector::Labels};

    fn pod(name: u8, version: u64, app: u8, owner: u8, phase: &str) -> Subject {
        let owners = match owner {
            0 => json!([]),
            _ => {
                json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("r{owner}"), "uid": format!("r{owner}"), "controller": true}])
            }
        };
        let object = json!({"metadata": {"namespace": format!("n{}", name % 2), "name": name.to_string(), "uid": name.to_string(),
            "resourceVersion": version.to_string(), "labels": {"app": app.to_string()}, "ownerReferences": owners}, "status": {"phase": phase}});
        Subject::read(&serde_json::from_value(object).unwrap(), &mut Interner::default())
    }

    #[test]
    fn a_change_that_no_budget_looks_at_is_none_but_its_version_is_kept() {
        let mut subjects = Subjects::default();
        assert!(matches!(subjects.apply(pod(1, 1, 1, 1, "Pending")), Some([None, Some(_)])));
        assert!(subjects.apply(pod(1, 2, 1, 1, "Pending")).is_none());
        assert_eq!(&*subjects.get("n1", "1").unwrap().resource_version, "2");
        let changed =
            subjects.apply(pod(1, 3, 2, 1, "Pending")).unwrap().map(|pod| pod.and_then(|pod| pod.labels.label("app").map(str::to_owned)));
        assert_eq!(changed, [Some("1".to_owned()), Some("2".to_owned())]);
    }

    #[test]
    fn an_answer_is_not_undone_by_an_older_event_and_brings_back_no_pod_that_is_gone() {
        let mut subjects = Subjects::default();
        subjects.apply(pod(1, 1, 1, 1, "Pending"));
        assert!(subjects.assume(pod(1, 5, 2, 1, "Pending")).is_some());
        assert!(subjects.apply(pod(1, 4, 1, 1, "Pending")).is_none());
        subjects.reset(vec![pod(1, 4, 1, 1, "Pending")]);
        assert_eq!(subjects.get("n1", "1").unwrap().labels.label("app"), Some("2"));
        assert!(matches!(subjects.remove("n1", "1"), Some([Some(_), None])));
        assert!(subjects.assume(pod(1, 6, 2, 1, "Pending")).is_none() && subjects.is_empty());
    }

    #[test]
    fn pods_of_one_controller_share_it() {
        let mut subjects = Subjects::default();
        subjects.apply(pod(1, 1, 1, 1, "Pending"));
        subjects.apply(pod(3, 1, 1, 1, "Pending"));
        let [one, other] = ["1", "3"].map(|name| subjects.get("n1", name).unwrap().controller.clone().unwrap());
        assert!(Arc::ptr_eq(&one, &other));
    }

    proptest! {
        #[test]
        fn the_index_answers_as_a_walk_would(steps in proptest::collection::vec((0..6u8, 0..8u64, 0..3u8, 0..3u8, 0..8u8), 0..80)) {
            let mut subjects = Subjects::default();
            for (name, version, app, owner, what) in steps {
                let pod = pod(name, version, app, owner, "Running");
                match what {
                    0 => drop(subjects.remove(&pod.namespace, &pod.name)),
                    1 => subjects.reset(vec![pod]),
                    2 => drop(subjects.assume(pod)),
                    _ => drop(subjects.apply(pod)),
                }
                for pods in subjects.by_namespace.values() {
                    prop_assert!(!pods.by_name.is_empty());
                    for app in 0..3 {
                        let selector = Selector::parse(&format!("app={app}")).unwrap();
                        let found: BTreeSet<_> = pods.matching(&selector).map(|pod| &pod.name).collect();
                        let walked: BTreeSet<_> = pods.by_name.values().filter(|pod| selector.matches(&pod.labels)).map(|pod| &pod.name).collect();
                        prop_assert_eq!(found, walked);
                    }
                    let mut families = 0;
                    for (controller, family) in pods.families() {
                        let family: Vec<_> = family.map(|pod| &pod.name).collect();
                        let mut walked: Vec<_> = pods.by_name.values().filter(|pod| pod.controller.as_ref() == controller).map(|pod| &pod.name).collect();
                        walked.sort();
                        families += family.len();
                        prop_assert_eq!(family, walked);
                    }
                    prop_assert_eq!(families, pods.by_name.len());
                }
            }
        }
    }
}
