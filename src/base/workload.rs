//! A workload as those see it who look at its pods: how many there should be, and whose it is.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use serde::Deserialize;
use serde_json::Value;

use super::{
    decode::or_default,
    interned::Interner,
    observed::{self, SharedLabels},
    selector::Selector,
};

/// The object that controls another one, by its reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// API group, empty for the core one.
    pub group: Arc<str>,
    /// Version by which it was named. Says nothing about which object is meant.
    pub version: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// What tells it from an earlier object of its name; empty if that is not known.
    pub uid: Arc<str>,
}

impl Owner {
    /// The controller among an object's owners.
    pub fn controller(owners: &[OwnerReference], interner: &mut Interner) -> Option<Self> {
        let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        Some(Self {
            group: interner.of(group),
            version: interner.of(version),
            kind: interner.of(&owner.kind),
            name: interner.of(&owner.name),
            uid: interner.of(&owner.uid),
        })
    }

    /// Whether this is the kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        &*self.group == group && &*self.kind == kind
    }

    /// Whether both mean one object, as far as they say.
    pub fn is_same(&self, other: &Self) -> bool {
        self.is(&other.group, &other.kind)
            && self.name == other.name
            && (self.uid == other.uid || self.uid.is_empty() || other.uid.is_empty())
    }
}

