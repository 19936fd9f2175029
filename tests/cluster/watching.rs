//! Waiting by watching: no test asks again and again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use outrigger::cluster::watch::Pauses;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A wait that has not begun: which objects, and for how long.
///
/// ```ignore
/// sandbox.watch::<Pod>().labels("app=web").until("20 pods run", |pods| pods.len() == 20 && pods.iter().all(|pod| runs(pod))).await?;
/// sandbox.watch::<Deployment>().named("web").until_it("is available", |web| …).await?;
/// ```
#[must_use = "nothing is awaited before `until`"]
pub(crate) struct Watch<K> {
    api: Api<K>,
    config: watcher::Config,
    within: Duration,
}

impl<K> Watch<K>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    pub(crate) fn over(api: Api<K>) -> Self {
        Self { api, config: watcher::Config::default(), within: Duration::from_mins(1) }
    }

    pub(crate) fn labels(mut self, selector: &str) -> Self {
        self.config = self.config.labels(selector);
        self
    }

    pub(crate) fn named(mut self, name: &str) -> Self {
        self.config = self.config.fields(&format!("metadata.name={name}"));
        self
    }

    pub(crate) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Returns the objects as soon as `done` holds for all that exist. A lost connection is taken up again, also for long.
    pub(crate) async fn until(self, what: &str, done: impl Fn(&[&K]) -> bool) -> Result<Vec<K>> {
        let (mut seen, mut trouble) = (Seen::default(), None);
        let waiting = async {
            // Like a server's: kube's own pauses would be longer than most waits if the API server was away for some seconds.
            let mut events = pin!(watcher(self.api, self.config).backoff(Pauses::default()));
            loop {
                let event = match events.try_next().await {
                    Ok(event) => event.context("the watch ended")?,
                    Err(error) => {
                        trouble = Some(error.to_string());
                        continue;
                    }
                };
                if seen.take(event) && done(&seen.all()) {
                    return anyhow::Ok(());
                }
            }
        };
        let ended = tokio::time::timeout(self.within, waiting).await;
        ended.with_context(|| {
            let trouble = trouble.map(|error| format!("; the last error of the watch: {error}")).unwrap_or_default();
            format!("not within {} s: {what}{trouble}; last seen: {}", self.within.as_secs(), seen.summary())
        })??;
        Ok(seen.objects.into_values().collect())
    }

    /// The same, and `change` is made once the watch has begun, so that nothing of what it causes is missed. `done` is asked about what
    /// was there before as well; that it held then does not count.
    pub(crate) fn until_after(
        self,
        what: &str,
        change: impl Future<Output = Result<()>>,
        done: impl Fn(&[&K]) -> bool,
    ) -> impl Future<Output = Result<Vec<K>>> {
        let change = Box::pin(change);
        Box::pin(async move {
            let (begun, has_begun) = tokio::sync::oneshot::channel();
            let (begun, is_made) = (Cell::new(Some(begun)), Cell::new(false));
            let watching = self.until(what, |objects| {
                if let Some(begun) = begun.take() {
                    // The receiver waits in the other half of the join below.
                    let _ = begun.send(());
                }
                done(objects) && is_made.get()
            });
            let changing = async {
                has_begun.await?;
                is_made.set(true);
                change.await
            };
            let (objects, ()) = tokio::try_join!(watching, changing)?;
            Ok(objects)
        })
    }

    /// The same for one object: returns it as soon as it exists and `done` holds.
    pub(crate) async fn until_it(self, what: &str, done: impl Fn(&K) -> bool) -> Result<K> {
        let mut objects = self.until(what, |objects| objects.first().is_some_and(|object| done(object))).await?;
        objects.pop().context("the object is gone")
    }
}

/// The objects as the watch shows them.
struct Seen<K> {
    objects: BTreeMap<(Option<String>, String), K>,
    /// The list that is being received; it replaces `objects` when it is whole.
    incoming: Option<BTreeMap<(Option<String>, String), K>>,
}

impl<K> Default for Seen<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), incoming: None }
    }
}

impl<K: Resource + Serialize> Seen<K> {
    /// Whether the picture is whole after this event.
    fn take(&mut self, event: Event<K>) -> bool {
        match event {
            Event::Init => self.incoming = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                self.incoming.get_or_insert_default().insert(key(&object), object);
            }
            Event::InitDone => self.objects = self.incoming.take().unwrap_or_default(),
            Event::Apply(object) => {
                self.objects.insert(key(&object), object);
            }
            Event::Delete(object) => {
                self.objects.remove(&key(&object));
            }
        }
        self.incoming.is_none()
    }

    fn all(&self) -> Vec<&K> {
        self.objects.values().collect()
    }

    /// For the error: how many, and the first of them without the noise.
    fn summary(&self) -> String {
        let shown = self.objects.values().take(3).map(|object| {
            let mut value = serde_json::to_value(object).unwrap_or_default();
            if let Some(metadata) = value.get_mut("metadata").and_then(|metadata| metadata.as_object_mut()) {
                metadata.remove("managedFields");
            }
            format!("\n{value}")
        });
        format!("{} objects{}", self.objects.len(), shown.collect::<String>())
    }
}

fn key<K: Resource>(object: &K) -> (Option<String>, String) {
    (object.namespace(), object.name_any())
}
