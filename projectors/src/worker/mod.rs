//! A worker writes one lane of a model on this instance: it drops what is no longer its own, marks duplicates, writes, and
//! says how it goes. Batches are written strictly one after another, and again until they are written or not its own.

mod bounds;
pub(crate) mod breaker;
mod building;
pub(crate) mod claims;
mod decoding;
mod doubt;
mod generation;
mod held;
mod lanes;
mod model;
mod pace;
mod permission;
pub(crate) mod plan;
pub(crate) mod service;
mod trouble;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use vitrina_ingest::{Consumer, End, Epoch, TopicPartition};

use crate::batch::{Columns, EventBatch, Part};
use crate::board::{Board, Orders};
use crate::commit::window::{Windows, mark_duplicates};
use crate::commit::writer::Writer;
use crate::fault::Fault;
use crate::metrics;
use crate::rules::bisect::Search;
use crate::rules::run::Written;
use crate::settings::ModelSettings;
use crate::worker::breaker::Breaker;
use crate::worker::claims::Claims;
use crate::worker::doubt::{Suspect, Witnesses};
use crate::worker::pace::Pace;
use crate::worker::plan::PlannedPart;

/// So many parts in which nobody is refused pass before the next ones are written in one go again.
const SIFTS: u32 = 16;

/// What the workers of one model share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub settings: Arc<ModelSettings>,
    breaker: Arc<Mutex<Breaker>>,
    pace: Pace,
}

impl Shared {
    pub(crate) fn new(settings: &ModelSettings, pace: Pace) -> Self {
        let breaker = Arc::new(Mutex::new(Breaker::new(settings.breaker.clone())));
        Self { settings: Arc::new(settings.clone()), breaker, pace }
    }

    /// New workers begin: whoever tried a record for a half-open breaker is gone.
    pub(crate) fn begin(&self) {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).give_up_trying();
    }
}

pub(crate) struct Worker {
    model: String,
    consumer: Arc<Consumer>,
    claims: Arc<Claims>,
    writer: Writer,
    board: Board,
    shared: Shared,
    orders: watch::Receiver<Orders>,
    shutdown: CancellationToken,
    /// With the epochs of their claims: what one claim has seen and not written must not pass for written.
    windows: Windows,
    /// Claims that turned out not to be the newest: what was read under them is dropped.
    fenced: HashSet<(TopicPartition, Epoch)>,
    /// The breaker is half open: one record is tried.
    probing: bool,
    /// Records were refused a short while ago: so many more parts are sifted.
    sifts: u32,
    /// How long the last batch took.
    worked: Duration,
    /// Attempts in a row that the world made fail.
    attempts: u32,
    suspect: Option<Suspect>,
    witnesses: Option<Witnesses>,
}

