//! What an injected pod says of its injection: two annotations with a note for each set, and the list of sets.
//!
//! The texts are compared byte for byte by tools of the reference, so they are written as Go would write them.
//! (`pkg/control/sidecarcontrol/util.go`: `SidecarSetUpgradeSpec`)

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use jiff::Timestamp;
use serde::Deserialize;

use super::content::Content;
use crate::base::{
    decode::{or_default, text},
    go_json,
};

/// A note of an earlier injection or update.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note<'a> {
    /// When it was written.
    #[serde(default)]
    pub update_timestamp: Option<Timestamp>,
    /// Which content of the set the pod has.
    #[serde(borrow, default, deserialize_with = "text")]
    pub hash: Cow<'a, str>,
    /// The set.
    #[serde(borrow, default, deserialize_with = "text")]
    pub sidecar_set_name: Cow<'a, str>,
    /// The set's containers.
    #[serde(default)]
    pub sidecar_list: Option<Vec<String>>,
    /// The revision that records the content.
    #[serde(borrow, default, deserialize_with = "text")]
    pub controller_revision: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct NullableNote<'a>(#[serde(borrow, deserialize_with = "or_default")] Note<'a>);

#[derive(Deserialize)]
#[serde(transparent)]
struct Legacy<'a>(#[serde(borrow, deserialize_with = "text")] Cow<'a, str>);

/// An annotation of the pod that is in neither form.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("pod({namespace}/{pod}) invalid annotations[{key}] value not json, unmarshal {text} failed: {problem}")]
pub struct NoteError {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Key of the annotation.
    pub key: &'static str,
    /// Its value.
    pub text: String,
    /// What the decoder says.
    pub problem: String,
}

/// One of the two annotations, with the notes that it has already.
pub struct Notes<'a> {
    earlier: BTreeMap<Cow<'a, str>, Note<'a>>,
    written: BTreeMap<&'a str, String>,
}

/// What has been injected of one set.
#[derive(Clone, Debug)]
pub struct Injected<'a> {
    /// Name of the set.
    pub set: &'a str,
    /// Which content of it.
    pub content: &'a Content,
    /// Names of the containers, without those of plain init containers.
    pub sidecars: BTreeSet<&'a str>,
}

/// Which of the two annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// With the hash of everything, and the revision.
    Hash = 0,
    /// With the hash without images.
    WithoutImage = 1,
}

impl<'a> Notes<'a> {
    /// Reads the annotation; on failure says what the decoder found.
    pub fn read(annotation: Option<&'a str>) -> Result<Self, String> {
        Ok(Self { earlier: annotation.map_or_else(|| Ok(BTreeMap::new()), read)?, written: BTreeMap::new() })
    }

    /// Notes what has been injected of a set. A note that says so already keeps its time: injecting twice leaves what injecting once left.
    pub fn write(&mut self, which: Which, injected: &Injected<'a>, now: Timestamp) {
        let Injected { set, content, sidecars } = injected;
        let set = *set;
        let [with_image, without_image] = &content.hashes;
        let (hash, revision) = match which {
            Which::Hash => (with_image, content.revision.as_deref().unwrap_or_default()),
            Which::WithoutImage => (without_image, ""),
        };
        let is_same = |note: &Note<'_>| {
            let list = note.sidecar_list.as_deref().unwrap_or_default();
            note.hash == *hash
                && note.controller_revision == revision
                && note.sidecar_set_name == set
                && list.iter().map(String::as_str).eq(sidecars.iter().copied())
        };
        let earlier = self.earlier.remove(set).filter(is_same).and_then(|note| note.update_timestamp);
        let list = Some(sidecars.iter().copied());
        self.written.insert(set, note(Some(earlier.unwrap_or(now)), hash, set, list, revision));
    }

    /// The annotation's value.
    pub fn to_text(&self) -> String {
        let mut all: BTreeMap<&str, Cow<'_, str>> = self.written.iter().map(|(set, text)| (*set, Cow::Borrowed(text.as_str()))).collect();
        for (set, earlier) in &self.earlier {
            let list = earlier.sidecar_list.as_ref().map(|list| list.iter().map(String::as_str));
            let text = note(earlier.update_timestamp, &earlier.hash, &earlier.sidecar_set_name, list, &earlier.controller_revision);
            all.insert(set, Cow::Owned(text));
        }
        let mut out = String::with_capacity(all.values().map(|text| text.len() + 64).sum());
        go_json::write_members(&mut out, all, |out, text| out.push_str(&text));
        out
    }
}

/// All notes of an annotation, by set, in either form; on failure what the decoder found.
pub fn read(annotation: &str) -> Result<BTreeMap<Cow<'_, str>, Note<'_>>, String> {
    if annotation.is_empty() {
        return Ok(BTreeMap::new());
    }
    let problem = match serde_json::from_str::<Option<BTreeMap<Cow<'_, str>, NullableNote<'_>>>>(annotation) {
        Ok(notes) => return Ok(notes.into_iter().flatten().map(|(set, note)| (set, note.0)).collect()),
        Err(error) => error.to_string(),
    };
    // What the first versions of the reference wrote: the hash alone.
    let legacy: BTreeMap<Cow<'_, str>, Legacy<'_>> = serde_json::from_str(annotation).map_err(|_| problem)?;
    let note = |set: &Cow<'_, str>, hash| Note { hash, sidecar_set_name: Cow::Owned(set.clone().into_owned()), ..Note::default() };
    Ok(legacy.into_iter().map(|(set, hash)| (set.clone(), note(&set, hash.0))).collect())
}

