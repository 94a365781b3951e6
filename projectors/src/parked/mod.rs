//! Parked records: what could not be applied, and what waits behind it so that each key's events stay in order. A record
//! is parked in the transaction that moves the position past it, and leaves in the one that applies it.

mod bench;
mod desk;
mod list;
mod queues;
mod replay;
mod show;
mod store;

pub use desk::{Desk, Refusal, Retried};
pub use list::{Parked, count, list};
pub use show::Record;

pub(crate) use queues::{Queues, queue_of};
pub(crate) use store::{Change, park};
