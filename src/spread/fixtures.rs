//! Spreads and pods for tests, in few words.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    api::WorkloadSpread,
    index::Spread,
    picture::{Departed, Fit, Picture},
    pod::Pod,
};
use crate::base::{interned::Interner, observed::Wire};

/// The moment at which tests happen.
pub(crate) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

/// So many seconds before that.
pub(crate) fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// A pod that is being described.
#[derive(Clone)]
pub(crate) struct Described(Value);

/// A pod of a Job; Pending, without a node and not placed, made a minute ago.
pub(crate) fn pod(name: &str) -> Described {
    Described(json!({"metadata": {"namespace": "shop", "name": name, "uid": name, "resourceVersion": "1", "labels": {}, "annotations": {},
            "creationTimestamp": ago(60).to_string(),
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "sum", "uid": "u", "controller": true}]},
        "spec": {}, "status": {"phase": "Pending", "conditions": []}}))
}

impl Described {
    fn set(mut self, pointer: &str, key: &str, value: impl Into<Value>) -> Self {
        self.0.pointer_mut(pointer).unwrap()[key] = value.into();
        self
    }
    /// Placed in a subset.
    pub(crate) fn marked(self, subset: &str) -> Self {
        self.marked_by("spread", subset)
    }
    /// Placed by another spread.
    pub(crate) fn marked_by(self, spread: &str, subset: &str) -> Self {
        self.set("/metadata/annotations", super::keys::MATCHED, json!({"name": spread, "subset": subset}).to_string())
    }
    /// Placed when it had no name.
    pub(crate) fn marked_as(self, subset: &str, uid: &str) -> Self {
        self.set("/metadata/annotations", super::keys::MATCHED, json!({"name": "spread", "subset": subset, "uid": uid}).to_string())
    }
    /// Of a `ReplicaSet` of this hash.
    pub(crate) fn revision(self, hash: &str) -> Self {
        self.owned("apps/v1", "ReplicaSet", hash).set("/metadata/labels", "pod-template-hash", hash)
    }
    /// Whose it is.
    pub(crate) fn owned(self, api_version: &str, kind: &str, name: &str) -> Self {
        let owner = json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": "u", "controller": true}]);
        self.set("/metadata", "ownerReferences", owner)
    }
    /// Of a `CloneSet`.
    pub(crate) fn cloned(self) -> Self {
        self.owned("apps.kruise.io/v1alpha1", "CloneSet", "c")
    }
    /// On a node.
    pub(crate) fn on(self, node: &str) -> Self {
        self.set("/spec", "nodeName", node)
    }
    /// In this phase.
    pub(crate) fn phase(self, phase: &str) -> Self {
        self.set("/status", "phase", phase)
    }
    /// Running on a node and ready, since so many seconds.
    pub(crate) fn ready(self, seconds: i64) -> Self {
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": ago(seconds).to_string()}]);
        self.on("n").phase("Running").set("/status", "conditions", ready)
    }
    /// Without a node to be found.
    pub(crate) fn unschedulable(self) -> Self {
        self.set("/status", "conditions", json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]))
    }
    /// Being deleted.
    pub(crate) fn terminating(self) -> Self {
        self.set("/metadata", "deletionTimestamp", ago(1).to_string())
    }
    /// Made so many seconds ago.
    pub(crate) fn aged(self, seconds: i64) -> Self {
        self.set("/metadata", "creationTimestamp", ago(seconds).to_string())
    }
    /// With containers that were restarted so often.
    pub(crate) fn restarted(self, times: i32) -> Self {
        self.set("/status", "containerStatuses", json!([{"name": "main", "restartCount": times}]))
    }
    /// With a cost.
    pub(crate) fn costing(self, cost: &str) -> Self {
        self.set("/metadata/annotations", super::keys::DELETION_COST, cost)
    }
    /// The pod.
    pub(crate) fn read(&self) -> Pod {
        let wire: Wire = serde_json::from_str(&self.0.to_string()).unwrap();
        Pod::read(&wire, &mut Interner::default())
    }
}

