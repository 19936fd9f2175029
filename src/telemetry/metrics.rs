//! Every number that the server counts, in one struct. Labels are bounded: hooks and verdicts, never names of objects.

use std::fmt::Write as _;

use parking_lot::RwLock;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: RwLock<Registry>,
    reviews: Family<Review, Counter>,
    seconds: Family<OfHook, Histogram, Buckets>,
    panics: Family<OfHook, Counter>,
    shadow_reviews: Family<ShadowReview, Counter>,
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
    /// Times that changed manifest files could not be read.
    pub manifest_errors: Counter,
    /// Stored objects that cannot be used.
    pub unusable: Counter,
    /// Watches that ended and were begun again.
    pub watch_restarts: Counter,
    /// Times that an object was looked at by its reconciler.
    pub reconciles: Counter,
    /// What reconcilers wanted done and was not.
    pub reconcile_errors: Counter,
    /// From a look at an object to the last answer about it.
    pub reconcile_seconds: Histogram,
    /// Running pods that were changed.
    pub pod_changes: Counter,
    /// Pods that were given a place in a subset and did not come in time.
    pub places_lapsed: Counter,
    /// Pods of spread workloads that are in no subset; counted by the replica that leads.
    pub pods_without_subset: Gauge,
    /// Pods that found no node and were deleted, to be made anew in another subset.
    pub pods_moved: Counter,
    /// Budgets that say of themselves that they do not guard all that they select.
    pub budgets_not_enforcing: Gauge,
    /// Requests that were refused because something could not be taken for them.
    pub claims_refused: Counter,
    /// Times that what requests claim was written; several may share one.
    pub claim_writes: Counter,
    /// 1 while this replica leads, else 0.
    pub leader: Gauge,
    /// Times that this replica became the leader or ceased to be it.
    pub leader_transitions: Counter,
}

/// The metrics of one hook, looked up once.
#[derive(Clone, Debug)]
pub struct HookMetrics {
    /// Reviews answered without a change.
    pub allowed: Counter,
    /// Reviews answered with a patch.
    pub patched: Counter,
    /// Reviews refused.
    pub denied: Counter,
    /// Bodies that were no review.
    pub unreadable: Counter,
    /// Handlers that panicked.
    pub panics: Counter,
    /// From the first byte of the body to the answer.
    pub seconds: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Review {
    hook: String,
    verdict: &'static str,
}

/// What would have been done about the reviews of one hook by a server that only watches.
#[derive(Clone, Debug)]
pub struct ShadowMetrics {
    /// Nothing.
    pub allowed: Counter,
    /// A change.
    pub patched: Counter,
    /// Less than was done by whoever was there before.
    pub left_out: Counter,
    /// A refusal.
    pub denied: Counter,
    /// Nobody knows: there was no decision in time, or the handler panicked.
    pub failed: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ShadowReview {
    hook: String,
    would: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfHook {
    hook: String,
}

#[derive(Clone, Debug)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 250e-3, 1.0, 5.0])
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("outrigger");
        let metrics = Self {
            reviews: Family::default(),
            seconds: Family::new_with_constructor(Buckets),
            panics: Family::default(),
            shadow_reviews: Family::default(),
            certificate_expiry: Gauge::default(),
            certificate_errors: Counter::default(),
            certificate_unusable: Gauge::default(),
            authority_expiry: Gauge::default(),
            bundles_missing: Gauge::default(),
            bundle_writes: Counter::default(),
            manifest_errors: Counter::default(),
            unusable: Counter::default(),
            watch_restarts: Counter::default(),
            reconciles: Counter::default(),
            reconcile_errors: Counter::default(),
            reconcile_seconds: Buckets.new_metric(),
            pod_changes: Counter::default(),
            places_lapsed: Counter::default(),
            pods_without_subset: Gauge::default(),
            pods_moved: Counter::default(),
            budgets_not_enforcing: Gauge::default(),
            claims_refused: Counter::default(),
            claim_writes: Counter::default(),
            leader: Gauge::default(),
            leader_transitions: Counter::default(),
            registry: RwLock::new(Registry::default()),
        };
        metrics.register(&mut registry);
        Self { registry: RwLock::new(registry), ..metrics }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("reviews", "Admission reviews answered, by hook and verdict", self.reviews.clone());
        registry.register("review_seconds", "Time from a review's body to its answer", self.seconds.clone());
        registry.register("panics", "Handlers that panicked, by hook", self.panics.clone());
        self.register_certificates(registry);
        let shadow = self.shadow_reviews.clone();
        registry.register("shadow_reviews", "What would have been done about reviews by a server that only watches, by hook", shadow);
        registry.register("manifest_errors", "Changed manifest files that could not be read", self.manifest_errors.clone());
        registry.register("unusable_objects", "Stored objects that cannot be used", self.unusable.clone());
        registry.register("watch_restarts", "Watches that ended and were begun again", self.watch_restarts.clone());
        registry.register("leader", "1 while this replica leads, else 0", self.leader.clone());
        let transitions = self.leader_transitions.clone();
        registry.register("leader_transitions", "Times that this replica became the leader or ceased to be it", transitions);
        let refused = self.claims_refused.clone();
        registry.register("claims_refused", "Requests refused because a budget had no room for them", refused);
        let writes = self.claim_writes.clone();
        registry.register("claim_writes", "Writes of what requests took from budgets; several may share one", writes);
        self.register_reconcilers(registry);
    }

