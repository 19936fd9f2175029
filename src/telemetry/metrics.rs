//! Every number that the server tells, in one struct. Labels are bounded: hooks, words and kinds, never names of objects.
//!
//! The names are an interface: dashboards and alerts (`manifests/monitoring`) are made of them, and a test holds those against these.

mod claims;
mod labels;
mod queue;
mod reviews;
mod watches;

use std::fmt::{self, Write as _};

use parking_lot::{Mutex, RwLock};
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};
use tokio::time::Instant;

pub use self::{
    claims::ClaimMetrics,
    queue::QueueMetrics,
    reviews::{HookMetrics, InFlight, ShadowMetrics, Verdict},
    watches::{Watch, WatchMetrics},
};
use self::{
    claims::Claims,
    labels::{Build, Ended, OfKind},
    reviews::Reviews,
};
use super::process::Process;

/// What becomes of events.
const EVENTS: [&str; 4] = ["told", "counted", "dropped", "failed"];

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: RwLock<Registry>,
    reviews: Reviews,
    claims: Claims,
    process: Process,
    objects: Family<OfKind, Gauge>,
    events: Family<Ended, Counter>,
    log_lines_dropped: Counter,
    reckoned: Reckoned,
    /// The reconcilers' queue.
    pub queue: QueueMetrics,
    /// Whether the picture is kept up to date.
    pub watches: WatchMetrics,
    /// Seconds since 1970 at which the serving certificate ends.
    pub certificate_expiry: Gauge,
    /// Certificate files that could not be loaded, since the start.
    pub certificate_errors: Counter,
    /// 1 while what lies in the files or in the Secret cannot be used, else 0.
    pub certificate_unusable: Gauge,
    /// Seconds since 1970 at which the CA ends that signs the serving certificate; 0 where certificates come from files.
    pub authority_expiry: Gauge,
    /// Hooks and definitions that do not carry what they should; counted by the replica that leads.
    pub bundles_missing: Gauge,
    /// Times that a bundle was written to a configuration or a definition.
    pub bundle_writes: Counter,
    /// Connections of clients.
    pub connections: ConnectionMetrics,
    /// Times that changed manifest files could not be read.
    pub manifest_errors: Counter,
    /// Stored objects that cannot be used.
    pub unusable: Counter,
    /// Running pods that were changed.
    pub pod_changes: Counter,
    /// Pods of spread workloads that are in no subset; counted by the replica that leads.
    pub pods_without_subset: Gauge,
    /// Pods that found no node and were deleted, to be made anew in another subset.
    pub pods_moved: Counter,
    /// Budgets that say of themselves that they do not guard all that they select.
    pub budgets_not_enforcing: Gauge,
    /// 1 while this replica leads, else 0.
    pub leader: Gauge,
    /// 1 while this replica is ready, else 0.
    pub ready: Gauge,
    /// Times that this replica became the leader or ceased to be it.
    pub leader_transitions: Counter,
}

/// What is counted of connections.
#[derive(Clone, Debug, Default)]
pub struct ConnectionMetrics {
    /// Connections that are open.
    pub(crate) open: Gauge,
    /// Clients that began to shake hands, and with which no TLS connection came about.
    pub handshakes_failed: Counter,
}

impl ConnectionMetrics {
    /// Counts a connection as open, until what is given back is dropped.
    pub fn begin(&self) -> InFlight {
        InFlight::begin(&self.open)
    }
}

/// What is reckoned when somebody asks.
#[derive(Default)]
struct Reckoned(Mutex<Vec<Reckon>>);

type Reckon = Box<dyn Fn(&Metrics) + Send + Sync>;

impl fmt::Debug for Reckoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reckoned").finish_non_exhaustive()
    }
}

/// Times from 25 µs, which a review takes, to the 10 s after which the API server waits for none.
#[derive(Clone, Debug)]
struct Buckets;

