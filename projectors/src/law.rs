//! The law: a batch in waves gives the same rows, or the same refusal, as the same batch event by event. Postgres running
//! event by event is the oracle. The seed of a failure is in its message; `VITRINA_LAW_CASES` runs more.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection, Executor};
use vitrina_avro::{Contracts, Decoded as Outcome, Decoder, Framed, Headers, Record, SchemaRef, encode_json};
use vitrina_sql::Files;

use crate::batch::{Content, Decoded, Event, Part, Row};
use crate::definition::{Definition, Definitions, Roots};
use crate::generation::create_tables;
use crate::rules::Rules;
use crate::writer::Writer;
use crate::{control, fault::Fault, generation_schema, session};

/// Each model is made to have other conflicts: see its first line.
const MODELS: &[&str] = &[
    "-- counters, totals and the latest state: merged
     CREATE TABLE m (k int8 PRIMARY KEY, n int NOT NULL DEFAULT 0, total numeric(12,2) NOT NULL DEFAULT 0, last text,
                     first text, most int8);
     INSERT INTO m AS t (k, n, total, last, first, most)
     SELECT e.k, 1, e.amount, e.word, e.word, e.n FROM a.up e
     ON CONFLICT (k) DO UPDATE SET n = t.n + 1, total = t.total + EXCLUDED.total, last = EXCLUDED.last,
                                   most = GREATEST(t.most, EXCLUDED.most);",
    "-- a lookup with its fan-out, and deletions
     CREATE TABLE m (k int8 PRIMARY KEY, owner int8 NOT NULL, name text, n int8);
     CREATE TABLE _name (owner int8 PRIMARY KEY, name text);
     INSERT INTO m SELECT e.k, e.n % 3, c.name, e.n FROM a.up e LEFT JOIN _name c ON c.owner = e.n % 3
     ON CONFLICT (k) DO NOTHING;
     DELETE FROM m USING a.off e WHERE m.k = e.k;
     INSERT INTO _name SELECT e.k % 3, e.word FROM a.off e ON CONFLICT (owner) DO UPDATE SET name = EXCLUDED.name;
     UPDATE m SET name = e.word FROM a.off e WHERE m.owner = e.k % 3;",
    "-- two unique keys, a moved column, a check that refuses
     CREATE TABLE m (k int8 PRIMARY KEY, slot int8 UNIQUE, n int8 CHECK (n < 17));
     INSERT INTO m SELECT e.k, NULL, 0 FROM a.up e ON CONFLICT DO NOTHING;
     UPDATE m SET slot = CASE WHEN e.n % 2 = 0 THEN e.n END, n = m.n + 1 FROM a.up e WHERE m.k = e.k;
     DELETE FROM m USING a.off e WHERE m.slot = e.n;",
    "-- several rows an event, a generated column, a whole-table read
     CREATE TABLE m (k int8, part int8, n int8, twice int8 GENERATED ALWAYS AS (n * 2) STORED, PRIMARY KEY (k, part));
     CREATE TABLE seen (k int8 PRIMARY KEY, rows_before int8);
     INSERT INTO m (k, part, n) SELECT e.k, p.part, sum(p.part) FROM a.up e, generate_series(1, e.n % 3) AS p(part)
     GROUP BY e.k, p.part ON CONFLICT (k, part) DO UPDATE SET n = m.n + EXCLUDED.n;
     INSERT INTO seen SELECT e.k, (SELECT count(*) FROM m) FROM a.off e ON CONFLICT (k) DO UPDATE
     SET rows_before = EXCLUDED.rows_before;",
    "-- keys that only Postgres can compare, and an upcast one
     CREATE TABLE m (amount numeric(12,1) PRIMARY KEY, word text, n int8 NOT NULL DEFAULT 0);
     INSERT INTO m (amount, word) SELECT e.amount, e.word FROM a.up e
     ON CONFLICT (amount) DO UPDATE SET word = m.word || EXCLUDED.word;
     UPDATE m SET n = m.n * 2 + e.n FROM a.off e WHERE m.amount = e.n;",
];

const UP_V1: &str = r#"{"type":"record","name":"Up","namespace":"a","fields":[{"name":"id","type":"long"},
  {"name":"n","type":"long"},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
  {"name":"word","type":["null","string"],"default":null}]}"#;
const UP_V2: &str = r#"{"type":"record","name":"Up","namespace":"a","fields":[{"name":"k","type":"long"},
  {"name":"n","type":"long"},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
  {"name":"word","type":["null","string"],"default":null}]}"#;
const OFF: &str = r#"{"type":"record","name":"Off","namespace":"a","fields":[{"name":"k","type":"long"},
  {"name":"n","type":"long"},{"name":"word","type":"string"}]}"#;

fn definition(model: &str) -> Definition {
    let files = [
        ("c/a/context.toml", "topic = \"a\"\nkey = \"n\"\n"),
        ("c/a/up/v1.avsc", UP_V1),
        ("c/a/up/v2.avsc", UP_V2),
        ("c/a/up/v2.sql", "SELECT id AS k FROM v1"),
        ("c/a/off/v1.avsc", OFF),
        ("m/law.sql", model),
    ];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
    let roots = Roots { contracts: "c".into(), models: "m".into() };
    let mut loaded = Definitions::load(&Files(files.collect()), &roots);
    assert_eq!(loaded.models.len(), 1, "{:?}", loaded.findings);
    loaded.models.remove(0)
}

