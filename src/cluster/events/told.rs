//! What was told already, so that the same is told once and then counted, and an object that much is told of does not fill the cluster
//! with events. (client-go: `tools/events`, `tools/record/events_cache.go`)

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::plan::Event;

/// What was told longer ago is told again, with a count of how often it happened meanwhile.
pub(super) const AGAIN_AFTER: Duration = Duration::from_mins(10);
/// What has not happened for so long is forgotten.
pub(super) const FORGET_AFTER: Duration = Duration::from_mins(30);
/// How many new events one object may have for one reason until it is forgotten. A reason that comes in many words hides no other one.
pub(super) const MOST: usize = 10;
/// How many tellings are remembered before old ones are looked for.
pub(super) const MANY: usize = 10_000;
/// How many there may be at all: what is new beyond that is not told.
pub(super) const MOST_OF_ALL: usize = 2 * MANY;
/// How often old ones are looked for, if there are many: each time is a walk over all.
pub(super) const TIDY_EVERY: Duration = Duration::from_mins(1);

/// How long an event waits that could not be told, until it is tried again when it happens.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long nothing is told in a namespace that refuses events: for want of a right, of room, or since it goes.
pub(super) const SILENT_FOR: Duration = Duration::from_mins(1);

/// An object, and why something is told of it.
type Cause = (String, &'static str);
/// A cause, and, of warnings, in which words: they come and go, and each is one.
type Topic = (Cause, String);

/// What was told of a topic.
#[derive(Debug)]
struct Entry {
    words: String,
    /// The name of the event in the cluster.
    name: String,
    /// How often it has happened.
    count: i32,
    /// When it was told, or when that was tried.
    told: Instant,
    /// What of it could not be told.
    open: Option<Open>,
    happened: Instant,
}

/// What is to be done about an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// It is new, or was not told when it was: it is told, under this name.
    New(String),
    /// The event of this name has happened so often.
    Again(String, i32),
    /// It is counted, and told later.
    Counted,
    /// Too much was told already, or its namespace takes no events.
    Dropped,
}

/// What could not be told, and is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// That it has happened: the cluster may not have the event.
    New,
    /// How often it has: the event is there.
    Again,
}

/// What was told, and when.
#[derive(Debug, Default)]
pub(super) struct Told {
    topics: HashMap<Topic, Entry>,
    /// How much was told of a cause, and since when that is counted.
    causes: HashMap<Cause, (usize, Instant)>,
    /// Namespaces that refuse events, and until when nothing is told there.
    silent: HashMap<String, Instant>,
    /// When old ones were looked for.
    tidied: Option<Instant>,
}

impl Told {
    /// What is to be done about an event; it counts as done then. `name` is what it is called if it is new.
    pub(super) fn look(&mut self, event: &Event, now: Instant, name: impl FnOnce() -> String) -> Telling {
        let about = format!("{}/{}/{}", event.about.namespace, event.about.name, event.about.uid);
        let (cause, words) = ((about, event.reason), words(&event.note));
        let is_silent = self.is_silent(&event.about.namespace, now);
        let topic = (cause.clone(), if event.is_warning { words.clone() } else { String::new() });
        if let Some(entry) = self.topics.get_mut(&topic)
            && entry.words == words
            && now.duration_since(entry.happened) < FORGET_AFTER
        {
            return entry.happened(now, is_silent);
        }
        if is_silent {
            return Telling::Dropped;
        }
        self.tidy(now);
        if self.topics.len() >= MOST_OF_ALL {
            return Telling::Dropped;
        }
        let (told, since) = self.causes.entry(cause).or_insert((0, now));
        if now.duration_since(*since) >= FORGET_AFTER {
            (*told, *since) = (0, now);
        }
        if *told >= MOST {
            return Telling::Dropped;
        }
        *told += 1;
        let name = name();
        self.topics.insert(topic, Entry { words, name: name.clone(), count: 1, told: now, open: None, happened: now });
        Telling::New(name)
    }

    /// An event is not in the cluster any more: it is new when it happens next.
    pub(super) fn forget(&mut self, name: &str) {
        self.topics.retain(|_, entry| entry.name != name);
    }

    /// This could not be told of an event: it is tried again when it happens next, though not at once.
    pub(super) fn failed(&mut self, name: &str, what: Open) {
        for entry in self.topics.values_mut().filter(|entry| entry.name == name) {
            entry.open = Some(what);
        }
    }

    /// A namespace has refused an event, and would refuse the next one.
    pub(super) fn refused(&mut self, namespace: &str, now: Instant) {
        self.silent.retain(|_, until| now < *until);
        self.silent.insert(namespace.to_owned(), now + SILENT_FOR);
    }

    /// Whether nothing is told in a namespace for a while.
    pub(super) fn is_silent(&self, namespace: &str, now: Instant) -> bool {
        self.silent.get(namespace).is_some_and(|until| now < *until)
    }

    fn tidy(&mut self, now: Instant) {
        let is_early = self.tidied.is_some_and(|tidied| now.duration_since(tidied) < TIDY_EVERY);
        if self.topics.len() < MANY || is_early {
            return;
        }
        self.tidied = Some(now);
        self.topics.retain(|_, entry| now.duration_since(entry.happened) < FORGET_AFTER);
        self.causes.retain(|_, (_, since)| now.duration_since(*since) < FORGET_AFTER);
    }
}

impl Entry {
    /// It has happened again.
    fn happened(&mut self, now: Instant, is_silent: bool) -> Telling {
        self.count = self.count.saturating_add(1);
        self.happened = now;
        let pause = if self.open.is_some() { RETRY_AFTER } else { AGAIN_AFTER };
        if is_silent || now.duration_since(self.told) < pause {
            return Telling::Counted;
        }
        self.told = now;
        match self.open.take() {
            Some(Open::New) => Telling::New(self.name.clone()),
            Some(Open::Again) | None => Telling::Again(self.name.clone(), self.count),
        }
    }
}

/// A note without the numbers in it: where only these differ, it is the same that has happened again. What is part of a name stays.
fn words(note: &str) -> String {
    let word = |word: &str| if is_number(word) { "#".to_owned() } else { word.to_owned() };
    note.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// A number, as it stands in a sentence: `7`, `(7/10)`, `50%,`.
fn is_number(word: &str) -> bool {
    let is_sign = |sign: char| sign.is_ascii_punctuation() && !matches!(sign, '"' | '\'' | '`' | '-' | '_');
    word.contains(|sign: char| sign.is_ascii_digit()) && word.chars().all(|sign| sign.is_ascii_digit() || is_sign(sign))
}

#[cfg(test)]
mod tests;
