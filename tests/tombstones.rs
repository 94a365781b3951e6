//! Records without a value: a relation for the models that name it, and nothing to those that do not.

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
use crate::support::{Database, Message, Producer, Stack};

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
