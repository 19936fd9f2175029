//! Spreads as a whole: hook, claims and reconciler of several replicas over one API server.

mod api;
mod model;
mod replica;
