//! A worker writes one lane of a model on this instance: it drops what is no longer its own, marks duplicates, writes, and
//! says how it goes. Batches are written strictly one after another, and again until they are written or not its own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use vitrina_ingest::{Consumer, End, TopicPartition};

use crate::backoff::Backoff;
use crate::batch::{Columns, Decoded, Part};
use crate::breaker::Breaker;
use crate::claims::Claims;
use crate::fault::{Fault, Trouble};
use crate::metrics;
use crate::plan::{self, Plan};
use crate::running::Written;
use crate::search::Search;
use crate::settings::ModelSettings;
use crate::status::{Board, Orders, State};
use crate::window::{Seen, Window};
use crate::writer::Writer;

/// How often an open breaker is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often one event alone may run into the time-out before the model stops.
const TIMEOUTS: u32 = 3;

/// What the workers of one model share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub settings: Arc<ModelSettings>,
    breaker: Arc<Mutex<Breaker>>,
}

impl Shared {
    pub(crate) fn new(settings: &ModelSettings) -> Self {
        let breaker = Arc::new(Mutex::new(Breaker::new(settings.breaker.clone())));
        Self { settings: Arc::new(settings.clone()), breaker }
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
    windows: HashMap<TopicPartition, (i64, Window)>,
    /// Claims that turned out not to be the newest: what was read under them is dropped.
    fenced: HashSet<(TopicPartition, i64)>,
    /// The breaker is half open: one record is tried.
    probing: bool,
    /// Attempts in a row that the world made fail.
    attempts: u32,
    /// How often the event that is tried alone has run into the time-out.
    timeouts: u32,
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
            model: claims.model.clone(),
            orders: board.orders(&claims.model),
            consumer,
            claims,
            writer,
            board,
            shared,
            shutdown,
            windows: HashMap::new(),
            fenced: HashSet::new(),
            probing: false,
            attempts: 0,
            timeouts: 0,
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
        mut decoded: mpsc::Receiver<Result<Decoded, String>>,
        spare: mpsc::Sender<Columns>,
    ) -> Option<End> {
        let stopped = self.consume(&mut decoded, &spare).await;
        self.writer.close().await;
        stopped
    }

    async fn consume(
        &mut self,
        decoded: &mut mpsc::Receiver<Result<Decoded, String>>,
        spare: &mpsc::Sender<Columns>,
    ) -> Option<End> {
        let shutdown = self.shutdown.clone();
        loop {
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
            self.mark_duplicates(&mut batch);
            if let Err(end) = self.write(&mut batch).await {
                return end;
            }
            let _ = spare.try_send(batch.rows);
        }
    }

    /// Waits while the operator pauses the model, or its breaker is open.
    async fn wait_for_permission(&mut self) {
        loop {
            let orders = self.orders.borrow_and_update().clone();
            let opened = self.breaker().opened().cloned();
            let breaker = opened.as_ref().map(|opened| (State::BreakerOpen, opened.why.clone()));
            let paused = orders.paused.clone().map(|paused| (State::Paused, paused));
            self.board.halt(&self.model, paused.clone().or(breaker));
            let look = match opened {
                _ if paused.is_some() => None,
                None => {
                    self.probing = false;
                    return;
                }
                // The operator knows better than the timer.
                Some(opened) if orders.resumed_since(opened.under) => {
                    self.close_breaker();
                    return self.read_again();
                }
                Some(_) if self.probing => return,
                Some(_) if self.breaker().half_open(Instant::now()) => {
                    metrics::breaker(&self.model, metrics::BreakerState::HalfOpen);
                    self.probing = true;
                    return self.read_again();
                }
                // Another worker of the model may close it meanwhile.
                Some(_) => Some(Instant::now() + LOOK),
            };
            let changed = self.orders.changed();
            match look {
                Some(look) => drop(tokio::time::timeout_at(look.into(), changed).await),
                None => drop(changed.await),
            }
        }
    }

    /// Records are read and decoded anew, from the positions on: what was wrong with them may be mended by now.
    fn read_again(&mut self) {
        let claims = self.consumer.ownership.claims().into_iter();
        let claims: Vec<(TopicPartition, i64)> = claims.map(|(key, claim)| (key, claim.epoch)).collect();
        self.windows.clear();
        self.fenced.extend(claims.iter().cloned());
        self.consumer.reclaim(claims);
    }

    fn drop_foreign(&self, batch: &mut Decoded) {
        batch.retain_spans(|span| {
            self.consumer.ownership.is_current(&span.topic, span.partition, span.epoch)
                && !self.fenced.contains(&((span.topic.clone(), span.partition), span.epoch))
        });
    }

