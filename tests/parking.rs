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
