//! What begins a generation: a file with a new meaning, an operator's word, a reset by Kafka's own tool, a restored dump; and
//! what the log must still hold for one.

mod adopt;
pub(crate) mod open;
pub(crate) mod plan;
pub(crate) mod rebuild;
pub(crate) mod reset;
pub(crate) mod retention;
