//! What a consumer of a group is given. Invariant: what carries correctness is set last, over whatever the user has set.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::bounds::Bounds;
use super::end::End;
use crate::client::{BrokerKind, KafkaSettings};

/// What one worker consumes, and how its batches close.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub kafka: KafkaSettings,
    pub group: String,
    pub broker: BrokerKind,
    pub client_id: String,
    pub topics: Vec<String>,
    /// Metadata of every mirrored commit; begins with `vitrina;`.
    pub tag: String,
    /// The part of the tag that says where the positions are kept; none where that is not known.
    pub kept_in: Option<String>,
    /// A batch closes at this many records …
    pub max_events: usize,
    /// … or at this many bytes of keys, values and headers …
    pub max_bytes: usize,
    /// … or this long after its first record; at once where nothing is being written and no more has come.
    pub linger: Duration,
    /// Partitions are read in the order of their records' timestamps, as well as can be, where the whole log is to be read.
    pub in_time_order: bool,
    /// How far they are read for now, where that is in time order.
    pub bounds: Bounds,
    /// Takers of batches, each with partitions of its own; at least 1.
    pub lanes: usize,
}

impl Subscription {
    /// The end of a consumer whose user lacks a right.
    pub(super) fn refused(&self, error: &KafkaError) -> End {
        let (group, topics) = (&self.group, self.topics.join(", "));
        End::Stop(format!(
            "Kafka refuses group {group}: {error}; grant its user READ on the group and on {topics}"
        ))
    }

    /// Session 30 s and a small fetch queue with a short back-off: measured against a broker that dies and comes back.
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut defaults = vec![
            ("check.crcs", "true"),
            // Of all partitions in one queue, or of each in its own.
            ("queued.max.messages.kbytes", if self.in_time_order { "1024" } else { "8192" }),
            ("fetch.queue.backoff.ms", "10"),
            ("topic.metadata.refresh.interval.ms", "10000"),
        ];
        if self.broker == BrokerKind::Kafka {
            defaults.extend([("session.timeout.ms", "30000"), ("heartbeat.interval.ms", "500")]);
        }
        let mut config = self.kafka.client();
        config.set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in defaults {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        config.set("group.id", &self.group);
        config.set("client.id", &self.client_id);
        match self.broker {
            BrokerKind::Kafka => config.set("partition.assignment.strategy", "cooperative-sticky"),
            BrokerKind::Mock => config.set("group.protocol", "consumer"),
        };
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error");
        config.set("isolation.level", "read_committed");
        config.set("enable.partition.eof", "true");
        config.set("statistics.interval.ms", "1000");
        config
    }
}
