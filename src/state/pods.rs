//! Pods, and what is kept of each: the whole of those that sets were injected into, and for a while those whose work is done
//! while sidecars of theirs still run; of all others what budgets look at.

use std::{collections::HashMap, sync::Arc};

use super::State;
use crate::{
    base::{
        interned::Interner,
        observed::{Pod, Wire},
    },
    budget::subject::Subject,
    plan::Key,
    sidecarset::{keys::INJECTED_LIST, member::Member},
    spread,
    terminator::classify,
};

/// A pod, as far as any reconciler looks at it. Name and uid are kept once.
#[derive(Clone, Debug)]
pub struct Observed {
    namespace: Arc<str>,
    name: Arc<str>,
    // Most pods are neither, and a list of all is held for a moment.
    member: Option<Box<Member>>,
    finished: Option<Box<Pod>>,
    subject: Box<Subject>,
    // Of those that belong to something, or were placed.
    placed: Option<Box<spread::pod::Pod>>,
}

impl Observed {
    /// Reads a pod.
    pub fn read(pod: &Wire, interner: &mut Interner) -> Self {
        let subject = Box::new(Subject::read(pod, interner));
        let (namespace, name) = (Arc::clone(&subject.namespace), Arc::clone(&subject.name));
        let is_member = pod.annotation(INJECTED_LIST).is_some_and(|list| !list.is_empty());
        let mut member = is_member.then(|| Box::new(Member::read(pod, interner)));
        if let Some(Member { pod, .. }) = member.as_deref_mut() {
            (pod.name, pod.uid) = (Arc::clone(&name), Arc::clone(&subject.uid));
        }
        let whole = |interner: &mut Interner| member.as_ref().map_or_else(|| pod.observe(interner), |member| member.pod.clone());
        let finished = pod.has_sidecars_to_end().then(|| whole(interner)).filter(classify::is_due).map(Box::new);
        let mut placed = spread::pod::Pod::read(pod, interner);
        (placed.name, placed.uid) = (Arc::clone(&name), Arc::clone(&subject.uid));
        let placed = (placed.mark.is_some() || placed.controller.is_some()).then(|| Box::new(placed));
        Self { namespace, name, member, finished, subject, placed }
    }

    /// Drops what nobody would keep at this moment: of a hundred thousand pods in a list, that is half of what they take until the list is
    /// whole. A spread that comes meanwhile has the pods of its namespace listed for it.
    #[must_use]
    pub fn lightened(self, state: &State) -> Self {
        Self { placed: self.placed.filter(|pod| state.is_placed(pod)), ..self }
    }
}

/// Pods whose work is done while sidecars of theirs still run, by namespace and name.
#[derive(Debug, Default)]
pub(super) struct Finished(HashMap<Key, Arc<Pod>>);

impl Finished {
    /// The pod under a key.
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Pod>> {
        self.0.get(key)
    }

    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }

    /// Takes in a pod, or that it is none of these any more; says whether that makes work. What is older than what is known is
    /// passed over: answers to our own requests come before the watch tells of them.
    fn apply(&mut self, key: &Key, pod: Option<Box<Pod>>) -> bool {
        let Some(pod) = pod else { return self.0.remove(key).is_some() };
        if self.0.get(key).is_some_and(|known| !pod.is_newer_than(known)) {
            return false;
        }
        self.0.insert(key.clone(), Arc::from(pod));
        true
    }
}

impl State {
    /// A pod was made or changed.
    pub fn observe_pod(&mut self, pod: Observed) {
        let Observed { namespace, name, member, finished, subject, placed } = pod;
        match member {
            Some(member) => self.apply_pod(*member),
            None => self.forget_member(&namespace, &name),
        }
        if self.gates.has_budgets() {
            let change = self.subjects.apply(*subject);
            self.touch_budgets_of_pod(&change.unwrap_or_default());
        }
        self.observe_placed([&namespace, &name], placed.map(|placed| *placed));
        self.apply_finished(&namespace, &name, finished);
    }

