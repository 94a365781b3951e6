//! Records without a value: a relation for the models that name it, and nothing to those that do not. Their key says whose
//! they are, whether it is a text or Avro.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use vitrina_avro::{Registry, RegistrySettings};
use vitrina_ingest::KafkaSettings;
use vitrina_projectors::session;
use vitrina_projectors::{Desk, Refusal};

use crate::bank::{Bank, MOVED, moved};
use crate::support::{Database, Folder, Message, Producer, Stack, Writer, create_topic, unique};

/// How often an account was moved since it was closed, and how often it was.
const MODEL: &str = "\
CREATE TABLE account (account_id text PRIMARY KEY, amount numeric NOT NULL CHECK (amount <= 10), moves bigint NOT NULL);
CREATE TABLE closed (account_id text PRIMARY KEY, at timestamptz NOT NULL, times bigint NOT NULL);
INSERT INTO account AS a SELECT e.account_id, e.amount, 1 FROM bank.amount_moved e
ON CONFLICT (account_id) DO UPDATE SET amount = EXCLUDED.amount, moves = a.moves + 1;
DELETE FROM account a USING bank.tombstone e WHERE a.account_id = e._key;
INSERT INTO closed AS c SELECT e._key, e._time, 1 FROM bank.tombstone e
ON CONFLICT (account_id) DO UPDATE SET at = EXCLUDED.at, times = c.times + 1;
";
const POSITIONS: &str = r#"SELECT 'account' AS model, next_offset FROM "account@1"."@position"
    UNION ALL SELECT 'balance', next_offset FROM "balance@1"."@position" ORDER BY model"#;
const ACCOUNTS: &str =
    "SELECT account_id, moves FROM account.account ORDER BY account_id COLLATE \"C\"";
const CLOSED: &str =
    "SELECT account_id, times FROM account.closed ORDER BY account_id COLLATE \"C\"";

/// The bank, whose own model does not name its tombstones, with one that does.
async fn closing(database: &Database) -> Bank {
    let bank = Bank::new(database, 1).await;
    Bank { folder: bank.folder.write("models/account.sql", MODEL), ..bank }
}

