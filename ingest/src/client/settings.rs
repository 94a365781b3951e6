//! librdkafka's configuration: what carries correctness is set last and cannot be overridden.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

/// How to reach the cluster.
#[derive(Debug, Clone, Default)]
pub struct KafkaSettings {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// The user's librdkafka properties.
    pub properties: BTreeMap<String, String>,
}

/// What the brokers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BrokerKind {
    /// Consumers use the classic group protocol until librdkafka's client of KIP-848 is past its known faults (librdkafka
    /// #5488, #5541).
    #[default]
    Kafka,
    /// librdkafka's mock cluster: it joins twenty times as fast with KIP-848, and knows no topic ids.
    Mock,
}

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
    /// A batch closes at this many records …
    pub max_events: usize,
    /// … or at this many bytes of keys, values and headers …
    pub max_bytes: usize,
    /// … or this long after its first record.
    pub linger: Duration,
    /// Takers of batches, each with partitions of its own; at least 1.
    pub lanes: usize,
}

/// Properties that carry correctness, with the reason why Vitrina owns them.
const OWNED: &[(&str, &str)] = &[
    ("group.id", "each model has its own group, see kafka.group_prefix"),
    ("group.protocol", "the rebalance callback decides where to start"),
    ("group.remote.assignor", "the rebalance callback decides where to start"),
    (
        "group.instance.id",
        "a static member keeps the group busy after it left, so offsets could not be reset",
    ),
    ("isolation.level", "records of aborted transactions must never be applied"),
    ("auto.offset.reset", "positions live in Postgres; a missing offset is never guessed"),
    ("partition.assignment.strategy", "all instances of a group must use the same one"),
    ("enable.auto.commit", "commits mirror Postgres, after its transaction"),
    ("auto.commit.enable", "commits mirror Postgres, after its transaction"),
    ("auto.commit.interval.ms", "commits mirror Postgres, after its transaction"),
    ("enable.auto.offset.store", "commits mirror Postgres, after its transaction"),
    ("enable.partition.eof", "the end of a partition moves its position past transaction markers"),
    ("allow.auto.create.topics", "a missing topic is waited for, never created"),
    ("bootstrap.servers", "it is kafka.brokers"),
    ("metadata.broker.list", "it is kafka.brokers"),
    ("client.id", "it names the model and the instance"),
    ("statistics.interval.ms", "lag is read from the statistics"),
];

/// Why `property` cannot be set under `[kafka.properties]`; `None` where it can.
pub fn owned_property(property: &str) -> Option<&'static str> {
    OWNED.iter().find(|(name, _)| *name == property).map(|(_, why)| *why)
}

impl KafkaSettings {
    /// A client's configuration: defaults that suit an unsteady broker, then the user's properties.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("reconnect.backoff.ms", "100");
        config.set("reconnect.backoff.max.ms", "1000");
        // A minute by default, which is how long a half-open connection would go unnoticed.
        config.set("socket.timeout.ms", "20000");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config.set("allow.auto.create.topics", "false");
        config
    }
}

impl Subscription {
    /// Session 30 s and a small fetch queue with a short back-off: measured against a broker that dies and comes back.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut defaults = vec![
            ("check.crcs", "true"),
            ("queued.max.messages.kbytes", "8192"),
            ("fetch.queue.backoff.ms", "10"),
            ("topic.metadata.refresh.interval.ms", "10000"),
        ];
        if self.broker == BrokerKind::Kafka {
            defaults.extend([("session.timeout.ms", "30000"), ("heartbeat.interval.ms", "500")]);
        }
        let mut config = self.kafka.client();
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
