//! Tells what happened, as Events of the cluster. The same is not told twice in a row about the same object.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as Object},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::plan::{Event, Kind};

/// Who tells of budgets.
const OF_BUDGETS: &str = "podunavailablebudget-controller";
/// Who tells of spreads.
const OF_SPREADS: &str = "workloadspread-controller";
/// Who tells, unless it is said otherwise.
const CONTROLLER: &str = "sidecarset-controller";
/// In whose name: whichever replica leads.
const INSTANCE: &str = "outrigger";
/// Events of objects without a namespace are kept here, as Kubernetes' own are.
const ELSEWHERE: &str = "default";
/// How long is waited until all that is told at a time is answered.
const PATIENCE: Duration = Duration::from_secs(2);
/// What was told longer ago is told again.
const FORGET_AFTER: Duration = Duration::from_mins(30);
/// The longest sentence that the API server takes, in bytes.
const LONGEST: usize = 1024;
/// The longest name that the API server takes, without what is added to it.
const LONGEST_NAME: usize = 253 - 35;
/// How many tellings are remembered before old ones are looked for.
const MANY: usize = 10_000;
/// How many requests are under way at a time.
const REQUESTS: usize = 16;

/// An object, and what is told of it.
type Topic = (String, &'static str);

/// What was told, and when.
#[derive(Debug, Default)]
struct Told {
    topics: HashMap<Topic, (String, Instant)>,
    /// How many there may be before old ones are looked for.
    many: usize,
}

impl Told {
    /// Whether this was not told a while ago; it counts as told then.
    fn is_news(&mut self, event: &Event, now: Instant) -> bool {
        let key = (format!("{}/{}", event.about.uid, event.about.name), event.reason);
        let is_fresh = |at: &Instant| now.duration_since(*at) < FORGET_AFTER;
        if self.topics.get(&key).is_some_and(|(note, at)| *note == event.note && is_fresh(at)) {
            return false;
        }
        if self.topics.len() >= self.many.max(MANY) {
            self.topics.retain(|_, (_, at)| is_fresh(at));
            // Otherwise each further one would be a walk over all, if all are fresh.
            self.many = self.topics.len() * 2;
        }
        self.topics.insert(key, (event.note.clone(), now));
        true
    }
}

/// Tells events.
pub struct Teller {
    client: Client,
    controller: &'static str,
    told: Mutex<Told>,
}

impl Teller {
    /// Tells through this client.
    pub fn new(client: Client) -> Self {
        Self::named(client, CONTROLLER)
    }

    /// Tells under the name of another controller.
    pub fn named(client: Client, controller: &'static str) -> Self {
        Self { client, controller, told: Mutex::default() }
    }

    /// Tells what was not told already. Returns within two seconds; what cannot be told is only logged: nothing depends on it.
    pub async fn tell(&self, events: &[Event], now: Timestamp) {
        let news: Vec<_> = {
            let (mut told, at) = (self.told.lock(), Instant::now());
            events.iter().filter(|event| told.is_news(event, at)).cloned().collect()
        };
        let count = news.len();
        let tellings = news.into_iter().enumerate().map(|(number, event)| self.post(event, now, number));
        let mut answers = stream::iter(tellings).buffer_unordered(REQUESTS);
        let mut answered = 0;
        let all = async {
            while answers.next().await.is_some() {
                answered += 1;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!(count, answered, "not all events could be told in time");
        }
    }

    async fn post(&self, event: Event, now: Timestamp, number: usize) {
        let namespace = if event.about.namespace.is_empty() { ELSEWHERE } else { &event.about.namespace };
        let events = Api::<Object>::namespaced(self.client.clone(), namespace);
        let controller = match event.about.kind {
            Kind::BUDGET => OF_BUDGETS,
            Kind::SPREAD => OF_SPREADS,
            _ => self.controller,
        };
        let object = Object { reporting_controller: Some(controller.to_owned()), ..Self::object(&event, namespace, now, number) };
        if let Err(problem) = events.create(&PostParams::default(), &object).await {
            tracing::warn!(%problem, reason = event.reason, about = %event.about.name, "an event could not be told");
        }
    }

    /// `number` tells it from others of the same moment.
    fn object(event: &Event, namespace: &str, now: Timestamp, number: usize) -> Object {
        let about = &event.about;
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let regarding = ObjectReference {
            api_version: Some(about.kind.api_version()),
            kind: some(about.kind.kind),
            name: some(&about.name),
            namespace: some(&about.namespace),
            uid: some(&about.uid),
            ..ObjectReference::default()
        };
        let stem = about.name.split_at(about.name.floor_char_boundary(LONGEST_NAME)).0.trim_end_matches(['.', '-']);
        Object {
            metadata: ObjectMeta {
                name: Some(format!("{stem}.{:x}.{number:x}", now.as_nanosecond())),
                namespace: some(namespace),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            action: some(event.reason),
            reason: some(event.reason),
            note: Some(event.note.split_at(event.note.floor_char_boundary(LONGEST)).0.to_owned()),
            type_: some(if event.is_warning { "Warning" } else { "Normal" }),
            regarding: Some(regarding),
            reporting_instance: some(INSTANCE),
            ..Object::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Target;

    fn event(name: &str, note: &str) -> Event {
        let about = Target { kind: Kind::POD, namespace: "shop".to_owned(), name: name.to_owned(), uid: "u".to_owned() };
        Event { about, is_warning: false, reason: "Reason", note: note.to_owned() }
    }

    #[test]
    fn the_same_of_the_same_object_is_no_news_for_a_while() {
        let (mut told, now) = (Told::default(), Instant::now());
        assert!(told.is_news(&event("a", "1"), now) && !told.is_news(&event("a", "1"), now));
        assert!(told.is_news(&event("b", "1"), now) && told.is_news(&event("a", "2"), now));
        assert!(told.is_news(&event("a", "2"), now + FORGET_AFTER));
    }

    #[test]
    fn what_was_told_long_ago_is_forgotten() {
        let (mut told, now) = (Told::default(), Instant::now());
        for (round, at) in [now, now + FORGET_AFTER, now + FORGET_AFTER * 2].into_iter().enumerate() {
            for number in 0..MANY {
                told.is_news(&event(&format!("{round}-{number}"), ""), at);
            }
        }
        assert!(told.topics.len() <= MANY, "{}", told.topics.len());
    }

    #[test]
    fn the_name_of_an_event_is_one_that_the_api_server_takes() {
        let name = format!("{}.{}", "a".repeat(LONGEST_NAME - 1), "b".repeat(30));
        let object = Teller::object(&event(&name, ""), "shop", Timestamp::MAX, usize::MAX);
        let name = object.metadata.name.unwrap();
        assert!(name.len() <= 253 && name.starts_with(&format!("{}.", "a".repeat(LONGEST_NAME - 1))) && !name.contains(".."), "{name}");
    }
}
