//! A subset's patch: merged into the pod, which has to be a pod afterwards.

use k8s_openapi::{api::core::v1::PodSpec, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::de::{DeserializeOwned, value::MapDeserializer};
use serde_json::{Map, Value};

use super::{
    canonical::{kept, write_amounts},
    known::leave_out,
};
use crate::base::strategic_merge::{self, POD, subject};

/// Merges the patch into the pod. Says what is wrong with it: where, what was found and what was expected.
pub(super) fn apply(pod: &mut Value, patch: &Value, is_again: bool) -> Result<(), String> {
    let Value::Object(patch) = patch else { return Err(format!("expected an object, found {patch}")) };
    let Value::Object(pod) = pod else { return Err("the pod: expected an object".to_owned()) };
    let [class, priority] = ["priorityClassName", "priority"].map(|name| pod.get("spec").and_then(|spec| spec.get(name)).cloned());
    strategic_merge::merge(pod, canonical(patch)?, POD).map_err(|error| error.to_string())?;
    let touched = Touched::root(Some(patch));
    let spec = pod.get_mut("spec").and_then(Value::as_object_mut).ok_or("spec: expected an object")?;
    settle_priority(spec, class.as_ref(), priority, is_again);
    check::<PodSpec>("spec", spec, &touched.inside("spec"))?;
    let metadata = pod.get("metadata").and_then(Value::as_object).ok_or("metadata: expected an object")?;
    check::<ObjectMeta>("metadata", metadata, &touched.inside("metadata"))?;
    let known = kept(&Value::Object(pod.clone()));
    leave_out(pod, patch, &known);
    Ok(())
}

/// The patch with its amounts as Kubernetes writes them.
fn canonical(patch: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut patch = patch.clone();
    if let Some(Value::Object(spec)) = patch.get_mut("spec") {
        for (name, member) in spec {
            write_amounts(name, member).map_err(|problem| format!("spec.{name}{problem}"))?;
        }
    }
    Ok(patch)
}

/// The number belongs to the class, and Kubernetes refuses a pod whose number is another: it is found anew. Whoever comes again finds
/// what came of that.
fn settle_priority(spec: &mut Map<String, Value>, class: Option<&Value>, priority: Option<Value>, is_again: bool) {
    let name = |class: Option<&Value>| class.and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_same = name(spec.get("priorityClassName")) == name(class);
    if is_same && !is_again {
        return;
    }
    match priority.filter(|_| is_same) {
        Some(priority) => spec.insert("priority".to_owned(), priority),
        None => spec.shift_remove("priority"),
    };
}

/// What is touched is read as Kubernetes' own type; what that does not know is left to the API server.
fn check<T: DeserializeOwned>(place: &str, object: &Map<String, Value>, touched: &Touched<'_>) -> Result<(), String> {
    let members = object.iter().filter(|(name, _)| touched.is(name)).map(|(name, member)| (name.as_str(), member));
    let reader: MapDeserializer<'_, _, serde_json::Error> = MapDeserializer::new(members);
    match serde_path_to_error::deserialize::<_, T>(reader) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{place}.{}: {}", error.path(), error.inner())),
    }
}

/// Which members of an object a patch says something of.
pub(super) struct Touched<'p> {
    patch: Option<&'p Map<String, Value>>,
    /// It says something of the object as a whole.
    is_whole: bool,
}

impl<'p> Touched<'p> {
    /// Of the object that it is about.
    pub(super) fn root(patch: Option<&'p Map<String, Value>>) -> Self {
        Self { patch, is_whole: patch.is_some_and(|patch| patch.keys().any(|key| subject(key).is_none())) }
    }

    /// Of the object at a member of it. What is no object is said of the object as a whole.
    pub(super) fn inside(&self, name: &str) -> Self {
        let said = self.patch.and_then(|patch| patch.get(name));
        let inner = Self::root(said.and_then(Value::as_object));
        Self { is_whole: self.is_whole || inner.is_whole || (said.is_some() && inner.patch.is_none()), ..inner }
    }

    /// Whether it says something of this member.
    pub(super) fn is(&self, name: &str) -> bool {
        self.is_whole || self.patch.is_some_and(|patch| patch.keys().any(|key| subject(key) == Some(name)))
    }
}
