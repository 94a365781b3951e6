//! Before a consumer joins its group: which topics are missing, and which of the group's offsets somebody else has set.
//! Nothing is decided here; what is found is named.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::end::End;
use super::rebalance::Rebalance;
use super::subscription::Subscription;

const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn look_around(
    consumer: &BaseConsumer<Rebalance>,
    subscription: &Subscription,
) -> Result<(), End> {
    let partitions = existing_partitions(consumer, subscription)?;
    if partitions.count() > 0 { name_resets(consumer, subscription, partitions) } else { Ok(()) }
}

/// The partitions of the subscription's topics; topics that do not exist are named and waited for.
pub(super) fn existing_partitions(
    consumer: &BaseConsumer<Rebalance>,
    subscription: &Subscription,
) -> Result<TopicPartitionList, End> {
    let mut partitions = TopicPartitionList::new();
    let mut missing = Vec::new();
    for topic in &subscription.topics {
        let count = count_partitions(consumer, topic, BROKER_TIMEOUT).map_err(|error| {
            let brokers = &subscription.kafka.brokers;
            End::World(format!("Kafka at {brokers} (kafka.brokers) does not answer: {error}"))
        })?;
        match count {
            0 => missing.push(topic.clone()),
            _ => partitions.add_partition_range(topic, 0, count - 1),
        }
    }
    if !missing.is_empty() {
        tracing::warn!(topics = ?missing, "topics do not exist yet and are waited for");
    }
    consumer.context().ownership.set_missing(missing);
    Ok(partitions)
}

/// How many partitions a topic has; an unknown one has none.
pub(super) fn count_partitions(
    consumer: &BaseConsumer<Rebalance>,
    topic: &str,
    timeout: Duration,
) -> KafkaResult<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
    let partitions = metadata.topics().iter().map(|topic| topic.partitions().len());
    Ok(i32::try_from(partitions.sum::<usize>()).unwrap_or(i32::MAX))
}

/// The stock reset tool writes empty metadata whatever the offset is, so a missing tag is a reset.
fn name_resets(
    consumer: &BaseConsumer<Rebalance>,
    subscription: &Subscription,
    partitions: TopicPartitionList,
) -> Result<(), End> {
    let committed = consumer.committed_offsets(partitions, BROKER_TIMEOUT)?;
    for element in committed.elements() {
        let Offset::Offset(offset) = element.offset() else { continue };
        if !element.metadata().starts_with("vitrina;") {
            tracing::warn!(
                group = %subscription.group,
                topic = element.topic(),
                partition = element.partition(),
                offset,
                "the group's offset was set by somebody else; Postgres's position wins \
                 (a rebuild by resetting offsets is not built yet)"
            );
        }
    }
    Ok(())
}
