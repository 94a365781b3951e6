//! The API from outside, on a real Postgres: one cluster for all tests of this binary, a database for each.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod admin;
mod after;
mod catalogue;
#[allow(dead_code, unreachable_pub)] // shared with tests that use more of it
#[path = "../../../tests/support/certificates.rs"]
mod certificates;
mod console;
mod fire;
mod formats;
mod frames;
mod freshness;
mod groups;
mod guarded;
mod hostile;
mod issuer;
mod lists;
mod oracle;
mod origins;
mod paging;
mod postgres;
mod probes;
mod rights;
mod row_security;
mod rows;
mod selects;
mod self_description;
mod server;
mod stage;
mod strangers;
mod tls;
mod whole;
