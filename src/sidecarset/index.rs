//! All sets, found by what a pod must have to be selected: its namespace and one label.
//!
//! A pod costs what it matches, not what exists (DESIGN §5.3). A set lies once for each namespace that it is bound to by
//! name, or once among the cluster-wide ones; there, under each value of one label that its selector requires, or, if it
//! requires none, among the few that are always looked at.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{
    api::SidecarSet,
    conflict::{Conflict, NameIndex, Names, Party},
    content::Content,
    default,
    keys::{CANARY, CANARY_BASE},
    revision::{Revision, Revisions, restore},
    select::{Choice, PinError, Recorded},
};
use crate::base::{
    pod::Pairs,
    selector::{Selector, SelectorError},
};

/// Label that every namespace has, with its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// A set, ready to be matched and injected.
#[derive(Debug)]
pub struct Entry {
    /// Name of the set.
    pub name: String,
    /// What tells it from an earlier one of its name.
    pub uid: String,
    /// Which pods; a set that names none selects none.
    pub selector: Option<Selector>,
    /// Which namespaces, or all of them.
    pub namespaces: Option<Selector>,
    /// New pods are not injected.
    pub is_paused: bool,
    /// The set that this one replaces as a canary, where both match.
    pub canary_of: Option<String>,
    /// Which content a pod gets.
    pub choice: Choice,
    /// What the set adds now.
    pub content: Content,
    /// What the set added in the revision that its injection strategy names.
    pub pinned: Option<Result<Content, PinError>>,
    /// By what it may be in the way of other sets.
    pub(super) names: Names,
    /// Names of the namespaces that the set is bound to, `None` for all.
    bound_to: Option<Vec<String>>,
    /// Kept to restore revisions from, for sets that name one.
    object: Option<Box<SidecarSet>>,
}

/// A stored set that cannot be used, which its admission should have refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("SidecarSet {set}: {field}.{source}")]
pub struct SetError {
    /// Name of the set.
    pub set: String,
    /// The field.
    pub field: &'static str,
    /// What is wrong there.
    pub source: SelectorError,
}

impl SetError {
    /// The compiled selector of a field, if the set has one there.
    pub(super) fn or_selector(set: &str, field: &'static str, selector: Option<&LabelSelector>) -> Result<Option<Selector>, Self> {
        let problem = |source| Self { set: set.to_owned(), field, source };
        selector.map(Selector::compile).transpose().map_err(problem)
    }
}

impl Entry {
    /// Compiles a set. One that has not been through the defaulting webhook (it carries no hash) is given its defaults.
    pub fn compile(mut set: SidecarSet, revisions: &Revisions) -> Result<Self, SetError> {
        let annotation = |set: &SidecarSet, key: &str| set.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned();
        default::complete(&mut set);
        let name = set.metadata.name.clone().unwrap_or_default();
        let compile = |field, selector: &Option<LabelSelector>| SetError::or_selector(&name, field, selector.as_ref());
        let selector = compile("spec.selector", &set.spec.selector)?;
        let namespaces = compile("spec.namespaceSelector", &set.spec.namespace_selector)?;
        let is_canary = annotation(&set, CANARY).as_deref() == Some("true");
        let choice = Choice::of(&set.spec);
        let is_pinned = choice != Choice::Current;
        let mut entry = Self {
            selector: selector.filter(|selector| !selector.is_empty()),
            namespaces,
            is_paused: set.spec.injection_strategy.paused,
            uid: set.metadata.uid.clone().unwrap_or_default(),
            canary_of: annotation(&set, CANARY_BASE).filter(|base| is_canary && !base.is_empty()),
            choice,
            content: Content::of(&set),
            pinned: None,
            names: Names::of(&set.spec),
            bound_to: set.spec.namespace_selector.as_ref().and_then(bound_namespaces),
            object: is_pinned.then(|| Box::new(set)),
            name,
        };
        entry.pin(revisions);
        Ok(entry)
    }

    /// Finds the content of the named revision (again).
    fn pin(&mut self, revisions: &Revisions) {
        self.pinned = self.object.as_deref().map(|set| {
            let revision = self.choice.named(&self.name, revisions)?;
            let restored =
                restore(set, revision).map_err(|error| PinError::Broken { set: self.name.clone(), problem: error.to_string() })?;
            Ok(Content::of(&restored))
        });
    }

