//! How it is said that a log is not the one that was read before. Both the poll loop and whoever keeps the positions find
//! it out, and say it in the same words.

use crate::offset::Offset;

/// The topic's id is another one.
pub fn recreated(topic: &str) -> String {
    format!(
        "topic {topic} was deleted and created again: its offsets now count another log, so the model cannot go on \
         from its position; rebuild it, or restore the topic"
    )
}

/// The log, from `start` up to `end`, does not hold offset `next`.
pub fn lost_offsets(
    topic: &str,
    partition: i32,
    next: Offset,
    start: Offset,
    end: Offset,
) -> String {
    if next < start {
        format!(
            "topic {topic} partition {partition}: the next offset to read is {next}, but the log begins at {start}; \
             {} records were deleted before they were read (retention?); rebuild the model to go on",
            start.since(next)
        )
    } else {
        format!(
            "topic {topic} partition {partition}: the next offset to read is {next}, but the log ends at {end}; \
             the topic was re-created or lost records; rebuild the model, or restore the topic"
        )
    }
}
