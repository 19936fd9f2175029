//! The server over real sockets: what it answers, and what must not break it.

mod abuse;
mod crowds;
mod limits;
mod malformed;
mod questions;
mod reviews;
mod stop;
