//! The wire of admission and conversion: reviews read and written, verdicts, questions, claims, and the one maker of JSON Patch. Pure.

pub mod ask;
pub mod claim;
pub mod conversion;
pub mod edits;
pub mod reason;
pub mod review;
pub mod verdict;
