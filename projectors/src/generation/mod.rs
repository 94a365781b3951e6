//! A generation: a model's tables in a schema of their own.

pub mod control;
pub(crate) mod follow;
pub(crate) mod inspect;
pub(crate) mod open;