    /// A pod as it is after a request of ours. One that is gone by now stays gone.
    pub fn observe_answer(&mut self, pod: Observed) {
        let Observed { namespace, name, member, finished, subject, placed } = pod;
        self.assume_placed(placed.map(|placed| *placed));
        if let Some(member) = member {
            self.assume_pod(*member);
        }
        let change = self.subjects.assume(*subject);
        self.touch_budgets_of_pod(&change.unwrap_or_default());
        if self.finished.get(&key(&namespace, &name)).is_some() {
            self.apply_finished(&namespace, &name, finished);
        }
    }

    /// A pod is gone.
    pub fn delete_pod(&mut self, namespace: &str, name: &str) {
        self.forget_pod(namespace, name, None);
    }

    /// The pod of this uid is gone. A later one of its name may be known already.
    pub fn delete_pod_with_uid(&mut self, namespace: &str, name: &str, uid: &str) {
        self.forget_pod(namespace, name, Some(uid).filter(|uid| !uid.is_empty()));
    }

    fn forget_pod(&mut self, namespace: &str, name: &str, uid: Option<&str>) {
        self.forget_member(namespace, name);
        self.delete_placed(namespace, name, uid);
        self.apply_finished(namespace, name, None);
        let change = self.subjects.remove(namespace, name);
        self.touch_budgets_of_pod(&change.unwrap_or_default());
    }

    /// These are all pods that there are.
    pub fn observe_all_pods(&mut self, pods: Vec<Observed>) {
        self.forget_sent(None);
        let mut before = std::mem::take(&mut self.finished);
        let (mut members, mut subjects, mut placed) = (Vec::new(), Vec::new(), Vec::new());
        for pod in pods {
            placed.extend(pod.placed.filter(|_| self.gates.spreads).map(|placed| *placed));
            if self.gates.has_budgets() {
                subjects.push(pod.subject);
            }
            members.extend(pod.member.map(|member| *member));
            let Some(finished) = pod.finished else { continue };
            let key = key(&pod.namespace, &pod.name);
            match before.0.remove(&key).filter(|known| known.is_newer_than(&finished)) {
                Some(known) => drop(self.finished.0.insert(key, known)),
                None => self.apply_finished(&pod.namespace, &pod.name, Some(finished)),
            }
        }
        // Those that are no longer any of these have nothing to remember.
        self.touched.extend(before.0.into_keys());
        self.reset_pods(members);
        self.subjects.reset(subjects.into_iter().map(|subject| *subject));
        self.reset_placed(placed);
        self.touch_all_budgets();
    }

    fn apply_finished(&mut self, namespace: &str, name: &str, pod: Option<Box<Pod>>) {
        if !self.gates.sidecar_terminator {
            return;
        }
        let key = key(namespace, name);
        if self.finished.apply(&key, pod) {
            self.touched.insert(key);
        }
    }
}

