#![doc = include_str!("../README.md")]
//! Invariant: nothing here writes but what operators decide, through `projectors`' desk. All else is one autocommit
//! `SELECT` at a time on a read-only session.

pub mod admin;
mod answer;
mod api;
mod catalogue;
mod database;
mod directory;
mod freshness;
mod guard;
mod health;
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
pub use health::Thresholds;
pub use measure::{DURATION_SECONDS, REQUESTS_TOTAL, describe_metrics};
pub use server::serve;
