//! The poll thread: librdkafka in, batches out. A span's `from` is always where the previous one of its claim ended, so
//! the spans of a claim are a chain, and whoever applies them can tell a gap from none.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Message, Offset as KafkaOffset};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc as tokio_mpsc, oneshot};

use super::end::End;
use super::joining;
use super::lane::{Lane, Lines};
use super::mirror::Mirror;
use super::ownership::Ownership;
use super::rebalance::Rebalance;
use super::subscription::Subscription;
use super::timeline::Timeline;
use super::watchdog::Watchdog;
use crate::batch::{Batch, Span};
use crate::loss::LogLoss;
use crate::offset::{Epoch, Offset};
use crate::positions::{Positions, TopicPartition};

/// Nothing else is polled while the broker is asked.
const BROKER_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that the thread waits in one poll, and so the delay of a command.
const TICK: Duration = Duration::from_millis(50);
/// How soon it is looked whether the taker of a batch has become free.
const TAKER_BUSY: Duration = Duration::from_millis(1);
/// How often the queues of a timeline are looked at when they were empty.
const STEP: Duration = Duration::from_millis(5);
/// Records that are taken from a timeline between two polls.
const STRIDE: usize = 256;
/// How long the taker of batches may be behind before the partitions are paused.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often, at most, the mirror is committed and an idle position moved.
const PACE: Duration = Duration::from_secs(1);
/// How old the last look at the topics' ids may be when a batch is handed over.
const IDENTITY_AGE: Duration = Duration::from_secs(5);

pub(super) enum Command {
    Mirror(Vec<(TopicPartition, Offset)>),
    /// Partitions, and the epochs of the claims that are not the newest any more.
    Reclaim(Vec<(TopicPartition, Epoch)>),
    Close,
}

pub(super) struct Poll {
    /// Where partitions are read in time order. Its queues must be gone before the consumer is.
    timeline: Option<Timeline>,
    consumer: Arc<BaseConsumer<Rebalance>>,
    subscription: Subscription,
    lanes: Vec<Lane>,
    lines: Lines,
    commands: mpsc::Receiver<Command>,
    runtime: Handle,
    paused: bool,
    /// The last poll brought nothing.
    drained: bool,
    mirror: Mirror,
    mirrored: Instant,
    idled: Instant,
    watchdog: Watchdog,
    /// When the topics' ids were last compared.
    identified: Option<Instant>,
}

impl Poll {
    pub(super) fn new(
        subscription: Subscription,
        positions: Arc<dyn Positions>,
        ownership: Ownership,
        out: Vec<tokio_mpsc::Sender<Batch>>,
        commands: mpsc::Receiver<Command>,
        runtime: Handle,
    ) -> Result<Self, End> {
        let context = Rebalance::new(positions, ownership, &subscription);
        let consumer = BaseConsumer::from_config_and_context(&subscription.consumer(), context)
            .map_err(|error| End::Stop(format!("kafka.properties: {error}")))?;
        let consumer = Arc::new(consumer);
        let partitions = joining::look_around(&consumer, &subscription)?;
        let keys = partitions.elements();
        let keys = keys.iter().map(|one| (Arc::from(one.topic()), one.partition()));
        let timeline = subscription.in_time_order.then(|| Timeline::new(&consumer, keys));
        let now = Instant::now();
        let poll = Self {
            consumer,
            timeline,
            subscription,
            lanes: out.into_iter().map(Lane::new).collect(),
            lines: Lines::default(),
            commands,
            runtime,
            paused: false,
            drained: true,
            mirror: Mirror::default(),
            mirrored: now,
            idled: now,
            watchdog: Watchdog::new(),
            identified: None,
        };
        let topics: Vec<&str> = poll.subscription.topics.iter().map(String::as_str).collect();
        poll.consumer.subscribe(&topics)?;
        Ok(poll)
    }

