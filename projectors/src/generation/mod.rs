//! A generation: a model's tables and all that moves with them in a schema of their own, made from one definition; and the
//! control tables that say which there are.

mod audit;
pub(crate) mod build;
pub mod control;
mod known;
pub(crate) mod live;
pub(crate) mod lock;
pub(crate) mod retired;
mod rights;
pub(crate) mod role;
pub(crate) mod schema;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod stored;
pub(crate) mod swap;

pub use start::rebuild::{Files, Rebuild, Rebuilt};
