//! The API from outside, on a real Postgres: one cluster for all tests of this binary, a database for each.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod after;
mod catalogue;
mod freshness;
mod hostile;
mod lists;
mod paging;
mod postgres;
mod probes;
mod rows;
mod server;
mod stage;
