//! How late the records of a topic come to a consumer that does nothing else: what the way over Kafka alone takes.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::produce::PARTITIONS;

/// Nothing comes for as long: there was an end.
const SILENCE: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, env = "VITRINA_TEST_KAFKA")]
    kafka: String,
    #[arg(long)]
    topic: String,
    /// So many of the first records do not count.
    #[arg(long)]
    skip: usize,
}

/// Reads what comes from now on until nothing does, and prints what half and 99 of 100 records took at most.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.kafka)
        .set("group.id", "receive")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(&arguments.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    let mut took = Vec::new();
    while let Some(record) = consumer.poll(if took.is_empty() { SILENCE * 10 } else { SILENCE }) {
        let sent = record?.timestamp().to_millis().context("a record has no timestamp")?;
        took.push(UNIX_EPOCH.elapsed()?.as_secs_f64() * 1e3 - sent as f64);
    }
    let mut took = took.split_off(arguments.skip.min(took.len()));
    ensure!(!took.is_empty(), "nothing came that counts");
    took.sort_unstable_by(f64::total_cmp);
    let share = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("p50_ms {:.1} p99_ms {:.1}", share(0.5), share(0.99));
    Ok(())
}
