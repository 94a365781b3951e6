#![doc = include_str!("../README.md")]

mod backoff;
mod batch;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod board;
mod commit;
mod definition;
mod desk;
mod error_type;
mod explain;
mod fault;
mod generation;
#[cfg(test)]
mod law;
pub mod metrics;
mod names;
pub mod parked;
mod proof;
pub mod rehearsal;
mod rules;
pub mod session;
mod settings;
mod sqlstate;
mod worker;

pub use backoff::Backoff;
pub use batch::stored_id;
pub use board::{
    Board, GenerationStatus, IgnoredName, ModelStatus, Orders, PartitionStatus, Standing, State,
    Status,
};
pub use definition::{Definition, Definitions, Roots};
pub use desk::{Desk, FileOf, Resumed, Retried};
pub use error_type::{ErrorType, Severity};
pub use explain::{Explained, ExplainedRule};
pub use fault::{Blame, Fault, Trouble};
pub use generation::build::progress::{PartitionProgress, Progress};
pub use generation::control;
pub use generation::live::Live;
pub use generation::schema::inspect::inspect;
pub use generation::start::plan::{Because, Does, Plan};
pub use generation::stored::topics_of;
pub use generation::swap::comparison::{Difference, TableComparison};
pub use generation::{Files, Rebuild, Rebuilt};
pub use names::quote;
pub use parked::refusal::Refusal;
pub use proof::store::OneWriter;
pub use rules::waves;
pub use settings::{
    BreakerSettings, ModelSettings, ParkedLimits, Policy, Retries, Rewind, Strategy, Swap,
};
pub use sqlstate::Sqlstate;
pub use worker::service::{Proposal, Proposed, Service};
