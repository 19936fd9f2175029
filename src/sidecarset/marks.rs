//! What the annotations of an injected pod say of its sets, kept small: ten thousand pods say much the same.
//!
//! Everything that a rollout writes again is kept, so that no pod has to be read before it is changed.
//! (`pkg/control/sidecarcontrol/util.go`: `SidecarSetUpgradeSpec`, `pkg/util/inplaceupdate`: the shape of the state)

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    keys::{HASH, HASH_WITHOUT_IMAGE, IN_PLACE_STATE, INJECTED_LIST, UPGRADABLE, VERSION_PREFIX, WORKING_HOT_UPGRADE},
    notes,
};
use crate::base::{decode::or_default, go_json, interned::Interner, observed::Wire};

/// What a pod says of its sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The sets that were injected, in the order of the annotation.
    pub sets: Box<[Arc<str>]>,
    /// What was injected of each, by set.
    pub notes: Box<[Note]>,
    /// The same without images: the hash by set.
    pub without_image: Box<[(Arc<str>, Arc<str>)]>,
    /// The annotation without images is in the old form, which a rollout brings up to date.
    pub is_without_image_old: bool,
    /// What ran before the sidecars of a set were updated in place; `None` if the annotation is absent.
    pub states: Option<States>,
    /// Which of two twins works, by sidecar.
    pub working: Box<[(Arc<str>, Arc<str>)]>,
    /// The version annotations of hot-upgrade containers: key and value.
    pub versions: Box<[(Arc<str>, Arc<str>)]>,
    /// What the condition `SidecarSetUpgradable` says of each set; `None` if there is no such condition.
    pub upgradable: Option<Verdicts>,
}

/// What was injected of one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The set.
    pub set: Arc<str>,
    /// When.
    pub at: Option<Timestamp>,
    /// Which content of it.
    pub hash: Arc<str>,
    /// Which containers.
    pub sidecars: Option<Arc<str>>,
    /// The revision that records the content.
    pub revision: Option<Arc<str>>,
}

/// What ran before, by set; or that the annotation cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum States {
    /// The annotation is no such JSON: nobody can tell whether an update is complete.
    Unreadable,
    /// By set.
    Read(Box<[InPlaceState]>),
}

/// What ran in a pod before the sidecars of one set were updated in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InPlaceState {
    /// The set.
    pub set: Arc<str>,
    /// Its hash that the update was for.
    pub revision: Arc<str>,
    /// When it was updated.
    pub at: Option<Timestamp>,
    /// The image IDs of the containers before.
    pub images: Box<[(Arc<str>, Arc<str>)]>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireState {
    #[serde(default, deserialize_with = "or_default")]
    revision: String,
    #[serde(default)]
    update_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    last_container_statuses: BTreeMap<String, Option<WireImage>>,
}

#[derive(Deserialize)]
struct WireImage {
    #[serde(rename = "imageID", default, deserialize_with = "or_default")]
    image_id: String,
}

/// What a condition says of each set.
pub type Verdicts = Box<[(Arc<str>, bool)]>;
type Pairs = Box<[(Arc<str>, Arc<str>)]>;

impl Marks {
    /// Reads the annotations and the condition of a pod. What cannot be read counts as absent, but for the in-place state.
    pub fn read(pod: &Wire, interner: &mut Interner) -> Self {
        let list = pod.annotation(INJECTED_LIST).unwrap_or_default();
        let sets = list.split(',').filter(|set| !set.is_empty()).map(|set| interner.of(set)).collect();
        let without_image = pod.annotation(HASH_WITHOUT_IMAGE).unwrap_or_default();
        Self {
            sets,
            notes: notes(pod.annotation(HASH).unwrap_or_default(), interner),
            without_image: notes(without_image, interner).into_iter().map(|note| (note.set, note.hash)).collect(),
            is_without_image_old: is_old(without_image),
            states: pod.annotation(IN_PLACE_STATE).map(|text| states(text, interner)),
            working: working(pod.annotation(WORKING_HOT_UPGRADE).unwrap_or_default(), interner),
            versions: versions(pod, interner),
            upgradable: pod.condition(UPGRADABLE).map(|condition| verdicts(&condition.message, interner)),
        }
    }

    /// What was injected of a set.
    pub fn note(&self, set: &str) -> Option<&Note> {
        self.notes.iter().find(|note| &*note.set == set)
    }

    /// The hash of what was injected of a set; empty if nothing is noted.
    pub fn hash(&self, set: &str) -> &str {
        self.note(set).map_or("", |note| &*note.hash)
    }

    /// The same without images.
    pub fn hash_without_image(&self, set: &str) -> &str {
        find(&self.without_image, set).unwrap_or_default()
    }

    /// What ran before the sidecars of a set were updated in place.
    pub fn state(&self, set: &str) -> Option<&InPlaceState> {
        match &self.states {
            Some(States::Read(states)) => states.iter().find(|state| &*state.set == set),
            Some(States::Unreadable) | None => None,
        }
    }

