//! From records to batches: each record goes to its lane, under its partition's claim.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;

use super::{Poll, TICK};
use crate::batch::Span;
use crate::consumer::end::End;
use crate::consumer::lane::{Lane, Lines};
use crate::consumer::timeline::Timeline;
use crate::offset::Offset;
use crate::positions::TopicPartition;

/// How soon it is looked whether the taker of a batch has become free.
const TAKER_BUSY: Duration = Duration::from_millis(1);
/// How often the queues of a timeline are looked at when they were empty.
const STEP: Duration = Duration::from_millis(5);
/// Records that are taken from a timeline between two polls.
const STRIDE: usize = 256;

impl Poll {
    pub(super) fn poll_once(&mut self) -> Result<(), End> {
        let filling = !self.paused && self.lanes.iter().any(|lane| lane.opened.is_some());
        let wait = match filling {
            _ if self.timeline.is_some() && !self.drained => Duration::ZERO,
            true if self.lanes.iter().any(Lane::is_waited_for) => Duration::ZERO,
            true => TAKER_BUSY,
            // A poll is not woken by what the timeline's queues get.
            false if self.timeline.is_some() => STEP,
            false => TICK,
        };
        // A full batch polls on for rebalances only while nothing can be delivered.
        if self.any_is_full() && !self.paused {
            return Ok(());
        }
        // `self` cannot be borrowed for the message and changed by it, so the lanes are taken out for the moment.
        let (mut lanes, mut lines) =
            (std::mem::take(&mut self.lanes), std::mem::take(&mut self.lines));
        let polled = self.consumer.poll(wait);
        self.drained = polled.is_none();
        let polled = match polled {
            Some(Ok(message)) => {
                // What the timeline holds of the same partition came before it.
                let timeline = self.timeline.as_mut();
                let before =
                    timeline.and_then(|line| line.take(message.topic(), message.partition()));
                if let Some(before) = before {
                    self.take(&mut lanes, &mut lines, &before);
                }
                self.take(&mut lanes, &mut lines, &message);
                self.watchdog.moved();
                Ok(())
            }
            Some(Err(error)) => self.judge(&error),
            None => Ok(()),
        };
        (self.lanes, self.lines) = (lanes, lines);
        polled?;
        self.follow_timeline()
    }

    fn follow_timeline(&mut self) -> Result<(), End> {
        if self.paused {
            return Ok(());
        }
        let Some(mut timeline) = self.timeline.take() else { return Ok(()) };
        let (mut lanes, mut lines) =
            (std::mem::take(&mut self.lanes), std::mem::take(&mut self.lines));
        let read = self.read_in_order(&mut timeline, &mut lanes, &mut lines);
        (self.lanes, self.lines, self.timeline) = (lanes, lines, Some(timeline));
        read.or_else(|error| self.judge(&error))
    }

    /// Takes what comes next in time, until a batch is full, or something is waited for, or others are to be polled.
    fn read_in_order(
        &mut self,
        timeline: &mut Timeline,
        lanes: &mut [Lane],
        lines: &mut Lines,
    ) -> KafkaResult<()> {
        timeline.look(&self.consumer.context().ownership.claims())?;
        for _ in 0..STRIDE {
            let Some(record) = timeline.earliest()? else { break };
            self.take(lanes, lines, &record);
            self.drained = false;
            self.watchdog.moved();
            if lanes.iter().any(|lane| self.is_full(lane)) {
                break;
            }
        }
        if timeline.held_back {
            // There is more, which is not to be read yet.
            self.watchdog.moved();
        }
        Ok(())
    }

    /// Appends the record under its partition's claim, where anybody here owns it.
    fn take(&self, lanes: &mut [Lane], lines: &mut Lines, message: &impl Message) {
        let (topic, partition) = (message.topic(), message.partition());
        let changes = self.consumer.context().changes();
        // Until a rebalance, an open span tells lane and claim: no lock is taken, and no name allocated, for each record.
        // After one, the same partition may be another claim's, so the claims are asked.
        let known = lanes.iter().enumerate().filter(|(_, lane)| lane.changes == changes);
        let known = known
            .filter_map(|(index, lane)| Some((index, lane.batch.span_of(topic, partition)?)))
            .next();
        let Some((lane, span)) = known.or_else(|| self.open_span(lanes, lines, topic, partition))
        else {
            return;
        };
        let lane = &mut lanes[lane];
        // Postgres says where a claim starts; what librdkafka had fetched for an older one may lie before it.
        if Offset(message.offset()) < lane.batch.spans[span].to {
            tracing::debug!(
                topic,
                partition,
                offset = message.offset(),
                "a record from before the claim's start"
            );
            return;
        }
        lane.batch.push(span, message);
        lane.opened.get_or_insert_with(Instant::now);
    }

    /// The lane and the span of a partition's newest claim.
    fn open_span(
        &self,
        lanes: &mut [Lane],
        lines: &mut Lines,
        topic: &str,
        partition: i32,
    ) -> Option<(usize, usize)> {
        let key: TopicPartition = (Arc::from(topic), partition);
        let ownership = &self.consumer.context().ownership;
        let claim = ownership.claim_of(&key)?;
        let index = lines.lane(&key, lanes.len(), |other| ownership.owns(other));
        let lane = &mut lanes[index];
        if lane.batch.spans.is_empty() {
            lane.changes = self.consumer.context().changes();
        }
        let known = lane.batch.span_of(topic, partition);
        if let Some(span) = known.filter(|span| lane.batch.spans[*span].epoch == claim.epoch) {
            return Some((index, span));
        }
        let (epoch, from) = (claim.epoch, claim.next_offset);
        lane.batch.spans.push(Span {
            topic: key.0,
            partition,
            epoch,
            from,
            to: from,
            first_timestamp: None,
            last_timestamp: None,
        });
        Some((index, lane.batch.spans.len() - 1))
    }
}
