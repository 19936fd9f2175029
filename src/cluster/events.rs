//! Tells what happened, as Events of the cluster. The same is not told twice in a row about the same object.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as Object},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use parking_lot::Mutex;

use crate::plan::Event;

/// Who tells.
const CONTROLLER: &str = "sidecarset-controller";
/// In whose name: whichever replica leads.
const INSTANCE: &str = "outrigger";
/// Events of objects without a namespace are kept here, as Kubernetes' own are.
const ELSEWHERE: &str = "default";
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// What was told longer ago is told again.
const FORGET_AFTER: Duration = Duration::from_mins(30);
/// The longest sentence that the API server takes.
const LONGEST: usize = 1024;
/// How many tellings are remembered before old ones are looked for.
const MANY: usize = 10_000;

/// An object, and what is told of it.
type Topic = (String, &'static str);

/// Tells events.
pub struct Teller {
    client: Client,
    told: Mutex<HashMap<Topic, (String, Instant)>>,
}

impl Teller {
    /// Tells through this client.
    pub fn new(client: Client) -> Self {
        Self { client, told: Mutex::default() }
    }

    /// Tells, unless it was told already. What cannot be told is only logged: nothing depends on it.
    pub async fn tell(&self, event: &Event, now: Timestamp) {
        if !self.is_news(event) {
            return;
        }
        let namespace = if event.about.namespace.is_empty() { ELSEWHERE } else { &event.about.namespace };
        let events = Api::<Object>::namespaced(self.client.clone(), namespace);
        let (parameters, object) = (PostParams::default(), Self::object(event, namespace, now));
        let told = tokio::time::timeout(PATIENCE, events.create(&parameters, &object)).await;
        let problem = match told {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(problem, reason = event.reason, about = %event.about.name, "an event could not be told");
    }

    fn is_news(&self, event: &Event) -> bool {
        let (key, now) = ((format!("{}/{}", event.about.uid, event.about.name), event.reason), Instant::now());
        let is_fresh = |at: &Instant| now.duration_since(*at) < FORGET_AFTER;
        let mut told = self.told.lock();
        if told.get(&key).is_some_and(|(note, at)| *note == event.note && is_fresh(at)) {
            return false;
        }
        if told.len() > MANY {
            told.retain(|_, (_, at)| is_fresh(at));
        }
        told.insert(key, (event.note.clone(), now));
        true
    }

    fn object(event: &Event, namespace: &str, now: Timestamp) -> Object {
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
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", about.name, now.as_nanosecond())),
                namespace: some(namespace),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            action: some(event.reason),
            reason: some(event.reason),
            note: Some(event.note.chars().take(LONGEST).collect()),
            type_: some(if event.is_warning { "Warning" } else { "Normal" }),
            regarding: Some(regarding),
            reporting_controller: some(CONTROLLER),
            reporting_instance: some(INSTANCE),
            ..Object::default()
        }
    }
}
