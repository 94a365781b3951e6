//! The rebalance callback: a partition is assigned with the offset and epoch of a fresh claim, or not at all; a revoked
//! one is disowned first, so that what was read under its claim is dropped, and then waits for its transaction.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::{Broker, Statistics};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::End;
use crate::client::topic_ids;
use crate::client::{BrokerKind, Subscription};
use crate::loss::recreated;
use crate::positions::{Claim, Found, Positions, Refusal, TopicPartition};

/// A broker that owes an answer says something within a second or two; after this long it is taken for frozen. The
/// connection is given up later (`socket.timeout.ms`), and only then librdkafka calls it an error.
const SILENCE: Duration = Duration::from_secs(10);
/// How long one question to the broker may take inside the callback.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a consumer owns at the moment, shared with whoever applies its batches.
#[derive(Debug, Default, Clone)]
pub struct Ownership(Arc<Mutex<Owned>>);

#[derive(Debug, Default)]
struct Owned {
    /// `next_offset` is the next offset to read, ahead of Postgres by what is in flight.
    claims: HashMap<TopicPartition, Claim>,
    /// The last stable offset, from librdkafka's statistics.
    ends: HashMap<TopicPartition, i64>,
    /// Topics of the subscription that the broker does not know.
    missing: Vec<String>,
    unreachable: Option<String>,
    /// A broker that is connected and owes an answer for too long, as a sentence.
    silent: Option<String>,
}

impl Ownership {
    fn lock(&self) -> MutexGuard<'_, Owned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether records read under `epoch` may still be applied.
    pub fn is_current(&self, topic: &Arc<str>, partition: i32, epoch: i64) -> bool {
        self.lock()
            .claims
            .get(&(topic.clone(), partition))
            .is_some_and(|claim| claim.epoch == epoch)
    }

    /// Each owned partition and the end of its log, where it is known.
    pub fn ends(&self) -> Vec<(TopicPartition, Option<i64>)> {
        let owned = self.lock();
        owned.claims.keys().map(|key| (key.clone(), owned.ends.get(key).copied())).collect()
    }

    /// Whether the log holds something that has not been read here.
    pub(crate) fn is_behind(&self) -> bool {
        let owned = self.lock();
        owned
            .claims
            .iter()
            .any(|(key, claim)| owned.ends.get(key).is_some_and(|end| *end > claim.next_offset))
    }

    /// Whether the broker answers, as far as its client has noticed.
    pub fn reaches_broker(&self) -> bool {
        self.lock().unreachable.is_none()
    }

    /// What keeps the broker from answering, as a sentence, while it lasts.
    pub fn trouble(&self) -> Option<String> {
        let owned = self.lock();
        let missing = || {
            let names = owned.missing.join(", ");
            format!("topic {names} does not exist yet; its producers create it, Vitrina never does")
        };
        let away = owned.unreachable.clone().or_else(|| owned.silent.clone());
        away.or_else(|| (!owned.missing.is_empty()).then(missing))
    }

    pub(crate) fn claim_of(&self, key: &TopicPartition) -> Option<Claim> {
        self.lock().claims.get(key).copied()
    }

    /// The newest claims of this instance, and how far each has been read.
    pub fn claims(&self) -> Vec<(TopicPartition, Claim)> {
        self.lock().claims.iter().map(|(key, claim)| (key.clone(), *claim)).collect()
    }

    /// Records that everything below `next_offset` has been read under `epoch`.
    pub(crate) fn advance(&self, key: &TopicPartition, epoch: i64, next_offset: i64) {
        if let Some(claim) = self.lock().claims.get_mut(key).filter(|claim| claim.epoch == epoch) {
            claim.next_offset = next_offset;
        }
    }

    pub(crate) fn set_missing(&self, topics: Vec<String>) {
        self.lock().missing = topics;
    }
}

pub(crate) struct Context {
    positions: Arc<dyn Positions>,
    brokers: String,
    kind: BrokerKind,
    pub(crate) ownership: Ownership,
    /// Counts rebalances, so that the poll loop notices that claims have changed.
    changes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    topic_ids: HashMap<String, String>,
    end: Option<End>,
    claimed: Vec<(TopicPartition, i64)>,
    mirror_failed: bool,
}

