//! Tells what happened, as Events of the cluster. The same of the same object is told once, and then counted.

mod queue;
mod told;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as Object},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client, Error,
    api::{Patch, PatchParams, PostParams},
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

pub use self::queue::Queue;
use self::told::{Open, Telling, Told};
use crate::{plan::Event, telemetry::metrics::Metrics};

/// In whose name: whichever replica leads.
const INSTANCE: &str = "outrigger";
/// Events of objects without a namespace are kept here, as Kubernetes' own are.
const ELSEWHERE: &str = "default";
/// How long is waited until all that is told at a time is answered.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest sentence that the API server takes, in bytes.
const LONGEST: usize = 1024;
/// The longest name that the API server takes, without what is added to it.
const LONGEST_NAME: usize = 253 - 35;
/// How many requests are under way at a time.
const REQUESTS: usize = 16;
/// What became of an event that could not be told.
const FAILED: &str = "failed";

/// Tells events.
pub struct Teller {
    client: Client,
    told: Mutex<Told>,
    metrics: Arc<Metrics>,
}

impl Teller {
    /// Tells through this client.
    pub fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self { client, told: Mutex::default(), metrics }
    }

    /// Tells what was not told already. Returns within two seconds; what cannot be told is only logged: nothing depends on it. It is tried
    /// again when it happens next.
    pub async fn tell(&self, events: &[Event], now: Timestamp) {
        let mut tellings: Vec<_> = {
            let (mut told, at) = (self.told.lock(), Instant::now());
            let look = |(number, event): (usize, &Event)| (event.clone(), told.look(event, at, || name(event, now, number)));
            events.iter().enumerate().map(look).collect()
        };
        // What needs no request comes first: it is settled even if the time is up before all others are.
        tellings.sort_by_key(|(_, telling)| open_of(telling).is_some());
        let count = tellings.len();
        let mut untold = Untold::of(self, tellings.iter().map(|(_, telling)| telling));
        let tellings = tellings.into_iter().map(|(event, telling)| self.carry_out(event, telling, now));
        let mut answers = stream::iter(tellings).buffer_unordered(REQUESTS);
        let mut answered = 0;
        let all = async {
            while let Some((telling, outcome)) = answers.next().await {
                self.metrics.events(outcome);
                untold.answered(&telling, outcome);
                answered += 1;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            (answered..count).for_each(|_| self.metrics.events(FAILED));
            tracing::warn!(count, answered, "not all events could be told in time");
        }
    }

    /// Tells an event; says what became of it, in a word for who counts.
    async fn carry_out(&self, event: Event, telling: Telling, now: Timestamp) -> (Telling, &'static str) {
        let about = &event.about;
        let namespace = if about.namespace.is_empty() { ELSEWHERE } else { &about.namespace };
        let events = Api::<Object>::namespaced(self.client.clone(), namespace);
        let answer = match &telling {
            Telling::Counted => return (telling, "counted"),
            Telling::Dropped => return (telling, "dropped"),
            // Another one has just been refused there.
            _ if self.told.lock().is_silent(&about.namespace, Instant::now()) => return (telling, FAILED),
            Telling::New(name) => {
                events.create(&PostParams::default(), &Self::object(&event, namespace, now, name.clone())).await.map(drop)
            }
            Telling::Again(name, count) => {
                let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(now)}});
                events.patch(name, &PatchParams::default(), &Patch::Merge(&series)).await.map(drop)
            }
        };
        let Err(problem) = answer else { return (telling, "told") };
        match (&problem, &telling) {
            // It came late to us that it was told the time before.
            (Error::Api(status), Telling::New(_)) if status.code == 409 => return (telling, "told"),
            (Error::Api(status), _) if [401, 403].contains(&status.code) => self.told.lock().refused(&about.namespace, Instant::now()),
            // The cluster keeps events for an hour.
            (Error::Api(status), Telling::Again(name, _)) if status.code == 404 => self.told.lock().forget(name),
            _ => {}
        }
        tracing::warn!(%problem, reason = event.reason, about = %about.name, "an event could not be told");
        (telling, FAILED)
    }

    fn object(event: &Event, namespace: &str, now: Timestamp, name: String) -> Object {
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
        Object {
            metadata: ObjectMeta { name: Some(name), namespace: some(namespace), ..ObjectMeta::default() },
            event_time: Some(MicroTime(now)),
            action: some(event.reason),
            reason: some(event.reason),
            note: Some(event.note.split_at(event.note.floor_char_boundary(LONGEST)).0.to_owned()),
            type_: some(if event.is_warning { "Warning" } else { "Normal" }),
            regarding: Some(regarding),
            reporting_controller: some(event.by),
            reporting_instance: some(INSTANCE),
            ..Object::default()
        }
    }
}

/// What is being told. What is not told when it is dropped, since it was refused, took too long, or nobody waits any more, counts as not
/// told.
struct Untold<'t> {
    teller: &'t Teller,
    /// By the name of the event.
    open: BTreeMap<String, Open>,
}

impl<'t> Untold<'t> {
    fn of<'e>(teller: &'t Teller, tellings: impl Iterator<Item = &'e Telling>) -> Self {
        let open = tellings.filter_map(open_of).map(|(name, what)| (name.to_owned(), what));
        Self { teller, open: open.collect() }
    }

    fn answered(&mut self, telling: &Telling, outcome: &str) {
        if let Some((name, _)) = open_of(telling).filter(|_| outcome != FAILED) {
            self.open.remove(name);
        }
    }
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        let mut told = self.teller.told.lock();
        self.open.iter().for_each(|(name, what)| told.failed(name, *what));
    }
}

/// What is open until the API server has answered: the name of the event, and what is told of it. Nothing if nothing is sent.
fn open_of(telling: &Telling) -> Option<(&str, Open)> {
    match telling {
        Telling::New(name) => Some((name, Open::New)),
        Telling::Again(name, _) => Some((name, Open::Again)),
        Telling::Counted | Telling::Dropped => None,
    }
}

/// What an event is called; `number` tells it from others of the same moment.
fn name(event: &Event, now: Timestamp, number: usize) -> String {
    let name = &event.about.name;
    let stem = name.split_at(name.floor_char_boundary(LONGEST_NAME)).0.trim_end_matches(['.', '-']);
    format!("{stem}.{:x}.{number:x}", now.as_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kind, Target};

    #[test]
    fn the_name_of_an_event_is_one_that_the_api_server_takes() {
        let about = format!("{}.{}", "a".repeat(LONGEST_NAME - 1), "b".repeat(30));
        let about = Target { kind: Kind::POD, namespace: "shop".to_owned(), name: about, uid: "u".to_owned() };
        let event = Event { by: "tests", about, is_warning: false, reason: "Reason", note: String::new() };
        let name = name(&event, Timestamp::MAX, usize::MAX);
        assert!(name.len() <= 253 && name.starts_with(&format!("{}.", "a".repeat(LONGEST_NAME - 1))) && !name.contains(".."), "{name}");
    }
}
