//! The wire of admission: reviews read and written, verdicts, and the one maker of JSON Patch. Pure.

pub mod edits;
pub mod review;
pub mod verdict;