impl Context {
    pub(crate) fn new(
        positions: Arc<dyn Positions>,
        ownership: Ownership,
        subscription: &Subscription,
    ) -> Self {
        let (brokers, kind) = (subscription.kafka.brokers.clone(), subscription.broker);
        Self {
            positions,
            brokers,
            kind,
            ownership,
            changes: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// What a callback decided that the consumer must end with.
    pub(crate) fn end(&self) -> Option<End> {
        self.state().end.take()
    }

    /// Whether a mirror commit has failed since the last call.
    pub(crate) fn mirror_failed(&self) -> bool {
        std::mem::take(&mut self.state().mirror_failed)
    }

    /// The starts of claims made since the last call, to be mirrored before any record.
    pub(crate) fn newly_claimed(&self) -> Vec<(TopicPartition, i64)> {
        std::mem::take(&mut self.state().claimed)
    }

    /// The ids that the topics have now, see [`topic_ids`].
    pub(crate) fn topic_ids(
        &self,
        consumer: &BaseConsumer<Self>,
        topics: &[String],
    ) -> Result<HashMap<String, String>, String> {
        match self.kind {
            BrokerKind::Kafka => topic_ids(consumer.client(), topics, BROKER_TIMEOUT),
            BrokerKind::Mock => {
                Ok(topics.iter().map(|topic| (topic.clone(), String::new())).collect())
            }
        }
    }

    /// The ids under which the owned topics were claimed.
    pub(crate) fn claimed_topic_ids(&self) -> HashMap<String, String> {
        self.state().topic_ids.clone()
    }

    /// Claims `partitions` and returns them with the offsets to start from.
    pub(crate) fn claim(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[TopicPartition],
    ) -> Result<TopicPartitionList, Refusal> {
        let found = self.look_at(consumer, partitions)?;
        // Cooperative assignments are often empty; they need neither the broker nor a connection to Postgres.
        let cluster_id = if found.is_empty() {
            None
        } else {
            consumer.client().fetch_cluster_id(BROKER_TIMEOUT)
        };
        let claims = self.positions.claim(cluster_id.as_deref(), &found)?;
        let mut list = TopicPartitionList::new();
        let mut state = self.state();
        for found in &found {
            let before = state.topic_ids.get(&*found.topic).filter(|id| !id.is_empty());
            if before.is_some_and(|before| *before != found.topic_id) {
                return Err(Refusal::Stop(recreated(&found.topic)));
            }
        }
        let mut owned = self.ownership.lock();
        for (found, claim) in found.into_iter().zip(claims) {
            list.add_partition_offset(
                &found.topic,
                found.partition,
                Offset::Offset(claim.next_offset),
            )
            .map_err(|error| Refusal::World(error.to_string()))?;
            let key = (found.topic.clone(), found.partition);
            owned.missing.retain(|topic| **topic != *found.topic);
            state.topic_ids.insert(found.topic.to_string(), found.topic_id);
            state.claimed.push((key.clone(), claim.next_offset));
            owned.claims.insert(key, claim);
        }
        Ok(list)
    }

    fn look_at(
        &self,
        consumer: &BaseConsumer<Self>,
        keys: &[TopicPartition],
    ) -> Result<Vec<Found>, Refusal> {
        let world = |what: String| {
            Refusal::World(format!("Kafka at {} (kafka.brokers): {what}", self.brokers))
        };
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        // In one order everywhere, so that two instances' claims cannot wait for each other.
        let mut keys = keys.to_vec();
        keys.sort();
        let mut topics: Vec<String> = keys.iter().map(|(topic, _)| topic.to_string()).collect();
        topics.dedup();
        let ids = self.topic_ids(consumer, &topics).map_err(world)?;
        keys.iter()
            .map(|(topic, partition)| {
                let topic_id = ids.get(&**topic).cloned();
                let topic_id = topic_id
                    .ok_or_else(|| world(format!("topic {topic} is not there any more")))?;
                let (log_start, log_end) = consumer
                    .fetch_watermarks(topic, *partition, BROKER_TIMEOUT)
                    .map_err(|error| world(error.to_string()))?;
                let log_start = log_start.max(0);
                Ok(Found {
                    topic: topic.clone(),
                    partition: *partition,
                    topic_id,
                    log_start,
                    log_end,
                })
            })
            .collect()
    }

    pub(crate) fn disown(&self, partitions: &[TopicPartition]) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let mut owned = self.ownership.lock();
        for key in partitions {
            owned.claims.remove(key);
            owned.ends.remove(key);
        }
    }

    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[TopicPartition],
    ) -> Result<(), KafkaError> {
        let list = match self.claim(consumer, partitions) {
            Ok(list) => list,
            Err(refusal) => {
                self.state().end = Some(refusal.into());
                TopicPartitionList::new()
            }
        };
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list)?,
            _ => consumer.assign(&list)?,
        }
        // A pause survives revocation and a new assignment of the same partition.
        if list.count() > 0 { consumer.resume(&list) } else { Ok(()) }
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
        partitions: &[TopicPartition],
    ) -> Result<(), KafkaError> {
        self.disown(partitions);
        if !consumer.assignment_lost() {
            self.positions.release(partitions);
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: Result<(), KafkaError>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "the mirror of the positions was not committed; it is sent again");
            self.state().mirror_failed = true;
        }
    }

    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions: Vec<TopicPartition> = list
            .elements()
            .iter()
            .map(|element| (Arc::from(element.topic()), element.partition()))
            .collect();
        let assigned = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        tracing::info!(assigned, partitions = ?partitions, "partitions change hands");
        let done = if assigned {
            self.assign(consumer, &partitions)
        } else {
            self.revoke(consumer, list, &partitions)
        };
        self.changes.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = done {
            self.state().end.get_or_insert(End::World(format!("the assignment failed: {error}")));
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, "{message}");
            }
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        let silent = statistics.brokers.values().find(|broker| is_silent(broker));
        let silent = silent.map(|broker| {
            let (name, limit) = (&broker.nodename, SILENCE.as_secs());
            format!("Kafka's broker {name} (kafka.brokers) is connected, but has not answered for more than {limit} s")
        });
        let mut owned = self.ownership.lock();
        owned.silent = silent;
        let up =
            statistics.brokers.values().any(|broker| broker.state == "UP" && broker.nodeid >= 0);
        if up {
            owned.unreachable = None;
        }
        let Owned { claims, ends, .. } = &mut *owned;
        for key in claims.keys() {
            let partition =
                statistics.topics.get(&*key.0).and_then(|topic| topic.partitions.get(&key.1));
            if let Some(partition) = partition.filter(|partition| partition.ls_offset >= 0) {
                ends.insert(key.clone(), partition.ls_offset);
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                let trouble = format!(
                    "Kafka at {} (kafka.brokers) cannot be reached: {reason}",
                    self.brokers
                );
                self.ownership.lock().unreachable = Some(trouble);
            }
            _ => tracing::debug!(target: "librdkafka", %error, reason, "client error"),
        }
    }
}

fn is_silent(broker: &Broker) -> bool {
    broker.state == "UP" && broker.waitresp_cnt > 0 && broker.rxidle > SILENCE.as_micros() as i64
}
