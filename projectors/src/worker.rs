//! A worker consumes one model on this instance: it drops what is no longer its own, marks duplicates, writes, and says
//! how it goes. Batches are written strictly one after another, and again until they are written or not its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vitrina_ingest::{Consumer, End, Span, Subscription, TopicPartition};

use crate::backoff::Backoff;
use crate::batch::{Decoded, Refused};
use crate::claims::Claims;
use crate::decode::Stage;
use crate::fault::Fault;
use crate::metrics;
use crate::status::{Board, State};
use crate::window::{Seen, Window};
use crate::writer::{Writer, Written};

/// How long a consumer may take to leave its group.
const LEAVE: Duration = Duration::from_secs(8);

pub(crate) struct Worker {
    pub model: String,
    pub generation: i32,
    pub claims: Arc<Claims>,
    pub writer: Writer,
    pub board: Board,
    windows: HashMap<TopicPartition, Window>,
    /// Claims that turned out not to be the newest: what was read under them is dropped.
    fenced: HashSet<(TopicPartition, i64)>,
    backoff: Backoff,
}

impl Worker {
    pub(crate) fn new(claims: Arc<Claims>, writer: Writer, board: Board) -> Self {
        Self {
            model: claims.model.clone(),
            generation: claims.generation,
            claims,
            writer,
            board,
            windows: HashMap::new(),
            fenced: HashSet::new(),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
        }
    }

    /// Consumes until `shutdown`, or until the consumer or a batch says why not.
    pub(crate) async fn run(mut self, subscription: Subscription, stage: Stage, shutdown: &CancellationToken) -> End {
        let (consumer, batches) = Consumer::start(subscription, self.claims.clone());
        self.board.consuming(&self.model, self.generation, consumer.ownership.clone());
        let (sender, mut decoded) = mpsc::channel(1);
        let decoding = tokio::spawn(stage.run(batches, sender));
        let stopped = self.consume(&consumer, &mut decoded, shutdown).await;
        drop(decoded);
        let decoded = decoding.await;
        self.writer.close().await;
        let ended = consumer.close(LEAVE).await;
        match decoded {
            Err(error) if error.is_panic() => End::Stop(format!("the decoder failed: {error}; please report it")),
            _ => stopped.unwrap_or(ended),
        }
    }

    /// `None`: the shutdown, or the consumer ended by itself.
    async fn consume(
        &mut self,
        consumer: &Consumer,
        decoded: &mut mpsc::Receiver<Decoded>,
        shutdown: &CancellationToken,
    ) -> Option<End> {
        loop {
            let mut batch = tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                batch = decoded.recv() => batch?,
            };
            self.windows.extend(self.claims.take_windows());
            batch.retain_spans(|span| {
                consumer.ownership.is_current(&span.topic, span.partition, span.epoch)
                    && !self.fenced.contains(&((span.topic.clone(), span.partition), span.epoch))
            });
            self.mark_duplicates(&mut batch);
            match self.write(consumer, &mut batch, shutdown).await {
                Ok(()) => {}
                Err(end) => return end,
            }
            if let Some(refused) = batch.refused {
                // Another instance's, by now: it will find the same record.
                let ours = |span: &Span| *span.topic == *refused.topic && span.partition == refused.partition;
                return batch.spans.iter().any(ours).then(|| End::Stop(refused.to_string()));
            }
        }
    }

    fn mark_duplicates(&mut self, batch: &mut Decoded) {
        for event in &mut batch.events {
            let span = &batch.spans[event.span];
            let Some(identity) = event.identity else { continue };
            let Some(window) = self.windows.get_mut(&(span.topic.clone(), span.partition)) else { continue };
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

    /// Writes the batch, again and again while the world is in the way.
    ///
    /// # Errors
    /// Why the worker ends; `None` for the shutdown.
    async fn write(
        &mut self,
        consumer: &Consumer,
        batch: &mut Decoded,
        shutdown: &CancellationToken,
    ) -> Result<(), Option<End>> {
        while !batch.spans.is_empty() {
            let started = Instant::now();
            let written = {
                let _writing = self.claims.writing.clone().lock_owned().await;
                self.writer.write(batch).await
            };
            match written {
                Ok(written) => {
                    self.committed(consumer, batch, written, started.elapsed());
                    return Ok(());
                }
                Err(Fault::Fenced(partitions)) => self.fence(consumer, batch, partitions).await,
                Err(Fault::World(reason)) => {
                    metrics::world(&self.model);
                    self.board.set(&self.model, State::Waiting, Some(reason));
                    tokio::select! {
                        () = self.backoff.wait() => {}
                        () = shutdown.cancelled() => return Err(None),
                    }
                    batch.retain_spans(|span| consumer.ownership.is_current(&span.topic, span.partition, span.epoch));
                }
                Err(Fault::Record { event, rule, reason, sqlstate }) => {
                    batch.refused = Some(refused(batch, event, rule, reason, sqlstate));
                    batch.cut(event);
                }
                Err(Fault::Stop(reason)) => return Err(Some(End::Stop(reason))),
            }
        }
        Ok(())
    }

    fn committed(&mut self, consumer: &Consumer, batch: &Decoded, written: Written, took: Duration) {
        self.backoff.reset();
        consumer.mirror(batch.positions());
        self.board.committed(&self.model, &batch.spans);
        let duplicates = batch.events.iter().filter(|event| event.duplicate).count();
        let applied = (batch.events.len() - duplicates) as u64;
        let seconds = took.as_secs_f64();
        metrics::committed(&self.model, applied, duplicates as u64, batch.ignored, written, seconds);
    }

    /// Forgets all about partitions that somebody else has claimed, and claims them again after a jitter.
    async fn fence(&mut self, consumer: &Consumer, batch: &mut Decoded, partitions: Vec<TopicPartition>) {
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
        consumer.reclaim(fenced);
    }
}

fn refused(batch: &Decoded, event: usize, rule: String, reason: String, sqlstate: String) -> Refused {
    let event = &batch.events[event];
    let span = &batch.spans[event.span];
    Refused {
        topic: span.topic.clone(),
        partition: span.partition,
        offset: event.offset,
        schema: None,
        rule: Some(rule),
        sqlstate: Some(sqlstate),
        reason,
    }
}
