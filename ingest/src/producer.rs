//! Producing: records as the contracts say, keyed and partitioned as the Java client would, with the CloudEvents headers
//! that tell an event's identity and time.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;
use vitrina_avro::{Framed, Registry, RegistryError, Version};

use crate::client::{Heard, KafkaSettings};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Records that may be under way to the broker at a time.
const UNDER_WAY: usize = 1000;

/// One record to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub topic: String,
    pub key: Vec<u8>,
    /// Framed, see [`Publisher::frame`].
    pub value: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

/// Why something could not be produced.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No client can be made with what the user has set.
    #[error("kafka.properties: {0}")]
    Properties(KafkaError),
    /// The brokers do not answer, or do not take it.
    #[error("{0}")]
    Kafka(String),
    #[error("Kafka at {brokers} (kafka.brokers): topic {topic} cannot be created: {code}")]
    Topic { brokers: String, topic: String, code: RDKafkaErrorCode },
    #[error(
        "Kafka at {brokers} (kafka.brokers) does not allow Vitrina to write to topic {topic}: grant its user WRITE there, \
             and CREATE where the topic does not exist yet"
    )]
    Rights { brokers: String, topic: String },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Nobody will ever say what became of a record.
    #[error("the producer ended")]
    Ended,
}

/// Sends records in their order; [`Self::settle`] says what became of them.
pub struct Publisher {
    producer: FutureProducer<Heard>,
    admin: AdminClient<DefaultClientContext>,
    heard: Heard,
    brokers: String,
    /// Ids of registered schemas, by subject and version.
    ids: HashMap<(String, u32), u32>,
    under_way: Vec<DeliveryFuture>,
    delivered: usize,
}

impl Publisher {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// A property that librdkafka does not accept.
    pub fn new(settings: &KafkaSettings) -> Result<Self, PublishError> {
        let mut config = ClientConfig::new();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "30000");
        for (name, value) in &settings.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &settings.brokers).set("partitioner", "murmur2_random");
        let admin = config.create().map_err(PublishError::Properties)?;
        config.set_log_level(RDKafkaLogLevel::Info);
        let heard = Heard::new(&settings.brokers);
        let producer = FutureProducer::from_config_and_context(&config, heard.clone());
        Ok(Self {
            producer: producer.map_err(PublishError::Properties)?,
            heard,
            admin,
            brokers: settings.brokers.clone(),
            ids: HashMap::new(),
            under_way: Vec::new(),
            delivered: 0,
        })
    }

    /// Records that the broker has.
    pub fn delivered(&self) -> usize {
        self.delivered
    }

    /// Creates the topic with the broker's own defaults if it is not there.
    ///
    /// # Errors
    /// The broker does not answer, or refuses.
    pub async fn ensure_topic(&self, topic: &str) -> Result<(), PublishError> {
        if self.exists(topic)? {
            return Ok(());
        }
        let new = NewTopic::new(topic, -1, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let created = self.admin.create_topics(&[new], &options).await;
        for result in created.map_err(|error| self.failed(error))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                    return Err(PublishError::Rights { brokers: self.brokers.clone(), topic });
                }
                Err((topic, code)) => {
                    return Err(PublishError::Topic { brokers: self.brokers.clone(), topic, code });
                }
            }
        }
        Ok(())
    }

    /// Whether the broker knows the topic.
    fn exists(&self, topic: &str) -> Result<bool, PublishError> {
        let metadata = self.producer.client().fetch_metadata(Some(topic), TIMEOUT);
        let metadata = metadata.map_err(|error| self.failed(error))?;
        Ok(metadata
            .topics()
            .iter()
            .any(|found| found.name() == topic && !found.partitions().is_empty()))
    }

    /// Registers the version's schema under TopicRecordName, once, and frames the datum with its id.
    ///
    /// # Errors
    /// The registry's.
    pub async fn frame(
        &mut self,
        registry: &Registry,
        topic: &str,
        version: &Version,
        datum: &[u8],
    ) -> Result<Vec<u8>, RegistryError> {
        let subject = format!("{topic}-{}", version.full_name());
        let known = (subject, version.number);
        let id = match self.ids.get(&known) {
            Some(id) => *id,
            None => {
                let id = registry.register(&known.0, &version.json).await?;
                *self.ids.entry(known).or_insert(id)
            }
        };
        Ok(Framed::write(id, datum))
    }

    /// Hands one record to the producer. What became of it, [`Self::settle`] says.
    ///
    /// # Errors
    /// The producer takes no more, or one that was sent before was not delivered.
    pub async fn send(&mut self, record: &Outgoing) -> Result<(), PublishError> {
        if self.under_way.len() >= UNDER_WAY {
            self.settle().await?;
        }
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let outgoing = FutureRecord::to(&record.topic)
            .key(&record.key)
            .payload(&record.value)
            .headers(headers);
        let sent = self.producer.send_result(outgoing).map_err(|(error, _)| self.failed(error))?;
        self.under_way.push(sent);
        Ok(())
    }

    /// Waits until the broker has every record that was sent.
    ///
    /// # Errors
    /// The first of those that it does not have.
    pub async fn settle(&mut self) -> Result<(), PublishError> {
        let mut failed = None;
        for delivery in self.under_way.drain(..) {
            match delivery.await.map_err(|_| PublishError::Ended)? {
                Ok(_) => self.delivered += 1,
                Err((error, _)) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), |error| Err(self.failed(error)))
    }

    fn failed(&self, error: KafkaError) -> PublishError {
        PublishError::Kafka(self.heard.failed(&error.to_string()))
    }
}

/// Adds `ce_id` and `ce_time` where they are absent.
pub fn complete(headers: &mut BTreeMap<String, String>) {
    headers.entry("ce_id".into()).or_insert_with(|| Uuid::new_v4().to_string());
    headers
        .entry("ce_time".into())
        .or_insert_with(|| humantime::format_rfc3339_millis(SystemTime::now()).to_string());
}
