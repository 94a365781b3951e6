//! The poll thread: librdkafka in, batches out. A span's `from` is always where the previous one of its claim ended, so
//! the spans of a claim are a chain, and whoever applies them can tell a gap from none.

mod handing;
mod reading;

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::Offset as KafkaOffset;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;
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
use crate::client::is_refusal;
use crate::loss::LogLoss;
use crate::offset::{Epoch, Offset};
use crate::positions::{Positions, TopicPartition};

/// Nothing else is polled while the broker is asked.
const BROKER_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that the thread waits in one poll, and so the delay of a command.
const TICK: Duration = Duration::from_millis(50);
/// How often, at most, the mirror is committed and an idle position moved.
const PACE: Duration = Duration::from_secs(1);

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
        let timeline = subscription
            .in_time_order
            .then(|| Timeline::new(&consumer, keys, subscription.bounds.clone()));
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

    fn judge(&mut self, error: &KafkaError) -> Result<(), End> {
        if matches!(error, KafkaError::PartitionEOF(_)) {
            return Ok(());
        }
        // Whatever happened, the topics may not be the same afterwards.
        self.identified = None;
        match error {
            KafkaError::MessageConsumptionFatal(_) => Err(End::World(format!("Kafka: {error}"))),
            _ if is_refusal(error) => Err(self.subscription.refused(error)),
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
                return End::Lost(loss);
            }
        }
        End::World("Kafka: an offset was out of range".into())
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
            let position =
                self.timeline.as_ref().map_or(position, |line| line.reached(&key, claim, position));
            if !idle[lane] || position <= claim.next_offset {
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
