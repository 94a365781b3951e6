//! A generation that is being built: who is first, how far it has come, and what is made at the end of the load.

pub(crate) mod furnish;
pub(crate) mod goal;
pub(crate) mod progress;
pub(crate) mod queue;
