//! The rebalance callback: a partition is assigned with the offset and epoch of a fresh claim, or not at all; a revoked
//! one is disowned first, so that what was read under its claim is dropped, and then waits for its transaction.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::end::End;
use super::joining::{count_partitions, group_offsets};
use super::ownership::Ownership;
use super::subscription::Subscription;
use crate::client::{BrokerKind, Heard, topic_ids};
use crate::loss::LogLoss;
use crate::offset::Offset;
use crate::positions::{Found, GroupOffsets, NoClaim, Positions, TopicPartition};

/// How long one question to the broker may take inside the callback.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// After so many refusals in a row, one a second, people are told.
const MIRROR_FAILURES: u32 = 10;

/// What librdkafka calls back: kept by the consumer, called on the poll thread.
pub(super) struct Rebalance {
    positions: Arc<dyn Positions>,
    pub(super) heard: Heard,
    kind: BrokerKind,
    topics: Vec<String>,
    pub(super) ownership: Ownership,
    /// Counts rebalances, so that the poll loop notices that claims have changed.
    changes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    topic_ids: HashMap<String, String>,
    end: Option<End>,
    claimed: Vec<(TopicPartition, Offset)>,
    mirror_failed: bool,
    /// In a row.
    mirror_failures: u32,
    /// Partitions whose offset in the group bears no tag of ours, as it was seen last.
    untagged: HashSet<TopicPartition>,
}