fn key(namespace: &str, name: &str) -> Key {
    Key::Pod { namespace: namespace.into(), name: name.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::gates::Gates;

    /// A pod of a Job whose work has ended or not, with a sidecar that still runs or not.
    fn pod(name: &str, version: u64, has_worked: bool, has_sidecar: bool) -> Observed {
        let state = |has_ended: bool| if has_ended { json!({"terminated": {"exitCode": 0}}) } else { json!({"running": {}}) };
        let env = json!([{"name": "KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT", "value": "true"}]);
        let object = json!({
            "metadata": {"namespace": "jobs", "name": name, "uid": name, "resourceVersion": version.to_string()},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main"}, {"name": "mesh", "env": env}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "main", "state": state(has_worked)}, {"name": "mesh", "state": state(!has_sidecar)}]}});
        let wire: Wire = serde_json::from_str(&object.to_string()).unwrap();
        Observed::read(&wire, &mut Interner::default())
    }

    fn state() -> State {
        State::new(Gates { sidecar_terminator: true, ..Gates::default() })
    }

    /// The names of the pods that there may be work for since the last time.
    fn touched(state: &mut State) -> Vec<String> {
        let names = state.take_touched().into_iter().filter_map(|key| match key {
            Key::Pod { name, .. } => Some(name.to_string()),
            Key::SidecarSet(_) | Key::Budget { .. } | Key::Spread { .. } => None,
        });
        names.collect()
    }

    fn version(state: &State, name: &str) -> Option<String> {
        state.finished.get(&key("jobs", name)).map(|pod| pod.resource_version.to_string())
    }

    #[test]
    fn what_a_listed_pod_would_be_to_spreads_is_kept_where_there_are_any_or_one_has_placed_it() {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": true}]);
        let lightened = |state: &State, annotations: serde_json::Value| {
            let object = json!({"metadata": {"namespace": "shop", "name": "web-1", "annotations": annotations, "ownerReferences": owner}});
            let pod = Observed::read(&serde_json::from_str(&object.to_string()).unwrap(), &mut Interner::default());
            pod.lightened(state).placed.is_some()
        };
        let mark = json!({"apps.kruise.io/matched-workloadspread": r#"{"name":"s","subset":"a"}"#});
        let mut state = State::default();
        assert_eq!([lightened(&state, json!({})), lightened(&state, mark)], [false, true]);
        let spread = json!({"metadata": {"namespace": "shop", "name": "s"}, "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "subsets": []}});
        let spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": spread["metadata"], "spec": spread["spec"]});
        state.apply_spread(serde_json::from_value(spread).unwrap());
        assert!(lightened(&state, json!({})));
    }

    #[test]
    fn what_all_look_at_is_kept_once() {
        let annotations =
            json!({"kruise.io/sidecarset-injected-list": "mesh", "apps.kruise.io/matched-workloadspread": r#"{"name":"s","subset":"a"}"#});
        let object = json!({"metadata": {"namespace": "shop", "name": "web-1", "uid": "u", "annotations": annotations}});
        let pod = Observed::read(&serde_json::from_str(&object.to_string()).unwrap(), &mut Interner::default());
        let (member, placed) = (pod.member.unwrap().pod, pod.placed.unwrap());
        assert!([&member.name, &placed.name].iter().all(|name| Arc::ptr_eq(name, &pod.subject.name)) && &*pod.name == "web-1");
        assert!([&member.uid, &placed.uid].iter().all(|uid| Arc::ptr_eq(uid, &pod.subject.uid)) && &*pod.subject.uid == "u");
    }

    #[test]
    fn a_pod_is_kept_from_the_end_of_its_work_to_that_of_its_sidecars() {
        let mut state = state();
        state.observe_pod(pod("a", 1, false, true));
        assert_eq!((touched(&mut state), version(&state, "a")), (vec![], None));
        state.observe_pod(pod("a", 2, true, true));
        assert_eq!((touched(&mut state), version(&state, "a")), (vec!["a".to_owned()], Some("2".to_owned())));
        state.observe_pod(pod("a", 3, true, false));
        assert_eq!((touched(&mut state), version(&state, "a")), (vec!["a".to_owned()], None), "so that nothing of it is remembered");
    }

    #[test]
    fn without_the_gate_no_such_pod_is_kept() {
        let mut state = State::default();
        state.observe_pod(pod("a", 1, true, true));
        state.observe_all_pods(vec![pod("b", 1, true, true)]);
        assert_eq!((touched(&mut state), state.finished.keys().count()), (vec![], 0));
    }

    #[test]
    fn an_answer_is_not_undone_by_an_older_event_and_brings_back_no_pod_that_is_gone() {
        let mut state = state();
        state.observe_pod(pod("a", 1, true, true));
        state.observe_answer(pod("a", 5, true, true));
        touched(&mut state);
        state.observe_pod(pod("a", 4, true, true));
        assert_eq!((touched(&mut state), version(&state, "a")), (vec![], Some("5".to_owned())));
        state.delete_pod("jobs", "a");
        assert_eq!(touched(&mut state), ["a"]);
        state.observe_answer(pod("a", 6, true, true));
        assert_eq!((touched(&mut state), version(&state, "a")), (vec![], None));
    }

    #[test]
    fn a_new_list_forgets_what_is_not_in_it_and_keeps_what_it_is_behind_of() {
        let mut state = state();
        for name in ["gone", "known", "ended"] {
            state.observe_pod(pod(name, 5, true, true));
        }
        touched(&mut state);
        state.observe_all_pods(vec![
            pod("known", 4, true, true),
            pod("new", 4, true, true),
            pod("busy", 4, false, true),
            pod("ended", 6, true, false),
        ]);
        assert_eq!(touched(&mut state), ["ended", "gone", "new"]);
        assert_eq!([version(&state, "gone"), version(&state, "known"), version(&state, "new")], [None, Some("5".into()), Some("4".into())]);
    }
}