    /// The container of a hot-upgrade sidecar that works, and its twin. Anything but `NAME-1` is taken for `NAME-2`.
    pub fn twins(&self, sidecar: &str) -> [String; 2] {
        let [first, second] = [1, 2].map(|number| format!("{sidecar}-{number}"));
        if find(&self.working, sidecar) == Some(&first) { [first, second] } else { [second, first] }
    }

    /// The value of a version annotation.
    pub fn version(&self, key: &str) -> &str {
        find(&self.versions, key).unwrap_or_default()
    }
}

fn find<'p>(pairs: &'p Pairs, key: &str) -> Option<&'p str> {
    pairs.iter().find(|(k, _)| &**k == key).map(|(_, value)| &**value)
}

fn notes(annotation: &str, interner: &mut Interner) -> Box<[Note]> {
    let read = notes::read(annotation).unwrap_or_default();
    let mut of = |(set, note): (std::borrow::Cow<'_, str>, notes::Note<'_>)| Note {
        set: interner.of(&set),
        at: note.update_timestamp,
        hash: interner.of(&note.hash),
        sidecars: note.sidecar_list.map(|list| interner.of(&list.join(","))),
        revision: (!note.controller_revision.is_empty()).then(|| interner.of(&note.controller_revision)),
    };
    read.into_iter().map(&mut of).collect()
}

/// Whether the annotation is of the form that the first versions of the reference wrote: set name to hash.
fn is_old(annotation: &str) -> bool {
    serde_json::from_str::<BTreeMap<String, String>>(annotation).is_ok_and(|hashes| !hashes.is_empty())
}

fn states(annotation: &str, interner: &mut Interner) -> States {
    let Ok(read) = serde_json::from_str::<BTreeMap<String, Option<WireState>>>(annotation) else { return States::Unreadable };
    let mut of = |(set, state): (String, Option<WireState>)| {
        let state = state?;
        let images = state.last_container_statuses.iter();
        let images = images.map(|(name, image)| (interner.of(name), interner.of(image.as_ref().map_or("", |image| &image.image_id))));
        let images = images.collect();
        Some(InPlaceState { set: interner.of(&set), revision: interner.of(&state.revision), at: state.update_timestamp, images })
    };
    States::Read(read.into_iter().filter_map(&mut of).collect())
}

fn working(annotation: &str, interner: &mut Interner) -> Pairs {
    let read: BTreeMap<String, String> = serde_json::from_str(annotation).unwrap_or_default();
    read.iter().map(|(sidecar, container)| (interner.of(sidecar), interner.of(container))).collect()
}

fn versions(pod: &Wire, interner: &mut Interner) -> Pairs {
    let all = pod.metadata.annotations.iter().flatten();
    // Both prefixes begin with `version` and end alike.
    let suffix = VERSION_PREFIX.trim_start_matches("version");
    let is_version =
        |key: &str| key.strip_prefix("version").is_some_and(|rest| rest.strip_prefix("alt").unwrap_or(rest).starts_with(suffix));
    all.filter(|(key, _)| is_version(key)).map(|(key, value)| (interner.of(key), interner.of(value))).collect()
}

fn verdicts(message: &str, interner: &mut Interner) -> Verdicts {
    let read: BTreeMap<String, bool> = serde_json::from_str(message).unwrap_or_default();
    read.iter().map(|(set, verdict)| (interner.of(set), *verdict)).collect()
}

/// The hash annotation with these notes. `sidecarSetName` repeats the key.
pub fn write_notes<'n>(notes: impl Iterator<Item = &'n Note>) -> String {
    let by_set: BTreeMap<&str, &Note> = notes.map(|note| (&*note.set, note)).collect();
    let mut out = String::with_capacity(256);
    go_json::write_members(&mut out, by_set, |out, note| {
        let list = note.sidecars.as_deref().map(|list| list.split(',').filter(|name| !name.is_empty()));
        out.push_str(&notes::note(note.at, &note.hash, &note.set, list, note.revision.as_deref().unwrap_or_default()));
    });
    out
}

/// The annotation of the in-place states.
pub fn write_states<'s>(states: impl Iterator<Item = &'s InPlaceState>) -> String {
    let by_set: BTreeMap<&str, &InPlaceState> = states.map(|state| (&*state.set, state)).collect();
    let mut out = String::with_capacity(256);
    go_json::write_members(&mut out, by_set, |out, state| {
        out.push_str("{\"revision\":");
        go_json::write_string(out, &state.revision);
        out.push_str(",\"updateTimestamp\":");
        notes::write_time(out, state.at);
        out.push_str(",\"lastContainerStatuses\":");
        let images: BTreeMap<&str, &str> = state.images.iter().map(|(name, image)| (&**name, &**image)).collect();
        go_json::write_members(out, images, |out, image| {
            let member = (!image.is_empty()).then_some(("imageID", image));
            go_json::write_members(out, member, go_json::write_string);
        });
        out.push('}');
    });
    out
}

#[cfg(test)]
mod tests;
