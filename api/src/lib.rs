#![doc = include_str!("../README.md")]
//! Invariant: nothing here writes but what operators decide, through `projectors`' desk. All else is one autocommit
//! `SELECT` at a time on a read-only session.

mod access;
pub mod admin;
mod answer;
mod api;
mod catalogue;
mod database;
mod edge;
mod format;
mod health;
mod json;
mod prefer;
mod problem;
mod query;
mod router;
mod settings;
mod sight;
mod views;

pub use access::Reader;
pub use api::{Api, ApiError};
pub use edge::measure::{DURATION_SECONDS, REQUESTS_TOTAL, describe_metrics};
pub use edge::server::serve;
pub use settings::{ApiSettings, Thresholds};
