//! Sets that cannot both be injected into one pod: they name a container alike, define a volume differently, or overwrite one
//! annotation. Stored sets are filed by these names, so that a set is compared with those that share one, not with all.

mod overlap;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{
    api::{SidecarContainer, SidecarSetSpec},
    shape,
};
use crate::base::{go_json, selector::Selector};

pub use overlap::overlap;

/// The names by which sets may be in each other's way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of init containers.
    init_containers: Vec<String>,
    /// Of regular containers.
    containers: Vec<String>,
    /// Of volumes, each with its definition.
    volumes: Vec<(String, Box<str>)>,
    /// Keys of patched annotations, unless they only fill in what the pod lacks; and whether they overwrite.
    annotations: BTreeMap<String, bool>,
}

/// A set, as far as conflicts go.
#[derive(Clone, Copy, Debug)]
pub struct Party<'s> {
    /// Its name.
    pub name: &'s str,
    /// The set that it replaces as a canary.
    pub canary_of: Option<&'s str>,
    /// Which pods.
    pub selector: Option<&'s Selector>,
    /// Which namespaces, or all.
    pub namespaces: Option<&'s Selector>,
    /// What it has.
    pub names: &'s Names,
}

/// What two sets both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// An init container.
    InitContainer,
    /// A regular container.
    Container,
    /// A volume, with two definitions.
    Volume,
    /// An annotation.
    Annotation,
}

/// A name that another set has a claim to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Name of what.
    pub part: Part,
    /// The name.
    pub name: String,
    /// The other set; of several the last one by name.
    pub other: String,
}

impl Names {
    /// Those of a set. Volumes are compared as they are written once tidy, without defaults.
    pub fn of(spec: &SidecarSetSpec) -> Self {
        let names = |list: &Option<Vec<SidecarContainer>>| list.iter().flatten().map(|one| one.name().to_owned()).collect();
        let volumes = spec.volumes.iter().map(|volume| {
            let mut definition = volume.0.clone();
            shape::tidy(shape::VOLUME, &mut definition);
            let mut text = String::new();
            go_json::write_value(&mut text, &Value::Object(definition));
            (volume.name().to_owned(), text.into_boxed_str())
        });
        let mut annotations = BTreeMap::new();
        for patch in &spec.patch_pod_metadata {
            let policy = patch.patch_policy.as_deref().unwrap_or("Retain");
            for key in patch.annotations.keys().filter(|_| policy != "Retain") {
                *annotations.entry(key.clone()).or_default() |= policy == "Overwrite";
            }
        }
        Self { init_containers: names(&spec.init_containers), containers: names(&spec.containers), volumes: volumes.collect(), annotations }
    }

    /// Each name with what decides whether it may be shared.
    fn filed(&self) -> impl Iterator<Item = (Key, Mark)> {
        let init = self.init_containers.iter().map(|name| ((Part::InitContainer, name.clone()), Mark::Alike));
        let regular = self.containers.iter().map(|name| ((Part::Container, name.clone()), Mark::Alike));
        let volumes = self.volumes.iter().map(|(name, definition)| ((Part::Volume, name.clone()), Mark::Defined(definition.clone())));
        let annotations = self.annotations.iter().map(|(key, overwrites)| ((Part::Annotation, key.clone()), Mark::Overwrites(*overwrites)));
        init.chain(regular).chain(volumes).chain(annotations)
    }
}

type Key = (Part, String);

/// What decides whether two sets may share a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Mark {
    /// They may not.
    Alike,
    /// Only if both define the same.
    Defined(Box<str>),
    /// Only if neither overwrites.
    Overwrites(bool),
}

impl Mark {
    fn clashes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Defined(one), Self::Defined(other)) => one != other,
            (Self::Overwrites(one), Self::Overwrites(other)) => *one || *other,
            _ => true,
        }
    }
}

/// Sets by the names that they claim. Those that may share a name with each other lie together, so that a volume that everybody
/// has alike costs nothing.
#[derive(Debug, Default)]
pub struct NameIndex(HashMap<Key, HashMap<Mark, BTreeSet<String>>>);

impl NameIndex {
    /// Files a set, which is not filed yet.
    pub fn insert(&mut self, set: &str, names: &Names) {
        for (key, mark) in names.filed() {
            self.0.entry(key).or_default().entry(mark).or_default().insert(set.to_owned());
        }
    }

    /// Takes out a set that was filed under these names.
    pub fn remove(&mut self, set: &str, names: &Names) {
        for (key, mark) in names.filed() {
            let Some(marks) = self.0.get_mut(&key) else { continue };
            if let Some(sets) = marks.get_mut(&mark) {
                sets.remove(set);
                if sets.is_empty() {
                    marks.remove(&mark);
                }
            }
            if marks.is_empty() {
                self.0.remove(&key);
            }
        }
    }

    /// Whether nothing is filed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The conflicts of a set with those that are filed, in the order of its own names. `stored` finds a set that is filed.
    pub fn conflicts<'s>(&'s self, party: Party<'s>, stored: impl Fn(&str) -> Option<Party<'s>>) -> Vec<Conflict> {
        let mut meets: HashMap<&str, bool> = HashMap::new();
        let mut found = Vec::new();
        for ((part, name), mark) in party.names.filed() {
            let key = (part, name);
            let clashing = self.0.get(&key).into_iter().flatten().filter(|(other, _)| mark.clashes_with(other));
            let others: BTreeSet<&str> = clashing.flat_map(|(_, sets)| sets).map(String::as_str).collect();
            let mut latest_first = others.into_iter().rev();
            let met = latest_first.find(|set| *meets.entry(set).or_insert_with(|| stored(set).is_some_and(|other| party.meets(&other))));
            if let Some(other) = met {
                found.push(Conflict { part, name: key.1, other: other.to_owned() });
            }
        }
        found
    }
}

impl Party<'_> {
    /// Whether both sets may be injected into one pod. A base and its canary never are.
    fn meets(&self, other: &Party<'_>) -> bool {
        let is_canary = self.canary_of == Some(other.name) || other.canary_of == Some(self.name);
        let share = |one: Option<&Selector>, other: Option<&Selector>| one.zip(other).map(|(one, other)| overlap(one, other));
        self.name != other.name
            && !is_canary
            // A set without a namespace selector is in all namespaces, one without a selector in no pod.
            && share(self.namespaces, other.namespaces).unwrap_or(true)
            && share(self.selector, other.selector).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
