//! A generation: a model's tables and all that moves with them in a schema of their own, made from one definition; and the
//! control tables that say which there are.

pub mod control;
mod follow;
pub(crate) mod inspect;
pub(crate) mod live;
pub(crate) mod open;
pub(crate) mod stored;
pub(crate) mod tables;
