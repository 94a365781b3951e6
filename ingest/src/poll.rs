//! The poll thread: librdkafka in, batches out. A span's `from` is always where the previous one of its claim ended, so
//! the spans of a claim are a chain, and whoever applies them can tell a gap from none.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::{mpsc as tokio_mpsc, oneshot};

use crate::batch::{Batch, Span};
use crate::consumer::End;
use crate::context::{Context, Ownership};
use crate::joining;
use crate::loss::{lost_offsets, recreated};
use crate::positions::{Positions, TopicPartition};
use crate::settings::Subscription;

/// Nothing else is polled while the broker is asked.
const BROKER_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that the thread waits in one poll, and so the delay of a command.
const TICK: Duration = Duration::from_millis(50);
/// How long to wait for more records when a batch is due and its taker is busy.
const TAKER_BUSY: Duration = Duration::from_millis(1);
/// How long the taker of batches may be behind before the partitions are paused.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often, at most, the mirror is committed and an idle position moved.
const PACE: Duration = Duration::from_secs(1);
/// How old the last look at the topics' ids may be when a batch is handed over.
const IDENTITY_AGE: Duration = Duration::from_secs(5);

pub(crate) enum Command {
    Mirror(Vec<(TopicPartition, i64)>),
    /// Partitions, and the epochs of the claims that are not the newest any more.
    Reclaim(Vec<(TopicPartition, i64)>),
    Close,
}

pub(crate) struct Poll {
    consumer: BaseConsumer<Context>,
    subscription: Subscription,
    out: tokio_mpsc::Sender<Batch>,
    commands: mpsc::Receiver<Command>,
    runtime: Handle,
    batch: Batch,
    /// When the first record of `batch` came.
    opened: Option<Instant>,
    /// The count of rebalances that the spans of `batch` were made under.
    changes: u64,
    blocked: Option<Instant>,
    paused: bool,
    /// Positions to be committed, and all that were, in case a commit fails.
    mirror: HashMap<TopicPartition, i64>,
    mirror_sent: HashMap<TopicPartition, i64>,
    mirrored: Instant,
    idled: Instant,
    /// When the topics' ids were last compared.
    identified: Option<Instant>,
}

impl Poll {
    pub(crate) fn new(
        subscription: Subscription,
        positions: Arc<dyn Positions>,
        ownership: Ownership,
        out: tokio_mpsc::Sender<Batch>,
        commands: mpsc::Receiver<Command>,
        runtime: Handle,
    ) -> Result<Self, End> {
        let context = Context::new(positions, ownership, &subscription);
        let consumer = BaseConsumer::from_config_and_context(&subscription.consumer(), context)
            .map_err(|error| End::Stop(format!("kafka.properties: {error}")))?;
        let now = Instant::now();
        let poll = Self {
            consumer,
            subscription,
            out,
            commands,
            runtime,
            batch: Batch::default(),
            opened: None,
            changes: 0,
            blocked: None,
            paused: false,
            mirror: HashMap::new(),
            mirror_sent: HashMap::new(),
            mirrored: now,
            idled: now,
            identified: None,
        };
        joining::look_around(&poll.consumer, &poll.subscription)?;
        let topics: Vec<&str> = poll.subscription.topics.iter().map(String::as_str).collect();
        poll.consumer.subscribe(&topics)?;
        Ok(poll)
    }

    /// Polls until there is a reason to end. It is told at once: leaving the group may take as long as the broker likes.
    pub(crate) fn run(mut self, ended: oneshot::Sender<End>) {
        let end = loop {
            if let Err(end) = self.turn() {
                break end;
            }
        };
        let reachable = self.consumer.context().ownership.trouble().is_none();
        drop(self.out);
        let _ = ended.send(end);
        self.batch = Batch::default();
        let list = mirror_list(&self.subscription.tag, self.mirror);
        if reachable && list.count() > 0 {
            let _ = self.consumer.commit(&list, CommitMode::Sync);
        }
    }

