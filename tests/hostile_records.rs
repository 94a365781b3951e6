//! Hostile records: whatever the bytes are, the record is parked with a reason, its neighbours are applied, and the
//! process lives.

use serde_json::{Value, json};

use crate::support::{Database, Folder, Message, Producer, Writer, create_topic, unique};

const READING: &str = r#"{"type":"record","name":"ReadingTaken","namespace":"probes","fields":[
  {"name":"probe_id","type":"string"},{"name":"note","type":["null","string"],"default":null},
  {"name":"value","type":"double"},{"name":"taken_at","type":{"type":"long","logicalType":"timestamp-micros"}},
  {"name":"tags","type":{"type":"array","items":"string"}}]}"#;
const MODEL: &str = "\
CREATE TABLE reading (probe_id text PRIMARY KEY, note text, value numeric(6,2) NOT NULL, taken_at timestamptz NOT NULL,
                      tags jsonb NOT NULL, record_key text NOT NULL);
INSERT INTO reading SELECT e.probe_id, e.note, e.value, e.taken_at, e.tags, e._key FROM probes.reading_taken e
ON CONFLICT (probe_id) DO UPDATE SET note = EXCLUDED.note, value = EXCLUDED.value, taken_at = EXCLUDED.taken_at,
                                     tags = EXCLUDED.tags;
";

/// A zigzag varint.
fn long(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A datum of the schema from its parts: note's bytes, value, time, tags' bytes.
fn datum(key: &str, note: Option<&[u8]>, value: f64, taken_at: i64, tags: &[u8]) -> Vec<u8> {
    let note =
        note.map_or(long(0), |note| [long(1), long(note.len() as i64), note.to_vec()].concat());
    let key = [long(key.len() as i64), key.as_bytes().to_vec()].concat();
    [key, note, value.to_le_bytes().to_vec(), long(taken_at), tags.to_vec()].concat()
}

/// What is wrong, the record, and a part of the reason that it must be given.
fn hostile(writer: &Writer, topic: &str) -> Vec<(Message, &'static str)> {
    let sound = |key: &str| datum(key, None, 1.5, 0, &[0]);
    let raw = |key: &str, value: &[u8]| Message {
        value: Some(value.to_vec()),
        ..Message::tombstone(topic, key)
    };
    let with_id =
        |key: &str, id: u32| raw(key, &[&[0][..], &id.to_be_bytes(), &sound(key)].concat());
    let not_text = Message { key: Some(vec![0xff, 0xfe]), ..writer.bytes("x", &sound("x")) };
    vec![
        (raw("empty", &[]), "empty"),
        (raw("json", b"{\"probe_id\":1}"), "0x7b"),
        (raw("short", &[0, 0, 1]), "schema id"),
        (with_id("unknown", 999_999_999), "999999999"),
        (with_id("impossible", u32::MAX), "no registry has a schema 4294967295"),
        (writer.bytes("cut", &sound("cut")[..6]), "byte"),
        (writer.bytes("more", &[sound("more"), vec![1, 2, 3]].concat()), "byte"),
        (writer.bytes("utf", &datum("utf", Some(&[0xc3, 0x28]), 1.5, 0, &[0])), "note"),
        (
            writer.bytes(
                "long",
                &[long(4), b"long".to_vec(), long(1), long(400_000_000), vec![b'x']].concat(),
            ),
            "note",
        ),
        (writer.bytes("bomb", &datum("bomb", None, 1.5, 0, &long(9_000_000_000))), "tags"),
        (writer.bytes("branch", &[long(6), b"branch".to_vec(), long(7)].concat()), "note"),
        (writer.bytes("nul", &datum("nul", Some(b"a\0b"), 1.5, 0, &[0])), "0x00"),
        (writer.bytes("nan", &datum("nan", None, f64::INFINITY, 0, &[0])), "numeric"),
        (writer.bytes("large", &datum("large", None, 1e9, 0, &[0])), "numeric field overflow"),
        (writer.bytes("early", &datum("early", None, 1.5, i64::MIN, &[0])), "taken_at"),
        (not_text, "record_key"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hostile_record_is_parked_with_its_reason_between_good_ones() {
    let database = Database::create().await;
    let topic = unique("probes");
    create_topic(&topic, 1).await;
    let folder = Folder::new(&database)
        .write(
            "contracts/probes/context.toml",
            &format!("topic = \"{topic}\"\nkey = \"probe_id\"\n"),
        )
        .write("contracts/probes/reading_taken/v1.avsc", READING)
        .write("models/reading.sql", MODEL);
    let writer = Writer::register(&topic, READING).await;
    let hostile = hostile(&writer, &topic);
    let mut messages = Vec::new();
    for (index, (message, _)) in hostile.iter().enumerate() {
        // A good one before, for a key of its own; afterwards one that must wait behind the hostile one.
        let key = format!("good{index}");
        let name = String::from_utf8_lossy(message.key.as_deref().unwrap_or_default()).into_owned();
        messages.push(writer.bytes(&key, &datum(&key, Some(b"fine"), 1.5, 0, &[0])));
        messages.push(message.clone());
        let behind = writer.bytes(&name, &datum(&name, None, 2.5, 0, &[0]));
        messages.push(Message { key: message.key.clone(), ..behind });
    }
    Producer::new().send_all(&messages).await;
    let vitrina = folder.serve();
    let next = json!([{"next_offset": messages.len()}]);
    database.eventually(r#"SELECT next_offset FROM "reading@1"."@position""#, &next).await;
    let applied = database
        .rows("SELECT count(*) AS n FROM reading.reading WHERE probe_id LIKE 'good%'")
        .await;
    assert_eq!(applied, json!([{"n": hostile.len()}]));
    let parked = database
        .rows(r#"SELECT "offset", reason FROM "reading@1"."@parked" ORDER BY "offset""#)
        .await;
    let parked: Vec<&Value> = parked.as_array().unwrap().iter().collect();
    for (index, (message, expected)) in hostile.iter().enumerate() {
        let of = |offset: usize| {
            parked.iter().find(|row| row["offset"] == offset).map(|row| &row["reason"])
        };
        let reason =
            of(3 * index + 1).unwrap_or_else(|| panic!("{message:?} is not parked: {parked:?}"));
        let reason = reason.as_str().unwrap_or_default();
        assert!(reason.contains(expected), "{message:?} is parked for: {reason}");
        assert!(of(3 * index + 2).is_some(), "what comes after {message:?} does not wait");
    }
    assert_eq!(parked.len(), 2 * hostile.len(), "{parked:?}");
    // A retry that fails again says the same of the same bytes.
    let reasons = r#"SELECT "offset", reason FROM "reading@1"."@parked" WHERE reason IS NOT NULL ORDER BY "offset""#;
    let before = database.rows(reasons).await;
    folder.run(&["parked", "retry", "--all"]);
    let attempts = r#"SELECT count(*) AS n FROM "reading@1"."@parked" WHERE attempts = 1"#;
    assert_eq!(database.rows(attempts).await, json!([{"n": hostile.len()}]));
    assert_eq!(database.rows(reasons).await, before);
    assert!(vitrina.terminate().await.success());
}
