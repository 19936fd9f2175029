//! What hangs on an object, as questions. Each counts something, and a number above zero keeps the object.

use serde_json::Value;

use super::stored::Stored;
use crate::{
    admission::ask::{Count, Listing, Question},
    base::selector::Selector,
};

/// Says whose endpoints an `EndpointSlice` holds.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Pods with these phases have ended, and hold nothing.
const NOT_ENDED: &[(&str, &str)] = &[("status.phase", "Succeeded"), ("status.phase", "Failed")];

/// A question, and what its answer is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// The question.
    pub question: Question,
    /// What is counted, as it stands before the number.
    pub what: &'static str,
    /// What to say if there is no answer, before the reason.
    pub unanswered: String,
    /// What to do about what was counted.
    pub remedy: String,
}

/// Pods that run in a namespace or are yet to; then claims there that have a volume.
pub(super) fn content(stored: &Stored) -> Vec<Counted> {
    let name = &stored.name;
    let pods =
        Listing { namespace: name.clone(), unlike: NOT_ENDED, ..listing("", "v1", "pods", "Pod", Count::by_metadata(one_that_stays)) };
    let is_bound = |claim: &Value| u64::from(text(claim, "/status/phase") == "Bound") * one_that_stays(claim);
    let claims = Listing {
        namespace: name.clone(),
        ..listing("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", Count::by_content(is_bound))
    };
    vec![
        Counted {
            question: Question::HowMany(pods),
            what: "active pods",
            unanswered: refused("list pods error: "),
            remedy: format!("delete what runs in it first (`kubectl get pods -n {name}`)"),
        },
        Counted {
            question: Question::HowMany(claims),
            what: "\"Bound\" status pvc",
            unanswered: refused("list pvc error: "),
            remedy: format!("delete its claims first (`kubectl get pvc -n {name}`)"),
        },
    ]
}

/// Objects that a definition defines. `None` if there can be none: its names were not accepted. The version in which they are stored
/// may not be served: any that is will do.
pub(super) fn objects(stored: &Stored) -> Result<Option<Counted>, String> {
    let definition = &stored.object;
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    let established = conditions.into_iter().flatten().find(|condition| text(condition, "/type") == "Established");
    if established.is_some_and(|condition| text(condition, "/status") != "True") {
        return Ok(None);
    }
    let (group, kind, plural) =
        (text(definition, "/spec/group"), text(definition, "/spec/names/kind"), text(definition, "/spec/names/plural"));
    let Some(version) = served_version(definition) else {
        return Err(format!("failed to list CRs of {group}, Kind={kind}: no version of it is served"));
    };
    Ok(Some(Counted {
        question: Question::HowMany(listing(group, version, plural, kind, Count::by_metadata(one_that_stays))),
        what: "active CRs",
        unanswered: format!("failed to list CRs of {group}/{version}, Kind={kind}: "),
        remedy: format!("delete its objects first (`kubectl get {plural}.{group} --all-namespaces`)"),
    }))
}

/// A version in which objects can be read, that in which they are stored before others.
fn served_version(definition: &Value) -> Option<&str> {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    // Before there were several.
    let Some(versions) = versions.filter(|versions| !versions.is_empty()) else {
        return Some(text(definition, "/spec/version")).filter(|version| !version.is_empty());
    };
    let is = |version: &&Value, what: &str| version.get(what).and_then(Value::as_bool) == Some(true);
    let mut served = versions.iter().filter(|version| is(version, "served"));
    let first = served.clone().next();
    served.find(|version| is(version, "storage")).or(first).map(|version| text(version, "/name"))
}

/// Endpoints of Services that take requests. A slice says of each whether it is ready; what says nothing is.
pub(super) fn endpoints(stored: &Stored, services: Vec<String>) -> Counted {
    let namespace = &stored.namespace;
    let named = match services.as_slice() {
        [service] => format!("{SERVICE_NAME}={service}"),
        several => format!("'{SERVICE_NAME} in ({})'", several.join(",")),
    };
    let slices = Listing {
        namespace: namespace.clone(),
        labels: Selector::one_of(SERVICE_NAME, services),
        ..listing("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", Count::by_content(ready_endpoints))
    };
    Counted {
        question: Question::HowMany(slices),
        what: "ready endpoints",
        unanswered: refused("list endpointslices error: "),
        remedy: format!("it is free when nothing is ready behind it (`kubectl get endpointslices -n {namespace} -l {named}`)"),
    }
}

/// The Services that an Ingress leads to, as `v1` and `v1beta1` name them.
pub(super) fn backends(ingress: &Value) -> Vec<String> {
    let rules = ingress.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    let paths = rules.filter_map(|rule| rule.pointer("/http/paths").and_then(Value::as_array)).flatten();
    let of_paths = paths.filter_map(|path| path.get("backend"));
    let defaults = [ingress.pointer("/spec/defaultBackend"), ingress.pointer("/spec/backend")].into_iter().flatten();
    let name = |backend: &Value| {
        [text(backend, "/service/name"), text(backend, "/serviceName")].into_iter().find(|name| !name.is_empty()).map(str::to_owned)
    };
    let mut names: Vec<_> = of_paths.chain(defaults).filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// Pods that mount a claim and have not ended; also those that are going, for they write until they are gone.
pub(super) fn users(stored: &Stored) -> Counted {
    let (namespace, name) = (&stored.namespace, stored.name.clone());
    let mounts = move |pod: &Value| u64::from(has_volume_of(pod, &name));
    let pods = Listing { namespace: namespace.clone(), unlike: NOT_ENDED, ..listing("", "v1", "pods", "Pod", Count::by_content(mounts)) };
    Counted {
        question: Question::HowMany(pods),
        what: "pods that use it",
        unanswered: refused("list pods error: "),
        remedy: format!("delete the pods that use it first (`kubectl describe pvc -n {namespace} {}` names them)", stored.name),
    }
}

fn listing(group: &str, version: &str, plural: &str, kind: &str, count: Count) -> Listing {
    Listing {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        kind: kind.to_owned(),
        namespace: String::new(),
        labels: Selector::default(),
        unlike: &[],
        count,
    }
}

fn refused(what: &str) -> String {
    format!("{}{what}", super::text::BEGINNING)
}

fn one_that_stays(object: &Value) -> u64 {
    u64::from(object.pointer("/metadata/deletionTimestamp").is_none_or(Value::is_null))
}

fn ready_endpoints(slice: &Value) -> u64 {
    let endpoints = slice.get("endpoints").and_then(Value::as_array).into_iter().flatten();
    endpoints.filter(|endpoint| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false)).map(|_| 1).sum()
}

fn has_volume_of(pod: &Value, claim: &str) -> bool {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    volumes.into_iter().any(|volume| {
        // An ephemeral volume makes itself a claim with both names.
        let is_own = || volume.get("ephemeral").is_some() && format!("{}-{}", text(pod, "/metadata/name"), text(volume, "/name")) == claim;
        text(volume, "/persistentVolumeClaim/claimName") == claim || is_own()
    })
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