/// The revision that the hash annotation notes for a set.
pub fn revision_of(annotation: &str, set: &str) -> Option<String> {
    let note = read(annotation).ok()?.remove(set)?;
    (!note.controller_revision.is_empty()).then(|| note.controller_revision.into_owned())
}

/// The containers that the hash annotation notes for these sets: what earlier injections of them brought.
pub fn sidecars_of<'a>(annotation: &str, sets: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut notes = read(annotation).unwrap_or_default();
    sets.filter_map(|set| notes.remove(set)).filter_map(|note| note.sidecar_list).flatten().collect()
}

/// One note as it is written.
pub fn note<'l>(time: Option<Timestamp>, hash: &str, set: &str, list: Option<impl Iterator<Item = &'l str>>, revision: &str) -> String {
    let mut out = String::with_capacity(256);
    out.push_str("{\"updateTimestamp\":");
    write_time(&mut out, time);
    out.push_str(",\"hash\":");
    go_json::write_string(&mut out, hash);
    out.push_str(",\"sidecarSetName\":");
    go_json::write_string(&mut out, set);
    out.push_str(",\"sidecarList\":");
    match list {
        None => out.push_str("null"),
        Some(names) => go_json::write_list(&mut out, names, go_json::write_string),
    }
    if !revision.is_empty() {
        out.push_str(",\"controllerRevision\":");
        go_json::write_string(&mut out, revision);
    }
    out.push('}');
    out
}

/// A time in whole seconds, as Kubernetes writes times, or `null`.
pub fn write_time(out: &mut String, time: Option<Timestamp>) {
    match time {
        // Writing to a String cannot fail.
        Some(time) => drop(write!(out, "\"{}\"", time.strftime("%Y-%m-%dT%H:%M:%SZ"))),
        None => out.push_str("null"),
    }
}

/// The list of sets: what it held already and `sets`, sorted, each once.
pub fn injected_list<'a>(earlier: Option<&'a str>, sets: impl Iterator<Item = &'a str>) -> String {
    let earlier = earlier.filter(|text| !text.is_empty()).into_iter().flat_map(|text| text.split(','));
    let all: BTreeSet<&str> = earlier.chain(sets).collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_763_795_520, 5);

    fn content() -> Content {
        Content {
            init_containers: vec![],
            containers: vec![],
            secrets: vec![],
            metadata: vec![],
            hashes: ["h".to_owned(), "hw".to_owned()],
            revision: Some("log-1".to_owned()),
        }
    }

    #[test]
    fn notes_are_sorted_and_whole_seconds() {
        let content = content();
        let mut notes = Notes::read(Some(
            r#"{"z":{"updateTimestamp":"2025-01-01T02:00:00+02:00","hash":"a<b","sidecarSetName":"z","sidecarList":null,"extra":1}}"#,
        ))
        .unwrap();
        notes.write(Which::Hash, &Injected { set: "log", content: &content, sidecars: BTreeSet::from(["b", "a"]) }, NOW);
        assert_eq!(
            notes.to_text(),
            r#"{"log":{"updateTimestamp":"2025-11-22T07:12:00Z","hash":"h","sidecarSetName":"log","sidecarList":["a","b"],"controllerRevision":"log-1"},"z":{"updateTimestamp":"2025-01-01T00:00:00Z","hash":"a\u003cb","sidecarSetName":"z","sidecarList":null}}"#
        );
    }

    #[test]
    fn a_note_that_is_still_true_keeps_its_time() {
        let mut first = Notes::read(None).unwrap();
        let content = content();
        let injected = |sidecar| Injected { set: "log", content: &content, sidecars: BTreeSet::from([sidecar]) };
        first.write(Which::WithoutImage, &injected("a"), NOW);
        let text = first.to_text();
        let mut again = Notes::read(Some(&text)).unwrap();
        again.write(Which::WithoutImage, &injected("a"), Timestamp::UNIX_EPOCH);
        assert_eq!(again.to_text(), text);
        again.write(Which::WithoutImage, &injected("b"), Timestamp::UNIX_EPOCH);
        assert!(again.to_text().contains("1970"));
    }

    #[test]
    fn the_old_form_is_read_and_null_is_empty() {
        assert_eq!(
            Notes::read(Some(r#"{"log":"x"}"#)).unwrap().to_text(),
            r#"{"log":{"updateTimestamp":null,"hash":"x","sidecarSetName":"log","sidecarList":null}}"#
        );
        assert_eq!(Notes::read(Some("null")).unwrap().to_text(), "{}");
        assert!(Notes::read(Some("[1]")).is_err());
        assert!(Notes::read(Some("{\"a\":7}")).is_err());
    }

    #[test]
    fn the_revision_of_a_set_is_found() {
        let text = r#"{"a":{"controllerRevision":"a-1"},"b":{}}"#;
        assert_eq!((revision_of(text, "a"), revision_of(text, "b"), revision_of(text, "c")), (Some("a-1".to_owned()), None, None));
    }

    #[test]
    fn the_list_is_a_sorted_union() {
        assert_eq!(injected_list(Some("z,a"), ["m", "a"].into_iter()), "a,m,z");
        assert_eq!(injected_list(None, ["m"].into_iter()), "m");
    }
}