    fn register_certificates(&self, registry: &mut Registry) {
        let expiry = self.certificate_expiry.clone();
        registry.register("certificate_expiry_seconds", "When the serving certificate ends, in seconds since 1970", expiry);
        let help = "Certificates that could not be loaded, read or signed";
        registry.register("certificate_errors", help, self.certificate_errors.clone());
        let unusable = self.certificate_unusable.clone();
        registry.register("certificate_unusable", "1 while the certificate files or the Secret of the CA cannot be used", unusable);
        let help = "When the CA of the serving certificate ends, in seconds since 1970; 0 where certificates come from files";
        registry.register("authority_expiry_seconds", help, self.authority_expiry.clone());
        let help = "Webhook configurations and definitions without the right caBundle, by the replica that leads";
        registry.register("bundles_missing", help, self.bundles_missing.clone());
        registry.register("bundle_writes", "Writes of caBundle", self.bundle_writes.clone());
    }

    fn register_reconcilers(&self, registry: &mut Registry) {
        registry.register("reconciles", "Times that an object was looked at by its reconciler", self.reconciles.clone());
        registry.register("reconcile_errors", "What reconcilers wanted done and was not", self.reconcile_errors.clone());
        let seconds = self.reconcile_seconds.clone();
        registry.register("reconcile_seconds", "From a look at an object to the last answer about it", seconds);
        let unguarded = self.budgets_not_enforcing.clone();
        registry.register(
            "budgets_not_enforcing",
            "Budgets that do not guard all that they select, by their condition Enforcing",
            unguarded,
        );
        registry.register("pod_changes", "Running pods that were changed by reconcilers", self.pod_changes.clone());
        self.register_spreads(registry);
    }

    fn register_spreads(&self, registry: &mut Registry) {
        let lapsed = self.places_lapsed.clone();
        registry.register("places_lapsed", "Pods that were given a place in a subset and did not come in time", lapsed);
        let without = self.pods_without_subset.clone();
        registry.register("pods_without_subset", "Pods of spread workloads that are in no subset, by the replica that leads", without);
        let moved = self.pods_moved.clone();
        registry.register("pods_moved", "Pods that found no node and were deleted, to be made anew in another subset", moved);
    }

    /// The metrics of the hook under `path`.
    pub fn hook(&self, path: &str) -> HookMetrics {
        let review = |verdict| self.reviews.get_or_create(&Review { hook: path.to_owned(), verdict }).clone();
        let hook = OfHook { hook: path.to_owned() };
        HookMetrics {
            allowed: review("allowed"),
            patched: review("patched"),
            denied: review("denied"),
            unreadable: review("unreadable"),
            panics: self.panics.get_or_create(&hook).clone(),
            seconds: self.seconds.get_or_create(&hook).clone(),
        }
    }

    /// The metrics of the hook under `path` of a server that only watches.
    pub fn shadow(&self, path: &str) -> ShadowMetrics {
        let review = |would| self.shadow_reviews.get_or_create(&ShadowReview { hook: path.to_owned(), would }).clone();
        ShadowMetrics {
            allowed: review("allowed"),
            patched: review("patched"),
            left_out: review("left_out"),
            denied: review("denied"),
            failed: review("failed"),
        }
    }

    /// In the text format of `OpenMetrics`.
    pub fn to_text(&self) -> String {
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
