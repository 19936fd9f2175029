//! The reviews: what an API server sends on a busy day, in what proportion.

#![expect(clippy::indexing_slicing, reason = "kinds are numbered, and a text as an index makes the member")]

use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::fixtures::{review, sets};

/// One kind of review.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// How many of a thousand are of it.
    weight: u64,
    /// Whether it has to be allowed; `None` if that depends on what was allowed before.
    pub(crate) is_allowed: Option<bool>,
}

pub(crate) const KINDS: [Kind; 14] = [
    Kind { name: "pod create, no set", path: "/mutate-pod", weight: 370, is_allowed: Some(true) },
    Kind { name: "pod create, two sets", path: "/mutate-pod", weight: 140, is_allowed: Some(true) },
    Kind { name: "pod create, dry run", path: "/mutate-pod", weight: 40, is_allowed: Some(true) },
    Kind { name: "pod create, placed", path: "/mutate-pod", weight: 10, is_allowed: Some(true) },
    Kind { name: "pod create, placed, dry run", path: "/mutate-pod", weight: 20, is_allowed: Some(true) },
    Kind { name: "guarded pod, labels changed", path: "/validate-pod", weight: 150, is_allowed: Some(true) },
    Kind { name: "guarded pod, image changed, dry run", path: "/validate-pod", weight: 50, is_allowed: None },
    Kind { name: "guarded pod, deleted, dry run", path: "/validate-pod", weight: 40, is_allowed: None },
    Kind { name: "guarded pod, evicted", path: "/validate-pod", weight: 50, is_allowed: None },
    Kind { name: "unguarded pod, evicted", path: "/validate-pod", weight: 60, is_allowed: Some(true) },
    Kind { name: "set written", path: "/mutate-apps-kruise-io-sidecarset", weight: 10, is_allowed: Some(true) },
    Kind { name: "budget written", path: "/validate-policy-kruise-io-podunavailablebudget", weight: 10, is_allowed: Some(true) },
    Kind { name: "spread written", path: "/validate-apps-kruise-io-workloadspread", weight: 10, is_allowed: Some(true) },
    Kind { name: "conversion of 20 sets", path: "/convert", weight: 40, is_allowed: Some(true) },
];

/// What stands in a body for what is different each time.
const ANEW: &str = "0df28fbd-5f5f-11e8-bc74-36e6bb280816";

/// The bodies, ready but for what is different each time.
pub(crate) struct Reviews {
    bodies: Vec<Vec<String>>,
    weights: u64,
}

/// What reviews are about, in the cluster.
pub(crate) struct About<'a> {
    pub(crate) namespace: &'a str,
    /// Guarded pods, as the API server has them.
    pub(crate) guarded: &'a [Value],
    /// Pods that no budget guards.
    pub(crate) others: &'a [Value],
    /// The reference to the `ReplicaSet` whose pods are placed.
    pub(crate) owner: Value,
    /// To one whose pods nobody places.
    pub(crate) bystander: Value,
}

