//! Spreads, compiled once and filed by namespace.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value, json};

use super::api::{Adaptive, Subset, SubsetStatus, TargetReference, WorkloadSpread, WorkloadSpreadStatus};
use super::crew::Crews;
use crate::base::{
    observed::is_newer,
    selector::{Labels, Selector},
    workload::Owner,
};

/// What of a spread its author decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The workload; `None` if the spread names none that can be meant.
    pub target: Option<Target>,
    /// Which of its pods; all if there is none.
    pub selector: Option<Selector>,
    /// Where in the workload the numbers stand that percentages are of.
    pub paths: Vec<String>,
    /// The places, in the order in which they are filled.
    pub subsets: Vec<Arc<Subset>>,
    /// How pods that find no node are moved on, if they are.
    pub adaptive: Option<Adaptive>,
    /// What subsets patch into metadata is not patched into pods that were there before.
    pub leaves_metadata: bool,
    /// What cannot be used, with its field; empty if all is well.
    pub problems: Vec<String>,
}

/// The workload that a spread is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Its group, without the version, which does not matter.
    pub group: Arc<str>,
    /// The version by which it is named.
    pub version: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// A spread.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What tells it from an earlier spread of its name.
    pub uid: Arc<str>,
    /// The version of the object that this was read from.
    pub resource_version: Box<str>,
    /// The generation of its spec.
    pub generation: Option<i64>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// It is being deleted.
    pub is_terminating: bool,
    /// What its author decides.
    pub rules: Arc<Rules>,
    /// Whether a status was ever written.
    pub has_status: bool,
    /// What was counted, and which places were taken and given back.
    pub status: WorkloadSpreadStatus,
    /// What is known beside that, for claims to look at.
    pub crews: Crews,
}

impl Target {
    fn read(target: &TargetReference) -> Option<Self> {
        let mut parts = target.api_version.split('/');
        let (group, version) = match (parts.next()?, parts.next(), parts.next()) {
            (group, Some(version), None) => (group, version),
            (version, None, None) => ("", version),
            _ => return None,
        };
        Some(Self { group: group.into(), version: version.into(), kind: target.kind.as_str().into(), name: target.name.as_str().into() })
    }

    /// Whether this is the workload that an owner reference means: neither version nor uid matter.
    pub fn is(&self, owner: &Owner) -> bool {
        owner.is(&self.group, &self.kind) && owner.name == self.name
    }

    /// Whether its pods are placed by their ordinals.
    pub fn is_stateful(&self) -> bool {
        &*self.kind == "StatefulSet"
    }

    /// The reference of an owner that is this workload.
    pub fn owner(&self) -> Owner {
        let [group, version, kind, name] = [&self.group, &self.version, &self.kind, &self.name].map(Arc::clone);
        Owner { group, version, kind, name, uid: "".into() }
    }
}

impl Rules {
    /// The subset of this name.
    pub fn subset(&self, name: &str) -> Option<&Arc<Subset>> {
        self.subsets.iter().find(|subset| subset.name == name)
    }

    /// Whether the filter selects a pod with these labels.
    pub fn selects(&self, labels: &impl Labels) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
    }

    /// Whether places need not be counted: there is one subset, and no limit.
    pub fn keeps_no_books(&self) -> bool {
        matches!(&*self.subsets, [only] if only.max_replicas.is_none())
    }

    /// Whether limits depend on how many pods there should be.
    pub fn has_percentages(&self) -> bool {
        self.subsets.iter().any(|subset| matches!(subset.max_replicas, Some(IntOrString::String(_))))
    }
}

/// The limit of a subset of a workload that should have `total` pods; `None` if there is none. A percentage is rounded up; what cannot
/// be read is no room at all.
pub fn limit(subset: &Subset, total: i32) -> Option<i32> {
    Some(match subset.max_replicas.as_ref()? {
        IntOrString::Int(number) => (*number).max(0),
        IntOrString::String(text) => {
            let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok()).unwrap_or_default();
            let share = (i64::from(percent) * i64::from(total.max(0)) + 99) / 100;
            i32::try_from(share).unwrap_or(i32::MAX)
        }
    })
}

impl Spread {
    /// Compiles a spread. What cannot be used is named in [`Rules::problems`] and left out.
    pub fn compile(spread: WorkloadSpread) -> Self {
        let WorkloadSpread { metadata, spec, status } = spread;
        let mut problems = Vec::new();
        let target = spec.target.as_ref().and_then(Target::read);
        if target.is_none() {
            problems.push("spec.targetRef: names no workload".to_owned());
        }
        let filter = spec.target_filter.unwrap_or_default();
        let selector = filter.selector.as_ref().and_then(|selector| match Selector::compile(selector) {
            Ok(selector) => Some(selector),
            Err(problem) => {
                problems.push(format!("spec.targetFilter.selector.{problem}"));
                None
            }
        });
        // Nobody knows which pods are meant: none are placed.
        let target = target.filter(|_| filter.selector.is_none() || selector.is_some());
        let leaves_metadata = metadata.annotations.as_ref().and_then(|all| all.get(super::keys::IGNORE_METADATA));
        let adaptive = spec.schedule_strategy.adaptive.filter(|_| spec.schedule_strategy.kind == "Adaptive");
        let rules = Rules {
            target,
            selector,
            paths: filter.replicas_path_list,
            subsets: spec.subsets.into_iter().map(Arc::new).collect(),
            adaptive: adaptive.filter(|adaptive| adaptive.reschedule_critical_seconds.is_some_and(|seconds| seconds > 0)),
            leaves_metadata: leaves_metadata.is_some_and(|value| value.eq_ignore_ascii_case("true")),
            problems,
        };
        Self {
            namespace: metadata.namespace.unwrap_or_default().into(),
            name: metadata.name.unwrap_or_default().into(),
            uid: metadata.uid.unwrap_or_default().into(),
            resource_version: metadata.resource_version.unwrap_or_default().into(),
            generation: metadata.generation,
            created: metadata.creation_timestamp.map(|time| time.0),
            is_terminating: metadata.deletion_timestamp.is_some(),
            rules: Arc::new(rules),
            has_status: status.is_some(),
            status: status.unwrap_or_default(),
            crews: Crews::default(),
        }
    }

