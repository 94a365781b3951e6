//! What is counted of a partition, each in a type of its own, so that an offset is never taken for an epoch.

use std::fmt;

/// The place of a record in its partition; or of the next one, where a span or a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(pub i64);

/// How often a partition was claimed. Whoever holds an older one is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub i64);

impl Offset {
    /// The one behind it.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The one that lies so many before it.
    pub fn before(self, offsets: i64) -> Self {
        Self(self.0 - offsets)
    }

    /// How many offsets it lies behind `earlier`; fewer than none where it lies before.
    pub fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl From<i64> for Offset {
    fn from(offset: i64) -> Self {
        Self(offset)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