/// On a ReplicaSet: the how-manieth template of its Deployment it stands for. (Kubernetes: `pkg/controller/deployment/util`)
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The members of a workload that are read; all others are skipped while decoding.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Wire {
    /// Its metadata, without what the API server keeps about its managers.
    #[serde(deserialize_with = "observed::metadata", default)]
    pub metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    spec: WireSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: WireStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct WireSpec {
    #[serde(default)]
    replicas: Option<i32>,
    /// Of a Job: how many pods it has at a time.
    #[serde(default)]
    parallelism: Option<i32>,
    /// A selector, or labels.
    #[serde(default)]
    selector: Value,
    #[serde(default, deserialize_with = "or_default")]
    template: WireTemplate,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct WireTemplate {
    #[serde(default, deserialize_with = "or_default")]
    metadata: WireLabels,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct WireLabels {
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct WireStatus {
    /// Of a kind with a scale: the selector, as a text.
    #[serde(default)]
    selector: Value,
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<WireCondition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct WireCondition {
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
}

/// A workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// What others call it by.
    pub identity: Owner,
    /// The version of the object that this was read from; empty if it is made up from less than the object.
    pub resource_version: Box<str>,
    /// How many pods it should have; `None` if it does not say. Kubernetes takes a missing number for one.
    pub replicas: Option<i32>,
    /// Which pods are its; `None` if it does not say.
    pub selector: Option<Selector>,
    /// Labels of the pods that it makes; empty if it does not say.
    pub template_labels: SharedLabels,
    /// Whose it is.
    pub controller: Option<Owner>,
    /// It is being deleted.
    pub is_terminating: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Of a ReplicaSet: the how-manieth template of its Deployment it stands for; 0 if it does not say.
    pub revision: i64,
    /// Of a Job: it has ended, and makes no pods any more.
    pub has_ended: bool,
}

impl Workload {
    /// Reads a workload of a kind of Kubernetes or OpenKruise.
    pub fn read(wire: &Wire, [group, version, kind]: [&str; 3], interner: &mut Interner) -> Self {
        let metadata = &wire.metadata;
        let mut of = |text: &Option<String>| interner.of(text.as_deref().unwrap_or_default());
        let (namespace, name, uid) = (of(&metadata.namespace), of(&metadata.name), of(&metadata.uid));
        Self {
            namespace,
            identity: Owner { group: interner.of(group), version: interner.of(version), kind: interner.of(kind), name, uid },
            resource_version: metadata.resource_version.clone().unwrap_or_default().into(),
            replicas: wire.spec.replicas,
            selector: selector(&wire.spec.selector),
            template_labels: SharedLabels::of(wire.spec.template.metadata.labels.iter(), interner),
            controller: Owner::controller(metadata.owner_references.as_deref().unwrap_or_default(), interner),
            is_terminating: metadata.deletion_timestamp.is_some(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            revision: metadata
                .annotations
                .iter()
                .flatten()
                .find(|(key, _)| *key == REVISION)
                .and_then(|(_, n)| n.parse().ok())
                .unwrap_or(0),
            has_ended: false,
        }
    }

    /// Reads a Job. Its pods are found by their owner alone.
    pub fn read_job(wire: &Wire, interner: &mut Interner) -> Self {
        let is_end = |condition: &WireCondition| matches!(&*condition.kind, "Complete" | "Failed") && condition.status == "True";
        Self {
            replicas: wire.spec.parallelism,
            selector: None,
            template_labels: SharedLabels::default(),
            has_ended: wire.status.conditions.iter().any(is_end),
            ..Self::read(wire, ["batch", "v1", "Job"], interner)
        }
    }

    /// Reads an object of another kind that has a scale, as far as such objects are alike: the number of pods in the spec, and a text
    /// that selects them in the status. `None` if it does not say how many pods it should have.
    pub fn read_scaled(wire: &Wire, kind: [&str; 3], interner: &mut Interner) -> Option<Self> {
        let selector = wire.status.selector.as_str().and_then(|text| Selector::parse(text).ok()).filter(|selector| !selector.is_empty());
        let read = Self { selector, template_labels: SharedLabels::default(), ..Self::read(wire, kind, interner) };
        read.replicas.is_some().then_some(read)
    }

    /// How many pods it should have.
    pub fn wanted(&self) -> i32 {
        self.replicas.unwrap_or(1).max(0)
    }
}

/// A selector as workloads have it: the usual one, or for the eldest of them labels. Never an empty one.
fn selector(value: &Value) -> Option<Selector> {
    let members = value.as_object()?;
    let is_usual = members.contains_key("matchLabels") || members.contains_key("matchExpressions");
    let selector = if is_usual {
        LabelSelector::deserialize(value).ok()?
    } else {
        LabelSelector { match_labels: Some(BTreeMap::deserialize(value).ok()?), match_expressions: None }
    };
    Selector::compile(&selector).ok().filter(|selector| !selector.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::selector::Labels;

    fn wire(object: Value) -> Wire {
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_workload_is_read_with_what_makes_its_pods() {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true}]);
        let object = json!({"metadata": {"namespace": "shop", "name": "web-1", "uid": "r", "resourceVersion": "7", "ownerReferences": owner},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}}}});
        let read = Workload::read(&wire(object), ["apps", "v1", "ReplicaSet"], &mut Interner::default());
        assert_eq!((read.wanted(), read.template_labels.label("app"), read.is_terminating), (3, Some("web"), false));
        assert!(read.identity.is("apps", "ReplicaSet") && &*read.identity.uid == "r" && &*read.controller.unwrap().name == "web");
        assert!(read.selector.is_some());
    }

    #[test]
    fn a_missing_number_is_one_and_labels_select_too() {
        let object = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}});
        let read = Workload::read(&wire(object), ["", "v1", "ReplicationController"], &mut Interner::default());
        assert_eq!((read.wanted(), read.selector.unwrap().requirements()[0].to_string().as_str()), (1, "app=web"));
    }

    #[test]
    fn an_object_of_another_kind_is_a_workload_if_it_says_how_many_pods_it_has() {
        let kind = ["example.com", "v1", "Rollout"];
        let scaled = wire(json!({"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": 7}, "status": {"selector": "app=web"}}));
        let read = Workload::read_scaled(&scaled, kind, &mut Interner::default()).unwrap();
        assert_eq!((read.wanted(), read.selector.unwrap().requirements()[0].to_string().as_str()), (2, "app=web"));
        let other = wire(json!({"metadata": {"name": "web"}, "spec": {"selector": {"a": "b"}}}));
        assert_eq!(Workload::read_scaled(&other, kind, &mut Interner::default()), None);
    }

    #[test]
    fn a_job_has_as_many_pods_as_it_has_at_a_time_until_it_ends() {
        let job = |conditions: Value| {
            wire(json!({"metadata": {"name": "sum"}, "spec": {"parallelism": 3, "completions": 9}, "status": {"conditions": conditions}}))
        };
        let read = |conditions| {
            let job = Workload::read_job(&job(conditions), &mut Interner::default());
            (job.wanted(), job.has_ended)
        };
        assert_eq!(read(json!([{"type": "Suspended", "status": "True"}, {"type": "Failed", "status": "False"}])), (3, false));
        for end in ["Complete", "Failed"] {
            assert_eq!(read(json!([{"type": end, "status": "True"}])), (3, true));
        }
        assert_eq!(Workload::read_job(&wire(json!({})), &mut Interner::default()).wanted(), 1, "as Kubernetes takes it");
    }

    #[test]
    fn a_replica_set_says_which_template_it_stands_for() {
        let of =
            |revision: &str| wire(json!({"metadata": {"annotations": {REVISION: revision}, "creationTimestamp": "2026-01-01T00:00:00Z"}}));
        let read = |revision| Workload::read(&of(revision), ["apps", "v1", "ReplicaSet"], &mut Interner::default());
        assert_eq!(["12", "", "x"].map(|text| read(text).revision), [12, 0, 0]);
        assert_eq!(read("1").created, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn an_empty_selector_selects_nothing() {
        let of = |selector: Value| wire(json!({"spec": {"replicas": 1, "selector": {}}, "status": {"selector": selector}}));
        for selector in [json!(""), json!({}), json!(null), json!("a=b=c")] {
            assert_eq!(Workload::read_scaled(&of(selector), ["g", "v1", "K"], &mut Interner::default()).unwrap().selector, None);
        }
        assert_eq!(Workload::read(&of(json!(null)), ["apps", "v1", "Deployment"], &mut Interner::default()).selector, None);
    }

    #[test]
    fn an_owner_without_a_uid_may_be_any_of_its_name() {
        let of = |uid: &str, version: &str| Owner {
            kind: "K".into(),
            name: "n".into(),
            version: version.into(),
            uid: uid.into(),
            ..Owner::default()
        };
        assert!(of("1", "v1").is_same(&of("1", "v2")) && of("", "v1").is_same(&of("1", "v1")) && !of("2", "v1").is_same(&of("1", "v1")));
    }
}
