//! Which of librdkafka's properties a user may set. Invariant: what carries correctness is Vitrina's own; of the rest,
//! librdkafka decides.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::cluster::Cluster;
use super::settings::KafkaSettings;

/// Why no client can be made with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyError {
    /// The property that is in the way; none where it is not one alone.
    pub property: Option<String>,
    /// What is wrong, to be read after the property's name.
    pub what: String,
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
    /// Asks librdkafka, which alone knows what properties there are, and what they may be. Waits for no broker.
    ///
    /// # Errors
    /// The first property that it refuses.
    pub fn check(&self) -> Result<(), PropertyError> {
        Cluster::new(self).map(drop).map_err(PropertyError::from)
    }
}

impl From<KafkaError> for PropertyError {
    fn from(error: KafkaError) -> Self {
        let (property, what) = match error {
            KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
                let what = "is no property of librdkafka; its CONFIGURATION.md lists all";
                (Some(name), what.to_owned())
            }
            KafkaError::ClientConfig(_, why, name, _) => {
                (Some(name), format!("is refused by librdkafka: {why}"))
            }
            KafkaError::ClientCreation(why) => (None, why),
            other => (None, other.to_string()),
        };
        Self { property, what }
    }
}
