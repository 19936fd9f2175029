//! What an update of a pod does to it: nothing that matters, a resize that its containers take in place, or something that may restart
//! it. (reference: `pub.md` §4.5, §4.6; Kubernetes: `pkg/apis/core/v1/helper/qos`)

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{index::Operation, keys::UNAVAILABLE_LABEL};
use crate::base::quantity::Quantity;

/// Annotation of pods that come from a file of their node; with another value than `api` they cannot be resized.
const CONFIG_SOURCE: &str = "kubernetes.io/config.source";

/// What an update is to budgets; `None` if it makes no pod unavailable. Any difference of the specs counts, and the first label that
/// takes the pod out of service.
pub fn operation(old: &Value, new: &Value) -> Option<Operation> {
    let takes_out = !is_out_of_service(old) && is_out_of_service(new);
    let (before, after) = (plain(spec(old)), plain(spec(new)));
    if before == after && !takes_out {
        return None;
    }
    let is_resize = !takes_out && is_resize(&before, &after) && !is_static(old) && !is_static(new);
    Some(if is_resize { Operation::Resize } else { Operation::Update })
}

fn spec(pod: &Value) -> &Value {
    pod.get("spec").unwrap_or(&Value::Null)
}

fn is_out_of_service(pod: &Value) -> bool {
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object);
    labels.into_iter().flatten().any(|(key, _)| key.starts_with(UNAVAILABLE_LABEL))
}

fn is_static(pod: &Value) -> bool {
    let source = pod.pointer("/metadata/annotations").and_then(|annotations| annotations.get(CONFIG_SOURCE)?.as_str());
    source.is_some_and(|source| source != "api")
}

/// Without members that are null: they mean the same as none.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, member)| !member.is_null());
            Value::Object(kept.map(|(name, member)| (name.clone(), plain(member))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    spec.get("containers").and_then(Value::as_array).into_iter().flatten()
}

/// Whether nothing but amounts of cpu and memory changes, for containers that take it without a restart, and not the pod's class.
fn is_resize(old: &Value, new: &Value) -> bool {
    if without_resources(old) != without_resources(new) || class(old) != class(new) {
        return false;
    }
    // Their names are the same: what is left of them was compared.
    containers(old)
        .zip(containers(new))
        .all(|(old, new)| changed_resources(old, new).into_iter().all(|name| matches!(name, "cpu" | "memory") && !restarts_for(new, name)))
}

fn without_resources(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for container in spec.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(members) = container.as_object_mut() {
            members.remove("resources");
        }
    }
    spec
}

fn amounts<'c>(container: &'c Value, member: &str) -> Option<&'c Map<String, Value>> {
    container.get("resources")?.get(member)?.as_object()
}

/// Names of resources of which the request or the limit changes.
fn changed_resources<'c>(old: &'c Value, new: &'c Value) -> BTreeSet<&'c str> {
    let mut changed = BTreeSet::new();
    for member in ["requests", "limits"] {
        let (old, new) = (amounts(old, member), amounts(new, member));
        let names = old.into_iter().chain(new).flatten().map(|(name, _)| name.as_str());
        let of = |amounts: Option<&'c Map<String, Value>>, name: &str| amounts.and_then(|amounts| Some(quantity(amounts.get(name)?)));
        changed.extend(names.filter(|name| of(old, name) != of(new, name)));
    }
    changed
}

/// The amount, or the text of what is none.
fn quantity(value: &Value) -> Result<Quantity, String> {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    Quantity::parse(&text).map_err(|_| text)
}

fn restarts_for(container: &Value, resource: &str) -> bool {
    let policies = container.get("resizePolicy").and_then(Value::as_array);
    let policy = policies.into_iter().flatten().find(|policy| policy.get("resourceName").and_then(Value::as_str) == Some(resource));
    let policy = policy.and_then(|policy| policy.get("restartPolicy")?.as_str()).unwrap_or_default();
    !matches!(policy, "" | "NotRequired")
}

/// How well a pod is served when its node runs short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Guaranteed,
    Burstable,
    BestEffort,
}

fn class(spec: &Value) -> Class {
    let init = spec.get("initContainers").and_then(Value::as_array).into_iter().flatten();
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    let mut are_all_limited = true;
    for container in containers(spec).chain(init) {
        add(&mut requests, container, "requests");
        let limited = add(&mut limits, container, "limits");
        are_all_limited &= limited == 2;
    }
    if requests.is_empty() && limits.is_empty() {
        Class::BestEffort
    } else if are_all_limited && requests == limits {
        Class::Guaranteed
    } else {
        Class::Burstable
    }
}

