//! Files that change while the service runs, and what `check` says of them beforehand.

use std::fs;

use serde_json::{Value, json};

use crate::bank::{Bank, MODEL, MOVED, OPENED_V2, Oracle, WITNESS, opened};
use crate::scene::{changed, moves, states, until_live, write_model};
use crate::support::{Database, PATIENCE, Producer, Vitrina, eventually};

/// The second version with a field that no rule reads.
fn opened_v3() -> String {
    OPENED_V2.replace(
        r#"{"name":"country""#,
        r#"{"name":"branch","type":"string","default":""},{"name":"country""#,
    )
}

fn watching(bank: &Bank) -> Vitrina {
    let command = bank.folder.command(&["serve", "--watch"]);
    Vitrina::start(command, bank.folder.listen, bank.folder.admin_listen)
}

fn plan(bank: &Bank) -> Value {
    let checked = bank.folder.run(&["check", "--json"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    checked.json()["plan"].clone()
}

/// Waits until the model is in this state, with these words in its reason.
async fn until(bank: &Bank, state: &str, words: &str) {
    eventually(PATIENCE, async || {
        let status = bank.folder.run(&["status", "--json"]).json();
        let model = &status["models"][0];
        let reason = model["reason"].as_str().unwrap_or_default();
        let right = model["state"] == state && reason.contains(words);
        if right { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_is_taken_up_and_no_half_of_it_does_harm() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 200)).await;
    let vitrina = watching(&bank);
    database.eventually(WITNESS, &oracle.rows()).await;
    // An editor that was interrupted leaves a part of the file.
    write_model(&bank, &MODEL[..MODEL.len() / 2]);
    until(&bank, "live", "models/balance.sql").await;
    Producer::new().send_all(&moves(&writer, &mut oracle, 200, 100)).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    write_model(&bank, MODEL);
    until(&bank, "live", "").await;
    assert_eq!(states(&database).await, json!([{"g": 1, "state": "live"}]));
    // One that renames puts the new file into the old one's place.
    let new = bank.folder.path().join("models/balance.sql.new");
    fs::write(&new, changed()).unwrap();
    fs::rename(&new, bank.folder.path().join("models/balance.sql")).unwrap();
    until_live(&database, 2).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    fs::remove_file(bank.folder.path().join("models/balance.sql")).unwrap();
    until(&bank, "stopped", "models/balance.sql is gone").await;
    assert_eq!(vitrina.get("/healthz").await.status, 200);
    Producer::new().send_all(&moves(&writer, &mut oracle, 300, 100)).await;
    write_model(&bank, &changed());
    database.eventually(WITNESS, &oracle.rows()).await;
    until(&bank, "live", "").await;
    // A model that is new begins beside it.
    let other = bank.folder.path().join("models/seen.sql");
    let seen = "CREATE TABLE seen (account_id text PRIMARY KEY);
                INSERT INTO seen SELECT e.account_id FROM bank.amount_moved e ON CONFLICT DO NOTHING;";
    fs::write(other, seen).unwrap();
    database.eventually("SELECT count(*) AS n FROM seen.seen", &json!([{ "n": 20 }])).await;
    assert_eq!(
        states(&database).await,
        json!([{"g": 1, "state": "retired"}, {"g": 1, "state": "live"}, {"g": 2, "state": "live"}])
    );
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_binary_that_reads_the_same_texts_otherwise_builds_nothing() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 100)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(vitrina.terminate().await.success());
    // Nothing that was reckoned from the texts by the one that made the generation is what this one would reckon.
    let reckoned = "SELECT column_name AS name FROM information_schema.columns
                    WHERE table_schema = 'vitrina' AND table_name = 'generation' AND data_type = 'bytea'";
    assert_eq!(database.rows(reckoned).await, json!([]), "no more than texts and their hashes");
    database.execute("UPDATE vitrina.generation SET used = '{another}'").await;
    assert_eq!(plan(&bank)[0]["does"], "nothing");
    let commented = format!("-- the same\n{MODEL}");
    write_model(&bank, &commented);
    assert_eq!(plan(&bank)[0]["does"], "nothing");
    let vitrina = bank.folder.serve();
    let known = "SELECT cardinality(used) AS n FROM vitrina.generation";
    database.eventually(known, &json!([{ "n": 2 }])).await;
    assert_eq!(states(&database).await, json!([{"g": 1, "state": "live"}]));
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_nobody_reads_is_learned_by_running_instances() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let v2 = bank.writer(OPENED_V2).await;
    let mut oracle = Oracle::default();
    oracle.opened("a", 2, "first");
    Producer::new().send_all(&[opened(&v2, 2, "a", "first")]).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    // What an older instance of a rolling deployment knows.
    let v3 = bank.folder.path().join("contracts/bank/account_opened/v3.avsc");
    fs::write(v3, opened_v3()).unwrap();
    fs::write(
        bank.folder.path().join("contracts/bank/account_opened/v3.sql"),
        "SELECT 'old' AS branch FROM v2;\n",
    )
    .unwrap();
    let plan = plan(&bank);
    assert_eq!((&plan[0]["does"], &plan[0]["model"]), (&json!("nothing"), &json!("balance")));
    let files: Vec<&str> = plan[0]["because"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|why| why["file"].as_str())
        .collect();
    assert!(files.iter().any(|file| file.ends_with("account_opened/v3.avsc")), "{plan}");
    let restarted = crate::scene::beside(&bank);
    let knows = r#"SELECT EXISTS (SELECT FROM jsonb_object_keys(definition -> 'files') k WHERE k LIKE '%/v3.avsc') AS knows
                   FROM vitrina.generation"#;
    database.eventually(knows, &json!([{ "knows": true }])).await;
    // The instance that was not restarted has it from Postgres.
    eventually(PATIENCE, async || {
        let log = vitrina.stderr();
        if log.contains("goes on with its new text") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(restarted.terminate().await.success());
    let writer = bank.writer(&opened_v3()).await;
    let value = json!({"account_id": "a", "holder": "second", "branch": "north", "country": "FR"});
    oracle.opened("a", 2, "second");
    Producer::new().send_all(&[writer.event("a", &value).header("ce_id", "second")]).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    assert_eq!(states(&database).await, json!([{"g": 1, "state": "live"}]));
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_a_start_would_do_and_a_hangup_does_it() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 120)).await;
    let first = plan(&bank);
    assert_eq!((&first[0]["does"], &first[0]["events"]), (&json!("build"), &json!(120)), "{first}");
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    let same = plan(&bank);
    assert_eq!((&same[0]["does"], &same[0]["events"]), (&json!("nothing"), &json!(null)), "{same}");
    write_model(&bank, &MODEL.replace("amount DESC", "amount"));
    let follow = plan(&bank);
    assert_eq!(follow[0]["does"], "follow", "{follow}");
    assert_eq!(follow[0]["because"][0]["line"], 9, "{follow}");
    vitrina.hang_up();
    let index = "SELECT count(*) AS n FROM pg_indexes WHERE schemaname = 'balance@1' AND indexdef LIKE '%(country, amount)'";
    database.eventually(index, &json!([{ "n": 1 }])).await;
    write_model(&bank, &changed());
    let build = plan(&bank);
    assert_eq!((&build[0]["does"], &build[0]["events"]), (&json!("build"), &json!(120)), "{build}");
    assert_eq!(build[0]["because"][0]["file"], "models/balance.sql", "{build}");
    let lines = bank.folder.run(&["check"]);
    assert!(
        lines.stdout.contains("; a start: build, because of models/balance.sql:1 ("),
        "{lines:?}"
    );
    vitrina.hang_up();
    until_live(&database, 2).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    write_model(&bank, MODEL);
    let older = plan(&bank);
    assert_eq!(older[0]["does"], "nothing", "{older}");
    let why = older[0]["because"][0]["what"].as_str().unwrap();
    assert!(why.starts_with("it is generation 1's, which is retired, and 2 is live"), "{why}");
    let offline = bank.folder.run(&["check", "--json", "--offline"]).json();
    assert_eq!(offline.get("plan"), None);
    assert!(vitrina.terminate().await.success());
}
