//! The real binary on a real broker, registry and Postgres: `make test` starts the services.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bank;
mod blame;
mod building;
mod check;
mod command_line;
mod demo;
mod exactly_once;
mod faults;
mod generations;
mod history;
mod hostile_records;
mod identities;
mod ignored;
mod operators;
mod parking;
mod placing;
mod reference;
mod registry_answers;
mod stops;
mod support;
mod tombstones;
