//! What is counted of claims: what requests take of budgets and spreads.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{
    Buckets, InFlight,
    labels::{EndedOfKind, OfKind},
};

/// What claims are made of.
const KINDS: [&str; 2] = ["budget", "spread"];
/// What becomes of them.
const OUTCOMES: [&str; 4] = ["given", "refused", "stale", "unsettled"];

/// Claims of all kinds.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    ended: Family<EndedOfKind, Counter>,
    seconds: Family<OfKind, Histogram, Buckets>,
    folded: Family<OfKind, Histogram, Counts>,
    writes: Family<OfKind, Counter>,
    conflicts: Family<OfKind, Counter>,
    lapsed: Family<OfKind, Counter>,
    waiting: Family<OfKind, Gauge>,
}

#[derive(Clone, Debug)]
struct Counts;

impl prometheus_client::metrics::family::MetricConstructor<Histogram> for Counts {
    fn new_metric(&self) -> Histogram {
        Histogram::new([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 250.0])
    }
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            ended: Family::default(),
            seconds: Family::new_with_constructor(Buckets),
            folded: Family::new_with_constructor(Counts),
            writes: Family::default(),
            conflicts: Family::default(),
            lapsed: Family::default(),
            waiting: Family::default(),
        }
    }
}

impl Claims {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("claims", "What requests claimed of budgets and spreads, by kind and outcome", self.ended.clone());
        registry.register("claim_seconds", "Time that a claim waited for its outcome", self.seconds.clone());
        registry.register("claims_folded", "How many claims shared one look at their object, and one write", self.folded.clone());
        registry.register("claim_writes", "Writes of what was claimed; several claims may share one", self.writes.clone());
        registry.register("claim_conflicts", "Such writes that another one was ahead of", self.conflicts.clone());
        registry.register("claims_lapsed", "Claims that were given and never used in time", self.lapsed.clone());
        registry.register("claims_waiting", "Claims that wait for their turn", self.waiting.clone());
    }

    /// All that there can be, at zero.
    pub(super) fn begin(&self) {
        for kind in KINDS {
            let _ = self.of_kind(kind);
            for outcome in OUTCOMES {
                let _ = self.ended.get_or_create(&EndedOfKind { kind, outcome }).get();
            }
        }
    }

    pub(super) fn of_kind(&self, kind: &'static str) -> ClaimMetrics {
        let of = OfKind { kind };
        ClaimMetrics {
            kind,
            ended: self.ended.clone(),
            seconds: self.seconds.get_or_create(&of).clone(),
            folded: self.folded.get_or_create(&of).clone(),
            writes: self.writes.get_or_create(&of).clone(),
            conflicts: self.conflicts.get_or_create(&of).clone(),
            lapsed: self.lapsed.get_or_create(&of).clone(),
            waiting: self.waiting.get_or_create(&of).clone(),
        }
    }
}

/// The metrics of claims of one kind.
#[derive(Clone, Debug)]
pub struct ClaimMetrics {
    kind: &'static str,
    ended: Family<EndedOfKind, Counter>,
    seconds: Histogram,
    folded: Histogram,
    /// Writes of what was claimed.
    pub writes: Counter,
    /// Writes that came second.
    pub conflicts: Counter,
    /// Claims that were given and never used in time.
    pub lapsed: Counter,
    waiting: Gauge,
}

impl ClaimMetrics {
    /// Counts the outcome of a claim, one word out of a few, and how long it was waited for.
    pub fn ended(&self, outcome: &'static str, waited: Duration) {
        self.ended.get_or_create(&EndedOfKind { kind: self.kind, outcome }).inc();
        self.seconds.observe(waited.as_secs_f64());
    }

    /// Counts a claim as waiting, until what is given back is dropped.
    pub fn begin(&self) -> InFlight {
        InFlight::begin(&self.waiting)
    }

    /// Counts a turn that so many claims shared.
    pub fn folded(&self, count: usize) {
        self.folded.observe(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}