impl Rebalance {
    pub(super) fn new(
        positions: Arc<dyn Positions>,
        ownership: Ownership,
        subscription: &Subscription,
    ) -> Self {
        let (heard, kind) = (Heard::new(&subscription.kafka.brokers), subscription.broker);
        Self {
            positions,
            heard,
            kind,
            topics: subscription.topics.clone(),
            ownership,
            changes: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// What a callback decided that the consumer must end with.
    pub(super) fn end(&self) -> Option<End> {
        self.state().end.take()
    }

    /// Whether a mirror commit has failed since the last call.
    pub(super) fn mirror_failed(&self) -> bool {
        std::mem::take(&mut self.state().mirror_failed)
    }

    /// The starts of claims made since the last call, to be mirrored before any record.
    pub(super) fn newly_claimed(&self) -> Vec<(TopicPartition, Offset)> {
        std::mem::take(&mut self.state().claimed)
    }

    /// The ids that the topics have now, see [`topic_ids`].
    pub(super) fn topic_ids(
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
    pub(super) fn claimed_topic_ids(&self) -> HashMap<String, String> {
        self.state().topic_ids.clone()
    }

    /// Has the group's offsets judged.
    pub(super) fn judge(&self, offsets: &GroupOffsets) -> Result<(), NoClaim> {
        self.positions.judge(offsets)?;
        let reset = offsets.resets.iter().map(|reset| (reset.topic.clone(), reset.partition));
        self.state().untagged = reset.collect();
        Ok(())
    }

    /// Which of these partitions have an offset in the group that somebody else has set.
    pub(super) fn untagged(&self, keys: &[TopicPartition]) -> Vec<TopicPartition> {
        let state = self.state();
        keys.iter().filter(|key| state.untagged.contains(*key)).cloned().collect()
    }

    /// Their offsets bear our tag again.
    pub(super) fn tagged(&self, keys: &[TopicPartition]) {
        self.state().untagged.retain(|key| !keys.contains(key));
        self.positions.mirrored(keys);
    }

    /// It is sent again. A rebalance refuses one or two; a group that takes none for long misleads whoever looks there.
    pub(super) fn mirror_has_failed(&self, error: &KafkaError) {
        let mut state = self.state();
        (state.mirror_failed, state.mirror_failures) = (true, state.mirror_failures + 1);
        let failures = state.mirror_failures;
        drop(state);
        if failures == MIRROR_FAILURES {
            tracing::warn!(
                %error,
                "Kafka takes no offsets for the group, so lag tools and Kafka's offset tool show old ones; nothing is lost, \
                 and it is tried on"
            );
        } else {
            tracing::debug!(%error, "the mirror of the positions was not committed; it is sent again");
        }
    }

    /// Offsets may have been set since this member joined; the first mirrored commit would hide it.
    fn judge_again(&self, consumer: &BaseConsumer<Self>) -> Result<(), NoClaim> {
        let mut partitions = TopicPartitionList::new();
        for topic in &self.topics {
            match count_partitions(consumer, topic, BROKER_TIMEOUT) {
                Ok(0) => {}
                Ok(count) => partitions.add_partition_range(topic, 0, count - 1),
                Err(error) => return Err(self.world(&error.to_string())),
            }
        }
        let offsets = group_offsets(consumer, partitions);
        self.judge(&offsets.map_err(|error| self.world(&error.to_string()))?)
    }

    fn world(&self, what: &str) -> NoClaim {
        NoClaim::World(self.heard.failed(what))
    }

    /// Claims `partitions` and returns them with the offsets to start from.
    pub(super) fn claim(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[TopicPartition],
    ) -> Result<TopicPartitionList, NoClaim> {
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
                return Err(LogLoss::recreated(&found.topic).into());
            }
        }
        let mut claimed = Vec::with_capacity(found.len());
        for (found, claim) in found.into_iter().zip(claims) {
            list.add_partition_offset(
                &found.topic,
                found.partition,
                KafkaOffset::Offset(claim.next_offset.0),
            )
            .map_err(|error| NoClaim::World(error.to_string()))?;
            let key = (found.topic.clone(), found.partition);
            state.topic_ids.insert(found.topic.to_string(), found.topic_id);
            state.claimed.push((key.clone(), claim.next_offset));
            claimed.push((key, claim));
        }
        self.ownership.own(claimed);
        Ok(list)
    }

    fn look_at(
        &self,
        consumer: &BaseConsumer<Self>,
        keys: &[TopicPartition],
    ) -> Result<Vec<Found>, NoClaim> {
        let world = |what: String| self.world(&what);
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        // In one order everywhere, so that two instances' claims cannot wait for each other.
        let mut keys = keys.to_vec();
        keys.sort();
        let mut topics: Vec<String> = keys.iter().map(|(topic, _)| topic.to_string()).collect();
        topics.dedup();
        let ids = self.topic_ids(consumer, &topics).map_err(world)?;
        let mut counts = HashMap::new();
        for topic in &topics {
            let count = count_partitions(consumer, topic, BROKER_TIMEOUT);
            counts.insert(topic.as_str(), count.map_err(|error| world(error.to_string()))?);
        }
        keys.iter()
            .map(|(topic, partition)| {
                let topic_id = ids.get(&**topic).cloned();
                let topic_id = topic_id
                    .ok_or_else(|| world(format!("topic {topic} is not there any more")))?;
                // A broker that has just started, or heard of the topic, may know fewer than there are.
                let partitions = counts.get(&**topic).copied().filter(|count| partition < count);
                let partitions = partitions.ok_or_else(|| {
                    world(format!("topic {topic} has no partition {partition} yet"))
                })?;
                let (log_start, log_end) = consumer
                    .fetch_watermarks(topic, *partition, BROKER_TIMEOUT)
                    .map_err(|error| world(error.to_string()))?;
                let (log_start, log_end) = (Offset(log_start.max(0)), Offset(log_end));
                Ok(Found {
                    topic: topic.clone(),
                    partition: *partition,
                    topic_id,
                    partitions: partitions.cast_unsigned(),
                    log_start,
                    log_end,
                })
            })
            .collect()
    }

    pub(super) fn disown(&self, partitions: &[TopicPartition]) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.ownership.disown(partitions);
    }

    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[TopicPartition],
    ) -> Result<(), KafkaError> {
        // Cooperative assignments are often empty.
        let judged = if partitions.is_empty() { Ok(()) } else { self.judge_again(consumer) };
        let list = match judged.and_then(|()| self.claim(consumer, partitions)) {
            Ok(list) => list,
            Err(error) => {
                self.state().end = Some(error.into());
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

impl ConsumerContext for Rebalance {
    fn commit_callback(&self, result: Result<(), KafkaError>, offsets: &TopicPartitionList) {
        // The broker may take some partitions, and refuse others.
        let refused = || offsets.elements().iter().try_for_each(|element| element.error());
        match result.and_then(|()| refused()) {
            Ok(()) => self.state().mirror_failures = 0,
            Err(error) => self.mirror_has_failed(&error),
        }
    }

    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions = keys(list);
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

fn keys(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let key =
        |element: &TopicPartitionListElem<'_>| (Arc::from(element.topic()), element.partition());
    list.elements().iter().map(key).collect()
}
