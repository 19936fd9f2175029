//! What is counted of watches: whether the picture is kept up to date.

use jiff::Timestamp;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::labels::OfResource;

/// All watches, by the resource that they are of.
#[derive(Clone, Debug, Default)]
pub struct WatchMetrics {
    heard: Family<OfResource, Gauge>,
    restarts: Family<OfResource, Counter>,
}

/// One watch.
#[derive(Clone, Debug)]
pub struct Watch(Gauge);

impl Watch {
    /// The API server has said something: an event, or a bookmark, which it sends once a minute.
    pub fn heard(&self, now: Timestamp) {
        self.0.set(now.as_second());
    }
}

impl WatchMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let heard = self.heard.clone();
        registry.register("watch_heard_timestamp_seconds", "When a watch last heard of the API server, in seconds since 1970", heard);
        registry.register("watch_restarts", "Watches that were interrupted and begun again", self.restarts.clone());
    }

    /// The watch of this resource.
    pub fn of(&self, resource: &str) -> Watch {
        Watch(self.heard.get_or_create(&OfResource { resource: resource.to_owned() }).clone())
    }

    /// There is no such resource: nothing can be heard of it.
    pub fn forget(&self, resource: &str) {
        self.heard.remove(&OfResource { resource: resource.to_owned() });
    }

    /// A watch was interrupted.
    pub fn restarted(&self, resource: &str) {
        self.restarts.get_or_create(&OfResource { resource: resource.to_owned() }).inc();
    }
}
