//! Budgets, compiled once and filed by namespace.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::LabelSelector, apimachinery::pkg::util::intstr::IntOrString};
use serde_json::{Value, json};

use super::{
    api::{PodUnavailableBudget, PodUnavailableBudgetStatus, TargetReference},
    keys::{ENFORCING, PROTECT_OPERATIONS, PROTECT_TOTAL},
    overlap::Asked,
};
use crate::base::{
    observed::is_newer,
    selector::{Labels, Selector},
    workload::Owner,
};

/// What a pod can be guarded against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Its deletion.
    Delete,
    /// A change that may restart it.
    Update,
    /// Its eviction.
    Evict,
    /// A change of its resources that it takes in place.
    Resize,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Delete, Self::Update, Self::Evict, Self::Resize];

    /// The operation as budgets write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Update => "UPDATE",
            Self::Evict => "EVICT",
            Self::Resize => "RESIZE",
        }
    }

    /// The operation of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// How many pods are needed, as the budget says it.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// At most this many may be unavailable.
    MaxUnavailable(IntOrString),
    /// At least this many must be available.
    MinAvailable(IntOrString),
    /// Nothing is said: none.
    Nothing,
}

/// What of a budget its author decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Which pods it guards; `None` if it names a workload, or nothing that can be used. Never an empty selector.
    pub selector: Option<Selector>,
    /// What `selector` asks, label by label, as conflicts between budgets are found.
    pub asked: Option<Asked>,
    /// The workload whose pods it guards. Goes before `selector`.
    pub target: Option<TargetReference>,
    /// How many pods are needed.
    pub need: Need,
    /// What it guards against. A resize goes with updates where the gate for resizes is off ([`Rules::guards_against`]).
    pub operations: Vec<Operation>,
    /// How many pods there should be, if the author says so.
    pub total: Option<i32>,
    /// Pods that are counted but not guarded; never an empty selector.
    pub ignored: Option<Selector>,
    /// What cannot be used, with its field; empty if all is well.
    pub problems: Vec<String>,
}

/// A budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What tells it from an earlier budget of its name.
    pub uid: Arc<str>,
    /// The version of the object that this was read from.
    pub resource_version: Box<str>,
    /// The generation of its spec.
    pub generation: Option<i64>,
    /// It is being deleted.
    pub is_terminating: bool,
    /// What its author decides.
    pub rules: Arc<Rules>,
    /// Whether a status was ever written.
    pub has_status: bool,
    /// What was counted, and which disruptions were admitted.
    pub status: PodUnavailableBudgetStatus,
}

impl Budget {
    /// Compiles a budget. What cannot be used is named in [`Rules::problems`] and left out.
    pub fn compile(budget: PodUnavailableBudget) -> Self {
        let PodUnavailableBudget { metadata, spec, status } = budget;
        let annotation = |key: &str| metadata.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
        let operations_said = annotation(PROTECT_OPERATIONS).filter(|_| spec.protect_operations.is_empty());
        let total_said = annotation(PROTECT_TOTAL).filter(|_| spec.protect_total_replicas.is_none());
        let mut problems = odd_annotations(operations_said, total_said);
        let mut compiled = |field: &str, selector: Option<&LabelSelector>| match Selector::compile(selector?) {
            Ok(selector) => Some(selector).filter(|selector| !selector.is_empty()),
            Err(problem) => {
                problems.push(format!("{field}.{problem}"));
                None
            }
        };
        let rules = Rules {
            selector: compiled("spec.selector", spec.selector.as_ref()),
            asked: spec.selector.as_ref().and_then(Asked::of),
            ignored: compiled("spec.ignoredPodSelector", spec.ignored_pod_selector.as_ref()),
            target: spec.target_ref,
            need: match (spec.max_unavailable, spec.min_available) {
                (Some(most), _) => Need::MaxUnavailable(most),
                (None, Some(least)) => Need::MinAvailable(least),
                (None, None) => Need::Nothing,
            },
            operations: operations(&spec.protect_operations, operations_said),
            total: spec.protect_total_replicas.or_else(|| total_said?.trim().parse().ok()).filter(|total| *total > 0),
            problems,
        };
        Self {
            namespace: metadata.namespace.unwrap_or_default().into(),
            name: metadata.name.unwrap_or_default().into(),
            uid: metadata.uid.unwrap_or_default().into(),
            resource_version: metadata.resource_version.unwrap_or_default().into(),
            generation: metadata.generation,
            is_terminating: metadata.deletion_timestamp.is_some(),
            rules: Arc::new(rules),
            has_status: status.is_some(),
            status: status.unwrap_or_default(),
        }
    }

    /// Whether the status speaks of the present spec.
    pub fn is_observed(&self) -> bool {
        self.has_status && self.generation.unwrap_or_default() <= self.status.observed_generation.unwrap_or_default()
    }

