//! What people decide of generations, and what they see before: swap, rollback, drop, comparison, retention.

use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;
use sqlx::Connection as _;

use crate::bank::{MODEL, Oracle, WITNESS};
use crate::scene::{ACCOUNTS, Scene, changed, moves, states, until_live, write_model};
use crate::support::{PATIENCE, Producer, admin, eventually, kafka_tool, unique};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_built_waits_for_an_operator_and_the_one_before_comes_back() {
    let mut scene = Scene::of("[models.balance]\nswap = \"by_hand\"", 2, 400).await;
    scene.no(&["swap", "balance"], "no generation of balance is being built");
    scene.no(&["rollback", "balance"], "no generation of balance is retired");
    scene.no(&["drop", "balance@1"], "balance@1 is live");
    scene.no(&["drop", "balance@7"], "there are balance@1 (live)");
    scene.no(&["drop", "balance", "--yes"], "balance.sql is there");
    write_model(&scene.bank, &changed());
    let waited = scene.yes(&["rebuild", "balance", "--wait"]);
    assert!(waited.contains("balance: rows 20 -> 20, equal; new columns: largest"), "{waited}");
    assert!(waited.contains("`vitrina swap balance` lets it go live"), "{waited}");
    let built = scene.generation(2);
    let table = json!([{"table": "balance", "rows": [20, 20], "equal": true, "differing": 0, "sample": [], "failed": null,
                        "columns_added": ["largest"], "columns_gone": []}]);
    assert_eq!(built["comparison"], table, "{built}");
    assert_eq!((&built["done"], &built["total"]), (&json!(400), &json!(400)), "{built}");
    scene.no(&["rollback", "balance"], "balance@2 is being built");
    scene.no(&["drop", "balance@2"], "`vitrina cancel balance` gives it up");
    scene.more(400, 100).await;
    assert_eq!(scene.database.rows("SELECT live FROM vitrina.model").await, json!([{"live": 1}]));
    scene.yes(&["swap", "balance"]);
    until_live(&scene.database, 2).await;
    scene.more(500, 300).await;
    // Behind by what came since; readers never see that.
    scene.yes(&["rollback", "balance"]);
    until_live(&scene.database, 1).await;
    scene.database.eventually(WITNESS, &scene.oracle.rows()).await;
    scene.more(800, 100).await;
    let answer = scene.vitrina.get("/v1/views/balance?limit=1").await;
    assert!(answer.body["data"][0].get("largest").is_none(), "{answer}");
    scene.yes(&["rollback", "balance"]);
    until_live(&scene.database, 2).await;
    scene.more(900, 100).await;
    // Given up on its way back, it is retired as before.
    let two = json!([{"g": 1, "state": "retired"}, {"g": 2, "state": "live"}]);
    assert_eq!(states(&scene.database).await, two);
    scene
        .database
        .execute(r#"CREATE VIEW public.report AS SELECT * FROM "balance@1".balance"#)
        .await;
    scene.no(&["drop", "balance@1"], "public.report would go, too");
    assert_eq!(states(&scene.database).await, two);
    scene.database.execute("DROP VIEW public.report").await;
    scene.yes(&["drop", "balance@1"]);
    scene.no(&["drop", "balance@1"], "balance@1 is dropped already");
    scene.no(&["rollback", "balance"], "there is nothing to go back to");
    let left = r#"SELECT count(*) AS n FROM pg_namespace WHERE nspname = 'balance@1'"#;
    assert_eq!(scene.database.rows(left).await, json!([{"n": 0}]));
    let decided = "SELECT verdict, generation AS g FROM vitrina.verdict ORDER BY id";
    let decided = scene.database.rows(decided).await;
    let verdicts: Vec<&str> =
        decided.as_array().unwrap().iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    let expected = ["rebuild", "swap", "rollback", "swap", "rollback", "swap", "drop"];
    assert_eq!(verdicts, expected, "{decided}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_refuses_what_the_live_one_applied_waits_for_a_word() {
    let scene = Scene::of("", 1, 40).await;
    let old = "events     bigint NOT NULL DEFAULT 0,";
    let strict =
        MODEL.replace(old, "events bigint NOT NULL DEFAULT 0 CHECK (account_id <> 'a03'),");
    write_model(&scene.bank, &strict);
    scene.no(
        &["rebuild", "balance", "--wait"],
        "records that balance@1 applied are refused by balance@2, first: topic",
    );
    let built = scene.until_waits(2, "`vitrina swap balance` lets it go live as it is").await;
    assert_eq!(built["state"], "building");
    let table = &built["comparison"][0];
    assert_eq!((&table["rows"], &table["differing"]), (&json!([20, 19]), &json!(1)), "{built}");
    let sample = &table["sample"][0];
    assert_eq!((&sample["key"], &sample["new"]), (&json!({"account_id": "a03"}), &json!(null)));
    assert_eq!(scene.vitrina.get("/healthz").await.status, 200);
    assert_eq!(scene.folder().run(&["status", "--json"]).json()["models"][0]["parked"], 0);
    scene.yes(&["swap", "balance"]);
    until_live(&scene.database, 2).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_is_judged_while_events_come_and_what_differs_is_shown() {
    let mut scene = Scene::of("[model]\nswap = \"when_equal\"\nmax_events = 100", 3, 3_000).await;
    let coming = moves(&scene.writer, &mut scene.oracle, 3_000, 8_000);
    let producing = tokio::spawn(async move {
        let producer = Producer::new();
        for part in coming.chunks(40) {
            producer.send_all(part).await;
        }
    });
    write_model(&scene.bank, &changed());
    scene.yes(&["rebuild", "balance"]);
    until_live(&scene.database, 2).await;
    assert!(scene.generation(2)["comparison"][0]["equal"] == true, "{}", scene.generation(2));
    write_model(&scene.bank, &changed().replace("SELECT e.account_id, e.amount, 1, e.seq, e.amount",
        "SELECT e.account_id, CASE WHEN e.account_id = 'a05' THEN 0 ELSE e.amount END, 1, e.seq, e.amount"));
    scene.yes(&["rebuild", "balance"]);
    producing.await.unwrap();
    let built =
        scene.until_waits(3, "it is not equal to balance@2: 1 rows of balance differ").await;
    let sample = &built["comparison"][0]["sample"][0];
    assert_eq!(sample["key"], json!({"account_id": "a05"}), "{built}");
    assert_eq!(sample["new"].to_string(), r#"{"amount":0.00}"#, "only what differs: {built}");
    scene.yes(&["cancel", "balance"]);
    scene.database.eventually(WITNESS, &scene.oracle.rows()).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_generation_goes_in_time_and_others_views_and_grants_stay() {
    let mut scene = Scene::of("[model]\nkeep_retired = \"1s\"", 1, 100).await;
    let reader = unique("reader");
    scene
        .database
        .execute(&format!(
            "CREATE ROLE {reader}; GRANT USAGE ON SCHEMA balance TO {reader};
             GRANT SELECT (account_id, amount) ON balance.balance TO {reader};
             ALTER DEFAULT PRIVILEGES IN SCHEMA balance GRANT SELECT ON TABLES TO {reader};
             CREATE VIEW public.total AS SELECT sum(amount) AS amount, count(*) AS n FROM balance.balance"
        ))
        .await;
    let total =
        "SELECT amount = (SELECT sum(amount) FROM balance.balance) AS same FROM public.total";
    // Somebody reads the generation for long: it is neither disturbed nor waited for by others.
    let mut long = sqlx::PgConnection::connect(&scene.database.url).await.unwrap();
    sqlx::query(r#"BEGIN"#).execute(&mut long).await.unwrap();
    sqlx::query(r#"SELECT count(*) FROM "balance@1"."@seen""#).fetch_all(&mut long).await.unwrap();
    write_model(&scene.bank, &MODEL.replace("  chain ", "  note text,\n  chain "));
    scene.yes(&["rebuild", "balance"]);
    // The column stands before others, so the views cannot be replaced, and the view of others is named.
    scene.until_waits(2, "public.total hang on schema balance").await;
    scene.yes(&["cancel", "balance"]);
    write_model(&scene.bank, &MODEL.replace("DEFAULT 0\n);", "DEFAULT 0,\n  note text\n);"));
    scene.yes(&["rebuild", "balance", "--wait"]);
    until_live(&scene.database, 3).await;
    scene.more(100, 100).await;
    assert_eq!(scene.database.rows(total).await, json!([{"same": true}]));
    let grants = format!(
        "SELECT has_schema_privilege('{reader}', 'balance', 'USAGE') AS u,
             has_column_privilege('{reader}', 'balance.balance', 'amount', 'SELECT') AS c,
             has_column_privilege('{reader}', 'balance.balance', 'holder', 'SELECT') AS h,
             (SELECT count(*) FROM pg_default_acl d JOIN pg_namespace n ON n.oid = d.defaclnamespace
              WHERE n.nspname = 'balance') AS d"
    );
    let kept = json!([{"u": true, "c": true, "h": false, "d": 1}]);
    assert_eq!(scene.database.rows(&grants).await, kept);
    assert_eq!(scene.generation(1)["state"], "retired");
    long.close().await.unwrap();
    let gone = "SELECT count(*) AS n FROM pg_namespace WHERE nspname IN ('balance@1', 'balance@2')";
    scene.database.eventually(gone, &json!([{"n": 0}])).await;
    // Nobody's view hangs on it now: a schema takes the place of the other, with all that was granted.
    scene.database.execute("DROP VIEW public.total").await;
    write_model(&scene.bank, MODEL);
    scene.yes(&["rebuild", "balance", "--wait"]);
    until_live(&scene.database, 4).await;
    assert_eq!(scene.database.rows(&grants).await, kept);
    scene.more(200, 100).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_file_is_gone_is_dropped_with_all_its_data_but_the_audit() {
    let scene = Scene::of("", 1, 100).await;
    let group = format!("{}.balance", scene.folder().group_prefix);
    scene.yes(&["rebuild", "balance", "--wait"]);
    until_live(&scene.database, 2).await;
    let file = scene.folder().path().join("models/balance.sql");
    std::fs::remove_file(&file).unwrap();
    scene.no(&["drop", "balance", "--yes"], "runs balance: take its file away there, too");
    let other = "CREATE TABLE seen (account_id text PRIMARY KEY);\n\
                 INSERT INTO seen SELECT e.account_id FROM bank.amount_moved e ON CONFLICT DO NOTHING;\n";
    std::fs::write(scene.folder().path().join("models/seen.sql"), other).unwrap();
    scene
        .database
        .execute("CREATE VIEW public.total AS SELECT count(*) AS n FROM balance.balance")
        .await;
    // Whoever has just been told to read its files again is waited for.
    scene.vitrina.hang_up();
    scene.no(&["drop", "balance", "--yes"], "public.total would go, too");
    scene.no(
        &["drop", "balance"],
        "this drops balance with all its data (there are balance@1 (retired), balance@2 (live))",
    );
    let seen = "SELECT count(*) AS n FROM seen.seen";
    scene.database.eventually(seen, &json!([{"n": ACCOUNTS}])).await;
    scene.database.eventually("SELECT n FROM public.total", &json!([{"n": ACCOUNTS}])).await;
    scene.database.execute("DROP VIEW public.total").await;
    scene.yes(&["drop", "balance", "--yes"]);
    let left = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'balance%') AS schemas,
                    (SELECT count(*) FROM vitrina.generation WHERE model = 'balance') AS generations,
                    (SELECT count(*) FROM vitrina.verdict WHERE model = 'balance') > 0 AS audit";
    let audit = json!([{"schemas": 0, "generations": 0, "audit": true}]);
    assert_eq!(scene.database.rows(left).await, audit);
    let groups =
        kafka_tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &["--list"]);
    assert!(!groups.contains(&group), "{groups}");
    assert_eq!(scene.vitrina.get("/v1/views/balance").await.status, 404);
    // Who ran it a moment ago has nothing more to say of it.
    let models = scene.folder().run(&["status", "--json"]).json()["models"].clone();
    assert_eq!(models.as_array().map(Vec::len), Some(1), "{models}");
    let metrics = scene.vitrina.get_admin("/metrics").await.body;
    let stopped = "vitrina_model_state{model=\"balance\",state=\"stopped\"} 0";
    assert!(metrics.as_str().unwrap().contains(stopped), "{metrics}");
    scene.no(&["drop", "balance", "--yes"], "there is no model balance: there are seen");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_shorter_history_is_built_unless_somebody_says_so() {
    let scene = Scene::of("", 1, 200).await;
    let mut log = TopicPartitionList::new();
    log.add_partition_offset(&scene.bank.topic, 0, Offset::Offset(150)).unwrap();
    admin().delete_records(&log, &AdminOptions::new()).await.unwrap();
    let words = format!("topic {} partition 0: balance@1 began at offset 0", scene.bank.topic);
    scene.no(&["rebuild", "balance", "--as-live"], &words);
    scene.no(&["rebuild", "balance"], "the log begins at 150 now: 150 offsets would be lost");
    assert_eq!(states(&scene.database).await, json!([{"g": 1, "state": "live"}]));
    scene.yes(&["rebuild", "balance", "--allow-shorter-history", "--wait"]);
    until_live(&scene.database, 2).await;
    let events = "SELECT sum(events)::int AS n FROM balance.balance";
    assert_eq!(scene.database.rows(events).await, json!([{"n": 50}]));
    // The one that is live now began there, so another is as long.
    scene.yes(&["rebuild", "balance", "--wait"]);
    until_live(&scene.database, 3).await;
    // What the retired one has not read is gone.
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&scene.writer, &mut oracle, 200, 100)).await;
    scene.database.eventually(events, &json!([{"n": 150}])).await;
    log = TopicPartitionList::new();
    log.add_partition_offset(&scene.bank.topic, 0, Offset::Offset(250)).unwrap();
    admin().delete_records(&log, &AdminOptions::new()).await.unwrap();
    scene.no(
        &["rollback", "balance"],
        "balance@2 has read up to offset 200, and the log begins at 250 now",
    );
    let compact = [
        "--alter",
        "--add-config",
        "cleanup.policy=compact",
        "--entity-type",
        "topics",
        "--entity-name",
    ];
    kafka_tool("kafka.admin.ConfigCommand", &[&compact[..], &[&scene.bank.topic]].concat());
    scene.no(&["rebuild", "balance"], "is compacted (cleanup.policy)");
    let declared = format!(
        "topic = \"{}\"\nkey = \"account_id\"\ncompaction_loses_nothing = true\n",
        scene.bank.topic
    );
    std::fs::write(scene.folder().path().join("contracts/bank/context.toml"), declared).unwrap();
    let finished = scene.folder().run(&["rebuild", "balance"]);
    assert!(
        !finished.stderr.contains("compacted") && finished.stderr.contains("would be lost"),
        "{finished:?}"
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_and_no_rewind_begins_a_shorter_history() {
    let mut scene = Scene::of("", 1, 200).await;
    let mut log = TopicPartitionList::new();
    log.add_partition_offset(&scene.bank.topic, 0, Offset::Offset(150)).unwrap();
    admin().delete_records(&log, &AdminOptions::new()).await.unwrap();
    let lost = format!("topic {} partition 0: balance@1 began at offset 0, 20", scene.bank.topic);
    let way_out = "`vitrina rebuild balance --allow-shorter-history` builds from what there is";
    write_model(&scene.bank, &changed());
    let planned = scene.folder().run(&["check", "--json"]).json()["plan"][0].clone();
    let why = planned["because"][0]["what"].as_str().unwrap();
    assert_eq!((&planned["does"], &planned["events"]), (&json!("nothing"), &json!(null)));
    assert!(why.contains(&lost) && why.contains(way_out), "{planned}");
    scene.vitrina.hang_up();
    let reason = scene.until_says("has a new meaning: ").await;
    assert!(reason.contains(&lost) && reason.contains(way_out), "{reason}");
    assert!(reason.contains("the log begins at 150 now: 150 offsets would be lost"), "{reason}");
    assert!(scene.vitrina.stderr().contains(&lost));
    let alone = json!([{"g": 1, "state": "live"}]);
    assert_eq!(states(&scene.database).await, alone);
    scene.more(200, 50).await;
    // What an operator's tool asks for is no more than what a file does.
    let group = format!("{}.balance", scene.folder().group_prefix);
    let Scene { database, bank, writer, oracle, vitrina } = scene;
    write_model(&bank, MODEL);
    assert!(vitrina.terminate().await.success());
    let reset = ["--group", &group, "--reset-offsets", "--execute", "--topic", &bank.topic];
    eventually(PATIENCE, async || {
        let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
        let said = kafka_tool(class, &[&reset[..], &["--to-earliest"]].concat());
        if said.contains("NEW-OFFSET") { Ok(()) } else { Err(said) }
    })
    .await;
    let vitrina = bank.folder.serve();
    let mut scene = Scene { database, bank, writer, oracle, vitrina };
    let reason = scene.until_says("the group's offsets were set back: ").await;
    assert!(reason.contains(&lost) && reason.contains(way_out), "{reason}");
    assert_eq!(states(&scene.database).await, alone);
    scene.more(250, 50).await;
    let decided =
        "SELECT verdict, generation AS g, reason LIKE '%its history would be shorter%' AS told
                   FROM vitrina.verdict";
    let told = json!([{"verdict": "reset", "g": 1, "told": true}]);
    assert_eq!(scene.database.rows(decided).await, told);
    // It was decided once.
    let Scene { database, bank, writer, oracle, vitrina } = scene;
    crate::resets::until_tagged(&bank, 1).await;
    assert!(vitrina.terminate().await.success());
    let vitrina = bank.folder.serve();
    let mut scene = Scene { database, bank, writer, oracle, vitrina };
    scene.more(300, 50).await;
    assert_eq!(scene.database.rows(decided).await, told);
    // Said by somebody, the file's is built, and nothing is left to be said.
    write_model(&scene.bank, &changed());
    scene.vitrina.hang_up();
    scene.until_says("has a new meaning: ").await;
    scene.yes(&["rebuild", "balance", "--allow-shorter-history"]);
    until_live(&scene.database, 2).await;
    scene.until_says("").await;
    scene.end().await;
}
