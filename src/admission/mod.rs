//! The wire of admission and conversion: reviews read and written, verdicts, questions, and the one maker of JSON Patch. Pure.

pub mod ask;
pub mod conversion;
pub mod edits;
pub mod review;
pub mod verdict;
