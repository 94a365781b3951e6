//! The log's ends, as workers have told them. Invariant: they only describe; what an answer reflects is its position alone.

use serde::Deserialize;

use super::position::Position;

/// What was known of a model's log when the catalogue was read.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Log {
    ends: Vec<End>,
    /// How old the state of the views is; none where nobody says.
    pub(crate) lag_ms: Option<i64>,
}

/// A partition's end.
#[derive(Debug, Clone, Deserialize)]
struct End {
    topic: String,
    partition: i32,
    /// None where no worker knows it.
    end: Option<i64>,
    /// When a worker said so, in milliseconds since 1970.
    seen_ms: i64,
}

impl Log {
    /// How many events lie between the position and the ends; none where a partition's end is not known, or it is not known
    /// where its reading begins.
    pub(crate) fn behind(&self, position: &Position) -> Option<i64> {
        let is_known = |(topic, partition): (&str, i32)| {
            self.ends.iter().any(|end| end.topic == topic && end.partition == partition)
        };
        if self.ends.is_empty() || !position.partitions().all(is_known) {
            return None;
        }
        let behind = |End { topic, partition, end, .. }: &End| match (
            position.next_offset(topic, *partition),
            (*end)?,
        ) {
            (Some(next_offset), end) => Some((end - next_offset).max(0)),
            (None, 0) => Some(0),
            (None, _) => None,
        };
        self.ends.iter().map(behind).sum()
    }

    /// The oldest word of a partition's end, in milliseconds since 1970.
    pub(crate) fn seen_ms(&self) -> Option<i64> {
        self.ends.iter().map(|end| end.seen_ms).min()
    }
}
