//! That a log is not the one that was read before. Both the poll loop and whoever keeps the positions find it out, and say
//! it in the same words; what can be done about it, whoever reads knows.

use crate::offset::Offset;

/// How a log is known not to be the one that was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogLoss {
    /// The topic's id is another one.
    #[error(
        "topic {topic} was deleted and created again, so its offsets count another log than the one that was read"
    )]
    Recreated { topic: String },
    #[error(
        "topic {topic} partition {partition}: the next offset to read is {next}, but the log begins at {start}: {} offsets \
         were deleted before they were read (retention?)",
        start.since(*next)
    )]
    Deleted { topic: String, partition: i32, next: Offset, start: Offset },
    #[error(
        "topic {topic} partition {partition}: the next offset to read is {next}, but the log ends at {end}: it has lost \
         what was read"
    )]
    Shortened { topic: String, partition: i32, next: Offset, end: Offset },
}

impl LogLoss {
    pub fn recreated(topic: &str) -> Self {
        Self::Recreated { topic: topic.to_owned() }
    }

    /// What is lost where the log, from `start` up to `end`, does not hold offset `next`.
    pub fn of_offset(
        topic: &str,
        partition: i32,
        next: Offset,
        (start, end): (Offset, Offset),
    ) -> Option<Self> {
        let topic = topic.to_owned();
        if next < start {
            Some(Self::Deleted { topic, partition, next, start })
        } else if next > end {
            Some(Self::Shortened { topic, partition, next, end })
        } else {
            None
        }
    }
}
