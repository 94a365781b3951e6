//! A generation's schema: what is made in it, what follows the file in place, and the stable schema in front of the live one.

pub(crate) mod follow;
mod grants;
pub(crate) mod inspect;
pub(crate) mod refusal;
mod rights;
pub(crate) mod stable;
pub(crate) mod tables;
