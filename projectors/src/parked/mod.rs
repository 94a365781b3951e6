//! Parked records: what could not be applied, and what waits behind it so that each key's events stay in order. A record
//! is parked in the transaction that moves the position past it, and leaves in the one that applies it.

pub(crate) mod history;
pub(crate) mod inherit;
pub(crate) mod list;
pub(crate) mod queues;
pub(crate) mod refusal;
pub(crate) mod repeat;
pub(crate) mod replay;
pub(crate) mod show;
pub(crate) mod store;
pub(crate) mod workbench;

pub use history::{VerdictLine, history};
pub use list::{Parked, count, list};
pub use show::ParkedDetail;

pub(crate) use queues::{ParkedVersion, Queues, Versions, raise_versions};
pub(crate) use store::{Change, park};