    /// Drops what was read under claims whose window is not at hand: they are claimed anew.
    fn find_windows(&mut self, batch: &mut Decoded) {
        let ownership = &self.consumer.ownership;
        self.windows.retain(|(topic, partition), (epoch, _)| ownership.is_current(topic, *partition, *epoch));
        let mut lost = Vec::new();
        for span in &batch.spans {
            let key = (span.topic.clone(), span.partition);
            if self.windows.get(&key).is_some_and(|(epoch, _)| *epoch == span.epoch) {
                continue;
            }
            match self.claims.take_window(&key, span.epoch) {
                Some(window) => drop(self.windows.insert(key, (span.epoch, window))),
                None => lost.push((key, span.epoch)),
            }
        }
        batch.retain_spans(|span| {
            !lost.iter().any(|((topic, partition), _)| *topic == span.topic && *partition == span.partition)
        });
        if !lost.is_empty() {
            self.fenced.extend(lost.iter().cloned());
            self.consumer.reclaim(lost);
        }
    }

    fn mark_duplicates(&mut self, batch: &mut Decoded) {
        for event in &mut batch.events {
            let span = &batch.spans[event.span];
            let Some(identity) = event.identity else { continue };
            let Some((_, window)) = self.windows.get_mut(&(span.topic.clone(), span.partition)) else { continue };
            if let Seen::Duplicate { same } = window.see(event.offset, identity) {
                event.duplicate = true;
                if !same {
                    let (topic, partition, offset) = (&*span.topic, span.partition, event.offset);
                    tracing::warn!(
                        model = %self.model, topic, partition, offset,
                        "dropped as a duplicate, but its bytes differ from the first event with its id"
                    );
                }
            }
        }
    }

