//! What is counted of reviews.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{
    Buckets,
    labels::{Answered, Ended, OfHook, Watched},
};

const ANSWERED: &str = "answered";
const UNANSWERED: &str = "unanswered";

/// Reviews of all hooks.
#[derive(Debug)]
pub(super) struct Reviews {
    answered: Family<Answered, Counter>,
    seconds: Family<OfHook, Histogram, Buckets>,
    in_flight: Family<OfHook, Gauge>,
    shadow: Family<Watched, Counter>,
    panics: Family<OfHook, Counter>,
    questions: Family<Ended, Counter>,
    question_seconds: Histogram,
}

impl Default for Reviews {
    fn default() -> Self {
        Self {
            answered: Family::default(),
            seconds: Family::new_with_constructor(Buckets),
            in_flight: Family::default(),
            shadow: Family::default(),
            panics: Family::default(),
            questions: Family::default(),
            question_seconds: Buckets::short(),
        }
    }
}

impl Reviews {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("reviews", "Admission reviews answered, by hook, verdict and reason", self.answered.clone());
        registry.register("review_seconds", "Time from a review's body to its answer", self.seconds.clone());
        registry.register("reviews_in_flight", "Reviews that are being answered", self.in_flight.clone());
        let shadow = self.shadow.clone();
        registry.register("shadow_reviews", "What would have been done about reviews by a server that only watches, by hook", shadow);
        registry.register("panics", "Panics that were caught, by where", self.panics.clone());
        registry.register("questions", "Questions asked of the API server to answer reviews, by outcome", self.questions.clone());
        registry.register("question_seconds", "Time that the answers to these questions took", self.question_seconds.clone());
    }

    /// What is not of a hook, at zero.
    pub(super) fn begin(&self) {
        let _ = self.panics.get_or_create(&OfHook { hook: "claims" }).get();
        for outcome in [ANSWERED, UNANSWERED] {
            let _ = self.questions.get_or_create(&Ended { outcome }).get();
        }
    }

    /// Those of the hook under `path` of a server that only watches.
    pub(super) fn of_shadow(&self, hook: &'static str) -> ShadowMetrics {
        let review = |would| self.shadow.get_or_create(&Watched { hook, would }).clone();
        ShadowMetrics {
            allowed: review("allowed"),
            patched: review("patched"),
            left_out: review("left_out"),
            denied: review("denied"),
            failed: review("failed"),
        }
    }

    /// Counts a panic that was caught at a place outside of all hooks.
    pub(super) fn panicked(&self, hook: &'static str) {
        self.panics.get_or_create(&OfHook { hook }).inc();
    }

    /// Those of the hook under `path`.
    pub(super) fn of_hook(&self, path: &'static str) -> HookMetrics {
        let hook = OfHook { hook: path };
        HookMetrics {
            hook: path,
            answered: self.answered.clone(),
            panics: self.panics.get_or_create(&hook).clone(),
            seconds: self.seconds.get_or_create(&hook).clone(),
            in_flight: self.in_flight.get_or_create(&hook).clone(),
            questions: self.questions.clone(),
            question_seconds: self.question_seconds.clone(),
        }
    }
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

/// What a review was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Without a change.
    Allowed,
    /// With a patch.
    Patched,
    /// With a refusal.
    Denied,
    /// Not at all: the body was no review.
    Unreadable,
    /// Not at all: the handler panicked.
    Panicked,
}

impl Verdict {
    /// In a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Patched => "patched",
            Self::Denied => "denied",
            Self::Unreadable => "unreadable",
            Self::Panicked => "panicked",
        }
    }
}

/// The metrics of one hook.
#[derive(Clone, Debug)]
pub struct HookMetrics {
    hook: &'static str,
    answered: Family<Answered, Counter>,
    questions: Family<Ended, Counter>,
    question_seconds: Histogram,
    in_flight: Gauge,
    /// Handlers that panicked.
    pub panics: Counter,
    /// From the first byte of the body to the answer.
    pub seconds: Histogram,
}

impl HookMetrics {
    /// Counts an answer; `reason` is one word out of a few.
    pub fn answered(&self, verdict: Verdict, reason: &'static str) {
        self.answered.get_or_create(&Answered { hook: self.hook, verdict: verdict.word(), reason }).inc();
    }

    /// Counts a question to the API server, answered or not, and how long it took.
    pub fn asked(&self, is_answered: bool, took: Duration) {
        let outcome = if is_answered { ANSWERED } else { UNANSWERED };
        self.questions.get_or_create(&Ended { outcome }).inc();
        self.question_seconds.observe(took.as_secs_f64());
    }

    /// Counts a review as under way, until what is given back is dropped.
    pub fn begin(&self) -> InFlight {
        InFlight::begin(&self.in_flight)
    }
}

/// Something that is under way, and counted as such.
#[derive(Debug)]
#[must_use]
pub struct InFlight(Gauge);

impl InFlight {
    pub(super) fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
