#![doc = include_str!("../README.md")]
//! Invariant: nothing here writes. Every statement is one autocommit `SELECT` on a read-only session.

mod answer;
mod api;
mod catalogue;
mod database;
mod directory;
mod freshness;
mod guard;
mod list;
mod measure;
mod path;
mod probe;
mod problem;
mod query;
mod refusal;
mod row;
mod schema;
mod server;
mod views;

pub use api::{Api, ApiError, ApiSettings};
pub use measure::{DURATION_SECONDS, REQUESTS_TOTAL, describe_metrics};
pub use server::serve;