impl Worker {
    pub(crate) fn new(
        consumer: Arc<Consumer>,
        claims: Arc<Claims>,
        writer: Writer,
        board: Board,
        shared: Shared,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            model: claims.label.clone(),
            orders: board.orders(&claims.label),
            consumer,
            claims,
            writer,
            board,
            shared,
            shutdown,
            windows: Windows::new(),
            fenced: HashSet::new(),
            probing: false,
            sifts: 0,
            worked: Duration::ZERO,
            attempts: 0,
            suspect: None,
            witnesses: None,
        }
    }

    fn settings(&self) -> &ModelSettings {
        &self.shared.settings
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.shared.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes batches until the shutdown, or until one says why not. `None`: the shutdown, or the batches ended by
    /// themselves.
    pub(crate) async fn run(
        mut self,
        mut decoded: mpsc::Receiver<Result<EventBatch, String>>,
        spare: mpsc::Sender<Columns>,
    ) -> Option<End> {
        let stopped = self.consume(&mut decoded, &spare).await;
        self.writer.close().await;
        stopped
    }

    async fn consume(
        &mut self,
        decoded: &mut mpsc::Receiver<Result<EventBatch, String>>,
        spare: &mpsc::Sender<Columns>,
    ) -> Option<End> {
        let shutdown = self.shutdown.clone();
        loop {
            shutdown.run_until_cancelled(self.make_room()).await?;
            shutdown.run_until_cancelled(self.wait_for_permission()).await?;
            let received = tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                received = decoded.recv() => received?,
                Ok(()) = self.orders.changed() => continue,
            };
            let mut batch = match received {
                Ok(batch) => batch,
                Err(reason) => return Some(End::Stop(reason)),
            };
            self.drop_foreign(&mut batch);
            self.find_windows(&mut batch);
            self.pass_over_skipped(&mut batch);
            self.mark_duplicates(&mut batch);
            if let Err(end) = self.write(&mut batch).await {
                return end;
            }
            if let Some(rows) = self.keep_witnesses(batch) {
                let _ = spare.try_send(rows);
            }
        }
    }

    fn drop_foreign(&self, batch: &mut EventBatch) {
        batch.retain_spans(|span| {
            self.consumer.ownership.is_current(&span.topic, span.partition, span.epoch)
                && !self.fenced.contains(&((span.topic.clone(), span.partition), span.epoch))
        });
    }

    /// Drops what was read under claims whose window is not at hand: they are claimed anew.
    fn find_windows(&mut self, batch: &mut EventBatch) {
        let ownership = &self.consumer.ownership;
        self.windows.retain(|(topic, partition), (epoch, _)| {
            ownership.is_current(topic, *partition, *epoch)
        });
        let mut lost = Vec::new();
        for span in &batch.spans {
            let key = (span.topic.clone(), span.partition);
            if self.windows.get(&key).is_some_and(|(epoch, _)| *epoch == span.epoch) {
                continue;
            }
            match self.claims.take_window(&key, span.epoch) {
                Some((window, verdict)) => {
                    self.writer.queues.window_read(key.clone(), verdict);
                    self.windows.insert(key, (span.epoch, window));
                }
                None => lost.push((key, span.epoch)),
            }
        }
        if !lost.is_empty() {
            self.give_up(lost);
            self.drop_foreign(batch);
        }
    }

    /// What was read under these claims is dropped, here and on its way, and the partitions are claimed anew.
    fn give_up(&mut self, claims: Vec<(TopicPartition, Epoch)>) {
        for (partition, _) in &claims {
            self.windows.remove(partition);
        }
        self.fenced.extend(claims.iter().cloned());
        self.consumer.reclaim(claims);
    }

    /// What an operator has had skipped is as if it were not in the log.
    fn pass_over_skipped(&self, batch: &mut EventBatch) {
        batch.retain_records(|span, offset| {
            let window = self.windows.get(&(span.topic.clone(), span.partition));
            !window.is_some_and(|(_, window)| window.skips(offset))
        });
    }

    fn mark_duplicates(&mut self, batch: &mut EventBatch) {
        for differing in mark_duplicates(&mut self.windows, batch) {
            let event = &batch.events[differing];
            let span = &batch.spans[event.span];
            let (topic, partition, offset) = (&*span.topic, span.partition, event.offset.0);
            tracing::warn!(
                model = %self.model, topic, partition, offset,
                "dropped as a duplicate, but its bytes differ from the first event with its id"
            );
        }
    }

    /// Writes the batch, part by part, again and again while the world is in the way; or its beginning, where the breaker
    /// opens.
    ///
    /// # Errors
    /// Why the worker ends; `None` for the shutdown.
    async fn write(&mut self, batch: &mut EventBatch) -> Result<(), Option<End>> {
        let mut search = Search::default();
        let mut refreshed = false;
        while !batch.is_done() {
            let end = match self.probing {
                true => plan::probe(batch, &self.writer.queues),
                false => search.end(batch.done, batch.events.len()),
            };
            let breaker = self.breaker().clone();
            let plan =
                plan::plan(batch, end, &self.writer.queues, &self.settings().parked, breaker);
            let mut plan = match plan {
                Ok(plan) => plan,
                Err(full) if refreshed => return Err(Some(End::Stop(full))),
                // Somebody may have made room.
                Err(_) => {
                    refreshed = true;
                    self.writer.queues.doubt();
                    PlannedPart::nothing(batch)
                }
            };
            if self.probing && plan.culprits > 0 {
                self.open_breaker("the record that was tried is refused, too");
                return Ok(());
            }
            let started = Instant::now();
            let written = {
                let claims = self.claims.clone();
                let _writing = claims.writing.read().await;
                let several = plan.part.apply.len() > 1;
                match self.sifts > 0 && several && !self.writer.is_doubtful() {
                    true => self.sift(batch, &mut plan).await,
                    false => self.writer.write(batch, &plan.part).await,
                }
            };
            match written {
                Ok(written) => {
                    search.committed(plan.part.range.end);
                    self.worked += started.elapsed();
                    self.committed(batch, plan, written, started.elapsed());
                }
                Err(fault) => self.handle_fault(batch, &mut search, &plan.part, fault).await?,
            }
            if !self.probing && self.breaker().opened().is_some() {
                return Ok(());
            }
            if self.shutdown.is_cancelled() {
                return Err(None);
            }
        }
        Ok(())
    }

    /// Writes a part without the events that are refused, which are parked with it: in one transaction, where that is what
    /// the plan with them comes to; else they are known now, and the part is planned anew.
    ///
    /// # Errors
    /// [`Fault`]; nothing is written.
    async fn sift(
        &mut self,
        batch: &mut EventBatch,
        plan: &mut PlannedPart,
    ) -> Result<Written, Fault> {
        let waits = |first: usize, later: usize| {
            let [first, later] = [first, later].map(|event| batch.queue(&batch.events[event]));
            first.is_some() && first == later
        };
        let (open, sifted) = self.writer.sift(batch, &plan.part, &waits).await?;
        self.sifts = if sifted.refused.is_empty() { self.sifts - 1 } else { SIFTS };
        let end = plan.part.range.end;
        for (event, blame) in sifted.refused {
            batch.blame(event, blame);
        }
        let (breaker, parked) = (self.breaker().clone(), &self.settings().parked);
        match plan::plan(batch, end, &self.writer.queues, parked, breaker) {
            Ok(again) if again.part.range.end == end && again.part.apply == sifted.applied => {
                *plan = again;
                self.writer.finish(batch, &plan.part, open).await?;
                Ok(sifted.written)
            }
            _ => {
                self.writer.roll_back().await;
                Err(Fault::Stale)
            }
        }
    }

    /// The part is in Postgres.
    fn committed(
        &mut self,
        batch: &mut EventBatch,
        plan: PlannedPart,
        written: Written,
        took: Duration,
    ) {
        (self.attempts, self.suspect) = (0, None);
        let PlannedPart { part, outcomes, .. } = plan;
        let opens = self.breaker().count(&outcomes);
        self.claims.began(&part.spans);
        self.consumer.mirror(part.positions());
        self.board.committed(&self.model, &part.spans);
        let duplicates = part.range.len() - part.apply.len() - part.park.len();
        let ignored = std::mem::take(&mut batch.ignored);
        let applied = part.apply.len() as u64;
        metrics::committed(
            &self.model,
            applied,
            duplicates as u64,
            ignored,
            written,
            took.as_secs_f64(),
        );
        self.tell_parked(batch, &part);
        if !part.park.is_empty() {
            metrics::parked(&self.model, self.writer.queues.total());
        }
        batch.advance(&part);
        if self.probing && !part.apply.is_empty() {
            self.close_breaker();
        }
        if let Some(why) = opens {
            self.open_breaker(&why);
        }
    }

    /// Payloads are personal data: the log gets coordinates and reasons only.
    fn tell_parked(&self, batch: &EventBatch, part: &Part) {
        for event in part.park.iter().map(|event| &batch.events[*event as usize]) {
            let blame = event.blame().map(|blame| &batch.blames[blame]);
            let Some(blame) = blame else {
                metrics::parked_one(&self.model, None);
                continue;
            };
            let span = &batch.spans[event.span];
            let (topic, partition, offset) = (&*span.topic, span.partition, event.offset.0);
            tracing::warn!(model = %self.model, topic, partition, offset, "parked: {blame}");
            let reason = format!("topic {topic} partition {partition} offset {offset}: {blame}");
            self.board.parked(&self.model, blame.error_type, reason);
        }
    }
}