/// What a plan is made from.
pub(crate) struct Cluster {
    spread: Value,
    pods: Vec<Pod>,
    total: i32,
    current: Option<Arc<str>>,
    departed: Vec<Departed>,
    listed_at: Option<Timestamp>,
    fits: BTreeMap<Arc<str>, Vec<Fit>>,
    problems: Vec<String>,
}

impl Cluster {
    /// A spread of a Job with these subsets: `a:3 b:50% c`. All of its pods are known since a moment ago.
    pub(crate) fn new(subsets: &str) -> Self {
        let subset = |text: &str| match text.split_once(':') {
            Some((name, most)) => json!({"name": name, "maxReplicas": most.parse::<i32>().map_or_else(|_| Value::from(most), Value::from)}),
            None => json!({"name": text}),
        };
        let subsets: Vec<_> = subsets.split_whitespace().map(subset).collect();
        let spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread",
            "metadata": {"namespace": "shop", "name": "spread", "uid": "s", "resourceVersion": "7", "generation": 1},
            "spec": {"targetRef": {"apiVersion": "batch/v1", "kind": "Job", "name": "sum"}, "subsets": subsets}, "status": {}});
        Self {
            spread,
            pods: Vec::new(),
            total: 0,
            current: None,
            departed: Vec::new(),
            listed_at: Some(now()),
            fits: BTreeMap::new(),
            problems: Vec::new(),
        }
    }
    /// With these pods.
    pub(crate) fn pods(mut self, pods: impl IntoIterator<Item = Described>) -> Self {
        self.pods.extend(pods.into_iter().map(|pod| pod.read()));
        self
    }
    /// Of so many that there should be.
    pub(crate) fn total(mut self, total: i32) -> Self {
        self.total = total;
        self
    }
    /// With this revision as the current one.
    pub(crate) fn current(mut self, revision: &str) -> Self {
        self.current = Some(revision.into());
        self
    }
    /// With a pod that is gone, and was made so many seconds ago.
    pub(crate) fn departed(mut self, key: &str, seconds: i64) -> Self {
        self.departed.push(Departed { key: key.into(), created: Some(ago(seconds)) });
        self
    }
    /// The pods were listed so many seconds ago; never, if it is not said.
    pub(crate) fn listed(mut self, seconds: Option<i64>) -> Self {
        self.listed_at = seconds.map(ago);
        self
    }
    /// With subsets that a pod fits in.
    pub(crate) fn fits(mut self, uid: &str, fits: Vec<Fit>) -> Self {
        self.fits.insert(uid.into(), fits);
        self
    }
    /// Moving pods on after so many seconds.
    pub(crate) fn adaptive(mut self, seconds: i32) -> Self {
        self.spread["spec"]["scheduleStrategy"] = json!({"type": "Adaptive", "adaptive": {"rescheduleCriticalSeconds": seconds}});
        self
    }
    /// With this status.
    pub(crate) fn status(mut self, status: Value) -> Self {
        self.spread["status"] = status;
        self
    }
    /// With this status of a revision.
    pub(crate) fn noted(mut self, revision: &str, subsets: Value) -> Self {
        let arrays = &mut self.spread["status"]["versionedSubsetStatuses"];
        if arrays.is_null() {
            *arrays = Map::new().into();
        }
        arrays[revision] = subsets;
        self
    }
    /// With something in the spread set.
    pub(crate) fn with(mut self, pointer: &str, key: &str, value: Value) -> Self {
        self.spread.pointer_mut(pointer).unwrap()[key] = value;
        self
    }
    /// With something that is wrong.
    pub(crate) fn problem(mut self, problem: &str) -> Self {
        self.problems.push(problem.to_owned());
        self
    }
    /// All of it.
    pub(crate) fn picture(self) -> Picture {
        let spread: WorkloadSpread = serde_json::from_value(self.spread).unwrap();
        let mut pods: Vec<_> = self.pods.into_iter().map(Arc::new).collect();
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        Picture {
            spread: Arc::new(Spread::compile(spread)),
            pods,
            candidates: Vec::new(),
            total: self.total,
            problems: self.problems,
            current: self.current,
            departed: self.departed,
            listed_at: self.listed_at,
            fits: self.fits,
        }
    }
}