    fn turn(&mut self) -> Result<(), End> {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.obey(command)?,
                Err(mpsc::TryRecvError::Empty) => break,
                // Whoever applied the batches is gone.
                Err(mpsc::TryRecvError::Disconnected) => return Err(End::Closed),
            }
        }
        self.poll_once()?;
        if let Some(end) = self.consumer.context().end() {
            return Err(end);
        }
        let claimed = self.consumer.context().newly_claimed();
        self.mirror.extend(claimed);
        if self.batch_is_due() {
            self.hand_over()?;
        }
        if self.mirrored.elapsed() >= PACE {
            self.commit_mirror();
        }
        if self.idled.elapsed() >= PACE && self.batch.spans.is_empty() {
            self.follow_idle_positions()?;
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Mirror(positions) => self.mirror.extend(positions),
            Command::Reclaim(partitions) => self.reclaim(partitions)?,
            Command::Close => return Err(End::Closed),
        }
        Ok(())
    }

    fn poll_once(&mut self) -> Result<(), End> {
        let wait = match self.opened {
            Some(opened) if !self.paused => {
                self.subscription.linger.saturating_sub(opened.elapsed()).clamp(TAKER_BUSY, TICK)
            }
            _ => TICK,
        };
        // A full batch polls on for rebalances only while nothing can be delivered.
        if self.batch_is_full() && !self.paused {
            return Ok(());
        }
        if self.batch.spans.is_empty() {
            self.changes = self.consumer.context().changes();
        }
        // `self` cannot be borrowed for the message and changed by it, so the batch is taken out for the moment.
        let mut batch = std::mem::take(&mut self.batch);
        let polled = match self.consumer.poll(wait) {
            Some(Ok(message)) => self.take(&mut batch, &message),
            Some(Err(error)) => self.judge(&error).map(|()| false),
            None => Ok(false),
        };
        self.batch = batch;
        if polled? && self.opened.is_none() {
            self.opened = Some(Instant::now());
        }
        Ok(())
    }

    /// Appends the record under its partition's claim; false where nobody here owns it any more.
    fn take(&self, batch: &mut Batch, message: &BorrowedMessage<'_>) -> Result<bool, End> {
        let (topic, partition) = (message.topic(), message.partition());
        let unchanged = self.changes == self.consumer.context().changes();
        let span = match batch.span_of(topic, partition).filter(|_| unchanged) {
            Some(span) => span,
            None => match self.open_span(batch, topic, partition) {
                Some(span) => span,
                None => return Ok(false),
            },
        };
        if message.offset() < batch.spans[span].to {
            tracing::debug!(topic, partition, offset = message.offset(), "a record from before the claim's start");
            return Ok(false);
        }
        batch.push(span, message);
        Ok(true)
    }

    fn open_span(&self, batch: &mut Batch, topic: &str, partition: i32) -> Option<usize> {
        let key: TopicPartition = (Arc::from(topic), partition);
        let claim = self.consumer.context().ownership.claim_of(&key)?;
        if let Some(span) = batch.span_of(topic, partition).filter(|span| batch.spans[*span].epoch == claim.epoch) {
            return Some(span);
        }
        let (epoch, from) = (claim.epoch, claim.next_offset);
        batch.spans.push(Span { topic: key.0, partition, epoch, from, to: from, last_timestamp: None });
        Some(batch.spans.len() - 1)
    }

    fn judge(&mut self, error: &KafkaError) -> Result<(), End> {
        if matches!(error, KafkaError::PartitionEOF(_)) {
            return Ok(());
        }
        // Whatever happened, the topics may not be the same afterwards.
        self.identified = None;
        match error {
            KafkaError::MessageConsumptionFatal(_) => Err(End::World(format!("Kafka: {error}"))),
            _ => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::AutoOffsetReset) => Err(self.lost_log()),
                Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    joining::existing_partitions(&self.consumer, &self.subscription).map(|_| ())
                }
                Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed) => {
                    Err(End::Stop(format!("Kafka refuses group {}: {error}", self.subscription.group)))
                }
                _ => {
                    tracing::debug!(%error, "consumer error");
                    Ok(())
                }
            },
        }
    }

    /// The broker has no such offset: says for which partitions the log does not hold the position.
    fn lost_log(&self) -> End {
        for ((topic, partition), claim) in self.consumer.context().ownership.claims() {
            let Ok((start, end)) = self.consumer.fetch_watermarks(&topic, partition, BROKER_TIMEOUT) else { continue };
            if !(start..=end).contains(&claim.next_offset) {
                return End::Stop(lost_offsets(&topic, partition, claim.next_offset, start, end));
            }
        }
        End::World("Kafka: an offset was out of range".into())
    }

    fn batch_is_full(&self) -> bool {
        self.batch.len() >= self.subscription.max_events || self.batch.bytes() >= self.subscription.max_bytes
    }

    fn batch_is_due(&self) -> bool {
        let lingered = self.opened.is_some_and(|opened| opened.elapsed() >= self.subscription.linger);
        let changed = self.changes != self.consumer.context().changes();
        self.batch_is_full() || lingered || (changed && !self.batch.is_empty())
    }

    /// Sends the batch if its taker is ready. A full one waits a little; a taker that stays behind pauses the
    /// partitions, so that rebalances go on being served.
    fn hand_over(&mut self) -> Result<(), End> {
        if self.identified.is_none_or(|at| at.elapsed() >= IDENTITY_AGE) && !self.same_topics()? {
            return Ok(());
        }
        if self.out.is_closed() {
            return Err(End::Closed);
        }
        let out = self.out.clone();
        let permit = if self.batch_is_full() && !self.paused {
            self.runtime.block_on(async { tokio::time::timeout(TICK, out.reserve()).await }).ok().and_then(Result::ok)
        } else {
            out.try_reserve().ok()
        };
        if let Some(permit) = permit {
            permit.send(self.close_batch());
            return self.resume();
        }
        let blocked = *self.blocked.get_or_insert_with(Instant::now);
        if blocked.elapsed() >= PATIENCE && self.batch_is_full() { self.pause() } else { Ok(()) }
    }

    fn close_batch(&mut self) -> Batch {
        let context = self.consumer.context();
        let batch = std::mem::take(&mut self.batch);
        for span in &batch.spans {
            context.ownership.advance(&(span.topic.clone(), span.partition), span.epoch, span.to);
        }
        self.changes = context.changes();
        self.opened = None;
        self.blocked = None;
        batch
    }

    /// Pauses everything that is assigned, again and again, because a new assignment arrives resumed.
    fn pause(&mut self) -> Result<(), End> {
        self.paused = true;
        Ok(self.consumer.pause(&self.consumer.assignment()?)?)
    }

    fn resume(&mut self) -> Result<(), End> {
        if std::mem::take(&mut self.paused) {
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
                return Err(End::Stop(recreated(topic)));
            }
        }
        self.identified = Some(Instant::now());
        Ok(true)
    }

    fn commit_mirror(&mut self) {
        self.mirrored = Instant::now();
        let context = self.consumer.context();
        if context.mirror_failed() {
            for (key, offset) in &self.mirror_sent {
                self.mirror.entry(key.clone()).or_insert(*offset);
            }
        }
        // A commit for a partition that somebody else owns by now could move the group's offset back.
        let owned = |key: &TopicPartition| context.ownership.claim_of(key).is_some();
        self.mirror.retain(|key, _| owned(key));
        self.mirror_sent.retain(|key, _| owned(key));
        let mirror = std::mem::take(&mut self.mirror);
        self.mirror_sent.extend(mirror.iter().map(|(key, offset)| (key.clone(), *offset)));
        let list = mirror_list(&self.subscription.tag, mirror);
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "the mirror of the positions was not committed");
        }
    }

    /// Transaction markers and aborted records are delivered to nobody; the consumer's own position passes them.
    fn follow_idle_positions(&mut self) -> Result<(), End> {
        self.idled = Instant::now();
        let positions = self.consumer.position()?;
        for element in positions.elements() {
            let Offset::Offset(position) = element.offset() else { continue };
            let key: TopicPartition = (Arc::from(element.topic()), element.partition());
            let Some(claim) = self.consumer.context().ownership.claim_of(&key) else { continue };
            if position > claim.next_offset {
                let (epoch, from) = (claim.epoch, claim.next_offset);
                let (topic, partition) = key;
                self.batch.spans.push(Span { topic, partition, epoch, from, to: position, last_timestamp: None });
            }
        }
        self.opened = (!self.batch.spans.is_empty()).then_some(self.idled);
        Ok(())
    }

    /// Claims again what is still assigned here under the claims that were fenced, and reads on from the new starts.
    fn reclaim(&mut self, fenced: Vec<(TopicPartition, i64)>) -> Result<(), End> {
        let context = self.consumer.context().clone();
        let current = |key: &TopicPartition| context.ownership.claim_of(key).map(|claim| claim.epoch);
        let fenced = fenced.into_iter().filter(|(key, epoch)| current(key) == Some(*epoch));
        let partitions: Vec<TopicPartition> = fenced.map(|(key, _)| key).collect();
        if partitions.is_empty() {
            return Ok(());
        }
        context.disown(&partitions);
        let claimed = context.claim(&self.consumer, &partitions)?;
        let sought = self.consumer.seek_partitions(claimed, BROKER_TIMEOUT)?;
        Ok(sought.elements().iter().try_for_each(|element| element.error())?)
    }
}

fn mirror_list(tag: &str, positions: HashMap<TopicPartition, i64>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in positions {
        let mut element = list.add_partition(&topic, partition);
        element.set_metadata(format!("{tag};next={offset}"));
        let _ = element.set_offset(Offset::Offset(offset));
    }
    list
}