impl Reviews {
    #[expect(clippy::too_many_lines, reason = "a body for each kind")]
    pub(crate) fn new(about: &About<'_>) -> Self {
        let (namespace, one) = (about.namespace, |body: String| vec![body]);
        let create = |app: &str| {
            let text = String::from_utf8(review::of_app(app)).unwrap_or_default();
            let text = text.replace(r#""namespace":"shop""#, &format!(r#""namespace":"{namespace}""#));
            // Whose pod it is has to be there, or each review would ask for it.
            let mut review: Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(owners) = review.pointer_mut("/request/object/metadata/ownerReferences") {
                *owners = json!([about.bystander]);
            }
            review.to_string()
        };
        let dry = |body: String| body.replace(r#""dryRun":false"#, r#""dryRun":true"#);
        let placed = || pod_review(namespace, "CREATE", &new_pod(&about.owner), &Value::Null, "", false);
        let of_guarded = |make: &dyn Fn(&Value) -> String| about.guarded.iter().map(make).collect::<Vec<_>>();
        let changed = |pod: &Value, pointer: &str, value: &str| {
            let mut pod = pod.clone();
            if let Some(place) = pod.pointer_mut(pointer) {
                *place = value.into();
            }
            pod
        };
        let evict = |pod: &Value| {
            let name = pod.pointer("/metadata/name");
            let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}});
            pod_review(namespace, "CREATE", &eviction, &Value::Null, "eviction", false)
        };
        let bodies = vec![
            one(create(sets::OTHER_APP)),
            one(create(sets::APP)),
            one(dry(create(sets::APP))),
            one(placed()),
            one(dry(placed())),
            of_guarded(&|pod| pod_review(namespace, "UPDATE", &changed(pod, "/metadata/labels/seen", "again"), pod, "", false)),
            of_guarded(&|pod| {
                pod_review(namespace, "UPDATE", &changed(pod, "/spec/containers/0/image", "registry.example/main:2"), pod, "", true)
            }),
            of_guarded(&|pod| pod_review(namespace, "DELETE", &Value::Null, pod, "", true)),
            of_guarded(&evict),
            about.others.iter().map(evict).collect(),
            one(write(namespace, "sidecarsets", &sets::other(7))),
            one(write(namespace, "podunavailablebudgets", &budget(namespace))),
            one(write(namespace, "workloadspreads", &spread(namespace))),
            one(conversion()),
        ];
        Self { bodies, weights: KINDS.iter().map(|kind| kind.weight).sum() }
    }

    /// The review of this number: its kind, and its body.
    pub(crate) fn make(&self, number: u64) -> (usize, Bytes) {
        // In an order that has nothing of a row of one kind, the same in each run.
        let mut at = (number.wrapping_mul(7_919) ^ (number >> 3)) % self.weights;
        let mut kind = 0;
        while at >= KINDS[kind].weight {
            at -= KINDS[kind].weight;
            kind += 1;
        }
        let bodies = &self.bodies[kind];
        let body = &bodies[usize::try_from(number).unwrap_or_default() % bodies.len()];
        (kind, body.replacen(ANEW, &format!("{number:08x}-5f5f-11e8-bc74-36e6bb280816"), 2).into())
    }
}

#[expect(clippy::too_many_arguments, reason = "a review has as many parts")]
fn pod_review(namespace: &str, operation: &str, object: &Value, old: &Value, sub_resource: &str, is_dry_run: bool) -> String {
    let (resource, kind) =
        (json!({"group": "", "version": "v1", "resource": "pods"}), json!({"group": "", "version": "v1", "kind": "Pod"}));
    let name = [object, old].into_iter().find_map(|pod| pod.pointer("/metadata/name")).cloned().unwrap_or_default();
    let mut request = json!({
        "uid": ANEW, "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "namespace": namespace, "operation": operation,
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:authenticated"]},
        "object": object, "oldObject": old, "dryRun": is_dry_run
    });
    if !sub_resource.is_empty() {
        request["subResource"] = sub_resource.into();
    }
    if name.is_string() {
        request["name"] = name;
    }
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string()
}

/// A pod of a ReplicaSet that does not have a name yet.
fn new_pod(owner: &Value) -> Value {
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"generateName": "placed-", "labels": {"app": "placed", "pod-template-hash": "none"}, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]}, "status": {}})
}

fn write(namespace: &str, plural: &str, object: &Value) -> String {
    let (group, version) = object.pointer("/apiVersion").and_then(Value::as_str).and_then(|text| text.split_once('/')).unwrap_or_default();
    let resource = json!({"group": group, "version": version, "resource": plural});
    let request = json!({"uid": ANEW, "resource": resource, "requestResource": resource, "operation": "CREATE", "namespace": namespace, "name": "written", "object": object});
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string()
}

fn budget(namespace: &str) -> Value {
    let spec = json!({"selector": {"matchLabels": {"app": "written"}}, "maxUnavailable": "20%"});
    json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "metadata": {"name": "written", "namespace": namespace}, "spec": spec})
}

fn spread(namespace: &str) -> Value {
    let spec = json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "written"}, "subsets": [{"name": "a", "maxReplicas": 3}, {"name": "b"}]});
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": "written", "namespace": namespace}, "spec": spec})
}

fn conversion() -> String {
    let objects: Vec<_> = (0..20).map(sets::other).collect();
    let request = json!({"uid": ANEW, "desiredAPIVersion": "apps.kruise.io/v1alpha1", "objects": objects});
    json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "request": request}).to_string()
}
