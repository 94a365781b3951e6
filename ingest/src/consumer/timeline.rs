//! Partitions read in the order of their records' timestamps, as well as can be: topics that are far apart in a log meet rules
//! that expect them close. Each partition has its own bounded queue, so none has to be paused for another.
//!
//! A record's time is the newest timestamp of its partition so far, and never later than now: one record of the year 2099
//! must not hold its partition to the end. A partition that has nothing left to read holds nobody, and one whose next record
//! has not been fetched holds the others for a moment only. One that has come to its bound holds nobody, too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::OwnedMessage;

use super::bounds::Bounds;
use super::rebalance::Rebalance;
use crate::offset::{Epoch, Offset};
use crate::positions::{Claim, TopicPartition};

/// How long the next record of one partition is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Timeline {
    lines: HashMap<TopicPartition, Line>,
    bounds: Bounds,
    /// Whether a record was held back at its partition's bound, when it was last looked for the earliest.
    pub(super) held_back: bool,
}

/// One partition.
struct Line {
    queue: PartitionQueue<Rebalance>,
    /// The claim under which it is read; none while it is not owned.
    epoch: Option<Epoch>,
    next: Next,
    /// Of the newest record, in milliseconds since 1970.
    time: i64,
}

enum Next {
    Record(Box<OwnedMessage>),
    /// It was asked for, since then.
    Asked(Instant),
    /// The log has none.
    Nothing,
}

impl Timeline {
    /// Partitions that appear later are read beside it, as they come.
    pub(super) fn new(
        consumer: &Arc<BaseConsumer<Rebalance>>,
        partitions: impl IntoIterator<Item = TopicPartition>,
        bounds: Bounds,
    ) -> Self {
        let line = |key: TopicPartition| {
            let queue = consumer.split_partition_queue(&key.0, key.1)?;
            Some((key, Line { queue, epoch: None, next: Next::Nothing, time: 0 }))
        };
        let lines = partitions.into_iter().filter_map(line).collect();
        Self { lines, bounds, held_back: false }
    }

    /// Asks for the next record of each partition that is owned. What was read under another claim is forgotten.
    ///
    /// # Errors
    /// What the consumer has to say of a partition.
    pub(super) fn look(&mut self, claims: &[(TopicPartition, Claim)]) -> KafkaResult<()> {
        for (key, line) in &mut self.lines {
            let epoch = claims.iter().find(|(owned, _)| owned == key).map(|(_, claim)| claim.epoch);
            if line.epoch != epoch {
                (line.epoch, line.next, line.time) = (epoch, Next::Asked(Instant::now()), 0);
            }
            if epoch.is_some() && !matches!(line.next, Next::Record(_)) {
                line.ask()?;
            }
        }
        Ok(())
    }

    /// The earliest record, unless one that may be earlier is waited for.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub(super) fn earliest(&mut self) -> KafkaResult<Option<OwnedMessage>> {
        let mut earliest: Option<&mut Line> = None;
        self.held_back = false;
        for (key, line) in self.lines.iter_mut().filter(|(_, line)| line.epoch.is_some()) {
            if matches!(line.next, Next::Asked(_)) {
                line.ask()?;
            }
            match &line.next {
                Next::Asked(at) if at.elapsed() < PATIENCE => return Ok(None),
                Next::Record(record)
                    if self.bounds.of(key).is_some_and(|bound| offset(record) >= bound) =>
                {
                    self.held_back = true;
                }
                Next::Record(_) if earliest.as_ref().is_none_or(|other| line.time < other.time) => {
                    earliest = Some(line);
                }
                _ => {}
            }
        }
        Ok(earliest.and_then(Line::take))
    }

    /// The next record of a partition, where it has been fetched and not been given out.
    pub(super) fn take(&mut self, topic: &str, partition: i32) -> Option<OwnedMessage> {
        let mut lines = self.lines.iter_mut();
        let found = lines.find(|((name, number), _)| *number == partition && **name == *topic);
        found.and_then(|(_, line)| line.take())
    }

    /// Up to where a partition is read whose consumer has come to `position`: not beyond what has not been given out, nor
    /// beyond its bound. What is held of another claim than this one says nothing of it.
    pub(super) fn reached(&self, key: &TopicPartition, claim: Claim, position: Offset) -> Offset {
        let held = match self.lines.get(key) {
            Some(line) if line.epoch != Some(claim.epoch) => claim.next_offset,
            Some(Line { next: Next::Record(record), .. }) => offset(record),
            _ => position,
        };
        self.bounds.of(key).map_or(held, |bound| held.min(bound))
    }
}

impl Line {
    fn take(&mut self) -> Option<OwnedMessage> {
        match std::mem::replace(&mut self.next, Next::Asked(Instant::now())) {
            Next::Record(message) => Some(*message),
            other => {
                self.next = other;
                None
            }
        }
    }

    fn ask(&mut self) -> KafkaResult<()> {
        loop {
            match self.queue.poll(Duration::ZERO) {
                None => return Ok(()),
                Some(Ok(message)) => {
                    let stamp = message.timestamp().to_millis();
                    self.time = effective(self.time, stamp, now());
                    self.next = Next::Record(Box::new(message.detach()));
                    return Ok(());
                }
                Some(Err(KafkaError::PartitionEOF(_))) => self.next = Next::Nothing,
                Some(Err(error)) => return Err(error),
            }
        }
    }
}

fn offset(record: &OwnedMessage) -> Offset {
    Offset(record.offset())
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The time of a record, in a partition that has come to `newest`.
fn effective(newest: i64, stamp: Option<i64>, now: i64) -> i64 {
    stamp.map_or(newest, |stamp| newest.max(stamp.min(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_and_never_runs_ahead() {
        let stamps = [Some(5), Some(3), None, Some(9_000), Some(7)];
        let mut newest = 0;
        let times = stamps.map(|stamp| {
            newest = effective(newest, stamp, 100);
            newest
        });
        assert_eq!(times, [5, 5, 5, 100, 100]);
    }
}
