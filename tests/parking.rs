//! A record that cannot be applied is parked, with all that comes after it for its key, and nothing else is held up.

use serde_json::{Value, json};

use crate::bank::{Bank, MOVED, moved};
use crate::support::{Database, Message, PATIENCE, Producer, eventually};

const PARKED: &str = r#"SELECT "offset", convert_from(key, 'UTF8') AS key, reason IS NULL AS waits FROM "strict@1"."@parked"
    ORDER BY id"#;
const NEXT: &str = r#"SELECT next_offset FROM "strict@1"."@position""#;

/// The bank with a model that refuses amounts above ten.
async fn strict(database: &Database, partitions: i32) -> Bank {
    let bank = Bank::new(database, partitions).await;
    let model = "\
        CREATE TABLE strict (account_id text PRIMARY KEY, amount numeric NOT NULL CHECK (amount <= 10), seqs text NOT NULL);\n\
        INSERT INTO strict AS s SELECT e.account_id, e.amount, e.seq::text FROM bank.amount_moved e\n\
        ON CONFLICT (account_id) DO UPDATE SET amount = EXCLUDED.amount, seqs = s.seqs || ' ' || EXCLUDED.seqs;\n";
    std::fs::remove_file(bank.folder.path().join("models/balance.sql")).unwrap();
    Bank { folder: bank.folder.write("models/strict.sql", model), ..bank }
}

