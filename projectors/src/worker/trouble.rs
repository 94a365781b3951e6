//! What follows from a fault: the world is waited for, a fence is heeded, a culprit is searched for, and what nobody knows
//! ends the worker.

use std::time::Duration;

use vitrina_ingest::{End, TopicPartition};

use super::{SIFTS, Worker};
use crate::backoff::Backoff;
use crate::batch::{EventBatch, Part};
use crate::board::State;
use crate::fault::{Blame, Fault, Otherwise, Trouble};
use crate::metrics;
use crate::rules::bisect::Search;

impl Worker {
    /// What follows from a fault.
    ///
    /// # Errors
    /// Why the worker ends.
    pub(super) async fn handle_fault(
        &mut self,
        batch: &mut EventBatch,
        search: &mut Search,
        part: &Part,
        fault: Fault,
    ) -> Result<(), Option<End>> {
        match fault {
            Fault::Stale => {
                metrics::parked(&self.model, self.writer.queues.total());
                self.see_late(batch);
            }
            Fault::Fenced(partitions) => {
                search.reset();
                self.fence(batch, partitions).await;
            }
            Fault::World { trouble, reason } => {
                self.wait_for_world(trouble, reason).await?;
                let events = batch.events.len();
                self.drop_foreign(batch);
                if batch.events.len() != events {
                    search.reset();
                }
            }
            Fault::Doubt { event: None, .. } => search.refused(part.range.end, None),
            // From here on the culprits are sifted out, this one first.
            Fault::Record { .. } if part.apply.len() > 1 && self.sifts == 0 => self.sifts = SIFTS,
            // At the end of the transaction, when each had passed by itself.
            Fault::Record { event: None, .. } => search.refused(part.range.end, None),
            Fault::Doubt { event: Some(event), otherwise: Otherwise::Wait(_), .. }
                if part.apply.len() > 1 =>
            {
                search.refused(part.range.end, Some(event));
            }
            Fault::Doubt { event: Some(event), blame, otherwise } => {
                if self.is_its_own(batch, event, &blame, otherwise).await? {
                    self.refuse(batch, search, event, blame);
                }
            }
            Fault::Record { event: Some(event), blame, .. } => {
                self.refuse(batch, search, event, blame);
            }
            Fault::Stop(reason) => return Err(Some(End::Stop(reason))),
        }
        Ok(())
    }

    /// The event is to blame.
    fn refuse(&mut self, batch: &mut EventBatch, search: &mut Search, event: usize, blame: Blame) {
        if self.probing {
            self.open_breaker(&format!("still refused: {blame}"));
            return;
        }
        search.reset();
        batch.blame(event, blame);
    }

    /// Events that had been parked undecoded, and have decoded since: what comes after them with the same identity is a
    /// duplicate.
    fn see_late(&mut self, batch: &mut EventBatch) {
        for (key, offset, identity) in self.writer.queues.take_late() {
            if let Some((_, window)) = self.windows.get_mut(&key) {
                window.see_late(offset, identity);
            }
            let length = i64::from(self.claims.duplicate_window);
            for event in &mut batch.events[batch.done..] {
                let span = &batch.spans[event.span];
                let same = event.identity.is_some_and(|other| other.hash() == identity.hash());
                let near = event.offset > offset && event.offset.since(offset) <= length;
                if same && near && (&span.topic, span.partition) == (&key.0, key.1) {
                    event.duplicate = true;
                }
            }
        }
    }

    pub(super) async fn wait_for_world(
        &mut self,
        trouble: Trouble,
        reason: String,
    ) -> Result<(), Option<End>> {
        self.attempts += 1;
        metrics::world(&self.model);
        metrics::retry(&self.model, trouble.name());
        self.board.failed(&self.model, trouble.error_type());
        let Some(pause) = trouble.pause(&self.settings().retry, self.attempts) else {
            return Err(Some(End::Stop(format!(
                "{reason} (retry.{}.strategy is none)",
                trouble.name()
            ))));
        };
        self.board.set(&self.model, State::Waiting, Some(reason));
        self.shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.ok_or(None)
    }

    /// Forgets all about partitions that somebody else has claimed, and claims them again after a jitter.
    async fn fence(&mut self, batch: &mut EventBatch, partitions: Vec<TopicPartition>) {
        metrics::fenced(&self.model, partitions.len());
        tracing::warn!(model = %self.model, ?partitions, "fenced: another instance has claimed these partitions");
        let claims =
            batch.spans.iter().map(|span| ((span.topic.clone(), span.partition), span.epoch));
        let claims = claims.filter(|(partition, _)| partitions.contains(partition)).collect();
        Backoff::new(Duration::from_millis(500), Duration::from_millis(500)).wait().await;
        self.give_up(claims);
        self.drop_foreign(batch);
    }
}
