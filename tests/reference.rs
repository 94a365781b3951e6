//! The reference set: golden bytes of every version of every contract, models that Postgres takes, and one whose rows are
//! the same however the topics interleave.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use vitrina_avro::{
    Contracts, DecodedRecord, Decoder, Framed, Headers, Layout, Record, SchemaRef, encode_json,
};
use vitrina_sql::Files;

use crate::support::{Database, Folder, Message, Producer, Writer, create_topic, unique};

pub(crate) fn contracts() -> Contracts {
    let files =
        Files::read(Path::new("avro/contracts"), "avro/contracts", &[".toml", ".avsc", ".sql"])
            .unwrap();
    let (contracts, findings) = Contracts::load(&files, "avro/contracts");
    assert!(findings.is_empty(), "{findings:?}");
    contracts
}

pub(crate) fn golden(context: &str, event: &str, version: u32) -> (Value, Vec<u8>) {
    let path = |ending| format!("avro/golden/{context}/{event}/v{version}.{ending}");
    let hex = std::fs::read_to_string(path("hex")).unwrap();
    let hex = hex.trim();
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    (serde_json::from_str(&std::fs::read_to_string(path("json")).unwrap()).unwrap(), bytes)
}

#[test]
fn every_version_has_the_golden_bytes_and_decodes_from_them() {
    let contracts = contracts();
    let mut seen = 0;
    for (name, context) in &contracts.contexts {
        for (event, contract) in &context.events {
            let mut decoder = Decoder::new(&contracts, vec![Layout::new(contract, None)]);
            for (index, version) in contract.versions.iter().enumerate() {
                let (json, bytes) = golden(name, event, version.number);
                assert_eq!(
                    encode_json(version, &json).unwrap(),
                    bytes,
                    "{name}.{event} v{}",
                    version.number
                );
                let schema = SchemaRef::Id(version.number);
                decoder.add_schema(schema, &version.schema);
                let record = Record {
                    topic: &context.topic,
                    partition: 0,
                    offset: 0,
                    timestamp_ms: Some(0),
                    key: None,
                    value: Some(&bytes),
                    headers: Headers::default(),
                };
                let mut rows = decoder.rows();
                let decoded = decoder
                    .decode(&record, &Framed { schema, payload: &bytes }, &mut rows)
                    .unwrap();
                assert!(
                    matches!(decoded, DecodedRecord::Event { rows, .. } if rows.of(0).unwrap().version == index),
                    "{decoded:?}"
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 99, "{seen} versions");
}

/// Registers every version of the story's contexts, once a topic.
struct Shop {
    folder: Folder,
    database: Database,
    topics: BTreeMap<String, String>,
    writers: BTreeMap<(String, u32), Writer>,
}

impl Shop {
    async fn open() -> Self {
        let database = Database::create().await;
        let mut folder = Folder::new(&database)
            .copy("projectors/models/order_summary.sql", "models/order_summary.sql");
        let (mut topics, mut writers) = (BTreeMap::new(), BTreeMap::new());
        let told = |name: &str| STORY.contains(&format!("\"event\": \"{name}."));
        for (name, context) in contracts().contexts.iter().filter(|(name, _)| told(name)) {
            let topic = unique(name);
            create_topic(&topic, 1).await;
            folder =
                folder.copy(&format!("avro/contracts/{name}"), &format!("contracts/{name}")).write(
                    &format!("contracts/{name}/context.toml"),
                    &format!("topic = \"{topic}\"\nkey = \"{}\"\n", context.key),
                );
            for (event, contract) in &context.events {
                for version in &contract.versions {
                    let writer = Writer::register(&topic, &version.json).await;
                    writers.insert((format!("{name}.{event}"), version.number), writer);
                }
            }
            topics.insert(name.clone(), topic);
        }
        Self { folder, database, topics, writers }
    }

    fn message(&self, contracts: &Contracts, line: &Value) -> Message {
        let (name, version) = line["event"].as_str().unwrap().split_once("@v").unwrap();
        let (context, event) = name.split_once('.').unwrap();
        let version = &contracts.contract(context, event).unwrap().versions
            [version.parse::<usize>().unwrap() - 1];
        let key = line["value"][&contracts.contexts[context].key].as_str().unwrap();
        let datum = encode_json(version, &line["value"]).unwrap();
        let message = self.writers[&(name.to_owned(), version.number)].bytes(key, &datum);
        assert_eq!(message.topic, self.topics[context]);
        Message { timestamp: Some(1_767_225_600_000), ..message }
    }
}

/// A short story, one line an event: orders of all versions, customers and products before and after them.
const STORY: &str = include_str!("reference.jsonl");

const ORDERS: &str = "SELECT * FROM order_summary.order_summary ORDER BY order_id";
const ITEMS: &str = "SELECT * FROM order_summary.order_summary_item ORDER BY order_id, line_no";

#[tokio::test(flavor = "multi_thread")]
async fn order_summary_is_the_same_however_the_topics_interleave() {
    let contracts = contracts();
    let lines: Vec<Value> = STORY.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut seen: Option<(Value, Value)> = None;
    for order in [
        ["orders", "users", "catalog"],
        ["catalog", "users", "orders"],
        ["users", "orders", "catalog"],
    ] {
        let shop = Shop::open().await;
        let vitrina = shop.folder.serve();
        let mut produced = 0;
        for context in order {
            let own =
                lines.iter().filter(|line| line["event"].as_str().unwrap().starts_with(context));
            let messages: Vec<Message> = own.map(|line| shop.message(&contracts, line)).collect();
            produced += messages.len();
            Producer::new().send_all(&messages).await;
            let applied = r#"SELECT coalesce(sum(next_offset), 0)::bigint AS n FROM "order_summary@1"."@position""#;
            shop.database.eventually(applied, &serde_json::json!([{"n": produced}])).await;
        }
        let rows = (shop.database.rows(ORDERS).await, shop.database.rows(ITEMS).await);
        assert_eq!(rows.0.as_array().unwrap().len(), 4);
        match &seen {
            Some(first) => assert_eq!(first, &rows, "{order:?}"),
            None => seen = Some(rows),
        }
        assert!(vitrina.terminate().await.success());
    }
    let (orders, items) = seen.unwrap();
    let texts: Vec<String> = orders
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {} {}", row["status"], row["customer_name"], row["currency"]))
        .collect();
    assert_eq!(
        texts,
        [
            "\"SHIPPED\" \"Ada King Lovelace\" \"USD\"",
            "\"CANCELLED\" \"Lope Vega\" \"EUR\"",
            "\"DELIVERED\" \"Ada King Lovelace\" \"EUR\"",
            "\"PLACED\" null \"EUR\"",
        ]
    );
    assert_eq!(items[0]["product_name"], "Botijo");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_takes_the_whole_set_without_a_warning() {
    let database = Database::create().await;
    let folder = Folder::new(&database)
        .copy("avro/contracts", "contracts")
        .copy("projectors/models", "models");
    let checked = folder.run(&["check", "--json"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    let answer = checked.json();
    assert_eq!(answer["findings"], serde_json::json!([]));
    assert!(answer["models"].as_array().unwrap().len() >= 43, "{answer}");
}
