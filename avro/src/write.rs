//! JSON to Avro, for `vitrina publish` and for defaults.

pub(crate) mod dialect;
pub(crate) mod encode;
pub(crate) mod error;
