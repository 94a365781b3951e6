//! From the poll thread to the takers of batches: one that stays behind pauses the partitions, and never stops rebalances.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use tokio::sync::mpsc::error::TrySendError;

use super::{Poll, TICK};
use crate::consumer::end::End;
use crate::consumer::lane::Lane;
use crate::loss::LogLoss;

/// How long the taker of batches may be behind before the partitions are paused.
const PATIENCE: Duration = Duration::from_secs(1);
/// How old the last look at the topics' ids may be when a batch is handed over.
const IDENTITY_AGE: Duration = Duration::from_secs(5);

impl Poll {
    pub(super) fn is_full(&self, lane: &Lane) -> bool {
        lane.batch.len() >= self.subscription.max_events
            || lane.batch.bytes() >= self.subscription.max_bytes
    }

    pub(super) fn any_is_full(&self) -> bool {
        self.lanes.iter().any(|lane| self.is_full(lane))
    }

    pub(super) fn is_due(&self, lane: usize) -> bool {
        let lane = &self.lanes[lane];
        let lingered =
            lane.opened.is_some_and(|opened| opened.elapsed() >= self.subscription.linger);
        let changed = lane.changes != self.consumer.context().changes();
        let waited_for = self.drained && lane.is_waited_for();
        self.is_full(lane) || lingered || waited_for || (changed && !lane.batch.is_empty())
    }

    /// Sends each batch that is due, if its taker is ready. Where none is, a full one waits a little; a taker that stays
    /// behind pauses the partitions, so that rebalances go on being served.
    pub(super) fn hand_over(&mut self) -> Result<(), End> {
        if self.identified.is_none_or(|at| at.elapsed() >= IDENTITY_AGE) && !self.same_topics()? {
            return Ok(());
        }
        let mut sent = false;
        for lane in (0..self.lanes.len()).filter(|lane| self.is_due(*lane)).collect::<Vec<_>>() {
            sent |= self.try_send(lane)?;
        }
        let full = (0..self.lanes.len()).find(|lane| self.is_full(&self.lanes[*lane]));
        match full {
            Some(lane) if !sent && !self.paused => {
                let out = self.lanes[lane].out.clone();
                let ready = async { tokio::time::timeout(TICK, out.reserve()).await.is_ok() };
                if self.runtime.block_on(ready) {
                    self.try_send(lane).map(drop)
                } else {
                    self.stay_behind(lane)
                }
            }
            Some(lane) if !sent => self.stay_behind(lane),
            _ => Ok(()),
        }
    }

    /// Sends a lane's batch; false: its taker is busy.
    fn try_send(&mut self, lane: usize) -> Result<bool, End> {
        let permit = match self.lanes[lane].out.clone().try_reserve_owned() {
            Ok(permit) => permit,
            Err(TrySendError::Full(_)) => {
                self.watchdog.moved();
                return Ok(false);
            }
            Err(TrySendError::Closed(_)) => return Err(End::Closed),
        };
        let batch = self.lanes[lane].close();
        let context = self.consumer.context();
        for span in &batch.spans {
            context.ownership.advance(&(span.topic.clone(), span.partition), span.epoch, span.to);
        }
        permit.send(batch);
        self.resume()?;
        Ok(true)
    }

    fn stay_behind(&mut self, lane: usize) -> Result<(), End> {
        let blocked = *self.lanes[lane].blocked.get_or_insert_with(Instant::now);
        if blocked.elapsed() >= PATIENCE { self.pause() } else { Ok(()) }
    }

    /// Pauses everything that is assigned, again and again, because a new assignment arrives resumed. The queues of a timeline
    /// are bounded, so there nothing has to be thrown away.
    fn pause(&mut self) -> Result<(), End> {
        self.paused = true;
        if self.timeline.is_some() {
            return Ok(());
        }
        Ok(self.consumer.pause(&self.consumer.assignment()?)?)
    }

    fn resume(&mut self) -> Result<(), End> {
        if std::mem::take(&mut self.paused) && self.timeline.is_none() {
            self.consumer.resume(&self.consumer.assignment()?)?;
        }
        Ok(())
    }

    /// Whether the topics are still those that were claimed. False: the broker did not say, so the batch waits.
    fn same_topics(&mut self) -> Result<bool, End> {
        let context = self.consumer.context();
        let claimed = context.claimed_topic_ids();
        let names: Vec<String> = claimed.keys().cloned().collect();
        let Ok(found) = context.topic_ids(&self.consumer, &names) else { return Ok(false) };
        for (topic, id) in &claimed {
            if found.get(topic).is_some_and(|now| now != id) {
                return Err(End::Lost(LogLoss::recreated(topic)));
            }
        }
        self.identified = Some(Instant::now());
        Ok(true)
    }
}
