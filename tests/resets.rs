//! An operator resets the group's offsets by Kafka's own tool: backwards is a rebuild, decided once; forwards is a skip;
//! whatever else is found in the group starts nothing.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::bank::{Bank, MODEL, MOVED, Oracle, WITNESS};
use crate::scene::{moves, states, until_live, write_model};
use crate::support::{Database, PATIENCE, Producer, Stack, eventually, kafka_tool};

const PARTITIONS: i32 = 3;

/// Runs the tool against the model's group.
fn tool(bank: &Bank, arguments: &[&str]) -> String {
    let group = format!("{}.balance", bank.folder.group_prefix);
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    kafka_tool(class, &[&["--group", &group], arguments].concat())
}

/// Resets the offsets of `topics`, which the tool does of a group without members only.
async fn reset(bank: &Bank, topics: &str, how: &[&str]) {
    let arguments = [&["--reset-offsets", "--execute", "--topic", topics], how].concat();
    eventually(PATIENCE, async || {
        let said = tool(bank, &arguments);
        if said.contains("NEW-OFFSET") { Ok(()) } else { Err(said) }
    })
    .await;
}

/// Waits until the offsets of these first partitions of the group bear our tag.
pub(crate) async fn until_tagged(bank: &Bank, count: i32) {
    let group = format!("{}.balance", bank.folder.group_prefix);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &Stack::get().kafka)
        .set("group.id", group)
        .create()
        .unwrap();
    eventually(PATIENCE, async || {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(&bank.topic, 0, count - 1);
        let committed = consumer.committed_offsets(partitions, PATIENCE).unwrap();
        let tagged = committed.elements().iter().all(|element| {
            matches!(element.offset(), Offset::Offset(_))
                && element.metadata().starts_with("vitrina;")
        });
        if tagged { Ok(()) } else { Err(format!("{committed:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_rebuilds_once_and_what_is_no_rewind_starts_nothing() {
    let database = Database::create().await;
    let bank = Bank::new(&database, PARTITIONS).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 1_000)).await;
    let mut vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    let (all, one) = (bank.topic.clone(), format!("{}:1", bank.topic));
    let rewinds: [(&str, &[&str]); 5] = [
        (&all, &["--to-earliest"]),
        (&all, &["--to-datetime", "2020-01-01T00:00:00.000"]),
        (&all, &["--shift-by", "-100"]),
        (&one, &["--to-earliest"]),
        // The same as before is another one, once the first is done with.
        (&one, &["--to-earliest"]),
    ];
    for (generation, (topics, how)) in (2..).zip(rewinds) {
        until_tagged(&bank, PARTITIONS).await;
        assert!(vitrina.terminate().await.success());
        reset(&bank, topics, how).await;
        vitrina = bank.folder.serve();
        until_live(&database, generation).await;
        database.eventually(WITNESS, &oracle.rows()).await;
        assert_eq!(states(&database).await.as_array().unwrap().len(), generation as usize);
    }
    let why = "SELECT because LIKE 'the group''s offsets were set back: %/1 from % to 0; %' AS told
               FROM vitrina.generation WHERE generation = 5";
    assert_eq!(database.rows(why).await, json!([{ "told": true }]));
    for nothing in [&["--reset-offsets", "--execute", "--to-current"][..], &["--delete-offsets"]] {
        until_tagged(&bank, PARTITIONS).await;
        assert!(vitrina.terminate().await.success());
        tool(&bank, &[nothing, &["--topic", &all]].concat());
        vitrina = bank.folder.serve();
        until_tagged(&bank, PARTITIONS).await;
        let generations = states(&database).await;
        assert_eq!(generations.as_array().unwrap().len(), 6, "{nothing:?}: {generations}");
    }
    // A crash between a commit to Postgres and its mirror leaves the group behind, with our tag.
    vitrina.kill();
    let vitrina = bank.folder.serve();
    Producer::new().send_all(&moves(&writer, &mut oracle, 1_000, 100)).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    assert_eq!(states(&database).await.as_array().unwrap().len(), 6);
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_reset_while_a_generation_is_built_starts_no_second_build() {
    let database = Database::create().await;
    let bank = Bank::new(&database, PARTITIONS).await;
    // So many batches that the reset is found before the end.
    let folder = bank.folder.configure("[model]\nmax_events = 1");
    let bank = Bank { folder, ..bank };
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 3_000)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    until_tagged(&bank, PARTITIONS).await;
    assert!(vitrina.terminate().await.success());
    // Nobody runs, so it is still being built when the reset is found.
    assert_eq!(bank.folder.run(&["rebuild", "balance"]).status, Some(0));
    reset(&bank, &bank.topic, &["--to-earliest"]).await;
    let vitrina = bank.folder.serve();
    until_live(&database, 2).await;
    until_tagged(&bank, PARTITIONS).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    assert_eq!(states(&database).await.as_array().unwrap().len(), 2);
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_is_found_behind_a_swap_was_made_to_the_generation_before() {
    let database = Database::create().await;
    let bank = Bank::new(&database, PARTITIONS).await;
    let toml = "[model]\nswap = \"by_hand\"\n[model.parked]\nmax = 1";
    let strict = MODEL.replace(
        "  events     bigint NOT NULL DEFAULT 0,",
        "  events     bigint NOT NULL DEFAULT 0 CHECK (account_id <> 'a05' OR events < 3),",
    );
    let folder = bank.folder.configure(toml).write("models/balance.sql", &strict);
    let bank = Bank { folder, ..bank };
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 300)).await;
    let vitrina = bank.folder.serve();
    // What stops leaves its group, so the tool may reset it while the other generation is built.
    eventually(PATIENCE, async || {
        let status = bank.folder.run(&["status", "--json"]).json();
        let stopped = status["models"][0]["state"] == "stopped";
        if stopped { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    write_model(&bank, MODEL);
    vitrina.hang_up();
    eventually(PATIENCE, async || {
        let status = bank.folder.run(&["status", "--json"]).json();
        let reason = status["models"][0]["generations"][0]["reason"].to_string();
        if reason.contains("it is built: ") { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    reset(&bank, &bank.topic, &["--to-earliest"]).await;
    assert_eq!(bank.folder.run(&["swap", "balance"]).status, Some(0));
    until_live(&database, 2).await;
    until_tagged(&bank, PARTITIONS).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    let two = json!([{"g": 1, "state": "retired"}, {"g": 2, "state": "live"}]);
    assert_eq!(states(&database).await, two);
    let told = "SELECT generation AS g, reason LIKE '%, as generation 2 has done' AS told
                FROM vitrina.verdict WHERE verdict = 'reset'";
    assert_eq!(database.rows(told).await, json!([{"g": 2, "told": true}]));
    // The next one is another.
    assert!(vitrina.terminate().await.success());
    reset(&bank, &bank.topic, &["--to-earliest"]).await;
    let vitrina = bank.folder.serve();
    let third = "SELECT count(*) AS n FROM vitrina.generation WHERE generation = 3";
    database.eventually(third, &json!([{ "n": 1 }])).await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_forwards_skips_and_the_range_is_kept() {
    let database = Database::create().await;
    let bank = Bank::new(&database, PARTITIONS).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 300)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    until_tagged(&bank, PARTITIONS).await;
    assert!(vitrina.terminate().await.success());
    Producer::new().send_all(&moves(&writer, &mut Oracle::default(), 300, 60)).await;
    reset(&bank, &bank.topic, &["--to-latest"]).await;
    let vitrina = bank.folder.serve();
    until_tagged(&bank, PARTITIONS).await;
    Producer::new().send_all(&moves(&writer, &mut oracle, 360, 60)).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    let skipped = "SELECT sum(until_offset - \"offset\")::int8 AS n FROM vitrina.verdict WHERE verdict = 'skipped'";
    assert_eq!(database.rows(skipped).await, json!([{ "n": 60 }]));
    let status = bank.folder.run(&["status", "--json"]).json();
    let ranges = status["models"][0]["skipped"].as_array().unwrap().clone();
    let sum: i64 = ranges
        .iter()
        .map(|range| range["to"].as_i64().unwrap() - range["from"].as_i64().unwrap())
        .sum();
    assert_eq!(sum, 60, "{ranges:?}");
    assert!(ranges.iter().all(|range| range["topic"] == bank.topic.as_str()), "{ranges:?}");
    assert_eq!(states(&database).await, json!([{"g": 1, "state": "live"}]));
    // It holds for every generation: what was skipped is not read, nor is it known when it comes again.
    assert_eq!(bank.folder.run(&["rebuild", "balance", "--as-live"]).status, Some(0));
    until_live(&database, 2).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    until_tagged(&bank, PARTITIONS).await;
    assert!(vitrina.terminate().await.success());
    // What is skipped while another one is built holds in that, too.
    assert_eq!(bank.folder.run(&["rebuild", "balance", "--as-live"]).status, Some(0));
    Producer::new().send_all(&moves(&writer, &mut Oracle::default(), 420, 60)).await;
    reset(&bank, &bank.topic, &["--to-latest"]).await;
    let vitrina = bank.folder.serve();
    until_live(&database, 3).await;
    Producer::new().send_all(&moves(&writer, &mut oracle, 300, 60)).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_built_from_there_where_the_model_says_so() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let folder = bank.folder.configure("[models.balance]\nreset = \"from there\"");
    let bank = Bank { folder, ..bank };
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 200)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(vitrina.terminate().await.success());
    reset(&bank, &bank.topic, &["--to-offset", "150"]).await;
    let vitrina = bank.folder.serve();
    until_live(&database, 2).await;
    let events = "SELECT sum(events)::int8 AS n FROM balance.balance";
    database.eventually(events, &json!([{ "n": 50 }])).await;
    assert!(vitrina.terminate().await.success());
}