    /// Whether this is a later version of the same spread, or another one.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.uid != other.uid || is_newer(&self.resource_version, &other.resource_version)
    }

    /// What `before` has to be patched with to become this, as far as claims change it: the arrays of revisions. Refused by the API
    /// server if the object has changed since `before` was read.
    pub fn claim_patch(&self, before: &Self) -> Value {
        let known = &before.status.versioned_subset_statuses;
        let arrays = &self.status.versioned_subset_statuses;
        let changed: Map<String, Value> =
            arrays.iter().filter(|(revision, array)| known.get(*revision) != Some(array)).map(|(k, v)| (k.clone(), json!(v))).collect();
        json!({"metadata": {"resourceVersion": &*before.resource_version, "uid": &*before.uid}, "status": {"versionedSubsetStatuses": changed}})
    }

    /// The array of a revision that nothing is known of yet. Pods are not counted: their notes and the reconciler do that.
    pub fn initial(&self, total: i32) -> Vec<SubsetStatus> {
        let of = |subset: &Arc<Subset>| SubsetStatus {
            name: subset.name.clone(),
            missing_replicas: limit(subset, total).unwrap_or(super::keys::UNLIMITED),
            ..SubsetStatus::default()
        };
        self.rules.subsets.iter().map(of).collect()
    }
}

/// All spreads.
#[derive(Debug, Default)]
pub struct Spreads {
    by_namespace: HashMap<Arc<str>, BTreeMap<Arc<str>, Arc<Spread>>>,
}

impl Spreads {
    /// The spread of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Spread>> {
        self.by_namespace.get(namespace)?.get(name)
    }

    /// All spreads of a namespace, by name.
    pub fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Spread>> {
        self.by_namespace.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether a namespace has any.
    pub fn is_any_in(&self, namespace: &str) -> bool {
        self.by_namespace.contains_key(namespace)
    }

    /// All spreads.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Spread>> {
        self.by_namespace.values().flat_map(BTreeMap::values)
    }

    /// Takes in a spread; what is not newer than what is known is passed over. Gives what was known before, and says whether
    /// something has changed.
    pub fn apply(&mut self, spread: Spread) -> (Option<Arc<Spread>>, bool) {
        let known = self.get(&spread.namespace, &spread.name).cloned();
        // Objects from files have no versions.
        let is_old = known.as_ref().is_some_and(|known| !spread.resource_version.is_empty() && !spread.is_newer_than(known));
        if !is_old {
            self.replace(spread);
        }
        (known, !is_old)
    }

    /// Puts a spread in place of what is known of it, whatever the versions.
    pub fn replace(&mut self, spread: Spread) {
        let spreads = self.by_namespace.entry(Arc::clone(&spread.namespace)).or_default();
        spreads.insert(Arc::clone(&spread.name), Arc::new(spread));
    }

    /// Takes in the answer to a request of ours. A spread that is gone by now, or another one, stays so.
    pub fn assume(&mut self, spread: Spread) -> bool {
        let is_known = self.get(&spread.namespace, &spread.name).is_some_and(|known| known.uid == spread.uid);
        is_known && self.apply(spread).1
    }

    /// Forgets a spread.
    pub fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<Spread>> {
        let spreads = self.by_namespace.get_mut(namespace)?;
        let gone = spreads.remove(name);
        if spreads.is_empty() {
            self.by_namespace.remove(namespace);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_rounded_up_and_nonsense_is_no_room() {
        let of = |max: Value, total| {
            let subset: Subset = serde_json::from_value(json!({"name": "a", "maxReplicas": max})).unwrap();
            limit(&subset, total)
        };
        assert_eq!(
            [of(json!("15%"), 7), of(json!("1%"), 7), of(json!("0%"), 7), of(json!("100%"), 0)],
            [Some(2), Some(1), Some(0), Some(0)]
        );
        assert_eq!([of(json!("30"), 7), of(json!("%30%"), 7), of(json!(-1), 7), of(json!(null), 7)], [Some(0), Some(0), Some(0), None]);
        assert_eq!(of(json!("4294967295%"), i32::MAX), Some(i32::MAX));
        assert_eq!(of(json!("50%"), -1), Some(0));
    }
}
