//! The way of a record: frame, the writer's schema, the version that it fits, rows for one model.

pub(crate) mod decoder;
pub(crate) mod error;
pub(crate) mod frame;
pub(crate) mod key;
pub(crate) mod layout;
pub(crate) mod matching;
pub(crate) mod meaning;
pub(crate) mod metadata;
pub(crate) mod older;
pub(crate) mod outlook;
pub(crate) mod reader;
pub(crate) mod rows;