impl Buckets {
    fn short() -> Histogram {
        let bounds = [25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3];
        Histogram::new(bounds.into_iter().chain([1.0, 2.5, 5.0, 10.0]))
    }
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Self::short()
    }
}

/// A count, as gauges want it.
pub(super) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let metrics = Self {
            registry: RwLock::new(Registry::default()),
            reviews: Reviews::default(),
            claims: Claims::default(),
            process: Process::default(),
            objects: Family::default(),
            events: Family::default(),
            log_lines_dropped: Counter::default(),
            reckoned: Reckoned::default(),
            queue: QueueMetrics::default(),
            watches: WatchMetrics::default(),
            certificate_expiry: Gauge::default(),
            certificate_errors: Counter::default(),
            certificate_unusable: Gauge::default(),
            authority_expiry: Gauge::default(),
            bundles_missing: Gauge::default(),
            bundle_writes: Counter::default(),
            connections: ConnectionMetrics::default(),
            manifest_errors: Counter::default(),
            unusable: Counter::default(),
            pod_changes: Counter::default(),
            pods_without_subset: Gauge::default(),
            pods_moved: Counter::default(),
            budgets_not_enforcing: Gauge::default(),
            leader: Gauge::default(),
            ready: Gauge::default(),
            leader_transitions: Counter::default(),
        };
        // What counts from its first time on is there before, so that the first time shows.
        metrics.reviews.begin();
        metrics.claims.begin();
        for outcome in EVENTS {
            let _ = metrics.events.get_or_create(&Ended { outcome }).get();
        }
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.write();
        self.process.register(&mut registry);
        let ours = registry.sub_registry_with_prefix("outrigger");
        self.reviews.register(ours);
        self.claims.register(ours);
        self.queue.register(ours);
        self.watches.register(ours);
        self.register_server(ours);
        self.register_certificates(ours);
        self.register_cluster(ours);
        self.register_pods(ours);
    }

    fn register_server(&self, ours: &mut Registry) {
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        ours.register("build_info", "Always 1; the version is a label", build);
        ours.register("connections_open", "Connections that are open", self.connections.open.clone());
        let failed = self.connections.handshakes_failed.clone();
        ours.register("handshakes_failed", "Clients with which no TLS connection came about", failed);
        ours.register("manifest_errors", "Changed manifest files that could not be read", self.manifest_errors.clone());
        ours.register("log_lines_dropped", "Log lines that were not written, for there were too many", self.log_lines_dropped.clone());
    }

    fn register_certificates(&self, ours: &mut Registry) {
        let expiry = self.certificate_expiry.clone();
        ours.register("certificate_expiry_seconds", "When the serving certificate ends, in seconds since 1970", expiry);
        let help = "Certificates that could not be loaded, read or signed";
        ours.register("certificate_errors", help, self.certificate_errors.clone());
        let unusable = self.certificate_unusable.clone();
        ours.register("certificate_unusable", "1 while the certificate files or the Secret of the CA cannot be used", unusable);
        let help = "When the CA of the serving certificate ends, in seconds since 1970; 0 where certificates come from files";
        ours.register("authority_expiry_seconds", help, self.authority_expiry.clone());
        let help = "Webhook configurations and definitions without the right caBundle, by the replica that leads";
        ours.register("bundles_missing", help, self.bundles_missing.clone());
        ours.register("bundle_writes", "Writes of caBundle", self.bundle_writes.clone());
    }

    fn register_cluster(&self, ours: &mut Registry) {
        ours.register("objects", "Objects that are kept in memory, by kind", self.objects.clone());
        ours.register("unusable_objects", "Stored objects that cannot be used", self.unusable.clone());
        ours.register("events", "Events of the cluster, by what became of them", self.events.clone());
        ours.register("leader", "1 while this replica leads, else 0", self.leader.clone());
        ours.register("ready", "1 while this replica is ready, else 0", self.ready.clone());
        let transitions = self.leader_transitions.clone();
        ours.register("leader_transitions", "Times that this replica became the leader or ceased to be it", transitions);
    }

    fn register_pods(&self, ours: &mut Registry) {
        let unguarded = self.budgets_not_enforcing.clone();
        ours.register("budgets_not_enforcing", "Budgets that do not guard all that they select, by their condition Enforcing", unguarded);
        ours.register("pod_changes", "Running pods that were changed by reconcilers", self.pod_changes.clone());
        let without = self.pods_without_subset.clone();
        ours.register("pods_without_subset", "Pods of spread workloads that are in no subset, by the replica that leads", without);
        let moved = self.pods_moved.clone();
        ours.register("pods_moved", "Pods that found no node and were deleted, to be made anew in another subset", moved);
    }

    /// The metrics of the hook under `path`.
    pub fn hook(&self, path: &'static str) -> HookMetrics {
        self.reviews.of_hook(path)
    }

    /// The metrics of the hook under `path` of a server that only watches.
    pub fn shadow(&self, path: &'static str) -> ShadowMetrics {
        self.reviews.of_shadow(path)
    }

    /// The metrics of claims of a kind: `budget` or `spread`.
    pub fn claims(&self, kind: &'static str) -> ClaimMetrics {
        self.claims.of_kind(kind)
    }

    /// Counts a panic that was caught outside of all hooks.
    pub fn panicked(&self, place: &'static str) {
        self.reviews.panicked(place);
    }

    /// Tells how many objects of a kind are in memory.
    pub fn objects(&self, kind: &'static str, count: usize) {
        self.objects.get_or_create(&OfKind { kind }).set(number(count));
    }

    /// Counts events by what became of them, one word out of a few.
    pub fn events(&self, outcome: &'static str) {
        self.events.get_or_create(&Ended { outcome }).inc();
    }

    /// Tells how many log lines were dropped since the start.
    pub fn log_lines_dropped(&self, count: usize) {
        // The number is the writer's own.
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.log_lines_dropped.inc_by(count.saturating_sub(self.log_lines_dropped.get()));
    }

    /// Has something reckoned whenever somebody asks for the numbers; it has to be quick.
    pub fn reckon(&self, reckon: impl Fn(&Self) + Send + Sync + 'static) {
        self.reckoned.0.lock().push(Box::new(reckon));
    }

    /// In the text format of `OpenMetrics`.
    pub fn to_text(&self) -> String {
        for reckon in self.reckoned.0.lock().iter() {
            reckon(self);
        }
        self.queue.reckon(Instant::now());
        self.process.look();
        let mut text = String::new();
        if encode(&mut text, &self.registry.read()).is_err() {
            // Formatting into a String does not fail; if it ever did, half a page would be worse than none.
            text.clear();
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_is_told_apart_by_words_alone() {
        let metrics = Metrics::new();
        let hook = metrics.hook("/a");
        hook.answered(Verdict::Denied, "budget");
        hook.answered(Verdict::Denied, "budget");
        let under_way = hook.begin();
        let text = metrics.to_text();
        assert!(text.contains(r#"outrigger_reviews_total{hook="/a",verdict="denied",reason="budget"} 2"#), "{text}");
        assert!(text.contains(r#"outrigger_reviews_in_flight{hook="/a"} 1"#), "{text}");
        drop(under_way);
        assert!(metrics.to_text().contains(r#"outrigger_reviews_in_flight{hook="/a"} 0"#));
    }

    #[test]
    fn what_is_reckoned_is_reckoned_when_somebody_asks() {
        let metrics = Metrics::new();
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = asked.clone();
        metrics.reckon(move |metrics| metrics.objects("pod", 1 + counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        assert!(metrics.to_text().contains("outrigger_objects{kind=\"pod\"} 1\n"));
        assert!(metrics.to_text().contains("outrigger_objects{kind=\"pod\"} 2\n"));
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 2);
    }

    #[test]
    fn numbers_of_the_process_have_the_names_that_everybody_knows() {
        let text = Metrics::new().to_text();
        for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"] {
            assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is missing in\n{text}");
        }
    }
}
