//! How a client of the cluster is configured: defaults, then the user's properties, then what nobody overrides.

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
