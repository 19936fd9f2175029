//! What the API server keeps: pods and a spread, their versions, and what its watches tell.

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
    pub(crate) spread: Value,
    pub(crate) pod_events: Vec<Told>,
    pub(crate) spread_events: Vec<Told>,
    /// Writes whatever version they were made from: the bug that everything here is to prevent.
    pub(crate) is_careless: bool,
}

impl Api {
    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// A spread over a deployment, with these limits; the last subset may have none.
    pub(crate) fn make_spread(&mut self, limits: &[Option<i32>], at: i64) {
        let of = |(number, limit): (usize, &Option<i32>)| {
            let mut subset = json!({"name": format!("s{number}")});
            if let Some(limit) = limit {
                subset["maxReplicas"] = json!(limit);
            }
            subset
        };
        let subsets: Vec<_> = limits.iter().enumerate().map(of).collect();
        let spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread",
            "metadata": {"name": "ws", "namespace": "shop", "uid": "ws", "generation": 1, "creationTimestamp": moment(at)},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "subsets": subsets}});
        self.store_spread(spread, at);
    }

    fn store_spread(&mut self, mut spread: Value, at: i64) -> Value {
        spread["metadata"]["resourceVersion"] = json!(self.next());
        self.spread = spread.clone();
        self.spread_events.push(Told { at, name: "ws".to_owned(), object: Some(spread.clone()) });
        spread
    }

    /// A merge patch of the spread's status, refused if the spread has changed since.
    pub(crate) fn patch_status(&mut self, patch: &Value, at: i64) -> Result<Value, ()> {
        let version = &patch["metadata"]["resourceVersion"];
        assert!(version.is_string(), "a write that names no version: {patch}");
        if *version != self.spread["metadata"]["resourceVersion"] && !self.is_careless {
            return Err(());
        }
        let mut spread = self.spread.clone();
        json_patch::merge(&mut spread, &json!({"status": patch["status"]}));
        // What changes nothing makes no version.
        if spread == self.spread { Ok(spread) } else { Ok(self.store_spread(spread, at)) }
    }

    /// Stores a pod that was admitted; the API server chooses a name if it has none.
    pub(crate) fn create(&mut self, mut pod: Value, at: i64) {
        let version = self.next();
        if pod["metadata"]["name"].is_null() {
            pod["metadata"]["name"] = json!(format!("made-{version}"));
        }
        pod["metadata"]["uid"] = json!(version);
        // As a clock that shows no fractions.
        pod["metadata"]["creationTimestamp"] = json!(Timestamp::from_second(moment(at).as_second()).unwrap());
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        if !self.pods.contains_key(&name) {
            self.store_pod(&name, Some(pod), at);
        }
    }

    pub(crate) fn terminate(&mut self, name: &str, at: i64) {
        self.change_pod(name, at, |pod| pod["metadata"]["deletionTimestamp"] = json!(moment(at)));
    }

    pub(crate) fn end(&mut self, name: &str, at: i64) {
        self.change_pod(name, at, |pod| pod["status"]["phase"] = json!("Succeeded"));
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

    /// The names of the pods that count, by revision and subset.
    pub(crate) fn placed(&self) -> BTreeMap<(String, String), Vec<String>> {
        let mut placed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, pod) in self.pods.iter().filter(|(_, pod)| counts(pod)) {
            let Some(mark) = mark(pod) else { continue };
            let revision = pod["metadata"]["labels"]["pod-template-hash"].as_str().unwrap().to_owned();
            placed.entry((revision, mark)).or_default().push(name.clone());
        }
        placed
    }
}

/// Whether a pod is neither finished nor on its way out.
pub(crate) fn counts(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] != "Succeeded"
}

/// The subset that a pod says it is in.
pub(crate) fn mark(pod: &Value) -> Option<String> {
    let mark: Value = serde_json::from_str(pod["metadata"]["annotations"]["apps.kruise.io/matched-workloadspread"].as_str()?).unwrap();
    Some(mark["subset"].as_str().unwrap().to_owned())
}