    /// The name of the revision that is asked for.
    fn revision_name(&self) -> Option<&str> {
        match &self.choice {
            Choice::Recorded { revision: Recorded::Name(name), .. } => Some(name),
            _ => None,
        }
    }

    /// Whether this custom version is asked for.
    fn asks_for_version(&self, given: Option<&str>) -> bool {
        matches!(&self.choice, Choice::Recorded { revision: Recorded::CustomVersion(version), .. } if Some(version.as_str()) == given)
    }

    /// The set, as far as conflicts with others go.
    pub fn party(&self) -> Party<'_> {
        Party {
            name: &self.name,
            canary_of: self.canary_of.as_deref(),
            selector: self.selector.as_ref(),
            namespaces: self.namespaces.as_ref(),
            names: &self.names,
        }
    }

    /// A copy that speaks of the revisions as they are now, for sets that name one.
    fn repinned(&self, revisions: &Revisions) -> Option<Self> {
        let set = self.object.as_deref()?.clone();
        Self::compile(set, revisions).ok()
    }
}

/// The namespaces that a selector binds a set to by their names. (`pkg/util/fieldindex/register.go` of the reference)
fn bound_namespaces(selector: &LabelSelector) -> Option<Vec<String>> {
    if let Some(name) = selector.match_labels.as_ref().and_then(|labels| labels.get(NAMESPACE_NAME)) {
        return Some(vec![name.clone()]);
    }
    let mut expressions = selector.match_expressions.iter().flatten();
    let by_name = expressions.find(|expression| expression.key == NAMESPACE_NAME && expression.operator == "In");
    by_name.map(|expression| expression.values.iter().flatten().cloned().collect::<BTreeSet<_>>().into_iter().collect())
}

/// All sets of a cluster.
#[derive(Debug, Default)]
pub struct SetIndex {
    by_name: BTreeMap<String, Arc<Entry>>,
    by_namespace: HashMap<String, Bucket>,
    cluster_wide: Bucket,
    /// Sets that ask for a revision by its name, by that name.
    by_revision: HashMap<String, BTreeSet<String>>,
    names: NameIndex,
}

/// Sets of one scope, by one label each.
#[derive(Debug, Default)]
struct Bucket {
    by_label: HashMap<String, HashMap<String, Vec<Arc<Entry>>>>,
    always: Vec<Arc<Entry>>,
}

impl SetIndex {
    /// Takes in a new or changed set.
    pub fn insert(&mut self, entry: Entry) {
        self.remove(&entry.name.clone());
        let entry = Arc::new(entry);
        self.names.insert(&entry.name, &entry.names);
        if let Some(revision) = entry.revision_name() {
            self.by_revision.entry(revision.to_owned()).or_default().insert(entry.name.clone());
        }
        match &entry.bound_to {
            Some(namespaces) => {
                for namespace in namespaces {
                    self.by_namespace.entry(namespace.clone()).or_default().insert(&entry);
                }
            }
            None => self.cluster_wide.insert(&entry),
        }
        self.by_name.insert(entry.name.clone(), entry);
    }

