//! The server over real sockets: what it answers, and what must not break it.

mod crowds;
mod limits;
mod questions;
mod reviews;
mod stop;
