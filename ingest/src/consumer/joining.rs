//! Before a consumer joins its group: which topics are missing, which of the group's offsets somebody else has set, and whether
//! another deployment is at work in it. Of offsets nothing is decided here: whoever keeps the positions does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::end::End;
use super::rebalance::Rebalance;
use super::subscription::Subscription;
use crate::client::{KafkaSettings, listen, metadata};
use crate::offset::Offset;
use crate::positions::{GroupOffsets, Reset, TopicPartition};

/// How the metadata of every commit of ours begins.
pub(super) const TAG: &str = "vitrina;";
/// How the part of it begins that says where the positions are kept.
const KEPT_IN: &str = "database=";
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
    refuse_company(consumer, subscription, &offsets)?;
    consumer.context().judge(&offsets)?;
    Ok(partitions)
}

/// Members of a group whose offsets say that the positions are kept elsewhere are another deployment's: both would get a part
/// of the events. What one that has ended left behind is no harm.
fn refuse_company(
    consumer: &BaseConsumer<Rebalance>,
    subscription: &Subscription,
    offsets: &GroupOffsets,
) -> Result<(), End> {
    let Subscription { group, kept_in: Some(own), .. } = subscription else { return Ok(()) };
    let Some(other) = offsets.kept_in.iter().find(|other| *other != own) else { return Ok(()) };
    let groups = consumer.fetch_group_list(Some(group), BROKER_TIMEOUT)?;
    match groups.groups().iter().all(|group| group.members().is_empty()) {
        true => Ok(()),
        false => Err(End::World(format!(
            "consumer group {group} is in use by another deployment, which keeps its positions in another database ({other}, \
             and this one {own}): each would get a part of the events; give one of them another kafka.group_prefix, or stop \
             the other"
        ))),
    }
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
    let (tagged, resets) = (Vec::new(), Vec::new());
    let mut offsets = GroupOffsets { tagged, resets, kept_in: BTreeSet::new(), looked };
    if partitions.count() == 0 {
        return Ok(offsets);
    }
    let committed = committed(consumer, partitions)?;
    for (element, metadata) in committed.elements().iter().zip(metadata(&committed)) {
        let KafkaOffset::Offset(offset) = element.offset() else { continue };
        let (topic, partition): TopicPartition = (Arc::from(element.topic()), element.partition());
        if metadata.starts_with(TAG.as_bytes()) {
            offsets.kept_in.extend(kept_in(&metadata));
            offsets.tagged.push((topic, partition));
            continue;
        }
        let (start, end) = consumer.fetch_watermarks(&topic, partition, BROKER_TIMEOUT)?;
        let (log_start, log_end) = (Offset(start.max(0)), Offset(end));
        offsets.resets.push(Reset { topic, partition, offset: Offset(offset), log_start, log_end });
    }
    Ok(offsets)
}

/// What a tag of ours says of where the positions are kept.
fn kept_in(metadata: &[u8]) -> Option<String> {
    let mut parts = metadata.split(|byte| *byte == b';');
    let part = parts.find(|part| part.starts_with(KEPT_IN.as_bytes()))?;
    Some(String::from_utf8_lossy(part).into_owned())
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
