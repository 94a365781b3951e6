//! What a piece of SQL names, and which of its words are refused.

pub mod functions;
pub(crate) mod lexicon;
pub(crate) mod name;
pub(crate) mod nearest;
pub(crate) mod survey;
