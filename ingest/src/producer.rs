//! Producing: records as the contracts say, keyed and partitioned as the Java client would, with the CloudEvents headers
//! that tell an event's identity and time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;
use vitrina_avro::{Registry, Version};
use vitrina_ingest::KafkaSettings;

const TIMEOUT: Duration = Duration::from_secs(10);

/// One record to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) topic: String,
    pub(crate) key: Vec<u8>,
    /// Framed: magic byte, schema id, datum.
    pub(crate) value: Vec<u8>,
    pub(crate) headers: BTreeMap<String, String>,
}

pub(crate) struct Publisher {
    producer: FutureProducer,
    admin: AdminClient<DefaultClientContext>,
    /// The brokers and the setting that names them.
    place: String,
    ids: BTreeMap<String, u32>,
    under_way: Vec<DeliveryFuture>,
    /// Records that the broker has.
    pub(crate) delivered: usize,
}

/// Records that may be under way to the broker at a time.
const UNDER_WAY: usize = 1000;

impl Publisher {
    pub(crate) fn new(settings: &KafkaSettings) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "30000");
        for (name, value) in &settings.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &settings.brokers).set("partitioner", "murmur2_random");
        let producer = config.create().context("kafka.properties")?;
        let admin = config.create().context("kafka.properties")?;
        let place = format!("Kafka at {} (kafka.brokers)", settings.brokers);
        Ok(Self {
            producer,
            admin,
            place,
            ids: BTreeMap::new(),
            under_way: Vec::new(),
            delivered: 0,
        })
    }

    /// Whether the broker knows the topic.
    fn exists(&self, topic: &str) -> anyhow::Result<bool> {
        let metadata = self.producer.client().fetch_metadata(Some(topic), TIMEOUT);
        let metadata = metadata.map_err(|error| anyhow!("{}: {error}", self.place))?;
        Ok(metadata
            .topics()
            .iter()
            .any(|found| found.name() == topic && !found.partitions().is_empty()))
    }

    /// Creates the topic with the broker's own defaults if it is not there.
    pub(crate) async fn ensure_topic(&self, topic: &str) -> anyhow::Result<()> {
        if self.exists(topic)? {
            return Ok(());
        }
        let new = NewTopic::new(topic, -1, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let created = self.admin.create_topics(&[new], &options).await;
        for result in created.map_err(|error| anyhow!("{}: {error}", self.place))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    return Err(anyhow!("{}: topic {topic} cannot be created: {code}", self.place));
                }
            }
        }
        Ok(())
    }

    /// Registers the version's schema under TopicRecordName, once, and frames the datum with its id.
    pub(crate) async fn frame(
        &mut self,
        registry: &Registry,
        topic: &str,
        version: &Version,
        datum: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        let subject = format!("{topic}-{}", version.full_name());
        let cached = format!("{subject} {}", version.number);
        let id = match self.ids.get(&cached) {
            Some(id) => *id,
            None => {
                let id = registry.register(&subject, &version.json).await?;
                *self.ids.entry(cached).or_insert(id)
            }
        };
        let mut value = Vec::with_capacity(datum.len() + 5);
        value.push(0);
        value.extend_from_slice(&id.to_be_bytes());
        value.extend_from_slice(datum);
        Ok(value)
    }

    /// Hands one record to the producer. What became of it, [`Self::settle`] says.
    pub(crate) async fn send(&mut self, record: &Outgoing) -> anyhow::Result<()> {
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
        let sent = self
            .producer
            .send_result(outgoing)
            .map_err(|(error, _)| anyhow!("{}: {error}", self.place))?;
        self.under_way.push(sent);
        Ok(())
    }

    /// Waits until the broker has every record that was sent.
    pub(crate) async fn settle(&mut self) -> anyhow::Result<()> {
        let mut failed = None;
        for delivery in self.under_way.drain(..) {
            match delivery.await.context("the producer ended")? {
                Ok(_) => self.delivered += 1,
                Err((error, _)) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), |error| Err(anyhow!("{}: {error}", self.place)))
    }
}

/// Adds `ce_id` and `ce_time` where they are absent.
pub(crate) fn complete(headers: &mut BTreeMap<String, String>) {
    headers.entry("ce_id".into()).or_insert_with(|| Uuid::new_v4().to_string());
    headers.entry("ce_time".into()).or_insert_with(now);
}

/// This moment, RFC 3339 in UTC with milliseconds.
fn now() -> String {
    humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()
}
