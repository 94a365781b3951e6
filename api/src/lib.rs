#![doc = include_str!("../README.md")]
//! Invariant: nothing here writes but what operators decide, through `projectors`' desk. All else is one autocommit
//! `SELECT` at a time on a read-only session.

mod access;
pub mod admin;
mod answer;
mod api;
mod catalogue;
mod console;
mod database;
mod docs;
mod edge;
mod format;
mod health;
mod inside;
mod json;
mod openapi;
mod prefer;
mod problem;
mod query;
mod router;
mod settings;
mod sight;
mod views;

pub use access::{
    AuthSettings, Bearer, KeySource, Reader, TokenSettings, Unreadable, is_safe_address,
};
pub use api::{Api, ApiError};
pub use edge::measure::{
    AUTHENTICATION_FAILURES_TOTAL, CERTIFICATE_UNTIL_SECONDS, DURATION_SECONDS, KEY_FETCHES_TOTAL,
    REQUESTS_TOTAL, describe_metrics,
};
pub use edge::origin::{Origin, OriginError};
pub use edge::rate::Rate;
pub use edge::server::serve;
pub use edge::tls::{Tls, TlsError};
pub use jsonwebtoken::Algorithm;
pub use settings::{ApiSettings, Thresholds};
