//! Generations: a model is changed, rebuilt beside the live one, and nobody notices.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use serde_json::{Value, json};

use crate::bank::{Bank, MODEL, MOVED, Oracle, WITNESS, moved};
use crate::scene::{ACCOUNTS, Scene, beside, changed, moves, states, until_live, write_model};
use crate::support::{Database, PATIENCE, Producer, Vitrina, eventually, unique};

/// Reads lists, rows and tags until it is told to stop; how many answers there were, and of which generations.
async fn read(
    url: String,
    done: Arc<AtomicBool>,
    newest_seen: Arc<AtomicI64>,
) -> (usize, Vec<i64>) {
    let client = reqwest::Client::new();
    let (mut answers, mut generations) = (0, Vec::new());
    let (mut tag, mut of_tag, mut newest) = (String::new(), 0, BTreeMap::new());
    // The generation before an answer that said nothing new, and the one of the answer that it repeats.
    let mut unchanged: Option<(i64, i64)> = None;
    while !done.load(Ordering::Relaxed) {
        let list = client.get(format!("{url}/v1/views/balance?limit=500")).send().await.unwrap();
        assert_eq!(list.status().as_u16(), 200, "{}", list.text().await.unwrap());
        let list: Value = list.json().await.unwrap();
        let rows = list["data"].as_array().unwrap();
        assert_eq!(rows.len(), ACCOUNTS as usize, "a page is short: {list}");
        let generation = list["meta"]["generation"].as_i64().unwrap();
        if let Some((before, of_tag)) = unchanged.take() {
            assert!([before, generation].contains(&of_tag), "304 across generations");
        }
        assert!(
            rows.iter().all(|row| row.get("largest").is_some() == (generation == 2)),
            "rows of another generation: {list}"
        );
        let row = client.get(format!("{url}/v1/views/balance/a07")).send().await.unwrap();
        assert_eq!(row.status().as_u16(), 200);
        let row: Value = row.json().await.unwrap();
        for row in rows.iter().chain([&row["data"]]) {
            let account = row["account_id"].as_str().unwrap().to_owned();
            let events = row["events"].as_i64().unwrap();
            let before = newest.insert(account, events).unwrap_or(0);
            assert!(before <= events, "a row is older than before: {before}, then {row}");
        }
        let conditional = client
            .get(format!("{url}/v1/views/balance?limit=1"))
            .header("if-none-match", &tag)
            .send()
            .await
            .unwrap();
        match conditional.status().as_u16() {
            200 => {
                tag = conditional.headers()["etag"].to_str().unwrap().to_owned();
                let body: Value = conditional.json().await.unwrap();
                of_tag = body["meta"]["generation"].as_i64().unwrap();
            }
            304 => unchanged = Some((generation, of_tag)),
            other => panic!("{other}"),
        }
        if generations.last() != Some(&generation) {
            generations.push(generation);
            newest_seen.store(generation, Ordering::Relaxed);
        }
        answers += 3;
    }
    (answers, generations)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_model_is_rebuilt_and_swapped_and_no_reader_notices() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 4).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 4_000)).await;
    let (steady, restarted) = (bank.folder.serve(), beside(&bank));
    database.eventually(WITNESS, &oracle.rows()).await;
    let reader = unique("reader");
    database
        .execute(&format!(
            "CREATE ROLE {reader}; GRANT USAGE ON SCHEMA balance TO {reader};
             GRANT SELECT ON balance.balance TO {reader}"
        ))
        .await;
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(AtomicI64::new(0));
    let url = format!("http://{}", bank.folder.listen);
    let reading = tokio::spawn(read(url, done.clone(), seen.clone()));
    let cursor = steady.get("/v1/views/balance?limit=2").await.body["page"]["next"].clone();
    let coming = moves(&writer, &mut oracle, 4_000, 6_000);
    let producing = tokio::spawn(async move {
        let producer = Producer::new();
        for part in coming.chunks(50) {
            producer.send_all(part).await;
        }
    });
    assert!(restarted.terminate().await.success());
    write_model(&bank, &changed());
    let restarted = beside(&bank);
    until_live(&database, 2).await;
    producing.await.unwrap();
    database.eventually(WITNESS, &oracle.rows()).await;
    eventually(PATIENCE, async || match seen.load(Ordering::Relaxed) {
        2 => Ok(()),
        other => Err(format!("the reader sees generation {other}")),
    })
    .await;
    done.store(true, Ordering::Relaxed);
    let (answers, generations) = reading.await.unwrap();
    assert!(answers > 50 && generations == [1, 2], "{answers} answers of {generations:?}");
    let gone = steady.get(cursor.as_str().unwrap()).await;
    assert_eq!((gone.status, &gone.body["type"]), (410, &json!("/problems/generation-changed")));
    assert_eq!(
        states(&database).await,
        json!([{"g": 1, "state": "retired"}, {"g": 2, "state": "live"}])
    );
    let grant = format!(
        "SELECT has_table_privilege('{reader}', 'balance.balance', 'SELECT')
             AND has_schema_privilege('{reader}', 'balance', 'USAGE') AS kept"
    );
    assert_eq!(database.rows(&grant).await, json!([{ "kept": true }]));
    // What the retired one had reached stays as it was: nobody feeds it.
    let retired = r#"SELECT sum(next_offset)::int8 AS n FROM "balance@1"."@position""#;
    let before = database.rows(retired).await;
    Producer::new().send_all(&moves(&writer, &mut oracle, 10_000, 100)).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    assert_eq!(database.rows(retired).await, before);
    // An instance with the older file changes nothing.
    assert!(restarted.terminate().await.success());
    write_model(&bank, MODEL);
    let older = beside(&bank);
    eventually(PATIENCE, async || {
        let log = older.stderr();
        let told =
            log.contains("models/balance.sql is generation 1's, which is retired, and 2 is live");
        if told { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(states(&database).await.as_array().unwrap().len(), 2);
    for vitrina in [steady, older] {
        assert!(vitrina.terminate().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_unnoticed_by_readers_too() {
    let mut scene = Scene::of("", 2, 2_000).await;
    write_model(&scene.bank, &changed());
    scene.yes(&["rebuild", "balance"]);
    until_live(&scene.database, 2).await;
    // What is retired falls behind.
    scene.more(2_000, 2_000).await;
    let (done, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let url = format!("http://{}", scene.bank.folder.listen);
    let reading = tokio::spawn(read(url, done.clone(), seen.clone()));
    let coming = moves(&scene.writer, &mut scene.oracle, 4_000, 4_000);
    let producing = tokio::spawn(async move {
        let producer = Producer::new();
        for part in coming.chunks(20) {
            producer.send_all(part).await;
        }
    });
    scene.yes(&["rollback", "balance"]);
    until_live(&scene.database, 1).await;
    producing.await.unwrap();
    scene.database.eventually(WITNESS, &scene.oracle.rows()).await;
    eventually(PATIENCE, async || match seen.load(Ordering::Relaxed) {
        1 => Ok(()),
        other => Err(format!("the reader sees generation {other}")),
    })
    .await;
    done.store(true, Ordering::Relaxed);
    let (answers, generations) = reading.await.unwrap();
    assert!(answers > 20 && generations == [2, 1], "{answers} answers of {generations:?}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_equals_the_live_generation_under_kills() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 3).await;
    let folder = bank.folder.configure(
        "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n[model]\nmax_events = 100",
    );
    let bank = Bank { folder, ..bank };
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 10_000)).await;
    let steady = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    let victim = beside(&bank);
    let begun = bank.folder.run(&["rebuild", "balance", "--as-live"]);
    assert_eq!(begun.status, Some(0), "{begun:?}");
    let reached = r#"SELECT coalesce(sum(next_offset), 0)::int8 AS n FROM "balance@2"."@position""#;
    let mut victim = Some(victim);
    for goal in [1, 3_000, 6_000] {
        eventually(PATIENCE, async || {
            let rows = database.try_rows(reached).await.map_err(|error| error.to_string())?;
            let far = rows[0]["n"].as_i64().unwrap_or(0) >= goal;
            if far { Ok(()) } else { Err(format!("{rows}, not {goal}")) }
        })
        .await;
        victim.take().unwrap().kill();
        victim = Some(beside(&bank));
        Producer::new()
            .send_all(&moves(&writer, &mut oracle, 10_000 + goal as u64 / 3_000 * 500, 500))
            .await;
    }
    until_live(&database, 2).await;
    victim.take().unwrap().kill();
    database.eventually(WITNESS, &oracle.rows()).await;
    // Both groups are one again: what comes now is applied once.
    Producer::new().send_all(&moves(&writer, &mut oracle, 11_500, 500)).await;
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(steady.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_built_is_refused_and_what_is_cancelled_leaves_nothing() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 100)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    let no = |arguments: &[&str], words: &str| {
        let finished = bank.folder.run(arguments);
        assert_eq!(finished.status, Some(1), "{finished:?}");
        assert!(finished.stderr.contains(words), "{finished:?}");
    };
    no(&["rebuild", "balances"], "there is no model balances: there are balance");
    no(&["cancel", "balance"], "no generation of balance is being built");
    assert!(vitrina.terminate().await.success());
    // Nobody runs, so it stays what it is for as long as is looked at it.
    let begun = bank.folder.run(&["rebuild", "balance"]);
    assert_eq!(begun.status, Some(0), "{begun:?}");
    no(&["rebuild", "balance"], "balance@2 is being built already");
    assert_eq!(bank.folder.run(&["cancel", "balance"]).status, Some(0));
    let vitrina = bank.folder.serve();
    database
        .eventually(
            "SELECT count(*) AS n FROM pg_namespace WHERE nspname = 'balance@2'",
            &json!([{"n": 0}]),
        )
        .await;
    assert_eq!(bank.folder.run(&["rebuild", "balance"]).status, Some(0));
    until_live(&database, 3).await;
    assert_eq!(
        states(&database).await,
        json!([{"g": 1, "state": "retired"}, {"g": 2, "state": "cancelled"}, {"g": 3, "state": "live"}])
    );
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_the_schema_restored_elsewhere_goes_on_exactly() {
    let (database, other) = (Database::create().await, Database::create().await);
    let bank = Bank::new(&database, 2).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    let mut messages = moves(&writer, &mut oracle, 0, 400);
    messages.push(writer.bytes("broken", &[2, b'a', 0x80]));
    Producer::new().send_all(&messages).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    let parked = r#"SELECT count(*) AS n, max(id) AS id FROM "balance@1"."@parked""#;
    let first = json!([{"n": 1, "id": (1i64 << 32) + 1}]);
    database.eventually(parked, &first).await;
    assert!(vitrina.terminate().await.success());
    let dump = bank.folder.path().join("dump.sql");
    let run = |tool: &str, arguments: &[&str], url: &str| {
        let ran = Command::new(tool).args(arguments).arg(&dump).arg(url).output().unwrap();
        assert!(ran.status.success(), "{tool}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    run("pg_dump", &["-n", r#""balance@1""#, "-f"], &database.url);
    run("psql", &["-q", "-v", "ON_ERROR_STOP=1", "-f"], &other.url);
    // What came twice, before and after, counts once; what is broken parks behind its key.
    let again = messages[390..400].to_vec();
    Producer::new().send_all(&again).await;
    let mut more = moves(&writer, &mut oracle, 400, 400);
    more.push(writer.bytes("broken", &[2, b'a', 0x80]));
    Producer::new().send_all(&more).await;
    let mut command = bank.folder.command(&["serve"]);
    command.env("VITRINA_POSTGRES__URL", &other.url);
    let vitrina = Vitrina::start(command, bank.folder.listen, bank.folder.admin_listen);
    other.eventually(WITNESS, &oracle.rows()).await;
    other.eventually(parked, &json!([{"n": 2, "id": (1i64 << 32) + 2}])).await;
    assert_eq!(other.rows(WITNESS).await, oracle.rows());
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_file_is_gone_or_broken_stays_readable() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let other = "CREATE TABLE seen (account_id text PRIMARY KEY);\n\
                 INSERT INTO seen SELECT e.account_id FROM bank.amount_moved e ON CONFLICT DO NOTHING;\n";
    let bank = Bank { folder: bank.folder.write("models/seen.sql", other), ..bank };
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 100)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    let seen = "SELECT count(*) AS n FROM seen.seen";
    database.eventually(seen, &json!([{ "n": ACCOUNTS }])).await;
    assert!(vitrina.terminate().await.success());
    write_model(
        &bank,
        "CREATE TABLE balance (account_id text PRIMARY KEY);\nINSERT INTO balance SELECT now();\n",
    );
    std::fs::remove_file(bank.folder.path().join("models/seen.sql")).unwrap();
    let mut more = moves(&writer, &mut oracle, 100, 100);
    more.push(moved(&writer, "new", 1, 5));
    oracle.moved("new", 1, 5);
    Producer::new().send_all(&more).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    let told = eventually(PATIENCE, async || {
        let status = bank.folder.run(&["status", "--json"]).json();
        let of = |model: &str| {
            let models = status["models"].as_array().unwrap();
            models.iter().find(|found| found["model"] == model).cloned().unwrap_or_default()
        };
        let (balance, seen) = (of("balance"), of("seen"));
        let reason = |model: &Value| model["reason"].as_str().unwrap_or_default().to_owned();
        let right = balance["state"] == "live"
            && reason(&balance).contains("models/balance.sql")
            && seen["state"] == "stopped"
            && reason(&seen).contains("models/seen.sql is gone");
        if right { Ok(status) } else { Err(status.to_string()) }
    })
    .await;
    assert_eq!(told["models"][0]["generation"], 1);
    assert_eq!(vitrina.get("/v1/views/seen?limit=1").await.status, 200);
    assert_eq!(database.rows(seen).await, json!([{ "n": ACCOUNTS }]), "nobody feeds it");
    let health = vitrina.get("/healthz").await;
    assert_eq!(health.status, 200, "{health}");
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_older_layout_is_refused_in_a_sentence() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    database
        .execute(
            r#"CREATE SCHEMA vitrina; CREATE TABLE vitrina.position (model text);
               CREATE TABLE vitrina.generation (model text, generation int);
               INSERT INTO vitrina.generation VALUES ('balance', 1); CREATE SCHEMA "balance@1"; CREATE SCHEMA balance"#,
        )
        .await;
    let refused = bank.folder.run(&["serve"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    let way = r#"DROP SCHEMA vitrina, "balance@1", balance CASCADE"#;
    assert!(refused.stderr.contains(way), "{refused:?}");
    database.execute(way).await;
    let vitrina = bank.folder.serve();
    until_live(&database, 1).await;
    assert!(vitrina.terminate().await.success());
}