    /// Polls until there is a reason to end. It is told at once: leaving the group may take as long as the broker likes.
    pub(super) fn run(mut self, ended: oneshot::Sender<End>) {
        let end = loop {
            if let Err(end) = self.turn() {
                break end;
            }
        };
        let reachable = self.consumer.context().ownership.trouble().is_none();
        self.lanes.clear();
        let _ = ended.send(end);
        if reachable {
            self.mirror.finish(&self.consumer, &self.subscription.tag);
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
        if (0..self.lanes.len()).any(|lane| self.is_due(lane)) {
            self.hand_over()?;
        }
        if self.mirrored.elapsed() >= PACE {
            self.mirrored = Instant::now();
            self.mirror.commit(&self.consumer, &self.subscription.tag);
        }
        if self.idled.elapsed() >= PACE {
            self.follow_idle_positions()?;
            self.watchdog.judge(&self.consumer.context().ownership)?;
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
                // What follows in the log may not be what followed in truth: read again from Postgres's position.
                Some(
                    RDKafkaErrorCode::BadMessage
                    | RDKafkaErrorCode::InvalidMessage
                    | RDKafkaErrorCode::BadCompression
                    | RDKafkaErrorCode::NotImplemented
                    | RDKafkaErrorCode::MessageSizeTooLarge,
                ) => Err(End::World(format!("Kafka: a set of records cannot be read: {error}"))),
                Some(
                    RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed,
                ) => Err(End::Stop(format!(
                    "Kafka refuses group {}: {error}",
                    self.subscription.group
                ))),
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
            let Ok((start, end)) =
                self.consumer.fetch_watermarks(&topic, partition, BROKER_TIMEOUT)
            else {
                continue;
            };
            let bounds = (Offset(start), Offset(end));
            if let Some(loss) = LogLoss::of_offset(&topic, partition, claim.next_offset, bounds) {
                return End::Stop(loss.to_string());
            }
        }
        End::World("Kafka: an offset was out of range".into())
    }

    fn is_full(&self, lane: &Lane) -> bool {
        lane.batch.len() >= self.subscription.max_events
            || lane.batch.bytes() >= self.subscription.max_bytes
    }

    fn any_is_full(&self) -> bool {
        self.lanes.iter().any(|lane| self.is_full(lane))
    }

    fn is_due(&self, lane: usize) -> bool {
        let lane = &self.lanes[lane];
        let lingered =
            lane.opened.is_some_and(|opened| opened.elapsed() >= self.subscription.linger);
        let changed = lane.changes != self.consumer.context().changes();
        let waited_for = self.drained && lane.is_waited_for();
        self.is_full(lane) || lingered || waited_for || (changed && !lane.batch.is_empty())
    }

    /// Sends each batch that is due, if its taker is ready. Where none is, a full one waits a little; a taker that stays
    /// behind pauses the partitions, so that rebalances go on being served.
    fn hand_over(&mut self) -> Result<(), End> {
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
                return Err(End::Stop(LogLoss::recreated(topic).to_string()));
            }
        }
        self.identified = Some(Instant::now());
        Ok(true)
    }

    /// Transaction markers and aborted records are delivered to nobody; the consumer's own position passes them. Batches
    /// that are being filled are left alone.
    fn follow_idle_positions(&mut self) -> Result<(), End> {
        self.idled = Instant::now();
        let positions = self.consumer.position()?;
        let idle: Vec<bool> = self.lanes.iter().map(|lane| lane.batch.spans.is_empty()).collect();
        for element in positions.elements() {
            let KafkaOffset::Offset(position) = element.offset() else { continue };
            let position = Offset(position);
            let key: TopicPartition = (Arc::from(element.topic()), element.partition());
            let ownership = &self.consumer.context().ownership;
            let Some(claim) = ownership.claim_of(&key) else { continue };
            let lane = self.lines.lane(&key, self.lanes.len(), |other| ownership.owns(other));
            let held = self.timeline.as_ref().is_some_and(|line| line.holds(&key));
            if held || !idle[lane] || position <= claim.next_offset {
                continue;
            }
            let (epoch, from) = (claim.epoch, claim.next_offset);
            let (topic, partition) = key;
            let changes = self.consumer.context().changes();
            let lane = &mut self.lanes[lane];
            lane.batch.spans.push(Span {
                topic,
                partition,
                epoch,
                from,
                to: position,
                first_timestamp: None,
                last_timestamp: None,
            });
            (lane.opened, lane.changes) = (Some(self.idled), changes);
        }
        Ok(())
    }

    /// Claims again what is still assigned here under the claims that were fenced, and reads on from the new starts.
    fn reclaim(&mut self, fenced: Vec<(TopicPartition, Epoch)>) -> Result<(), End> {
        let context = self.consumer.context().clone();
        let current =
            |key: &TopicPartition| context.ownership.claim_of(key).map(|claim| claim.epoch);
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
