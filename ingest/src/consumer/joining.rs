//! Before a consumer joins its group: which topics are missing, and which of the group's offsets somebody else has set.
//! Nothing is decided here: whoever keeps the positions does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::end::End;
use super::rebalance::Rebalance;
use super::subscription::Subscription;
use crate::client::{KafkaSettings, listen, tagged};
use crate::offset::Offset;
use crate::positions::{GroupOffsets, Reset, TopicPartition};

/// How the metadata of every commit of ours begins.
pub(super) const TAG: &str = "vitrina;";
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn look_around(
    consumer: &BaseConsumer<Rebalance>,
    subscription: &Subscription,
) -> Result<TopicPartitionList, End> {
    let partitions = existing_partitions(consumer, subscription)?;
    let offsets = group_offsets(consumer, partitions.clone());
    let offsets = offsets.map_err(|error| match listen(consumer) {
        Some(refusal) => subscription.refused(&refusal),
        None => error.into(),
    })?;
    consumer.context().judge(&offsets)?;
    Ok(partitions)
}

/// The offsets of a group as whoever is no member of it finds them; none where the broker does not answer.
pub async fn offsets_of_group(
    kafka: &KafkaSettings,
    group: &str,
    topics: Vec<String>,
) -> Option<GroupOffsets> {
    let mut config = kafka.client();
    config.set("group.id", group);
    let looking = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        let mut partitions = TopicPartitionList::new();
        for topic in &topics {
            let count = count_partitions(&consumer, topic, BROKER_TIMEOUT)?;
            if count > 0 {
                partitions.add_partition_range(topic, 0, count - 1);
            }
        }
        group_offsets(&consumer, partitions)
    });
    looking.await.ok()?.ok()
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
            listen(consumer);
            End::World(consumer.context().heard.failed(&error.to_string()))
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
pub(super) fn count_partitions<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> KafkaResult<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
    let partitions = metadata.topics().iter().map(|topic| topic.partitions().len());
    Ok(i32::try_from(partitions.sum::<usize>()).unwrap_or(i32::MAX))
}

/// The stock reset tool writes empty metadata whatever the offset is, so a missing tag is a reset.
pub(super) fn group_offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: TopicPartitionList,
) -> KafkaResult<GroupOffsets> {
    let looked = Instant::now();
    let mut offsets = GroupOffsets { tagged: Vec::new(), resets: Vec::new(), looked };
    if partitions.count() == 0 {
        return Ok(offsets);
    }
    let committed = committed(consumer, partitions)?;
    for (element, tagged) in committed.elements().iter().zip(tagged(&committed, TAG)) {
        let KafkaOffset::Offset(offset) = element.offset() else { continue };
        let (topic, partition): TopicPartition = (Arc::from(element.topic()), element.partition());
        if tagged {
            offsets.tagged.push((topic, partition));
            continue;
        }
        let (start, end) = consumer.fetch_watermarks(&topic, partition, BROKER_TIMEOUT)?;
        let (log_start, log_end) = (Offset(start.max(0)), Offset(end));
        offsets.resets.push(Reset { topic, partition, offset: Offset(offset), log_start, log_end });
    }
    Ok(offsets)
}

/// The group's offsets. Its coordinator may still be looking for its place, as it is for every group of a cluster that has
/// just begun: it is asked again for a while, as librdkafka does itself wherever it is not asked directly.
fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: TopicPartitionList,
) -> KafkaResult<TopicPartitionList> {
    let deadline = Instant::now() + BROKER_TIMEOUT;
    loop {
        match consumer.committed_offsets(partitions.clone(), BROKER_TIMEOUT) {
            Err(error) if is_on_its_way(&error) && Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            answer => return answer,
        }
    }
}

fn is_on_its_way(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}