fn positions(next: usize) -> Value {
    json!([{"model": "account", "next_offset": next}, {"model": "balance", "next_offset": next}])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_runs_the_rules_that_name_it_and_parks_behind_its_key() {
    let database = Database::create().await;
    let bank = closing(&database).await;
    let writer = bank.writer(MOVED).await;
    let closed = |key| Message::tombstone(&bank.topic, key);
    let named = closed("a").header("ce_id", "t-1").header("ce_time", "2026-03-01T12:00:00Z");
    let messages = [
        moved(&writer, "a", 1, 500),
        moved(&writer, "b", 1, 500),
        named.clone(),
        moved(&writer, "a", 2, 500),
        named,
        moved(&writer, "c", 1, 500),
        moved(&writer, "c", 2, 500_000),
        closed("c"),
        closed("nobody"),
    ];
    Producer::new().send_all(&messages).await;
    let vitrina = bank.folder.serve();
    database.eventually(POSITIONS, &positions(messages.len())).await;
    let accounts = database.rows(ACCOUNTS).await;
    let account = |key: &str| json!({"account_id": key, "moves": 1});
    assert_eq!(
        accounts,
        json!([account("a"), account("b"), account("c")]),
        "the second of `a` came twice"
    );
    let at = "SELECT at = '2026-03-01T12:00:00Z' AS told, times FROM account.closed WHERE account_id = 'a'";
    assert_eq!(database.rows(at).await, json!([{"told": true, "times": 1}]));
    let metrics = vitrina.get_admin("/metrics").await.body;
    let ignored = "vitrina_events_total{model=\"balance\",outcome=\"ignored\"} 4";
    assert!(metrics.as_str().unwrap().contains(ignored), "{metrics}");

    let parked =
        r#"SELECT id, "offset", value IS NULL AS empty FROM "account@1"."@parked" ORDER BY id"#;
    let parked = database.rows(parked).await;
    let place = |at: usize| (parked[at]["offset"].clone(), parked[at]["empty"].clone());
    assert_eq!(
        [place(0), place(1)],
        [(json!(6), json!(false)), (json!(7), json!(true))],
        "{parked}"
    );
    let id = |at: usize| parked[at]["id"].as_i64().unwrap();
    let registry =
        RegistrySettings { url: Stack::get().registry.clone(), ..RegistrySettings::default() };
    let desk = Desk {
        pool: database.pool.clone(),
        postgres: session::options(&database.url).unwrap(),
        registry: Arc::new(Registry::new(&registry).unwrap()),
        files: Arc::new(|model| Err(Refusal::Wrong(model.to_owned()))),
        file: Arc::new(|_| None),
        kafka: KafkaSettings::default(),
    };
    assert_eq!(desk.discard(&[id(0)], "too much", "test").await, Ok(1));
    let retried = desk.retry(&[id(1)], "test").await.unwrap();
    assert_eq!((retried.applied, retried.still_parked), (1, Vec::new()));
    assert_eq!(database.rows(ACCOUNTS).await, json!([account("a"), account("b")]));
    let times = |key: &str| json!({"account_id": key, "times": 1});
    assert_eq!(database.rows(CLOSED).await, json!([times("a"), times("c"), times("nobody")]));
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_and_events_of_a_key_keep_their_order_in_waves() {
    let database = Database::create().await;
    let bank = closing(&database).await;
    let checked = bank.folder.run(&["check", "--json"]).json();
    assert_eq!(checked["models"][0]["parallel"], json!(bank.topic), "{checked}");
    for rule in checked["rules"].as_array().unwrap().iter().take(3) {
        assert!(rule["runs"].as_str().unwrap().starts_with("in waves"), "{rule}");
    }
    let writer = bank.writer(MOVED).await;
    let mut random = SmallRng::seed_from_u64(11);
    let (mut moves, mut times) = (BTreeMap::new(), BTreeMap::new());
    let mut messages = Vec::new();
    for event in 0..3000 {
        let key = format!("a{:02}", random.random_range(0..30));
        messages.push(if random.random_range(0..3) == 0 {
            moves.remove(&key);
            *times.entry(key.clone()).or_insert(0) += 1;
            Message::tombstone(&bank.topic, &key)
        } else {
            *moves.entry(key.clone()).or_insert(0) += 1;
            moved(&writer, &key, event, 5)
        });
    }
    Producer::new().send_all(&messages).await;
    let vitrina = bank.folder.serve();
    database.eventually(POSITIONS, &positions(messages.len())).await;
    let rows = |counts: BTreeMap<String, i32>, name: &str| -> Value {
        counts.into_iter().map(|(key, count)| json!({"account_id": key, name: count})).collect()
    };
    assert_eq!(database.rows(ACCOUNTS).await, rows(moves, "moves"));
    assert_eq!(database.rows(CLOSED).await, rows(times, "times"));
    assert!(!vitrina.stderr().contains("event by event"), "{}", vitrina.stderr());
    assert!(vitrina.terminate().await.success());
}

/// A thing of any type of id, on a topic of its own.
struct Things {
    database: Database,
    topic: String,
    folder: Folder,
    event: Writer,
    key: Writer,
}

const GONE: &str = "DELETE FROM thing t USING things.tombstone e WHERE t.id = e.id;";

impl Things {
    /// `avro`: of the id, `sql`: of its column, `key`: the schema of subject `TOPIC-key`.
    async fn new(partitions: i32, avro: &str, sql: &str, key: &str) -> Self {
        let (database, topic) = (Database::create().await, unique("things"));
        create_topic(&topic, partitions).await;
        let schema = format!(
            r#"{{"type":"record","name":"Seen","namespace":"things","fields":[{{"name":"id","type":{avro}}}]}}"#
        );
        let model = format!(
            "CREATE TABLE thing (id {sql} PRIMARY KEY, n int NOT NULL);
             INSERT INTO thing AS t SELECT e.id, 1 FROM things.seen e ON CONFLICT (id) DO UPDATE SET n = t.n + 1;
             {GONE}"
        );
        let folder = Folder::new(&database)
            .write("contracts/things/context.toml", &format!("topic = \"{topic}\"\nkey = \"id\"\n"))
            .write("contracts/things/seen/v1.avsc", &schema)
            .write("models/thing.sql", &model);
        let event = Writer::register(&topic, &schema).await;
        let key = Writer::register_at(&format!("{topic}-key"), key).await;
        Self { database, topic, folder, event, key }
    }

    /// The key as `KafkaAvroSerializer` writes it.
    fn framed(&self, key: &Value) -> Vec<u8> {
        self.key.event("", key).value.unwrap()
    }

    fn seen(&self, key: Vec<u8>, id: &Value) -> Message {
        Message { key: Some(key), ..self.event.event("", &json!({"id": id})) }
    }

    fn gone(&self, key: Vec<u8>) -> Message {
        Message { key: Some(key), ..Message::tombstone(&self.topic, "") }
    }

    async fn left(&self, ids: &[&Value]) {
        let rows: Value = ids.iter().map(|id| json!({"id": id})).collect();
        self.database.eventually("SELECT id FROM thing.thing ORDER BY id", &rows).await;
    }

    /// The offset of the next record.
    async fn reached(&self, next: usize) {
        let positions = r#"SELECT sum(next_offset)::int AS next FROM "thing@1"."@position""#;
        self.database.eventually(positions, &json!([{"next": next}])).await;
    }
}

/// One rule does for keys that are texts and for those that are Avro, whatever type they have.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_field_is_read_from_text_and_from_avro() {
    let uuid = r#"{"type":"string","logicalType":"uuid"}"#;
    let of_record = r#"{"type":"record","name":"Key","namespace":"things","fields":[
        {"name":"tenant","type":"string"},{"name":"id","type":"long"}]}"#;
    let id = |last: u32| json!(format!("00112233-4455-6677-8899-aabbccddee{last:02}"));
    let own = |id: &Value| id.clone();
    let in_record = |id: &Value| json!({"tenant": "t", "id": id});
    type Keyed<'a> = (&'a str, &'a str, &'a str, [Value; 3], &'a dyn Fn(&Value) -> Value);
    let cases: [Keyed<'_>; 4] = [
        ("\"string\"", "text", "\"string\"", ["a", "b", "c"].map(Value::from), &own),
        ("\"long\"", "bigint", "\"long\"", [7, 8, 9].map(Value::from), &own),
        (uuid, "uuid", "\"string\"", [1, 2, 3].map(id), &own),
        ("\"long\"", "bigint", of_record, [7, 8, 9].map(Value::from), &in_record),
    ];
    for (avro, sql, key, [one, two, three], keyed) in cases {
        let things = Things::new(1, avro, sql, key).await;
        let plain = |id: &Value| id.as_str().map_or(id.to_string(), str::to_owned).into_bytes();
        let framed = |id: &Value| things.framed(&keyed(id));
        let messages = [
            things.seen(plain(&one), &one),
            things.seen(framed(&two), &two),
            things.seen(framed(&three), &three),
            things.gone(plain(&one)),
            things.gone(framed(&two)),
        ];
        Producer::new().send_all(&messages).await;
        let vitrina = things.folder.serve();
        things.reached(messages.len()).await;
        things.left(&[&three]).await;
        assert!(vitrina.terminate().await.success());
    }
}

