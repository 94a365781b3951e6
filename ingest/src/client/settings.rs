//! librdkafka's configuration: what carries correctness is set last and cannot be overridden.

use std::collections::BTreeMap;

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
