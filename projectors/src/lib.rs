#![doc = include_str!("../README.md")]

mod backoff;
mod batch;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod breaker;
mod claims;
pub mod control;
mod crew;
mod cutting;
mod decode;
mod definition;
mod fault;
mod furnish;
pub mod generation;
mod inspect;
#[cfg(test)]
mod law;
pub mod metrics;
pub mod parked;
mod plan;
mod positions;
mod publication;
mod recent;
mod rules;
mod running;
mod search;
mod service;
pub mod session;
mod settings;
mod severity;
mod statement;
mod status;
mod window;
mod worker;
mod writer;

pub use backoff::Backoff;
pub use definition::{Definition, Definitions, Roots};
pub use fault::{Blame, Fault, Trouble};
pub use inspect::inspect;
pub use rules::{parallel, waves};
pub use service::Service;
pub use settings::{BreakerSettings, ModelSettings, ParkedLimits, Policy, Retries, Strategy};
pub use severity::{ErrorType, Severity};
pub use status::{Board, Orders, Standing, State};

/// An identifier as SQL quotes it.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The schema that holds a generation's tables.
pub fn generation_schema(model: &str, generation: i32) -> String {
    format!("{model}@{generation}")
}
