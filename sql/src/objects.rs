//! What a model file makes, and what names mean within it.

pub(crate) mod index;
pub(crate) mod scope;
pub(crate) mod table;
