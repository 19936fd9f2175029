//! The kinds whose deletion the server judges, and what hangs on them.

use crate::plan::Kind;

/// A kind that can be protected with both values of the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protectable {
    /// The kind, in the version that the most clusters know.
    pub kind: Kind,
    /// What kubectl calls it.
    pub word: &'static str,
    /// What keeps it if its label says `Cascading`.
    pub cascade: Cascade,
}

/// What hangs on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cascade {
    /// `spec.replicas`.
    Replicas,
    /// Active pods in it, then bound claims.
    Content,
    /// Objects that it defines.
    Objects,
    /// Ready endpoints of it.
    Endpoints,
    /// Ready endpoints of the Services that it leads to.
    Backends,
    /// Pods that use it.
    Users,
}

const fn kruise(kind: &'static str, plural: &'static str, word: &'static str) -> Protectable {
    Protectable { kind: Kind { group: "apps.kruise.io", version: "v1alpha1", kind, plural }, word, cascade: Cascade::Replicas }
}

const fn workload(kind: &'static str, plural: &'static str, word: &'static str) -> Protectable {
    Protectable { kind: Kind { group: "apps", version: "v1", kind, plural }, word, cascade: Cascade::Replicas }
}

const fn core(kind: &'static str, plural: &'static str, word: &'static str, cascade: Cascade) -> Protectable {
    Protectable { kind: Kind { group: "", version: "v1", kind, plural }, word, cascade }
}

/// All of them.
pub const ALL: [Protectable; 11] = [
    core("Namespace", "namespaces", "namespace", Cascade::Content),
    core("Service", "services", "service", Cascade::Endpoints),
    core("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", Cascade::Users),
    workload("Deployment", "deployments", "deployment"),
    workload("ReplicaSet", "replicasets", "replicaset"),
    workload("StatefulSet", "statefulsets", "statefulset"),
    Protectable {
        kind: Kind { group: "networking.k8s.io", version: "v1", kind: "Ingress", plural: "ingresses" },
        word: "ingress",
        cascade: Cascade::Backends,
    },
    Protectable {
        kind: Kind { group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition", plural: "customresourcedefinitions" },
        word: "crd",
        cascade: Cascade::Objects,
    },
    kruise("CloneSet", "clonesets", "clonesets.apps.kruise.io"),
    kruise("StatefulSet", "statefulsets", "statefulsets.apps.kruise.io"),
    kruise("UnitedDeployment", "uniteddeployments", "uniteddeployments.apps.kruise.io"),
];

/// The kind with this resource, in whichever version.
pub fn find(group: &str, plural: &str) -> Option<&'static Protectable> {
    const { &ALL }.iter().find(|protectable| protectable.kind.group == group && protectable.kind.plural == plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_resource_and_not_taken_for_its_namesake() {
        let of = |group, plural| find(group, plural).map(|found| found.word);
        assert_eq!(of("apps", "statefulsets"), Some("statefulset"));
        assert_eq!(of("apps.kruise.io", "statefulsets"), Some("statefulsets.apps.kruise.io"));
        assert_eq!(of("apps", "daemonsets"), None);
        assert_eq!(of("networking.k8s.io", "services"), None);
    }
}
