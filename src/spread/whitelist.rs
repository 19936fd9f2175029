//! Which workloads of other kinds may be spread, and where they say how many pods they should have: the whitelist that the owner of the
//! cluster keeps in a `ConfigMap`. (reference: `workloadspread.md` §4.2)
//!
//! Its keys may be written in any letters: Go's decoder never minded, and lists in the field make use of that.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Its member of the `ConfigMap` `kruise-configuration`, in our own namespace.
pub const MEMBER: &str = "WorkloadSpread_Watch_Custom_Workload_WhiteList";

/// The whitelist as it stands; empty if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whitelist {
    workloads: Vec<Workload>,
    problem: Option<String>,
}

/// A kind of workloads that may be spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Workload {
    kind: GroupKind,
    /// Kinds that stand between it and its pods.
    between: Vec<GroupKind>,
    replicas_path: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct GroupKind {
    group: String,
    kind: String,
}

impl GroupKind {
    fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

impl Whitelist {
    /// Reads it from the `ConfigMap`'s `data`. One that cannot be read allows nothing, and says why.
    pub fn of(data: &BTreeMap<String, String>) -> Self {
        let Some(text) = data.get(MEMBER) else { return Self::default() };
        let read = serde_json::from_str(text).map_err(|error| error.to_string()).and_then(|document| read(&document));
        match read {
            Ok(workloads) => Self { workloads, problem: None },
            Err(problem) => Self { workloads: Vec::new(), problem: Some(format!("{MEMBER}: {problem}")) },
        }
    }

    /// Why it cannot be read, if it cannot.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Whether such workloads may be spread.
    pub fn is_target(&self, group: &str, kind: &str) -> bool {
        self.workload(group, kind).is_some()
    }

    /// Whether such objects lead from a pod to its workload: they are one, or stand in between.
    pub fn is_walkable(&self, group: &str, kind: &str) -> bool {
        self.is_target(group, kind) || self.workloads.iter().flat_map(|workload| &workload.between).any(|between| between.is(group, kind))
    }

    /// Where such workloads say how many pods they should have, as `spec.workers.replicas`; `None` if the list does not say.
    pub fn replicas_path(&self, group: &str, kind: &str) -> Option<&str> {
        self.workload(group, kind).map(|workload| workload.replicas_path.as_str()).filter(|path| !path.is_empty())
    }

    fn workload(&self, group: &str, kind: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.kind.is(group, kind))
    }
}

fn read(document: &Value) -> Result<Vec<Workload>, String> {
    let members = object(document, ".")?;
    let workloads = list(members, "workloads", "")?;
    workloads.iter().enumerate().map(|(index, workload)| workload_of(workload, &format!("workloads[{index}]"))).collect()
}

fn workload_of(value: &Value, path: &str) -> Result<Workload, String> {
    let members = object(value, path)?;
    let between = list(members, "subResources", path)?.iter().enumerate();
    let between = between.map(|(index, kind)| {
        let path = format!("{path}.subResources[{index}]");
        kind_of(object(kind, &path)?, &path)
    });
    Ok(Workload {
        kind: kind_of(members, path)?,
        between: between.collect::<Result<_, _>>()?,
        replicas_path: text(members, "replicasPath", path)?,
    })
}

fn kind_of(members: &Map<String, Value>, path: &str) -> Result<GroupKind, String> {
    Ok(GroupKind { group: text(members, "group", path)?, kind: text(members, "kind", path)? })
}

/// A member, in whatever letters its name is written; the last one, if there are several.
fn member<'v>(members: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    members.iter().rfind(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null()).map(|(_, value)| value)
}

fn object<'v>(value: &'v Value, path: &str) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{path}: expected an object"))
}

fn list<'v>(members: &'v Map<String, Value>, name: &str, path: &str) -> Result<&'v [Value], String> {
    let Some(value) = member(members, name) else { return Ok(&[]) };
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{}: expected a list", at(path, name)))
}

fn text(members: &Map<String, Value>, name: &str, path: &str) -> Result<String, String> {
    let Some(value) = member(members, name) else { return Ok(String::new()) };
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{}: expected a string", at(path, name)))
}

fn at(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests;