    /// Whether it guards all that it selects, as far as its status says.
    pub fn is_enforcing(&self) -> bool {
        self.status.conditions.iter().all(|condition| condition.type_ != ENFORCING || condition.status != "False")
    }

    /// The patch that turns the stored status `before` into this one, and is refused if the budget has changed meanwhile. Conditions and
    /// counts that did not change are not written.
    pub fn claim_patch(&self, before: &Self) -> Value {
        let records = |after: &BTreeMap<String, Timestamp>, before: &BTreeMap<String, Timestamp>| {
            let new = after.iter().filter(|(pod, at)| before.get(*pod) != Some(at));
            Value::Object(new.map(|(pod, at)| (pod.clone(), json!(at))).collect())
        };
        json!({
            "metadata": {"resourceVersion": &*before.resource_version, "uid": &*before.uid},
            "status": {
                "unavailableAllowed": self.status.unavailable_allowed,
                "disruptedPods": records(&self.status.disrupted_pods, &before.status.disrupted_pods),
                "unavailablePods": records(&self.status.unavailable_pods, &before.status.unavailable_pods),
            },
        })
    }

    /// Whether this is a later version of the same budget.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.uid != other.uid || is_newer(&self.resource_version, &other.resource_version)
    }
}

impl Rules {
    /// Whether a pod is guarded: by its labels, or because one of those that it belongs to is the workload that is named.
    /// `owners` goes from the pod's controller upwards.
    pub fn selects<'o>(&self, labels: &impl Labels, owners: impl IntoIterator<Item = &'o Owner>) -> bool {
        match &self.target {
            Some(target) => owners.into_iter().any(|owner| target.is(owner)),
            None => self.selector.as_ref().is_some_and(|selector| selector.matches(labels)),
        }
    }

    /// Whether the operation is one of those that it guards against. Without the gate for resizes in place, a resize is an update.
    pub fn guards_against(&self, operation: Operation, resize_is_its_own: bool) -> bool {
        let is_update = operation == Operation::Resize && !resize_is_its_own && self.operations.contains(&Operation::Update);
        is_update || self.operations.contains(&operation)
    }
}

impl TargetReference {
    /// API group and version; the group is empty for the core one.
    pub fn group_and_version(&self) -> (&str, &str) {
        self.api_version.split_once('/').unwrap_or(("", &self.api_version))
    }

    /// Whether the group and version are ones, as far as their form goes.
    pub fn is_well_formed(&self) -> bool {
        self.api_version.matches('/').count() <= 1
    }

    /// Whether both mean one workload: the versions by which they name it do not matter.
    pub fn names_the_same(&self, other: &Self) -> bool {
        let [mine, theirs] = [self, other].map(|one| (one.group_and_version().0, &one.kind, &one.name));
        self.is_well_formed() && other.is_well_formed() && mine == theirs
    }

    /// Whether that object is meant: the version by which it is named does not matter.
    pub fn is(&self, owner: &Owner) -> bool {
        self.group_and_version().0 == &*owner.group && self.kind == *owner.kind && self.name == *owner.name
    }
}

/// The operations of a budget: those of its spec, else those of the annotation, else what goes without saying.
fn operations(spec: &[String], annotation: Option<&str>) -> Vec<Operation> {
    let spec: Vec<_> = spec.iter().filter_map(|name| Operation::of(name)).collect();
    let names: Vec<_> = annotation.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if !spec.is_empty() {
        spec
    } else if names.is_empty() {
        vec![Operation::Delete, Operation::Update, Operation::Evict]
    } else {
        names.into_iter().filter_map(Operation::of).collect()
    }
}

/// What annotations say that cannot be used, of those that stand in for members of the spec.
fn odd_annotations(operations: Option<&str>, total: Option<&str>) -> Vec<String> {
    let names = operations.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let unknown = names.filter(|name| Operation::of(name).is_none());
    let unknown = unknown.map(|name| format!("metadata.annotations[{PROTECT_OPERATIONS}]: there is no operation `{name}`"));
    let is_odd = |text: &&str| !text.is_empty() && text.trim().parse::<i32>().map_or(true, |total| total < 1);
    let total =
        total.filter(is_odd).map(|text| format!("metadata.annotations[{PROTECT_TOTAL}]: expected a number of pods, found `{text}`"));
    unknown.chain(total).collect()
}

/// All budgets.
#[derive(Debug, Default)]
pub struct Budgets {
    /// In order of their names, so that everybody takes in the same order.
    by_namespace: HashMap<Arc<str>, BTreeMap<Arc<str>, Arc<Budget>>>,
    /// How many say that they do not guard all that they select.
    not_enforcing: usize,
}