/// Event types with their version's place, and a value.
type Story = Vec<(&'static str, usize, Value)>;

fn story() -> impl Strategy<Value = Story> {
    let event = (0..5u8, 0..5i64, 0..9i64, 0..12i64, "[a-c]{0,2}").prop_map(|(kind, k, n, cents, word)| {
        let amount = format!("{}.{}0", cents / 4, cents % 4);
        let word_or_null = if word.is_empty() { Value::Null } else { json!(word) };
        match kind {
            0 | 1 => ("up", 0, json!({"id": k, "n": n, "amount": amount, "word": word_or_null})),
            2 | 3 => ("up", 1, json!({"k": k, "n": n, "amount": amount, "word": word_or_null})),
            _ => ("off", 0, json!({"k": k, "n": n, "word": word})),
        }
    });
    proptest::collection::vec(event, 2..40)
}

fn decode(definition: &Definition, story: &Story) -> Decoded {
    let contracts: &Arc<Contracts> = &definition.contracts;
    let mut decoder = Decoder::new(contracts, definition.layouts.clone());
    let mut batch = Decoded { rows: decoder.rows(), ..Decoded::default() };
    for (offset, (name, version, value)) in story.iter().enumerate() {
        let number = *version;
        let version = &contracts.contract("a", name).unwrap().versions[number];
        let schema = SchemaRef::Id(u32::from(*name == "up") * 10 + number as u32);
        if !decoder.knows(&schema) {
            decoder.add_schema(schema, &version.schema);
        }
        let payload = encode_json(version, value).unwrap();
        let headers = Headers::default();
        let offset = offset as i64;
        let record = Record {
            topic: "a",
            partition: 0,
            offset,
            timestamp_ms: Some(0),
            key: None,
            value: Some(&payload),
            headers,
        };
        let framed = Framed { schema, payload: &payload };
        if let Outcome::Event { layout, version, row, .. } = decoder.decode(&record, &framed, &mut batch.rows).unwrap()
        {
            let content = Content::Row(Row { layout, version, row });
            batch.events.push(Event { span: 0, offset, record: 0, content, identity: None, duplicate: false });
        }
    }
    batch
}

/// One of two worlds: the same model, its own tables.
struct World {
    writer: Writer,
    schema: String,
}

impl World {
    async fn new(options: &PgConnectOptions, definition: &Definition, generation: i32, waves: bool) -> Self {
        let schema = generation_schema("law", generation);
        let mut connection = session::writer(options, &schema, 0, session::STATEMENT).await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        create_tables(&mut connection, &definition.model, &schema).await.unwrap();
        connection.execute("COMMIT").await.unwrap();
        let mut rules = Rules::new(&mut connection, definition, &schema).await.unwrap();
        assert!(rules.cutting.is_some(), "Postgres takes every rule's form over a wave");
        if !waves {
            rules.cutting = None;
        }
        Self {
            writer: Writer::new(
                options.clone(),
                ("law".into(), generation),
                0,
                session::STATEMENT,
                (rules, Vec::new()),
            ),
            schema,
        }
    }

    /// Every table's rows, in one order.
    async fn rows(&self, connection: &mut PgConnection, definition: &Definition) -> String {
        let mut all = String::new();
        for table in &definition.model.tables {
            let name = format!("{}.{}", crate::quote(&self.schema), crate::quote(&table.name));
            let sql = format!("SELECT coalesce(string_agg(t::text, ' ' ORDER BY t::text), '') FROM {name} t");
            let rows: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection).await.unwrap();
            all = format!("{all}{}: {rows}\n", table.name);
        }
        all
    }
}

async fn database() -> Option<PgConnectOptions> {
    let url = std::env::var("VITRINA_TEST_POSTGRES_URL").ok()?;
    let server = PgPool::connect(&url).await.unwrap();
    let name = format!("law_{}", rand::random::<u64>());
    server.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let options = session::options(&url).unwrap().database(&name);
    control::migrate(&session::control_pool(&options, 2)).await.unwrap();
    Some(options)
}

#[tokio::test(flavor = "multi_thread")]
async fn waves_equal_event_by_event() {
    let Some(options) = database().await else {
        assert!(std::env::var("CI").is_err(), "run by `make test`, which starts Postgres");
        return;
    };
    let cases: u32 = std::env::var("VITRINA_LAW_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100);
    let seed: [u8; 32] = rand::random();
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let (mut applied, mut refused, mut several, mut together) = (0, 0, 0, 0);
    for (index, model) in MODELS.iter().enumerate() {
        let definition = definition(model);
        let number = 2 * index as i32 + 1;
        let mut fast = World::new(&options, &definition, number, true).await;
        let mut slow = World::new(&options, &definition, number + 1, false).await;
        for case in 0..cases / MODELS.len() as u32 {
            let story = story().new_tree(&mut runner).unwrap().current();
            let batch = decode(&definition, &story);
            let all = 0..batch.events.len();
            let part = Part { apply: all.clone().map(|event| event as u32).collect(), range: all, ..Part::default() };
            let (one, other) = (fast.writer.write(&batch, &part).await, slow.writer.write(&batch, &part).await);
            let context = || format!("seed {seed:?}, case {case}, {story:?}\n{model}");
            match (&one, &other) {
                (Ok(waves), Ok(events)) => {
                    applied += 1;
                    several += u32::from(waves.waves > 1 && waves.waves < events.waves);
                    together += u32::from(waves.waves < events.waves);
                }
                // Who is to blame is found by halving.
                (Err(Fault::Record { .. }), Err(Fault::Record { event: Some(_), .. })) => refused += 1,
                _ => panic!("{one:?} in waves, {other:?} event by event: {}", context()),
            }
            let rows = (fast.rows(&mut connection, &definition).await, slow.rows(&mut connection, &definition).await);
            assert_eq!(rows.0, rows.1, "{}", context());
        }
    }
    // A run in which one of these did not happen has not tried the law.
    assert!(applied > 0 && refused > 0 && several > 0 && together > 0, "{applied} {refused} {several} {together}");
}
