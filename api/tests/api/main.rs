//! The API from outside, on a real Postgres: one cluster for all tests of this binary, a database for each.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod admin;
mod after;
mod catalogue;
mod formats;
mod freshness;
mod groups;
mod hostile;
mod issuer;
mod lists;
mod oracle;
mod paging;
mod postgres;
mod probes;
mod rows;
mod selects;
mod server;
mod stage;
mod whole;
