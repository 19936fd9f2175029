//! Claims over a scripted API server and a clock that jumps: what is taken is never more than there is, whatever becomes of requests.

mod crowds;
mod mirrors;
mod several;
mod spoken;
mod trouble;
mod watching;
mod world;
