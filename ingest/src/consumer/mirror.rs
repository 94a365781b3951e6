//! The mirror: what Postgres holds, committed to Kafka's group with the tag, best effort. It never decides anything, and
//! never speaks for a partition that somebody else may own by now.

use std::collections::HashMap;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::rebalance::Rebalance;
use crate::client::commit_and_tell;
use crate::offset::Offset;
use crate::positions::TopicPartition;

#[derive(Debug, Default)]
pub(super) struct Mirror {
    pending: HashMap<TopicPartition, Offset>,
    /// All that were sent, in case a commit fails.
    sent: HashMap<TopicPartition, Offset>,
}

impl Mirror {
    pub(super) fn extend(&mut self, positions: impl IntoIterator<Item = (TopicPartition, Offset)>) {
        self.pending.extend(positions);
    }

    /// Sends what is new, or has failed before.
    pub(super) fn commit(&mut self, consumer: &BaseConsumer<Rebalance>, tag: &str) {
        let context = consumer.context();
        if context.mirror_failed() {
            for (key, offset) in &self.sent {
                self.pending.entry(key.clone()).or_insert(*offset);
            }
        }
        // A commit for a partition that somebody else owns by now could move the group's offset back.
        let owned = |key: &TopicPartition| context.ownership.owns(key);
        self.pending.retain(|key, _| owned(key));
        self.sent.retain(|key, _| owned(key));
        let pending = std::mem::take(&mut self.pending);
        self.sent.extend(pending.iter().map(|(key, offset)| (key.clone(), *offset)));
        let keys: Vec<TopicPartition> = pending.keys().cloned().collect();
        let list = list(tag, pending);
        if list.count() == 0 {
            return;
        }
        // That our tag is back must be known for sure: the same reset again would be another one.
        let untagged = context.untagged(&keys);
        let waits = !untagged.is_empty() && context.ownership.trouble().is_none();
        let committed = match waits {
            true => consumer.commit(&list, CommitMode::Sync),
            false => commit_and_tell(consumer, &list),
        };
        match committed {
            Ok(()) if waits => context.tagged(&untagged),
            Ok(()) => {}
            Err(error) => context.mirror_has_failed(&error),
        }
    }

    /// Sends what is left, and waits for the answer.
    pub(super) fn finish(self, consumer: &BaseConsumer<Rebalance>, tag: &str) {
        let list = list(tag, self.pending);
        if list.count() > 0 {
            let _ = consumer.commit(&list, CommitMode::Sync);
        }
    }
}

fn list(tag: &str, positions: HashMap<TopicPartition, Offset>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in positions {
        let mut element = list.add_partition(&topic, partition);
        element.set_metadata(format!("{tag};next={offset}"));
        let _ = element.set_offset(KafkaOffset::Offset(offset.0));
    }
    list
}
