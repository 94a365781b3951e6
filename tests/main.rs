//! The real binary on a real broker, registry and Postgres: `make test` starts the services.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bank;
mod definitions;
mod exactly_once;
mod faults;
mod hostile;
mod main_job;
mod parked;
mod parking;
mod reference;
mod refusals;
mod support;
mod tombstones;
