//! The one walk over a record's bytes: what is written against what is asked for, in one pass, within the record's own size.

pub(crate) mod budget;
pub(crate) mod compile;
pub(crate) mod cursor;
pub(crate) mod fault;
pub(crate) mod pairing;
pub(crate) mod program;
pub(crate) mod scalar;
pub(crate) mod shape;
