//! Whatever the database sets for its sessions, rows and answers are the same.

use serde_json::{Value, json};

use crate::bank::{Bank, MOVED, OPENED_V1, moved, opened};
use crate::support::{Database, PATIENCE, Producer, eventually};

/// Settings of a database that would change values, texts of the catalogue, what a transaction is, or how long one lives.
const HOSTILE: [(&str, &str); 29] = [
    ("standard_conforming_strings", "off"),
    ("quote_all_identifiers", "on"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_deferrable", "on"),
    ("search_path", "nowhere"),
    ("DateStyle", "German, DMY"),
    ("IntervalStyle", "sql_standard"),
    ("TimeZone", "Asia/Kathmandu"),
    ("timezone_abbreviations", "Australia"),
    ("extra_float_digits", "-15"),
    ("bytea_output", "escape"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("row_security", "off"),
    ("statement_timeout", "1"),
    ("lock_timeout", "1"),
    ("idle_in_transaction_session_timeout", "1"),
    ("idle_session_timeout", "1"),
    ("exit_on_error", "on"),
    ("client_min_messages", "debug5"),
    ("array_nulls", "off"),
    ("transform_null_equals", "on"),
    ("gin_fuzzy_search_limit", "1"),
    ("backslash_quote", "off"),
    ("xmlbinary", "hex"),
    ("default_text_search_config", "pg_catalog.german"),
    ("client_encoding", "LATIN1"),
    ("enable_indexscan", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_databases_settings_change_nothing() {
    let database = Database::create().await;
    let name = database.url.rsplit('/').next().unwrap();
    for (setting, value) in HOSTILE {
        database.execute(&format!("ALTER DATABASE {name} SET {setting} = '{value}'")).await;
    }
    let newer = "SELECT 1 AS n FROM pg_settings WHERE name = 'transaction_timeout'";
    if database.rows(newer).await != json!([]) {
        database.execute(&format!("ALTER DATABASE {name} SET transaction_timeout = '1ms'")).await;
    }
    let bank = Bank::new(&database, 1).await;
    let checked = bank.folder.run(&["check"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    let (openings, moves) = (bank.writer(OPENED_V1).await, bank.writer(MOVED).await);
    let messages = [
        opened(&openings, 1, "a\\'é", "O'Neill \\n"),
        moved(&moves, "a\\'é", 1, 1050),
        moves.bytes("x", &[2, b'x', 0x80]),
    ];
    Producer::new().send_all(&messages).await;
    let vitrina = bank.folder.serve();
    vitrina.ready().await;
    let row = r#"{"account_id": "a\\'é", "holder": "O'Neill \\n", "country": "ES", "amount": 10.50, "events": 1,
                  "chain": 1}"#;
    let row: Value = serde_json::from_str(row).unwrap();
    let list = vitrina
        .eventually("/v1/views/balance?country=eq.ES&order=amount.desc", &json!([row]))
        .await;
    assert_eq!(list.body["meta"]["view"], "balance", "{list}");
    let one = vitrina.get("/v1/views/balance/a%5C'%C3%A9").await;
    assert_eq!((one.status, &one.body["data"]), (200, &row), "{one}");
    for path in ["/v1/views", "/v1/schemas/balance", "/healthz"] {
        let answer = vitrina.get(path).await;
        assert!(
            answer.status == 200 || path == "/healthz" && answer.status == 503,
            "{path}: {answer}"
        );
    }
    let parked = bank.folder.run(&["parked", "--json"]);
    assert_eq!(parked.json()["parked"].as_array().unwrap().len(), 1, "{parked:?}");
    eventually(PATIENCE, async || {
        let status = bank.folder.run(&["status", "--json"]);
        match status.status == Some(0) && status.json()["models"][0]["state"] == "live" {
            true => Ok(()),
            false => Err(format!("{status:?}")),
        }
    })
    .await;
    assert!(vitrina.terminate().await.success());
}
