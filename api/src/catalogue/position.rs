//! How far a generation has come in its log, as offsets. Invariant: it is written the same way wherever it is told.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// Of each topic, partition by partition from 0, the next offset; none where nobody has begun to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position(BTreeMap<String, Vec<Option<i64>>>);

impl Position {
    /// Of rows of positions: topic, partition and next offset.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = (&'a str, i32, i64)>) -> Self {
        let mut topics: BTreeMap<String, Vec<Option<i64>>> = BTreeMap::new();
        for (topic, partition, next_offset) in rows {
            let Ok(partition) = usize::try_from(partition) else { continue };
            let offsets = match topics.get_mut(topic) {
                Some(offsets) => offsets,
                None => topics.entry(topic.to_owned()).or_default(),
            };
            if offsets.len() <= partition {
                offsets.resize(partition + 1, None);
            }
            offsets[partition] = Some(next_offset);
        }
        Self(topics)
    }

    /// The next offset of a partition, where somebody has begun to read it.
    pub(crate) fn next_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        let offsets = self.0.get(topic)?;
        *offsets.get(usize::try_from(partition).ok()?)?
    }

    /// How many partitions of a topic are known.
    pub(crate) fn partitions_of(&self, topic: &str) -> usize {
        self.0.get(topic).map_or(0, Vec::len)
    }

    /// All partitions that somebody has begun to read.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (&str, i32)> {
        self.0.iter().flat_map(|(topic, offsets)| {
            let begun = (0..).zip(offsets).filter(|(_, next_offset)| next_offset.is_some());
            begun.map(|(partition, _)| (topic.as_str(), partition))
        })
    }
}

/// The offset up to which everything is applied, ignored or parked; none where that is nothing.
fn last(next_offset: &Option<i64>) -> Option<i64> {
    next_offset.filter(|next_offset| *next_offset > 0).map(|next_offset| next_offset - 1)
}

/// As JSON, `{"orders.events":[2742,2829,null,2841]}`.
impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let offsets = |offsets: &Vec<_>| offsets.iter().map(last).collect::<Vec<_>>();
        serializer.collect_map(self.0.iter().map(|(topic, next)| (topic, offsets(next))))
    }
}

/// As a header, `orders.events=2742.2829.-.2841,users.events=518.394`. No topic's name has a `=` or a comma in it.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (topic, offsets)) in self.0.iter().enumerate() {
            let separator = if index > 0 { "," } else { "" };
            write!(f, "{separator}{topic}=")?;
            for (partition, offset) in offsets.iter().enumerate() {
                let separator = if partition > 0 { "." } else { "" };
                match last(offset) {
                    Some(offset) => write!(f, "{separator}{offset}")?,
                    None => write!(f, "{separator}-")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_short() {
        let rows = [("b.c", 2, 1), ("a-b", 1, 1843), ("b.c", 0, 0), ("a-b", 0, 7)];
        let position = Position::of(rows);
        assert_eq!(position.to_string(), "a-b=6.1842,b.c=-.-.0");
        let json = serde_json::to_string(&position).unwrap_or_default();
        assert_eq!(json, r#"{"a-b":[6,1842],"b.c":[null,null,0]}"#);
        assert_eq!(Position::default().to_string(), "");
    }

    #[test]
    fn three_hundred_partitions_fit_in_3_kb() {
        let rows = (0..300).map(|partition| ("orders.events", partition, 100_000_000));
        assert!(Position::of(rows).to_string().len() <= 3 * 1024);
    }
}
