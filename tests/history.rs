//! Where a model's history begins after its log has been trimmed, everybody is told, partition by partition.

use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::bank::{Bank, MOVED, moved};
use crate::support::{Database, Message, PATIENCE, Producer, Writer, admin, eventually};

/// 2026-03-01T12:00:00Z, and a second more for each seq.
const NOON: i64 = 1_772_366_400_000;

fn at_noon(writer: &Writer, seqs: std::ops::Range<u64>, partition: i32) -> Vec<Message> {
    let message = |seq: u64| Message {
        timestamp: Some(NOON + 1000 * seq as i64),
        ..moved(writer, &format!("a{partition}"), seq, 5).partition(partition)
    };
    seqs.map(message).collect()
}

/// Retention, in a hurry.
async fn trim(topic: &str, partition: i32, offset: i64) {
    let mut log = TopicPartitionList::new();
    log.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    admin().delete_records(&log, &options).await.unwrap();
}

async fn partitions(bank: &Bank, known: usize) -> Vec<Value> {
    eventually(PATIENCE, async || {
        let status = bank.folder.run(&["status", "--json"]);
        if status.status != Some(0) {
            return Err(status.stderr);
        }
        let status = status.json();
        let found = status["models"][0]["partitions"].as_array().cloned().unwrap_or_default();
        let caught_up = found.iter().all(|one| one["lag"] == 0);
        if found.len() == known && caught_up { Ok(found) } else { Err(status.to_string()) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_trimmed_before_the_model_began_is_told_of() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 3).await;
    let writer = bank.writer(MOVED).await;
    for partition in 0..2 {
        Producer::new().send_all(&at_noon(&writer, 0..30, partition)).await;
    }
    trim(&bank.topic, 1, 20).await;
    let vitrina = bank.folder.serve();
    let found = partitions(&bank, 3).await;
    let first = found[1]["first"].as_str().unwrap();
    assert!(first.contains("offset 20") && first.contains("2026-03-01T12:00:20"), "{first}");
    assert_eq!((&found[0]["first"], &found[2]["first"]), (&Value::Null, &Value::Null), "{found:?}");
    let lines = bank.folder.run(&["status"]).stdout;
    assert!(lines.contains(first), "{lines}");
    let told = |text: &str| text.lines().filter(|line| line.contains("history")).count();
    let log = vitrina.stderr();
    assert!(told(&log) == 1 && log.contains("2026-03-01T12:00:20"), "{log}");
    let metric = format!(
        "vitrina_history_begins_timestamp_seconds{{model=\"balance\",topic=\"{}\",partition=\"1\"}} 1772366420",
        bank.topic
    );
    let metrics = vitrina.get_admin("/metrics").await.body;
    assert!(metrics.as_str().unwrap().contains(&metric), "{metrics}");
    assert_eq!(metrics.as_str().unwrap().matches("history_begins_timestamp_seconds{").count(), 1);
    assert!(vitrina.terminate().await.success());

    // Whoever comes next tells the metric again, and the log nothing new.
    Producer::new().send_all(&at_noon(&writer, 30..31, 1)).await;
    let vitrina = bank.folder.serve();
    assert_eq!(partitions(&bank, 3).await[1]["first"], first);
    let metrics = vitrina.get_admin("/metrics").await.body;
    assert!(metrics.as_str().unwrap().contains(&metric), "{metrics}");
    assert_eq!(told(&vitrina.stderr()), 0, "{}", vitrina.stderr());
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_trimmed_before_its_first_claim_is_told_of_too() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let vitrina = bank.folder.serve();
    partitions(&bank, 1).await;
    assert!(vitrina.terminate().await.success());
    // While nobody looks, a partition comes, and loses its beginning.
    let grown = rdkafka::admin::NewPartitions::new(&bank.topic, 2);
    for result in admin().create_partitions(&[grown], &AdminOptions::new()).await.unwrap() {
        result.unwrap();
    }
    eventually(PATIENCE, async || {
        let producer = Producer::new();
        tokio::time::timeout(Duration::from_secs(5), producer.send_all(&at_noon(&writer, 0..9, 1)))
            .await
    })
    .await;
    let end = partition_end(&bank.topic, 1).await;
    trim(&bank.topic, 1, end).await;
    let vitrina = bank.folder.serve();
    let found = partitions(&bank, 2).await;
    let first = found[1]["first"].as_str().unwrap();
    assert!(
        first.contains(&format!("offset {end}")) && first.contains("what comes next"),
        "{first}"
    );
    Producer::new().send_all(&at_noon(&writer, 40..41, 1)).await;
    eventually(PATIENCE, async || {
        let first = partitions(&bank, 2).await[1]["first"].to_string();
        let told = first.contains("2026-03-01T12:00:40") && vitrina.stderr().contains("12:00:40");
        if told { Ok(()) } else { Err(first) }
    })
    .await;
    assert!(vitrina.terminate().await.success());
}

async fn partition_end(topic: &str, partition: i32) -> i64 {
    let topic = topic.to_owned();
    let ends = move || {
        let consumer: rdkafka::consumer::BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &crate::support::Stack::get().kafka)
            .create()
            .unwrap();
        rdkafka::consumer::Consumer::fetch_watermarks(
            &consumer,
            &topic,
            partition,
            Duration::from_secs(20),
        )
        .unwrap()
        .1
    };
    tokio::task::spawn_blocking(ends).await.unwrap()
}

/// How many events the model's rows come to.
const EVENTS: &str = "SELECT sum(events)::int AS n FROM balance.balance";

/// Waits until `status` gives these words as the reason of the model, or of one of its generations.
async fn until_says(bank: &Bank, words: &str) -> Value {
    eventually(PATIENCE, async || {
        let model = bank.folder.run(&["status", "--json"]).json()["models"][0].clone();
        let mut told = vec![model.clone()];
        told.extend(model["generations"].as_array().cloned().unwrap_or_default());
        let says = |one: &Value| one["reason"].as_str().unwrap_or_default().contains(words);
        if told.iter().any(says) { Ok(model) } else { Err(model.to_string()) }
    })
    .await
}

fn yes(bank: &Bank, arguments: &[&str]) -> String {
    let finished = bank.folder.run(arguments);
    assert_eq!(finished.status, Some(0), "{arguments:?}: {finished:?}");
    finished.stdout
}

fn no(bank: &Bank, arguments: &[&str], words: &str) {
    let finished = bank.folder.run(arguments);
    let says = finished.status == Some(1) && finished.stderr.contains(words);
    assert!(says, "{arguments:?}: {finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_log_has_lost_is_said_and_a_rebuild_of_the_rest_goes_live_by_itself() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    Producer::new().send_all(&at_noon(&writer, 0..30, 0)).await;
    let vitrina = bank.folder.serve();
    database.eventually(EVENTS, &json!([{"n": 30}])).await;
    assert!(vitrina.terminate().await.success());

    // While nobody looks: what the live generation reads next goes, and what one that is built was to begin with.
    yes(&bank, &["rebuild", "balance"]);
    Producer::new().send_all(&at_noon(&writer, 30..60, 0)).await;
    trim(&bank.topic, 0, 40).await;
    let vitrina = bank.folder.serve();
    let way_out = "10 offsets were deleted before they were read (retention?); `vitrina rebuild balance \
                   --allow-shorter-history` builds from what the log holds, and goes live";
    assert_eq!(until_says(&bank, way_out).await["state"], "stopped");
    let shorter = "its history is shorter than that of balance@1: topic ";
    let model = until_says(&bank, shorter).await;
    assert_eq!(model["generations"][0]["state"], "building", "{model}");
    yes(&bank, &["cancel", "balance"]);
    no(
        &bank,
        &["rebuild", "balance"],
        "began at offset 0, 2026-03-01T12:00:00Z, and the log begins at 40 now",
    );
    let told = yes(&bank, &["rebuild", "balance", "--allow-shorter-history", "--wait"]);
    assert!(
        told.contains("balance@1 has read up to offset 30, and balance@3 begins at 40"),
        "{told}"
    );
    assert_eq!(database.rows(EVENTS).await, json!([{"n": 20}]));
    let found = partitions(&bank, 1).await;
    assert!(found[0]["first"].as_str().unwrap().contains("offset 40"), "{found:?}");
    assert!(vitrina.terminate().await.success());

    // A broker that has lost what it had acknowledged.
    database.execute(r#"UPDATE "balance@3"."@position" SET next_offset = 1000"#).await;
    let vitrina = bank.folder.serve();
    until_says(&bank, "the log ends at 60: it has lost what was read; `vitrina rebuild").await;
    no(&bank, &["rebuild", "balance"], "the log ends at 60 now: 940 offsets would be lost");
    yes(&bank, &["rebuild", "balance", "--allow-shorter-history", "--wait"]);
    assert_eq!(database.rows(EVENTS).await, json!([{"n": 20}]));
    assert!(vitrina.terminate().await.success());

    // What is built has read a part, and the next one goes: it says so, and the model goes on.
    yes(&bank, &["rebuild", "balance"]);
    let behind = r#"INSERT INTO "balance@5"."@position" (topic, partition, topic_id, epoch, next_offset, first_offset)
                    SELECT topic, partition, topic_id, 0, 10, 0 FROM "balance@4"."@position""#;
    database.execute(behind).await;
    let vitrina = bank.folder.serve();
    let model =
        until_says(&bank, "give it up with `vitrina cancel balance`, then `vitrina rebuild").await;
    assert_eq!(model["generation"], 4, "{model}");
    Producer::new().send_all(&at_noon(&writer, 60..70, 0)).await;
    database.eventually(EVENTS, &json!([{"n": 30}])).await;
    assert!(vitrina.terminate().await.success());
}
