//! A broker inside the process, for the demo. It forgets what is more than a few thousand records behind, and knows no topic
//! ids, see [`super::BrokerKind::Mock`].

use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// Ends with its value.
pub struct MockBroker(MockCluster<'static, DefaultProducerContext>);

impl MockBroker {
    /// Starts one that has `topics`, each with so many partitions.
    ///
    /// # Errors
    /// librdkafka's.
    pub fn start(topics: &[String], partitions: i32) -> KafkaResult<Self> {
        let cluster = MockCluster::new(1)?;
        for topic in topics {
            cluster.create_topic(topic, partitions, 1)?;
        }
        Ok(Self(cluster))
    }

    /// Its address, as `kafka.brokers` takes it.
    pub fn brokers(&self) -> String {
        self.0.bootstrap_servers()
    }
}
