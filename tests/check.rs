//! `vitrina check` on a real Postgres: what only it can say is said with file and line, all at once.

use crate::bank::Bank;
use crate::support::Database;

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_set_says_how_each_rule_runs() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let checked = bank.folder.run(&["check", "--json"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    let answer = checked.json();
    assert_eq!(answer["findings"].as_array().unwrap().len(), 0, "{answer}");
    let rules = answer["rules"].as_array().unwrap();
    let events: Vec<&str> = rules.iter().map(|rule| rule["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["bank.account_opened", "bank.amount_moved"]);
    assert_eq!(
        (rules[0]["file"].as_str(), rules[0]["line"].as_u64()),
        (Some("models/balance.sql"), Some(11))
    );
    let writes = answer["models"][0]["writes"].as_str().unwrap();
    assert_eq!(
        writes,
        format!(
            "in parallel by the record key of {}, as far as its records prove that a key lives in one partition",
            answer["models"][0]["parallel"].as_str().unwrap()
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_never_forms_waves_is_warned_of() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let slow = "CREATE TABLE total (one int PRIMARY KEY, chain int8 NOT NULL);
INSERT INTO total AS t SELECT 1, e.seq FROM bank.amount_moved e
ON CONFLICT (one) DO UPDATE SET chain = t.chain * 2 + EXCLUDED.chain;\n";
    let folder = bank.folder.write("models/total.sql", slow);
    let checked = folder.run(&["check", "--offline"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    for part in [
        "models/total.sql:2: warning: the model is slow, every one of its rules runs event by event: every event touches \
         the same row of `total`: let SET only merge what events bring",
        "models/total.sql: writes one batch after another: rows of `total` are told by `one = 1`, not by the record key",
    ] {
        assert!(checked.stdout.contains(part), "{part}\n{}", checked.stdout);
    }
    assert!(!checked.stdout.contains("models/balance.sql:1: warning"), "{}", checked.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_postgres_knows_is_found_with_file_and_line() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE SCHEMA tools;
             CREATE FUNCTION tools.shaky(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1';
             CREATE FUNCTION tools.firm(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';",
        )
        .await;
    let bank = Bank::new(&database, 1).await;
    let model = "\
CREATE TABLE t (id text PRIMARY KEY, at timestamptz, word text, n int DEFAULT 1);

INSERT INTO t (id, at) SELECT e.account_id, 'today' FROM bank.amount_moved e ON CONFLICT DO NOTHING;

INSERT INTO t (id, word)
SELECT e.account_id, tools.shaky(tools.firm('now')) FROM bank.amount_moved e ON CONFLICT DO NOTHING;

UPDATE t SET n = e.seq
FROM bank.amount_moved e
WHERE t.id = e.account_id
  AND t.n = e.account_id;
";
    let folder = bank.folder.write("models/t.sql", model).write(
        "contracts/bank/account_opened/v2.sql",
        "SELECT owner AS holder,\n 1 + owner AS country FROM v1;\n",
    );
    let checked = folder.run(&["check"]);
    assert_eq!(checked.status, Some(1), "{checked:?}");
    for part in [
        "models/t.sql:3: 'today' is the clock's time here",
        "models/t.sql:5: tools.shaky() is not IMMUTABLE",
        "models/t.sql:11: Postgres refuses this statement: operator does not exist: integer = text",
        "contracts/bank/account_opened/v2.sql:2: Postgres refuses this statement:",
    ] {
        assert!(checked.stdout.contains(part), "{part}\n{}", checked.stdout);
    }
    assert!(
        !checked.stdout.contains("'now'") && !checked.stdout.contains("firm"),
        "{}",
        checked.stdout
    );
    let declared = "CREATE TABLE d (id text PRIMARY KEY,\n  n nosuchtype);\nCREATE TABLE e (id text PRIMARY KEY);\n\
                    CREATE INDEX ON e (nope);\n\
                    INSERT INTO e SELECT e.account_id FROM bank.amount_moved e ON CONFLICT DO NOTHING;\n";
    let folder = folder.write("models/t.sql", declared).write(
        "contracts/bank/account_opened/v2.sql",
        "SELECT owner AS holder, 'ES' AS country FROM v1;\n",
    );
    let checked = folder.run(&["check"]).stdout;
    for part in [
        "models/t.sql:1: Postgres refuses this declaration",
        "models/t.sql:4: Postgres refuses this declaration",
    ] {
        assert!(checked.contains(part), "{part}\n{checked}");
    }
    let left = database.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%check%'").await;
    assert_eq!(left, serde_json::json!([]));
}