async fn state(bank: &Bank, state: &str) -> Value {
    eventually(PATIENCE, async || {
        let models = bank.folder.run(&["status", "--json"]).json()["models"].clone();
        let found =
            models.as_array().into_iter().flatten().find(|model| model["state"] == state).cloned();
        found.ok_or_else(|| format!("none is {state}: {models}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_waits_behind_its_refused_record_and_the_others_go_on() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let broken = writer.bytes("a", &[2, b'a', 0x80]);
    let messages =
        [moved(&writer, "a", 1, 5), broken, moved(&writer, "b", 1, 5), moved(&writer, "a", 2, 5)];
    Producer::new().send_all(&messages).await;
    let vitrina = bank.folder.serve();
    database
        .eventually(
            r#"SELECT next_offset FROM "balance@1"."@position""#,
            &json!([{"next_offset": 4}]),
        )
        .await;
    let rows = json!([{"account_id": "a", "events": 1}, {"account_id": "b", "events": 1}]);
    assert_eq!(
        database.rows("SELECT account_id, events FROM balance.balance ORDER BY 1").await,
        rows
    );
    let parked = json!([{"offset": 1, "key": "a", "waits": false}, {"offset": 3, "key": "a", "waits": true}]);
    assert_eq!(database.rows(&PARKED.replace("strict", "balance")).await, parked);
    let reason = database
        .rows(r#"SELECT reason, schema, event FROM "balance@1"."@parked" ORDER BY id"#)
        .await;
    assert!(reason[0]["reason"].as_str().unwrap().contains("byte"), "{reason}");
    assert_eq!(reason[1]["event"], "bank.amount_moved@v1");
    assert!(vitrina.terminate().await.success());
    // Whoever comes next knows the key.
    Producer::new().send_all(&[moved(&writer, "a", 3, 5), moved(&writer, "b", 2, 5)]).await;
    let vitrina = bank.folder.serve();
    database
        .eventually(
            "SELECT events FROM balance.balance WHERE account_id = 'b'",
            &json!([{"events": 2}]),
        )
        .await;
    database
        .eventually(r#"SELECT count(*) AS n FROM "balance@1"."@parked""#, &json!([{"n": 3}]))
        .await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn culprits_are_found_among_a_thousand_and_the_rest_is_applied_in_order() {
    let database = Database::create().await;
    let bank = strict(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let (mut messages, mut parked) = (Vec::new(), 0);
    let mut expected: Vec<(String, Vec<String>)> = Vec::new();
    for account in 0..300 {
        expected.push((format!("k{account:03}"), Vec::new()));
    }
    for seq in 0..6u64 {
        for (account, (key, applied)) in expected.iter_mut().enumerate() {
            let poison = account % 50 == 7 && seq == 2;
            messages.push(moved(&writer, key, seq, if poison { 5_000 } else { 5 }));
            match account % 50 == 7 && seq >= 2 {
                true => parked += 1,
                false => applied.push(seq.to_string()),
            }
        }
    }
    Producer::new().send_all(&messages).await;
    let vitrina = bank.folder.serve();
    database.eventually(NEXT, &json!([{"next_offset": 1800}])).await;
    let rows: Vec<Value> = expected
        .iter()
        .map(|(key, seqs)| json!({"account_id": key, "seqs": seqs.join(" ")}))
        .collect();
    assert_eq!(
        database.rows("SELECT account_id, seqs FROM strict.strict ORDER BY 1").await,
        json!(rows)
    );
    assert_eq!(
        database.rows(r#"SELECT count(*) AS n FROM "strict@1"."@parked""#).await,
        json!([{"n": parked}])
    );
    let culprits = r#"SELECT DISTINCT rule, sqlstate, error_type FROM "strict@1"."@parked" WHERE reason IS NOT NULL"#;
    let culprit = json!([{"rule": "models/strict.sql:2", "sqlstate": "23514", "error_type": "business_rule"}]);
    assert_eq!(database.rows(culprits).await, culprit);
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_deployment_opens_the_breaker_instead_of_parking_the_topic() {
    let database = Database::create().await;
    let bank = strict(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let poison: Vec<Message> =
        (0..500).map(|account| moved(&writer, &format!("k{account}"), 1, 5_000)).collect();
    Producer::new().send_all(&poison).await;
    let vitrina = bank.folder.serve();
    let status = state(&bank, "breaker_open").await;
    assert!(status["reason"].as_str().unwrap().contains("vitrina resume strict"), "{status}");
    assert_eq!(database.rows(NEXT).await, json!([{"next_offset": 10}]));
    assert_eq!(
        database.rows(r#"SELECT count(*) AS n FROM "strict@1"."@parked""#).await,
        json!([{"n": 10}])
    );
    assert_eq!(vitrina.get("/readyz").await.status, 200);
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_closes_by_itself_when_one_record_goes_through() {
    let database = Database::create().await;
    let bank = strict(&database, 1).await;
    let config = "[models.strict.breaker]\nhalf_open_after = \"1s\"\n";
    let bank = Bank { folder: bank.folder.configure(config), ..bank };
    let writer = bank.writer(MOVED).await;
    let mut messages: Vec<Message> =
        (0..10).map(|account| moved(&writer, &format!("k{account}"), 1, 5_000)).collect();
    messages.extend((10..30).map(|account| moved(&writer, &format!("k{account}"), 1, 5)));
    Producer::new().send_all(&messages).await;
    let vitrina = bank.folder.serve();
    state(&bank, "breaker_open").await;
    database.eventually(NEXT, &json!([{"next_offset": 30}])).await;
    state(&bank, "live").await;
    assert_eq!(database.rows("SELECT count(*) AS n FROM strict.strict").await, json!([{"n": 20}]));
    assert!(vitrina.terminate().await.success());
}

/// What the parked record of key `a` would have been, had its schema been known.
async fn mend(database: &Database, good: &Message) {
    let value = good.value.as_ref().unwrap();
    let sql = r#"UPDATE "balance@1"."@parked" SET value = $1 WHERE key = 'a'"#;
    sqlx::query(sql).bind(value).execute(&database.pool).await.unwrap();
}

/// The window of duplicates is read with the claim. What decodes by a retry after that, and before the first transaction
/// under that claim, belongs to it as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_decodes_between_a_claim_and_its_first_transaction_is_known() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let next = r#"SELECT next_offset FROM "balance@1"."@position""#;
    let first = moved(&writer, "a", 1, 5);
    let broken = Message { value: writer.bytes("a", &[2, b'a', 0x80]).value, ..first.clone() };
    Producer::new().send_all(&[broken, moved(&writer, "b", 1, 5)]).await;
    let vitrina = bank.folder.serve();
    database.eventually(next, &json!([{"next_offset": 2}])).await;
    assert!(vitrina.terminate().await.success());
    mend(&database, &first).await;
    assert_eq!(bank.folder.run(&["pause", "balance"]).status, Some(0));
    // It claims, and writes nothing.
    let vitrina = bank.folder.serve();
    let epoch = r#"SELECT epoch FROM "balance@1"."@position""#;
    database.eventually(epoch, &json!([{"epoch": 2}])).await;
    assert_eq!(bank.folder.run(&["parked", "retry", "--all"]).status, Some(0));
    Producer::new().send_all(&[first, moved(&writer, "a", 2, 5)]).await;
    assert_eq!(bank.folder.run(&["resume", "balance"]).status, Some(0));
    database.eventually(next, &json!([{"next_offset": 4}])).await;
    let rows = json!([{"account_id": "a", "events": 2}, {"account_id": "b", "events": 1}]);
    assert_eq!(
        database.rows("SELECT account_id, events FROM balance.balance ORDER BY 1").await,
        rows
    );
    assert!(vitrina.terminate().await.success());
}

/// The same of a partition that has been claimed and is still silent, while others are written.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_decodes_while_its_partition_is_silent_is_known() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let writer = bank.writer(MOVED).await;
    let first = moved(&writer, "a", 1, 5).partition(0);
    let broken = Message { value: writer.bytes("a", &[2, b'a', 0x80]).value, ..first.clone() };
    let busy = |seq| moved(&writer, "b", seq, 5).partition(1);
    let next = async |offsets: [i64; 2]| {
        let positions = r#"SELECT next_offset FROM "balance@1"."@position" ORDER BY partition"#;
        let expected = offsets.map(|offset| json!({ "next_offset": offset }));
        database.eventually(positions, &json!(expected)).await;
    };
    Producer::new().send_all(&[broken, busy(1)]).await;
    // One writer for both partitions.
    let bank = Bank { folder: bank.folder.configure("[model]\nconcurrency = 1\n"), ..bank };
    let vitrina = bank.folder.serve();
    next([1, 1]).await;
    assert!(vitrina.terminate().await.success());
    mend(&database, &first).await;
    Producer::new().send_all(&[busy(2)]).await;
    let vitrina = bank.folder.serve();
    next([1, 2]).await;
    assert_eq!(bank.folder.run(&["parked", "retry", "--all"]).status, Some(0));
    Producer::new().send_all(&[busy(3)]).await;
    next([1, 3]).await;
    Producer::new().send_all(&[first, moved(&writer, "a", 2, 5).partition(0)]).await;
    next([3, 3]).await;
    let rows = json!([{"account_id": "a", "events": 2}, {"account_id": "b", "events": 3}]);
    assert_eq!(
        database.rows("SELECT account_id, events FROM balance.balance ORDER BY 1").await,
        rows
    );
    assert!(vitrina.terminate().await.success());
}