impl Budgets {
    /// The budget of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Budget>> {
        self.by_namespace.get(namespace)?.get(name)
    }

    /// All budgets of a namespace, by name.
    pub fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Budget>> {
        self.by_namespace.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// All budgets.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Budget>> {
        self.by_namespace.values().flat_map(BTreeMap::values)
    }

    /// Takes in a budget; what is not newer than what is known is passed over. Gives what was known before, and says whether
    /// something has changed.
    pub fn apply(&mut self, budget: Budget) -> (Option<Arc<Budget>>, bool) {
        let known = self.get(&budget.namespace, &budget.name).cloned();
        // Objects from files have no versions.
        let is_old = known.as_ref().is_some_and(|known| !budget.resource_version.is_empty() && !budget.is_newer_than(known));
        if !is_old {
            self.count(known.as_deref(), Some(&budget));
            self.replace(budget);
        }
        (known, !is_old)
    }

    /// Puts a budget in place of what is known of it, whatever the versions.
    pub fn replace(&mut self, budget: Budget) {
        let budgets = self.by_namespace.entry(Arc::clone(&budget.namespace)).or_default();
        budgets.insert(Arc::clone(&budget.name), Arc::new(budget));
    }

    /// Takes in the answer to a request of ours. A budget that is gone by now, or another one, stays so.
    pub fn assume(&mut self, budget: Budget) -> bool {
        let is_known = self.get(&budget.namespace, &budget.name).is_some_and(|known| known.uid == budget.uid);
        is_known && self.apply(budget).1
    }

    /// Forgets a budget.
    pub fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<Budget>> {
        let budgets = self.by_namespace.get_mut(namespace)?;
        let gone = budgets.remove(name);
        if budgets.is_empty() {
            self.by_namespace.remove(namespace);
        }
        self.count(gone.as_deref(), None);
        gone
    }

    /// How many budgets say that they do not guard all that they select.
    pub fn not_enforcing(&self) -> usize {
        self.not_enforcing
    }

    fn count(&mut self, before: Option<&Budget>, now: Option<&Budget>) {
        let count = |budget: Option<&Budget>| usize::from(budget.is_some_and(|budget| !budget.is_enforcing()));
        self.not_enforcing = (self.not_enforcing + count(now)).saturating_sub(count(before));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rules(annotations: &Value, spec: &Value) -> Rules {
        let budget = json!({"apiVersion": "policy.kruise.io/v1beta1", "kind": "PodUnavailableBudget", "metadata": {"name": "a", "annotations": annotations}, "spec": spec});
        let budget = Budget::compile(serde_json::from_value(budget).unwrap());
        (*budget.rules).clone()
    }

    #[test]
    fn annotations_stand_in_for_members_that_the_spec_does_not_have() {
        let annotations = json!({PROTECT_OPERATIONS: " EVICT ,UPDATE", PROTECT_TOTAL: "5"});
        let of_annotations = rules(&annotations, &json!({}));
        assert_eq!((of_annotations.operations, of_annotations.total), (vec![Operation::Evict, Operation::Update], Some(5)));
        let of_spec = rules(&annotations, &json!({"protectOperations": ["DELETE"], "protectTotalReplicas": 7}));
        assert_eq!((of_spec.operations, of_spec.total), (vec![Operation::Delete], Some(7)));
        let of_nothing = rules(&json!({}), &json!({}));
        assert_eq!((of_nothing.operations, of_nothing.total), (vec![Operation::Delete, Operation::Update, Operation::Evict], None));
    }

    #[test]
    fn what_an_annotation_says_in_vain_is_a_problem() {
        let odd = json!({PROTECT_OPERATIONS: "EVICT,DRAIN", PROTECT_TOTAL: "-3"});
        let said = [
            "metadata.annotations[kruise.io/pub-protect-operations]: there is no operation `DRAIN`",
            "metadata.annotations[pub.kruise.io/protect-total-replicas]: expected a number of pods, found `-3`",
        ];
        assert_eq!(rules(&odd, &json!({})).problems, said);
        assert_eq!(rules(&odd, &json!({"protectOperations": ["EVICT"], "protectTotalReplicas": 3})).problems, [""; 0]);
        assert_eq!(rules(&json!({PROTECT_OPERATIONS: "", PROTECT_TOTAL: ""}), &json!({})).problems, [""; 0]);
    }

    #[test]
    fn a_target_is_the_same_whatever_the_version() {
        let target = |api_version: &str, name: &str| TargetReference {
            api_version: api_version.to_owned(),
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
        };
        assert!(target("apps/v1", "a").names_the_same(&target("apps/v1beta1", "a")));
        assert!(!target("apps/v1", "a").names_the_same(&target("apps/v1", "b")));
        // Without a slash it is a version of the core group.
        assert!(!target("apps/v1", "a").names_the_same(&target("apps", "a")));
        assert!(!target("a/b/c", "a").names_the_same(&target("a/b/c", "a")));
    }
}
