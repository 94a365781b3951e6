//! Writes orders to a topic as any team's producer does. The last record of each partition is an order `end-P`: who sees
//! all of them in a table knows that everything before was applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use serde_json::{Value, json};

use crate::order::Order;
use crate::sequence::changes;

pub const PARTITIONS: i32 = 4;
const SCHEMA: &str = include_str!("order.avsc");

#[derive(clap::Args)]
pub struct Arguments {
    /// The broker, host:port.
    #[arg(long, env = "VITRINA_TEST_KAFKA")]
    kafka: String,
    /// The registry, Confluent's API.
    #[arg(long, env = "VITRINA_TEST_REGISTRY")]
    registry: String,
    /// Created where it is missing.
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 0)]
    events: u64,
    /// Number of the first order.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Events of one order.
    #[arg(long, default_value_t = 1)]
    states: usize,
    /// Events a second; 0: as fast as it goes.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// One event of so many is poison: by turns bytes that do not decode, and no items. 0: none.
    #[arg(long, default_value_t = 0)]
    poison: u64,
    /// So many events that do not decode come before all others.
    #[arg(long, default_value_t = 0)]
    poison_first: u64,
    /// No order `end-P` at the end.
    #[arg(long)]
    no_end: bool,
}

/// What is wrong with an event.
#[derive(Clone, Copy)]
enum Poison {
    Bytes,
    NoItems,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    create_topic(&arguments).await?;
    let schema = register(&arguments).await?;
    tokio::task::spawn_blocking(move || Load::new(&arguments, schema)?.send_all(&arguments)).await?
}

async fn create_topic(arguments: &Arguments) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &arguments.kafka).create()?;
    let topic = NewTopic::new(&arguments.topic, PARTITIONS, TopicReplication::Fixed(1));
    for created in admin.create_topics(&[topic], &AdminOptions::new()).await? {
        match created {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => anyhow::bail!("topic {topic}: {code}"),
        }
    }
    Ok(())
}

async fn register(arguments: &Arguments) -> anyhow::Result<u32> {
    let url = format!("{}/subjects/{}-value/versions", arguments.registry, arguments.topic);
    let answer =
        reqwest::Client::new().post(&url).json(&json!({ "schema": SCHEMA })).send().await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    answer["id"].as_u64().and_then(|id| id.try_into().ok()).context("the registry gave no id")
}

struct Load {
    producer: ThreadedProducer<Deliveries>,
    failed: Arc<AtomicU64>,
    topic: String,
    frame: [u8; 5],
    value: Vec<u8>,
    sent: u64,
    bytes: u64,
}

impl Load {
    fn new(arguments: &Arguments, schema: u32) -> anyhow::Result<Self> {
        let failed = Arc::new(AtomicU64::new(0));
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &arguments.kafka)
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", if arguments.rate > 0 { "0" } else { "20" })
            // Else a small record waits for the acknowledgement of the one before.
            .set("socket.nagle.disable", "true")
            .create_with_context(Deliveries(failed.clone()))?;
        let [a, b, c, d] = schema.to_be_bytes();
        let frame = [0, a, b, c, d];
        Ok(Self {
            producer,
            failed,
            topic: arguments.topic.clone(),
            frame,
            value: Vec::new(),
            sent: 0,
            bytes: 0,
        })
    }

    fn send_all(mut self, arguments: &Arguments) -> anyhow::Result<()> {
        let started = Instant::now();
        for number in 0..arguments.poison_first {
            self.send(Order::new(u64::MAX - number, 0, now()), Some(Poison::Bytes), None)?;
        }
        for (number, status) in
            changes(arguments.events / arguments.states as u64, arguments.states)
        {
            if let Some(micros) = (self.sent * 1_000_000).checked_div(arguments.rate) {
                let due = started + Duration::from_micros(micros);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let turn = number
                .checked_rem(arguments.poison)
                .filter(|rest| *rest == 0)
                .map(|_| number / arguments.poison);
            let poison = turn
                .map(|turn| if turn.is_multiple_of(2) { Poison::Bytes } else { Poison::NoItems });
            self.send(Order::new(arguments.from + number, status, now()), poison, None)?;
        }
        self.producer.flush(Duration::from_secs(60))?;
        if !arguments.no_end {
            for partition in 0..PARTITIONS {
                let order_id = format!("end-{partition}");
                self.send(
                    Order { order_id, ..Order::new(partition as u64, 0, now()) },
                    None,
                    Some(partition),
                )?;
            }
        }
        self.producer.flush(Duration::from_secs(60))?;
        let failed = self.failed.load(Ordering::Relaxed);
        ensure!(failed == 0, "{failed} records were not delivered");
        let (sent, mean) = (self.sent, self.bytes / self.sent.max(1));
        println!("{sent} events of {mean} bytes in {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    fn send(
        &mut self,
        mut order: Order,
        poison: Option<Poison>,
        partition: Option<i32>,
    ) -> anyhow::Result<()> {
        if let Some(Poison::NoItems) = poison {
            order.item_count = 0;
        }
        self.value.clear();
        self.value.extend_from_slice(&self.frame);
        order.encode(&mut self.value);
        if let Some(Poison::Bytes) = poison {
            self.value.truncate(self.value.len() / 2);
        }
        let mut record = BaseRecord::to(&self.topic).key(&order.order_id).payload(&self.value);
        record.partition = partition;
        while let Err((error, again)) = self.producer.send(record) {
            ensure!(error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), "{error}");
            std::thread::sleep(Duration::from_millis(1));
            record = again;
        }
        self.sent += 1;
        self.bytes += self.value.len() as u64;
        Ok(())
    }
}

/// Counts the records that were not delivered.
struct Deliveries(Arc<AtomicU64>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        self.0.fetch_add(u64::from(delivery.is_err()), Ordering::Relaxed);
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
