//! What the patches of subsets make of a workload's template: for each a pod to ask the API server about, whose rules for pods are those
//! of its own version. (reference: `workloadspread.md` §7.1, rules 12 and 13)
//!
//! Beside the reference: the template of an Advanced StatefulSet is its own, and not that of a StatefulSet of its name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Map, Value, json};

use super::{group, spec::is_known};
use crate::{
    base::{
        field::{Error, Path},
        strategic_merge::{self, POD},
    },
    spread::api::{Subset, WorkloadSpreadSpec},
};

/// Members that hold quantities, by name; these may be numbers, though the API server writes them as texts.
const OF_QUANTITIES: [&str; 4] = ["limits", "requests", "overhead", "capacity"];
/// Members that are quantities themselves.
const QUANTITIES: [&str; 2] = ["sizeLimit", "divisor"];

/// A pod as a subset makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct StandIn {
    /// Where the patch stands.
    pub path: Path,
    /// The pod.
    pub pod: Value,
}

/// Group, kind and name of the workload whose template has to be known to judge the patches; `None` if there are none to judge, or if
/// nobody knows where in such a workload its template stands.
pub fn needed(spec: &WorkloadSpreadSpec) -> Option<[String; 3]> {
    let target = spec.target.as_ref().filter(|_| spec.subsets.iter().any(|subset| subset.patch.is_some()))?;
    let group = group(&target.api_version).filter(|group| is_known(group, &target.kind))?;
    Some([group.to_owned(), target.kind.clone(), target.name.clone()])
}

/// The pods that the patches make of the workload's template, or what is wrong with the patches that make none.
pub fn stand_ins(subsets: &[Subset], workload: &Value) -> Result<Vec<StandIn>, Vec<Error>> {
    let template = workload.pointer("/spec/template").and_then(Value::as_object).cloned().unwrap_or_default();
    let (mut made, mut errors) = (Vec::new(), Vec::new());
    for (index, subset) in subsets.iter().enumerate() {
        let Some(patch) = &subset.patch else { continue };
        let place = Path::new("spec").child("subsets").index(index).child("patch");
        match patched(&template, patch) {
            Ok(spec) => made.push(StandIn { path: place, pod: stand_in(spec, patch, workload) }),
            Err(detail) => errors.push(Error::invalid(&place, &patch.to_string(), detail)),
        }
    }
    if errors.is_empty() { Ok(made) } else { Err(errors) }
}

/// What the API server said of a stand-in, said of the patch. `causes` are field and message of each. What it says of anything but the
/// pod's spec is not the patch's fault.
pub fn from_stand_in(path: &Path, causes: &[(String, String)]) -> Vec<Error> {
    let own = causes.iter().filter_map(|(field, message)| match field.as_str() {
        "" | "spec" => Some(Error::told(path, message)),
        field => Some(Error::told(&path.child(field.strip_prefix("spec.")?), message)),
    });
    own.collect()
}

/// The template's spec after the patch.
fn patched(template: &Map<String, Value>, patch: &Value) -> Result<Map<String, Value>, String> {
    let Value::Object(patch) = patch else { return Err("failed to merge patch: must be an object".to_owned()) };
    let mut merged = template.clone();
    strategic_merge::merge(&mut merged, patch.clone(), POD).map_err(|error| format!("failed to merge patch: {error}"))?;
    let mut spec = merged.shift_remove("spec").unwrap_or_else(|| json!({}));
    write_quantities(&mut spec);
    if let Err(error) = serde_path_to_error::deserialize::<_, PodSpec>(&spec) {
        return Err(format!("failed to unmarshal: spec.{}: {}", error.path(), error.inner()));
    }
    if let Value::Object(spec) = spec { Ok(spec) } else { Err("failed to unmarshal: spec: must be an object".to_owned()) }
}

/// Gives quantities that are numbers the form in which they are stored.
fn write_quantities(value: &mut Value) {
    let write = |quantity: &mut Value| {
        if quantity.is_number() {
            *quantity = Value::String(quantity.to_string());
        }
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::Object(quantities) if OF_QUANTITIES.contains(&name.as_str()) => quantities.values_mut().for_each(write),
                    member if QUANTITIES.contains(&name.as_str()) => write(member),
                    member => write_quantities(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_quantities),
        _ => {}
    }
}

/// The pod without what depends on where it is made: it is asked about in another namespace. Its metadata are not judged.
fn stand_in(mut spec: Map<String, Value>, patch: &Value, workload: &Value) -> Value {
    for member in ["serviceAccountName", "serviceAccount"] {
        spec.shift_remove(member);
    }
    spec.insert("automountServiceAccountToken".to_owned(), json!(false));
    // Whoever makes the pod fills in what belongs to the class.
    if patch.pointer("/spec/priorityClassName").is_some() {
        spec.shift_remove("priority");
    }
    let claims = claims(workload);
    if !claims.is_empty() {
        let volumes = spec.entry("volumes").or_insert(Value::Null);
        let mut all: Vec<_> = volumes.as_array().into_iter().flatten().cloned().collect();
        all.retain(|volume| volume.get("name").and_then(Value::as_str).is_none_or(|name| !claims.contains_key(name)));
        all.extend(claims.into_values());
        *volumes = Value::Array(all);
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "workloadspread-stand-in-"}, "spec": spec})
}

/// The volumes that the workload's controller adds for its claims, by name.
fn claims(workload: &Value) -> BTreeMap<String, Value> {
    let templates = workload.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let names = templates.into_iter().flatten().filter_map(|template| template.pointer("/metadata/name")?.as_str());
    names.map(|name| (name.to_owned(), json!({"name": name, "persistentVolumeClaim": {"claimName": name}}))).collect()
}

#[cfg(test)]
mod tests;
