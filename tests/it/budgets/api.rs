//! What the API server keeps: pods and budgets, their versions, and what its watches tell.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The second at which the world begins.
const BEGIN: i64 = 1_800_000_000;

/// A moment of the world, in milliseconds.
pub(crate) fn moment(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(BEGIN * 1000 + milliseconds).unwrap()
}

/// What a watch tells: the object as it is, or that it is gone.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// When it became so.
    pub(crate) at: i64,
    pub(crate) name: String,
    pub(crate) object: Option<Value>,
}

#[derive(Default)]
pub(crate) struct Api {
    pub(crate) version: u64,
    pub(crate) pods: BTreeMap<String, Value>,
    pub(crate) budgets: BTreeMap<String, Value>,
    pub(crate) pod_events: Vec<Told>,
    pub(crate) budget_events: Vec<Told>,
    /// Writes whatever version they were made from: the bug that everything here is to prevent.
    pub(crate) is_careless: bool,
}

impl Api {
    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// A new pod, not ready yet; it counts for all budgets whose label it has.
    pub(crate) fn make_pod(&mut self, name: &str, budgets: &[&str], at: i64) {
        let labels: BTreeMap<_, _> = budgets.iter().map(|budget| (*budget, "yes")).collect();
        // As a clock that shows no fractions.
        let created = Timestamp::from_second(moment(at).as_second()).unwrap();
        let uid = self.next();
        let pod = json!({"metadata": {"name": name, "namespace": "shop", "uid": uid, "creationTimestamp": created, "labels": labels,
                "annotations": {"pub.kruise.io/related-pub": budgets.last().unwrap()}},
            "spec": {"containers": [{"name": "main", "image": "web:1"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}});
        self.store_pod(name, Some(pod), at);
    }

    pub(crate) fn make_ready(&mut self, name: &str, at: i64) {
        self.change_pod(name, at, |pod| pod["status"]["conditions"][0]["status"] = json!("True"));
    }

    pub(crate) fn terminate(&mut self, name: &str, at: i64) {
        self.change_pod(name, at, |pod| pod["metadata"]["deletionTimestamp"] = json!(moment(at)));
    }

    pub(crate) fn remove_pod(&mut self, name: &str, at: i64) {
        self.store_pod(name, None, at);
    }

    fn change_pod(&mut self, name: &str, at: i64, change: impl FnOnce(&mut Value)) {
        let Some(mut pod) = self.pods.get(name).cloned() else { return };
        change(&mut pod);
        self.store_pod(name, Some(pod), at);
    }

    fn store_pod(&mut self, name: &str, pod: Option<Value>, at: i64) {
        let version = self.next();
        let object = pod.map(|mut pod| {
            pod["metadata"]["resourceVersion"] = json!(version);
            pod
        });
        match &object {
            Some(pod) => drop(self.pods.insert(name.to_owned(), pod.clone())),
            None => drop(self.pods.remove(name)),
        }
        self.pod_events.push(Told { at, name: name.to_owned(), object });
    }

    /// A new budget over the pods that have its name for a label.
    pub(crate) fn make_budget(&mut self, name: &str, min: usize, at: i64) {
        let budget = json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1},
            "spec": {"minAvailable": min, "selector": {"matchLabels": {name: "yes"}}}});
        self.store_budget(name, budget, at);
    }

    fn store_budget(&mut self, name: &str, mut budget: Value, at: i64) -> Value {
        budget["metadata"]["resourceVersion"] = json!(self.next());
        self.budgets.insert(name.to_owned(), budget.clone());
        self.budget_events.push(Told { at, name: name.to_owned(), object: Some(budget.clone()) });
        budget
    }

    /// A merge patch of a budget's status, refused if the budget has changed since.
    pub(crate) fn patch_status(&mut self, name: &str, patch: &Value, at: i64) -> Result<Value, ()> {
        let mut budget = self.budgets[name].clone();
        let version = &patch["metadata"]["resourceVersion"];
        assert!(version.is_string(), "a write that names no version: {patch}");
        if *version != budget["metadata"]["resourceVersion"] && !self.is_careless {
            return Err(());
        }
        json_patch::merge(&mut budget, &json!({"status": patch["status"]}));
        Ok(self.store_budget(name, budget, at))
    }

    /// How many pods of a budget are available, in truth.
    pub(crate) fn available(&self, budget: &str) -> usize {
        let is = |pod: &&Value| {
            let metadata = &pod["metadata"];
            metadata["labels"][budget] == "yes"
                && metadata["deletionTimestamp"].is_null()
                && pod["status"]["conditions"][0]["status"] == "True"
        };
        self.pods.values().filter(is).count()
    }
}