/// Adds a container's amounts of cpu and memory; says how many of the two it names.
fn add(sum: &mut BTreeMap<&'static str, Quantity>, container: &Value, member: &str) -> usize {
    let mut named = 0;
    for name in ["cpu", "memory"] {
        let amount = amounts(container, member).and_then(|amounts| quantity(amounts.get(name)?).ok());
        let Some(amount) = amount.filter(|amount| !amount.is_zero() && !amount.is_negative()) else { continue };
        named += 1;
        let total = sum.get(name).map_or_else(|| amount.clone(), |total| total.add(&amount));
        sum.insert(name, total);
    }
    named
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(resources: &Value, policy: &Value) -> Value {
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "i:1", "resources": resources, "resizePolicy": policy}]}})
    }

    fn with(old: &Value, change: impl FnOnce(&mut Value)) -> Option<Operation> {
        let mut new = old.clone();
        change(&mut new);
        operation(old, &new)
    }

    fn resized(old: &Value, new: &Value, policy: &Value) -> Option<Operation> {
        operation(&pod(old, policy), &pod(new, policy))
    }

    #[test]
    fn metadata_alone_makes_no_pod_unavailable_but_for_the_first_label_that_takes_it_out_of_service() {
        let old = pod(&json!({}), &Value::Null);
        assert_eq!(with(&old, |new| new["metadata"]["annotations"] = json!({"a": "b"})), None);
        let labelled = |count: usize| {
            let mut pod = old.clone();
            for number in 0..count {
                pod["metadata"]["labels"][format!("unavailable-pod.kruise.io/{number}")] = json!("");
            }
            pod
        };
        assert_eq!(operation(&labelled(0), &labelled(1)), Some(Operation::Update));
        assert_eq!((operation(&labelled(1), &labelled(2)), operation(&labelled(1), &labelled(0))), (None, None));
        assert_eq!(with(&old, |new| new["metadata"]["labels"]["unavailable-pod.kruise.io"] = json!("")), None, "no prefix");
    }

    #[test]
    fn any_difference_of_the_specs_counts_and_null_is_none() {
        let old = pod(&json!({}), &Value::Null);
        assert_eq!(with(&old, |new| new["spec"]["containers"][0]["image"] = json!("i:2")), Some(Operation::Update));
        assert_eq!(with(&old, |new| new["spec"]["tolerations"] = json!([{"key": "a"}])), Some(Operation::Update));
        assert_eq!(with(&old, |new| new["spec"]["newest"] = json!(1)), Some(Operation::Update));
        assert_eq!(with(&old, |new| new["spec"]["tolerations"] = Value::Null), None);
        assert_eq!(operation(&json!({}), &json!({"spec": null})), None);
    }

    #[test]
    fn resources_that_containers_take_in_place_are_a_resize() {
        let none = Value::Null;
        let both = |cpu: &str, memory: &str| json!({"cpu": cpu, "memory": memory});
        let requests = |cpu: &str, memory: &str| json!({"requests": both(cpu, memory)});
        let old = requests("1", "1Gi");
        assert_eq!(resized(&old, &requests("2", "2Gi"), &none), Some(Operation::Resize));
        assert_eq!(
            resized(&json!({}), &json!({"requests": both("1", "1Gi"), "limits": both("1", "1Gi")}), &none),
            Some(Operation::Update),
            "the class changes"
        );
        let stored = |amount: &str| json!({"requests": both("1", "1Gi"), "limits": {"storage": amount}});
        assert_eq!(resized(&stored("1Gi"), &stored("2Gi"), &none), Some(Operation::Update), "no amount of cpu or memory");
        let restarts = json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}, {"resourceName": "memory", "restartPolicy": "NotRequired"}]);
        assert_eq!(resized(&old, &requests("2", "1Gi"), &restarts), Some(Operation::Update));
        assert_eq!(resized(&old, &requests("1", "2Gi"), &restarts), Some(Operation::Resize));
        let (one, other) = (pod(&old, &none), pod(&requests("2", "1Gi"), &none));
        let mut from_file = other.clone();
        from_file["metadata"]["annotations"] = json!({CONFIG_SOURCE: "file"});
        assert_eq!(operation(&one, &from_file), Some(Operation::Update));
        let mut image_too = other;
        image_too["spec"]["containers"][0]["image"] = json!("i:2");
        assert_eq!(operation(&one, &image_too), Some(Operation::Update));
    }

    #[test]
    fn the_same_amount_in_other_words_is_no_change_of_it() {
        let requests = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let policy = json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
        assert_eq!(resized(&requests("1"), &requests("1000m"), &policy), Some(Operation::Resize));
    }
}
