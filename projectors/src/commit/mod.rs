//! The one transaction.

pub(crate) mod ignored;
pub(crate) mod positions;
pub(crate) mod window;
pub(crate) mod writer;