/// A key that gives no value is refused alone, naming the column; without a key there is no row to delete.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_gives_no_value_parks_its_record() {
    let things = Things::new(1, "\"long\"", "bigint", "\"string\"").await;
    let mut messages = vec![
        things.seen(b"7".to_vec(), &json!(7)),
        things.gone(b"07".to_vec()),
        things.gone(b"\xff".to_vec()),
        things.gone(vec![0, 0, 0, 7]),
        things.gone(things.framed(&json!("7"))),
        things.gone([&[0][..], &0x7000_0000u32.to_be_bytes(), &[14]].concat()),
    ];
    messages.push(Message { key: None, ..Message::tombstone(&things.topic, "") });
    Producer::new().send_all(&messages).await;
    let vitrina = things.folder.serve();
    things.reached(messages.len()).await;
    things.left(&[&json!(7)]).await;
    let parked = r#"SELECT "offset", strpos(reason, 'the key does not give `id`: ') > 0 AS named
        FROM "thing@1"."@parked" ORDER BY id"#;
    let expected: Value = (1..6).map(|offset| json!({"offset": offset, "named": true})).collect();
    assert_eq!(things.database.rows(parked).await, expected);
    assert!(vitrina.terminate().await.success());
}

/// Parallel writers are for keys that are texts: the first other one leaves the model one writer, and every row right.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_avro_have_one_writer() {
    let things = Things::new(4, "\"string\"", "text", "\"string\"").await;
    let checked = things.folder.run(&["check", "--json"]).json();
    assert_eq!(checked["models"][0]["parallel"], json!(things.topic), "{checked}");
    let ids: Vec<Value> = (0..200).map(|id| json!(format!("k{id:03}"))).collect();
    let text = |id: &Value| id.as_str().unwrap().as_bytes().to_vec();
    let mut messages: Vec<Message> = ids.iter().map(|id| things.seen(text(id), id)).collect();
    messages.extend(ids.iter().skip(100).map(|id| things.gone(text(id))));
    Producer::new().send_all(&messages).await;
    let vitrina = things.folder.serve();
    things.reached(messages.len()).await;
    things.left(&ids[..100].iter().collect::<Vec<_>>()).await;
    let status = || things.folder.run(&["status", "--json"]).json()["models"][0].clone();
    assert_eq!(status()["one_writer"], Value::Null);
    Producer::new().send(&things.gone(things.framed(&ids[0]))).await;
    things.left(&ids[1..100].iter().collect::<Vec<_>>()).await;
    let why = status()["one_writer"]["why"].as_str().unwrap().to_owned();
    assert!(why.ends_with("the record's key is not the text of `id`"), "{why}");
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_why_there_is_no_key_field() {
    let things = Things::new(1, "\"long\"", "bigint", "\"long\"").await;
    let other = r#"{"type":"record","name":"Lost","namespace":"things","fields":[{"name":"id","type":"string"}]}"#;
    let folder = things.folder.write("contracts/things/lost/v1.avsc", other);
    let checked = folder.run(&["check"]);
    let why = "`things.tombstone` has no column `id`: `id` is text in things.lost and int8 in things.seen";
    assert!(
        checked.stdout.contains(why) || checked.stderr.contains(why),
        "{}{}",
        checked.stdout,
        checked.stderr
    );
}
