//! A generation: a model's tables in a schema of their own, made from one definition, and the control tables that say so.

pub mod control;
mod follow;
pub(crate) mod inspect;
pub(crate) mod open;
pub(crate) mod tables;
