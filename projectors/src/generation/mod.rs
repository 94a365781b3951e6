//! A generation: a model's tables and all that moves with them in a schema of their own, made from one definition; and the
//! control tables that say which there are.

mod adopt;
pub mod control;
mod follow;
mod furnish;
mod grants;
pub(crate) mod inspect;
pub(crate) mod live;
pub(crate) mod open;
pub(crate) mod queue;
pub(crate) mod rebuild;
pub(crate) mod role;
mod stable;
pub(crate) mod stored;
pub(crate) mod swap;
pub(crate) mod sweep;
pub(crate) mod tables;

pub use rebuild::{Files, Rebuilt};