    /// Writes the batch, part by part, again and again while the world is in the way; or its beginning, where the breaker
    /// opens.
    ///
    /// # Errors
    /// Why the worker ends; `None` for the shutdown.
    async fn write(&mut self, batch: &mut Decoded) -> Result<(), Option<End>> {
        let mut search = Search::default();
        let mut refreshed = false;
        while !batch.is_done() {
            let end = match self.probing {
                true => plan::probe(batch, &self.writer.queues),
                false => search.end(batch.done, batch.events.len()),
            };
            let breaker = self.breaker().clone();
            let plan = plan::plan(batch, end, &self.writer.queues, &self.settings().parked, breaker);
            let plan = match plan {
                Ok(plan) => plan,
                Err(full) if refreshed => return Err(Some(End::Stop(full))),
                // Somebody may have made room.
                Err(_) => {
                    refreshed = true;
                    self.writer.queues.doubt();
                    Plan::nothing(batch)
                }
            };
            if self.probing && plan.culprits > 0 {
                self.open_breaker("the record that was tried is refused, too");
                return Ok(());
            }
            let started = Instant::now();
            let written = {
                let _writing = self.claims.writing.read().await;
                self.writer.write(batch, &plan.part).await
            };
            match written {
                Ok(written) => {
                    search.committed(plan.part.range.end);
                    self.committed(batch, plan, written, started.elapsed());
                }
                Err(fault) => self.bear(batch, &mut search, &plan.part, fault).await?,
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

    /// The part is in Postgres.
    fn committed(&mut self, batch: &mut Decoded, plan: Plan, written: Written, took: Duration) {
        (self.attempts, self.timeouts) = (0, 0);
        let Plan { part, outcomes, opens, .. } = plan;
        self.breaker().count(&outcomes);
        self.consumer.mirror(part.positions());
        self.board.committed(&self.model, &part.spans);
        let duplicates = part.range.len() - part.apply.len() - part.park.len();
        let ignored = std::mem::take(&mut batch.ignored);
        let applied = part.apply.len() as u64;
        metrics::committed(&self.model, applied, duplicates as u64, ignored, written, took.as_secs_f64());
        self.tell_parked(batch, &part);
        batch.advance(&part);
        if self.probing && !part.apply.is_empty() {
            self.close_breaker();
        }
        if let Some(why) = opens {
            self.open_breaker(&why);
        }
    }

    /// Payloads are personal data: the log gets coordinates and reasons only.
    fn tell_parked(&self, batch: &Decoded, part: &Part) {
        for event in part.park.iter().map(|event| &batch.events[*event as usize]) {
            let blame = event.blame().map(|blame| &batch.blames[blame]);
            let Some(blame) = blame else {
                metrics::parked_one(&self.model, None);
                continue;
            };
            let span = &batch.spans[event.span];
            let (topic, partition, offset) = (&*span.topic, span.partition, event.offset);
            tracing::warn!(model = %self.model, topic, partition, offset, "parked: {blame}");
            let reason = format!("topic {topic} partition {partition} offset {offset}: {blame}");
            self.board.parked(&self.model, blame.error_type, reason);
        }
    }

    /// What follows from a fault.
    ///
    /// # Errors
    /// Why the worker ends.
    async fn bear(
        &mut self,
        batch: &mut Decoded,
        search: &mut Search,
        part: &Part,
        fault: Fault,
    ) -> Result<(), Option<End>> {
        match fault {
            Fault::Stale => self.see_late(batch),
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
            Fault::TimedOut { event: None, .. } | Fault::Record { event: None, .. } => search.refused(part.range.end),
            Fault::TimedOut { event: Some(_), reason } if part.apply.len() > 1 => {
                tracing::info!(model = %self.model, reason, "fewer events at once");
                search.refused(part.range.end);
            }
            Fault::TimedOut { reason, .. } => {
                self.timeouts += 1;
                if self.timeouts >= TIMEOUTS {
                    return Err(Some(End::Stop(format!("{reason}, {TIMEOUTS} times for one event alone"))));
                }
                self.wait_for_world(Trouble::Timeout, reason).await?;
            }
            Fault::Record { blame, .. } if self.probing => self.open_breaker(&format!("still refused: {blame}")),
            Fault::Record { event: Some(event), blame } => {
                search.reset();
                batch.blame(event, blame);
            }
            Fault::Stop(reason) => return Err(Some(End::Stop(reason))),
        }
        Ok(())
    }

    /// Events that had been parked undecoded, and have decoded since: what comes after them with the same identity is a
    /// duplicate.
    fn see_late(&mut self, batch: &mut Decoded) {
        for (key, offset, identity) in self.writer.queues.take_late() {
            if let Some((_, window)) = self.windows.get_mut(&key) {
                window.see_late(offset, identity);
            }
            let length = i64::from(self.claims.duplicate_window);
            for event in &mut batch.events[batch.done..] {
                let span = &batch.spans[event.span];
                let same = event.identity.is_some_and(|other| other.hash() == identity.hash());
                let near = event.offset > offset && event.offset <= offset + length;
                if same && near && (&span.topic, span.partition) == (&key.0, key.1) {
                    event.duplicate = true;
                }
            }
        }
    }

    async fn wait_for_world(&mut self, trouble: Trouble, reason: String) -> Result<(), Option<End>> {
        self.attempts += 1;
        metrics::world(&self.model);
        metrics::retry(&self.model, trouble.name());
        self.board.failed(&self.model, trouble.error_type());
        let Some(pause) = trouble.pause(&self.settings().retry, self.attempts) else {
            return Err(Some(End::Stop(format!("{reason} (retry.{}.strategy is none)", trouble.name()))));
        };
        self.board.set(&self.model, State::Waiting, Some(reason));
        self.shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.ok_or(None)
    }

    fn open_breaker(&mut self, why: &str) {
        let wait = self.settings().breaker.half_open_after;
        let reason = format!(
            "{why}; reading stops, one record is tried in {} s: see `vitrina parked`, mend the cause, then \
             `vitrina resume {}`",
            wait.as_secs(),
            self.model
        );
        metrics::breaker(&self.model, metrics::BreakerState::Open);
        if !self.probing {
            metrics::breaker_tripped(&self.model);
        }
        self.board.halt(&self.model, Some((State::BreakerOpen, reason.clone())));
        let under = self.orders.borrow().resumed;
        self.breaker().open(reason, Instant::now(), under);
        self.probing = false;
    }

    fn close_breaker(&mut self) {
        metrics::breaker(&self.model, metrics::BreakerState::Closed);
        self.board.halt(&self.model, None);
        self.breaker().close();
        self.probing = false;
    }

    /// Forgets all about partitions that somebody else has claimed, and claims them again after a jitter.
    async fn fence(&mut self, batch: &mut Decoded, partitions: Vec<TopicPartition>) {
        metrics::fenced(&self.model, partitions.len());
        tracing::warn!(model = %self.model, ?partitions, "fenced: another instance has claimed these partitions");
        let mut fenced = Vec::new();
        for span in &batch.spans {
            let key = (span.topic.clone(), span.partition);
            if partitions.contains(&key) {
                self.windows.remove(&key);
                fenced.push((key, span.epoch));
            }
        }
        self.fenced.extend(fenced.iter().cloned());
        batch.retain_spans(|span| !partitions.contains(&(span.topic.clone(), span.partition)));
        Backoff::new(Duration::from_millis(500), Duration::from_millis(500)).wait().await;
        self.consumer.reclaim(fenced);
    }
}