    /// Forgets a set. Says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(entry) = self.by_name.remove(name) else { return false };
        if let Some(revision) = entry.revision_name()
            && let Some(sets) = self.by_revision.get_mut(revision)
        {
            sets.remove(name);
            if sets.is_empty() {
                self.by_revision.remove(revision);
            }
        }
        self.names.remove(name, &entry.names);
        match &entry.bound_to {
            Some(namespaces) => {
                for namespace in namespaces {
                    if let Some(bucket) = self.by_namespace.get_mut(namespace) {
                        bucket.remove(&entry);
                        if bucket.is_empty() {
                            self.by_namespace.remove(namespace);
                        }
                    }
                }
            }
            None => self.cluster_wide.remove(&entry),
        }
        true
    }

    /// Finds the contents of named revisions again, where these revisions may be meant: ones that came or went. Of one that changed,
    /// both what it was and what it is have to be told.
    pub fn repin<'r>(&mut self, changed: impl IntoIterator<Item = &'r Revision>, revisions: &Revisions) {
        let mut sets = BTreeSet::new();
        for revision in changed {
            sets.extend(self.by_revision.get(&revision.name).into_iter().flatten().cloned());
            // A custom version is always one of the set's own revisions.
            let owner = revision.set_name.as_ref().and_then(|set| self.by_name.get(set));
            sets.extend(owner.filter(|entry| entry.asks_for_version(revision.custom_version.as_deref())).map(|entry| entry.name.clone()));
        }
        self.repin_sets(sets, revisions);
    }

    /// Finds the contents of all named revisions again: any of them may have come or gone.
    pub fn repin_all(&mut self, revisions: &Revisions) {
        let pinned = self.by_name.values().filter(|entry| entry.pinned.is_some()).map(|entry| entry.name.clone()).collect();
        self.repin_sets(pinned, revisions);
    }

    fn repin_sets(&mut self, names: BTreeSet<String>, revisions: &Revisions) {
        for name in names {
            if let Some(entry) = self.by_name.get(&name).and_then(|entry| entry.repinned(revisions)) {
                self.insert(entry);
            }
        }
    }

    /// The sets that may select a pod with these labels in this namespace, in the order in which they apply: those bound
    /// to the namespace by name, then the others, each group by name. (The reference leaves the order inside a group open.)
    pub fn candidates(&self, namespace: &str, labels: &Pairs<'_>) -> Vec<&Arc<Entry>> {
        let mut found = Vec::new();
        if let Some(bucket) = self.by_namespace.get(namespace) {
            bucket.collect(labels, &mut found);
        }
        let bound = found.len();
        self.cluster_wide.collect(labels, &mut found);
        let (first, second) = found.split_at_mut(bound);
        first.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        second.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// All sets, in the order in which they would apply to pods of this namespace.
    pub fn all(&self, namespace: &str) -> Vec<&Arc<Entry>> {
        let is_bound = |entry: &Entry| entry.bound_to.as_ref().is_some_and(|names| names.iter().any(|name| name == namespace));
        let (mut first, second): (Vec<_>, Vec<_>) = self.by_name.values().partition(|entry| is_bound(entry));
        first.extend(second);
        first
    }

    /// The set of this name.
    pub fn by_name(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|entry| &**entry)
    }

    /// With which stored sets this one cannot be. Looks only at those that share a name with it.
    pub fn conflicts<'s>(&'s self, party: Party<'s>) -> Vec<Conflict> {
        self.names.conflicts(party, |name| self.by_name(name).map(Entry::party))
    }

    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl Bucket {
    fn insert(&mut self, entry: &Arc<Entry>) {
        let Some(selector) = &entry.selector else { return };
        let Some((key, values)) = index_label(selector) else { return self.always.push(Arc::clone(entry)) };
        let by_value = self.by_label.entry(key.to_owned()).or_default();
        for value in values.iter().collect::<BTreeSet<_>>() {
            by_value.entry(value.clone()).or_default().push(Arc::clone(entry));
        }
    }

    fn remove(&mut self, entry: &Arc<Entry>) {
        let Some(selector) = &entry.selector else { return };
        let Some((key, values)) = index_label(selector) else { return self.always.retain(|other| !Arc::ptr_eq(other, entry)) };
        let Some(by_value) = self.by_label.get_mut(key) else { return };
        for value in values {
            if let Some(entries) = by_value.get_mut(value) {
                entries.retain(|other| !Arc::ptr_eq(other, entry));
                if entries.is_empty() {
                    by_value.remove(value);
                }
            }
        }
        if by_value.is_empty() {
            self.by_label.remove(key);
        }
    }

    fn is_empty(&self) -> bool {
        self.by_label.is_empty() && self.always.is_empty()
    }

    fn collect<'i>(&'i self, labels: &Pairs<'_>, found: &mut Vec<&'i Arc<Entry>>) {
        found.extend(&self.always);
        if self.by_label.is_empty() {
            return;
        }
        for (key, value) in labels.iter() {
            if let Some(entries) = self.by_label.get(key).and_then(|by_value| by_value.get(value)) {
                found.extend(entries);
            }
        }
    }
}

/// The label to file a selector under: the one with the fewest values, and of those the longest text, since a longer
/// value is more likely to be one workload's own (`app=checkout-api` rather than `env=prod`).
fn index_label(selector: &Selector) -> Option<(&str, &[String])> {
    let length = |values: &[String]| values.iter().map(String::len).sum::<usize>();
    selector.required().min_by_key(|(_, values)| (values.len(), usize::MAX - length(values)))
}

#[cfg(test)]
mod tests;
