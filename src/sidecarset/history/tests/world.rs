//! Sets, revisions, and an API server that carries out the steps.

use jiff::Timestamp;

use super::{super::super::keys, *};

/// A set with one sidecar of this image.
pub(super) fn set(image: &str) -> SidecarSet {
    set_of(&json!({"containers": [{"name": "log", "image": image}]}))
}

pub(super) fn set_of(spec: &Value) -> SidecarSet {
    let metadata = json!({"name": "s", "uid": "mine"});
    serde_json::from_value(json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": metadata, "spec": spec}))
        .unwrap()
}

pub(super) fn with(mut set: SidecarSet, change: impl FnOnce(&mut SidecarSet)) -> SidecarSet {
    change(&mut set);
    set
}

/// A revision that records the set, under any name.
pub(super) fn revision(name: &str, number: i64, set: &SidecarSet, owner: Option<&str>) -> Revision {
    let mut object = Recording::of(set).object(&Place { name, namespace: "own", number });
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.insert("uid".to_owned(), json!(format!("uid-{name}")));
    metadata.insert("resourceVersion".to_owned(), json!("1"));
    metadata.insert("ownerReferences".to_owned(), owner.map_or_else(|| json!([]), |uid| json!([{"uid": uid, "controller": true}])));
    Revision::from_object(&object).unwrap()
}

/// The revisions of a cluster.
#[derive(Clone, Default)]
pub(super) struct Cluster {
    pub(super) recorded: Vec<Arc<Revision>>,
    writes: i64,
}

impl Cluster {
    pub(super) fn of(recorded: impl IntoIterator<Item = Revision>) -> Self {
        Self { recorded: recorded.into_iter().map(Arc::new).collect(), writes: 100 }
    }

    /// Registers the set, carries out what that says, and says it.
    pub(super) fn register(&mut self, set: &SidecarSet, in_use: &[&str]) -> Registration {
        let registration = register(set, &self.recorded, &in_use.iter().copied().collect(), "own");
        for step in &registration.steps {
            self.carry_out(step);
        }
        assert!(self.names().contains(&registration.latest.as_str()), "{registration:?}");
        registration
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.recorded.iter().map(|revision| revision.name.as_str()).collect()
    }

    /// As an API server would: preconditions hold, names are unique.
    fn carry_out(&mut self, step: &Step) {
        self.writes += 1;
        let version = self.writes.to_string();
        match step {
            Step::Create(object) => {
                let mut object = object.clone();
                object["metadata"]["uid"] = json!(format!("uid-{version}"));
                object["metadata"]["resourceVersion"] = json!(version);
                object["metadata"]["creationTimestamp"] = json!(Timestamp::from_second(self.writes).unwrap().to_string());
                let created = Revision::from_object(&object).unwrap();
                assert!(!self.names().contains(&created.name.as_str()), "{} already exists", created.name);
                self.recorded.push(Arc::new(created));
            }
            Step::Renumber { name, resource_version, number } => {
                let revision = self.written(name, resource_version.as_ref());
                (revision.number, revision.resource_version) = (*number, Some(version));
            }
            Step::Label { name, resource_version, custom_version } => {
                let revision = self.written(name, resource_version.as_ref());
                (revision.custom_version, revision.resource_version) = (Some(custom_version.clone()), Some(version));
            }
            Step::Delete { name, uid, resource_version } => {
                let revision = self.written(name, resource_version.as_ref());
                assert_eq!(revision.uid, *uid);
                self.recorded.retain(|revision| revision.name != *name);
            }
        }
    }

    fn written(&mut self, name: &str, resource_version: Option<&String>) -> &mut Revision {
        let revision = self.recorded.iter_mut().find(|revision| revision.name == name).unwrap();
        let revision = Arc::make_mut(revision);
        assert!(resource_version.is_none() || revision.resource_version.as_ref() == resource_version, "a conflict over {name}");
        revision
    }
}

/// The steps in a word each.
pub(super) fn told(registration: &Registration) -> Vec<String> {
    let told = registration.steps.iter().map(|step| match step {
        Step::Create(object) => format!("create {} as {}", version_of(object), object["revision"]),
        Step::Renumber { name, number, .. } => format!("renumber {name} to {number}"),
        Step::Label { name, custom_version, .. } => format!("label {name} {custom_version}"),
        Step::Delete { name, .. } => format!("delete {name}"),
    });
    told.collect()
}

fn version_of(object: &Value) -> String {
    object["metadata"]["labels"][keys::CUSTOM_VERSION].as_str().map_or_else(|| "unnamed".to_owned(), str::to_owned)
}
