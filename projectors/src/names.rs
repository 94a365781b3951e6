//! Names: a generation's, and identifiers as SQL writes them.

use std::fmt;

pub use vitrina_sql::quoted as quote;

/// One generation of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GenerationId {
    pub model: String,
    pub number: i32,
}

impl GenerationId {
    pub(crate) fn new(model: &str, number: i32) -> Self {
        Self { model: model.to_owned(), number }
    }

    /// The schema that holds its tables.
    pub(crate) fn schema(&self) -> String {
        self.to_string()
    }

    /// The advisory lock of its writers, and of whoever changes what is parked.
    pub(crate) fn lock_key(&self) -> i64 {
        xxhash_rust::xxh3::xxh3_64(format!("vitrina {self}").as_bytes()) as i64
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.model, self.number)
    }
}
