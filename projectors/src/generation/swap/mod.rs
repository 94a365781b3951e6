//! Making the generation that was built the one that readers see: what would change, what is in the way, and the one
//! transaction.

pub(crate) mod attempt;
pub(crate) mod comparison;
pub(crate) mod distance;
pub(crate) mod losses;
pub(crate) mod readiness;
