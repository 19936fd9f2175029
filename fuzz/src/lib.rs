//! What is thrown at the pure parts of the product. Each module has a `run` that takes bytes, whatever they are, and panics if something
//! is wrong with what becomes of them: that of a fuzz target of its name (`targets/`), which the tests of the product run as well, over
//! the corpus (`tests/it/fuzzed.rs`).
//!
//! `cargo +nightly fuzz run NAME` in the project's folder, with cargo-fuzz 0.13; [docs/fuzzing.md](../../docs/fuzzing.md) says more.

pub mod amounts;
mod choices;
mod cluster;
pub mod convert;
pub mod documents;
pub mod expressions;
pub mod inject;
pub mod merge;
pub mod mutated;
pub mod quantities;
pub mod review;
pub mod selectors;

/// What a target does with bytes.
pub type Run = fn(&[u8]);

/// The name of each target, and what it does.
pub const TARGETS: [(&str, Run); 10] = [
    ("amounts", amounts::run),
    ("convert", convert::run),
    ("documents", documents::run),
    ("expressions", expressions::run),
    ("inject", inject::run),
    ("merge", merge::run),
    ("mutated", mutated::run),
    ("quantities", quantities::run),
    ("review", review::run),
    ("selectors", selectors::run),
];
