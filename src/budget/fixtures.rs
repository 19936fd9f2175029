//! Budgets and pods for tests.

use serde_json::{Value, json};

use super::{
    guard::Take,
    index::{Budget, Operation},
    subject::Subject,
};
use crate::base::{interned::Interner, observed::Wire};

/// The second at which budgets of tests are looked at.
pub(crate) const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_800_000_000, 0);

/// A budget of three pods of which two are needed, with so many units left and these further members of its status.
pub(crate) fn budget(allowed: i32, status: &Value) -> Budget {
    let mut object = json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget",
        "metadata": {"namespace": "shop", "name": "web", "uid": "b", "resourceVersion": "7", "generation": 2},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 1},
        "status": {"observedGeneration": 2, "desiredAvailable": 2, "currentAvailable": 3, "totalReplicas": 3, "unavailableAllowed": allowed}});
    merge(&mut object["status"], status);
    Budget::compile(serde_json::from_value(object).unwrap())
}

/// The members of the second object put into the first.
fn merge(into: &mut Value, from: &Value) {
    for (name, member) in from.as_object().unwrap() {
        into[name] = member.clone();
    }
}

/// A ready pod of the budget, made an hour ago.
pub(crate) fn pod(name: &str, change: impl FnOnce(&mut Value)) -> Subject {
    let mut object = json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1", "creationTimestamp": at(-3600),
            "labels": {"app": "web"}, "annotations": {"pub.kruise.io/related-pub": "web"}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    change(&mut object);
    let wire: Wire = serde_json::from_str(&object.to_string()).unwrap();
    Subject::read(&wire, &mut Interner::default())
}

/// So many seconds from now, as it is stored.
pub(crate) fn at(seconds: i64) -> String {
    jiff::Timestamp::from_second(NOW.as_second() + seconds).unwrap().to_string()
}

/// A unit for a pod.
pub(crate) fn take(pod: Subject, operation: Operation) -> Take {
    let pod = std::sync::Arc::new(pod);
    Take { namespace: "shop".into(), budget: "web".into(), pod, is_certain: true, operation, resize_is_its_own: false, eviction_code: 429 }
}
