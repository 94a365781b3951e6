//! Generations that readers see no more: what comes back, what is dropped, and what is left behind.

mod removal;
mod rollback;
pub(crate) mod sweep;
