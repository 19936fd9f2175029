//! What was told already, so that the same is told once and then counted, and an object that much is told of does not fill the cluster
//! with events. (client-go: `tools/events`, `tools/record/events_cache.go`)

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::plan::Event;

/// What was told longer ago is told again, with a count of how often it happened meanwhile.
pub(super) const AGAIN_AFTER: Duration = Duration::from_mins(10);
/// What has not happened for so long is forgotten.
pub(super) const FORGET_AFTER: Duration = Duration::from_mins(30);
/// How many new events one object may have until it is forgotten.
pub(super) const MOST: usize = 25;
/// How many tellings are remembered before old ones are looked for.
pub(super) const MANY: usize = 10_000;

/// An object, what is told of it, and, of warnings, in which words: they come and go, and each is one.
type Topic = (String, &'static str, String);

/// What was told of a topic.
#[derive(Debug)]
struct Entry {
    note: String,
    /// The name of the event in the cluster.
    name: String,
    /// How often it has happened.
    count: i32,
    told: Instant,
    happened: Instant,
}

/// What is to be done about an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// It is new: it is told, under this name.
    New(String),
    /// The event of this name has happened so often.
    Again(String, i32),
    /// It is counted, and told later.
    Counted,
    /// Too much was told of its object.
    TooMany,
}

/// What was told, and when.
#[derive(Debug, Default)]
pub(super) struct Told {
    topics: HashMap<Topic, Entry>,
    /// How much was told of an object.
    objects: HashMap<String, (usize, Instant)>,
    /// How many there may be before old ones are looked for.
    many: usize,
}

impl Told {
    /// What is to be done about an event; it counts as done then. `name` is what it is called if it is new.
    pub(super) fn look(&mut self, event: &Event, now: Instant, name: impl FnOnce() -> String) -> Telling {
        let about = format!("{}/{}/{}", event.about.namespace, event.about.name, event.about.uid);
        let words = if event.is_warning { event.note.clone() } else { String::new() };
        let topic = (about.clone(), event.reason, words);
        if let Some(entry) = self.topics.get_mut(&topic)
            && entry.note == event.note
            && now.duration_since(entry.happened) < FORGET_AFTER
        {
            entry.count = entry.count.saturating_add(1);
            entry.happened = now;
            if now.duration_since(entry.told) < AGAIN_AFTER {
                return Telling::Counted;
            }
            entry.told = now;
            return Telling::Again(entry.name.clone(), entry.count);
        }
        self.tidy(now);
        let (told, since) = self.objects.entry(about).or_insert((0, now));
        if now.duration_since(*since) >= FORGET_AFTER {
            (*told, *since) = (0, now);
        }
        if *told >= MOST {
            return Telling::TooMany;
        }
        *told += 1;
        let name = name();
        self.topics.insert(topic, Entry { note: event.note.clone(), name: name.clone(), count: 1, told: now, happened: now });
        Telling::New(name)
    }

    /// An event is not in the cluster any more: it is new when it happens next.
    pub(super) fn forget(&mut self, name: &str) {
        self.topics.retain(|_, entry| entry.name != name);
    }

    fn tidy(&mut self, now: Instant) {
        if self.topics.len() >= self.many.max(MANY) {
            self.topics.retain(|_, entry| now.duration_since(entry.happened) < FORGET_AFTER);
            self.objects.retain(|_, (_, since)| now.duration_since(*since) < FORGET_AFTER);
            // Otherwise each further one would be a walk over all, if all are fresh.
            self.many = self.topics.len() * 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kind, Target};

    fn event(name: &str, note: &str, is_warning: bool) -> Event {
        let about = Target { kind: Kind::POD, namespace: "shop".to_owned(), name: name.to_owned(), uid: "u".to_owned() };
        Event { by: "tests", about, is_warning, reason: "Reason", note: note.to_owned() }
    }

    fn new(name: &str) -> Telling {
        Telling::New(name.to_owned())
    }

    #[test]
    fn the_same_of_the_same_object_is_told_once_and_then_counted() {
        let (mut told, start) = (Told::default(), Instant::now());
        let warning = event("a", "1", true);
        assert_eq!(told.look(&warning, start, || "n1".to_owned()), new("n1"));
        assert_eq!(told.look(&event("b", "1", true), start, || "n2".to_owned()), new("n2"));
        for _ in 0..5 {
            assert_eq!(told.look(&warning, start + Duration::from_secs(1), || panic!("it has a name")), Telling::Counted);
        }
        assert_eq!(told.look(&warning, start + AGAIN_AFTER, || panic!("it has a name")), Telling::Again("n1".to_owned(), 7));
        assert_eq!(told.look(&warning, start + AGAIN_AFTER, || panic!("it has a name")), Telling::Counted);
        assert_eq!(told.look(&warning, start + AGAIN_AFTER + FORGET_AFTER, || "n3".to_owned()), new("n3"), "it is forgotten");
    }

    #[test]
    fn warnings_that_take_turns_are_two_and_what_is_so_again_is_news() {
        let (mut told, now) = (Told::default(), Instant::now());
        let mut look = |note, is_warning| told.look(&event("a", note, is_warning), now, || note.to_owned());
        assert_eq!(
            [look("1", true), look("2", true), look("1", true), look("2", true)],
            [new("1"), new("2"), Telling::Counted, Telling::Counted]
        );
        assert_eq!([look("3", false), look("4", false), look("3", false)], [new("3"), new("4"), new("3")]);
    }

    #[test]
    fn an_object_has_only_so_many_events() {
        let (mut told, now) = (Told::default(), Instant::now());
        let mut look = |number: usize, at| told.look(&event("a", &number.to_string(), true), at, String::new);
        assert!((0..MOST).all(|number| look(number, now) == new("")));
        assert_eq!(look(MOST, now), Telling::TooMany);
        assert_eq!(look(0, now), Telling::Counted);
        assert_eq!(look(MOST, now + FORGET_AFTER), new(""));
    }

    #[test]
    fn an_event_that_is_gone_is_new_when_it_happens_next() {
        let (mut told, now) = (Told::default(), Instant::now());
        told.look(&event("a", "1", true), now, || "n1".to_owned());
        told.forget("n1");
        assert_eq!(told.look(&event("a", "1", true), now, || "n2".to_owned()), new("n2"));
    }

    #[test]
    fn what_was_told_long_ago_is_forgotten() {
        let (mut told, now) = (Told::default(), Instant::now());
        for (round, at) in [now, now + FORGET_AFTER, now + FORGET_AFTER * 2].into_iter().enumerate() {
            for number in 0..MANY {
                told.look(&event(&format!("{round}-{number}"), "", true), at, String::new);
            }
        }
        assert!(told.topics.len() <= MANY && told.objects.len() <= MANY, "{} {}", told.topics.len(), told.objects.len());
    }
}
