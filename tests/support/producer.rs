//! Records as any writer of another team sends them: schema registered, Confluent's framing, the Java client's
//! partitioner.

use apache_avro::Schema;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use super::{PATIENCE, Stack, datum, eventually};

/// Writes events of one schema to one topic.
pub struct Writer {
    topic: String,
    schema: Schema,
    /// The schema's number in the registry.
    pub id: u32,
}

impl Writer {
    /// Registers the schema by topic and record name.
    pub async fn register(topic: &str, schema: &str) -> Self {
        let parsed = Schema::parse_str(schema).unwrap();
        let record = parsed.name().map_or_else(|| "union".to_owned(), |name| name.fullname(None));
        Self {
            topic: topic.to_owned(),
            ..Self::register_at(&format!("{topic}-{record}"), schema).await
        }
    }

    /// Registers the schema by this subject; its datums are for keys, or for no topic.
    pub async fn register_at(subject: &str, schema: &str) -> Self {
        let parsed = Schema::parse_str(schema).unwrap();
        let url = format!("{}/subjects/{subject}/versions", Stack::get().registry);
        // The registry, busy with the tests beside this one, drops a connection now and then.
        let answer: Value = eventually(PATIENCE, async || {
            let answer =
                reqwest::Client::new().post(&url).json(&json!({ "schema": schema })).send().await?;
            answer.error_for_status()?.json().await
        })
        .await;
        let id = answer["id"].as_u64().and_then(|id| id.try_into().ok()).unwrap();
        Self { topic: String::new(), schema: parsed, id }
    }

    /// An event from plain JSON, see [`datum`].
    pub fn event(&self, key: &str, event: &Value) -> Message {
        self.bytes(key, &datum(&self.schema, event))
    }

    /// An event from its Avro bytes, right or wrong ones.
    pub fn bytes(&self, key: &str, datum: &[u8]) -> Message {
        let framed = [&[0], &self.id.to_be_bytes()[..], datum].concat();
        Message { value: Some(framed), ..Message::tombstone(&self.topic, key) }
    }
}

/// A record to be sent.
#[derive(Debug, Clone)]
pub struct Message {
    pub topic: String,
    /// Where none is given, the key decides.
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds since 1970; now, where none is given.
    pub timestamp: Option<i64>,
}

impl Message {
    /// A record without a value.
    pub fn tombstone(topic: &str, key: &str) -> Self {
        let key = Some(key.as_bytes().to_vec());
        Self {
            topic: topic.to_owned(),
            partition: None,
            key,
            value: None,
            headers: Vec::new(),
            timestamp: None,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }
}

pub struct Producer(FutureProducer);

impl Producer {
    pub fn new() -> Self {
        Self::placing_by("murmur2_random")
    }

    /// One that places keys by another of librdkafka's partitioners.
    pub fn placing_by(partitioner: &str) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &Stack::get().kafka)
            .set("partitioner", partitioner)
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "1000000")
            .create();
        Self(producer.unwrap())
    }

    /// Partition and offset of the record.
    pub async fn send(&self, message: &Message) -> (i32, i64) {
        self.send_all(std::slice::from_ref(message)).await[0]
    }

    /// Sends in this order, and waits for all.
    pub async fn send_all(&self, messages: &[Message]) -> Vec<(i32, i64)> {
        let under_way: Vec<_> =
            messages.iter().map(|message| self.0.send_result(record(message)).unwrap()).collect();
        let mut places = Vec::with_capacity(messages.len());
        for delivery in under_way {
            let delivered = delivery.await.unwrap().unwrap();
            places.push((delivered.partition, delivered.offset));
        }
        places
    }
}

fn record(message: &Message) -> FutureRecord<'_, [u8], [u8]> {
    let headers = message.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    });
    FutureRecord {
        topic: &message.topic,
        partition: message.partition,
        payload: message.value.as_deref(),
        key: message.key.as_deref(),
        timestamp: message.timestamp,
        headers: Some(headers),
    }
}
