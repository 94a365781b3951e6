//! A generation: a model's tables and all that moves with them in a schema of their own, made from one definition; and the
//! control tables that say which there are.

mod adopt;
pub(crate) mod comparison;
pub mod control;
mod follow;
mod furnish;
mod grants;
pub(crate) mod inspect;
pub(crate) mod live;
pub(crate) mod open;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod queue;
pub(crate) mod readiness;
pub(crate) mod rebuild;
pub(crate) mod refusal;
mod removal;
pub(crate) mod reset;
pub(crate) mod retention;
pub(crate) mod role;
mod rollback;
mod stable;
pub(crate) mod stored;
pub(crate) mod swap;
pub(crate) mod sweep;
pub(crate) mod tables;

pub use rebuild::{Files, Rebuild, Rebuilt};
