//! What cannot go on stops its model alone, says where and why, and loses nothing before it.

use serde_json::{Value, json};

use crate::bank::{Bank, MOVED, moved};
use crate::support::{
    Database, Message, PATIENCE, Producer, Writer, create_topic, delete_topic, eventually,
};

/// Waits until the model is in `state`, and gives its reason.
async fn reason_for(bank: &Bank, model: &str, state: &str) -> String {
    eventually(PATIENCE, async || {
        let status = bank.folder.run(&["status", "--json"]);
        if status.status != Some(0) {
            return Err(status.stderr);
        }
        let status = status.json();
        let models = status["models"].as_array().unwrap().clone();
        let found = models.into_iter().find(|found| found["model"] == model).unwrap_or_default();
        let reason = found["reason"].as_str().unwrap_or_default().to_owned();
        // Between two instances a model is stopped as well.
        match found["state"] == state && reason != "no instance runs it" {
            true => Ok(reason),
            false => Err(format!("{model} is not {state}: {status}")),
        }
    })
    .await
}

async fn events(database: &Database) -> Value {
    database.rows("SELECT events FROM balance.balance ORDER BY account_id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_file_follows_in_place_and_a_new_meaning_is_built() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let vitrina = bank.folder.serve();
    reason_for(&bank, "balance", "live").await;
    assert!(vitrina.terminate().await.success());
    let reformatted =
        crate::bank::MODEL.replace("SELECT e.account_id", "-- a comment\nSELECT  e.account_id");
    let furnished = reformatted.replace("(country, amount DESC)", "(country, holder DESC)")
        + "CREATE VIEW rich AS SELECT account_id FROM balance WHERE amount > 100;\n";
    let bank = Bank { folder: bank.folder.write("models/balance.sql", &furnished), ..bank };
    let vitrina = bank.folder.serve();
    reason_for(&bank, "balance", "live").await;
    let indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'balance@1' AND indexdef LIKE '%country%'";
    let indexes = database.rows(indexes).await.to_string();
    assert!(indexes.contains("(country, holder DESC)") && !indexes.contains("amount"), "{indexes}");
    assert_eq!(vitrina.get("/v1/views/balance.rich").await.status, 200);
    assert!(vitrina.terminate().await.success());
    let changed = crate::bank::MODEL.replace("b.events + 1", "b.events + 2");
    let other = "CREATE TABLE seen (account_id text PRIMARY KEY);\n\
                 INSERT INTO seen SELECT e.account_id FROM bank.amount_moved e ON CONFLICT DO NOTHING;\n";
    let folder = bank.folder.write("models/balance.sql", &changed).write("models/seen.sql", other);
    let bank = Bank { folder, ..bank };
    let vitrina = bank.folder.serve();
    reason_for(&bank, "seen", "live").await;
    let live = "SELECT live FROM vitrina.model WHERE model = 'balance'";
    database.eventually(live, &json!([{"live": 2}])).await;
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_is_waited_for() {
    let database = Database::create().await;
    let bank = Bank::on(&database, crate::support::unique("late"));
    let vitrina = bank.folder.serve();
    let reason = reason_for(&bank, "balance", "waiting").await;
    assert!(reason.contains(&bank.topic), "{reason}");
    create_topic(&bank.topic, 1).await;
    let writer = bank.writer(MOVED).await;
    Producer::new().send(&moved(&writer, "a", 1, 5)).await;
    database.eventually("SELECT events FROM balance.balance", &json!([{"events": 1}])).await;
    reason_for(&bank, "balance", "live").await;
    // What was in the way stays known, with its time; its end is told as its beginning was.
    let model = bank.folder.run(&["status", "--json"]).json()["models"][0].clone();
    let error = (model["last_error"].as_str(), model["last_error_at"].as_str());
    let (Some(error), Some(at)) = error else { panic!("{model}") };
    assert!(error.contains(&bank.topic) && at.starts_with("20") && at.ends_with('Z'), "{model}");
    let told = bank.folder.run(&["status"]).stdout;
    assert!(told.contains(&format!("last error, {at}: {error}")), "{told}");
    let log = vitrina.stderr();
    let says = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    let end = format!("s; over is: topic {} does not exist", bank.topic);
    assert_eq!((says("goes on after"), says(&end)), (1, 1), "{log}");
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployments_database_is_refused() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let vitrina = bank.folder.serve();
    reason_for(&bank, "balance", "live").await;
    assert!(vitrina.terminate().await.success());
    let other = Bank::on(&database, bank.topic.clone());
    let refused = other.folder.run(&["serve"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains(&bank.folder.group_prefix), "{}", refused.stderr);
    database.execute("UPDATE vitrina.deployment SET cluster_id = 'elsewhere'").await;
    let refused = bank.folder.run(&["serve"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("elsewhere"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_never_share_a_group() {
    let (database, second) = (Database::create().await, Database::create().await);
    let bank = Bank::new(&database, 2).await;
    let writer = bank.writer(MOVED).await;
    Producer::new().send(&moved(&writer, "a", 1, 5)).await;
    let vitrina = bank.folder.serve();
    let one = json!([{"events": 1}]);
    database.eventually("SELECT events FROM balance.balance", &one).await;
    crate::resets::until_tagged(&bank, 2).await;
    let other = Bank::on(&second, bank.topic.clone());
    let settings = other.folder.settings();
    let same = settings.replace(&other.folder.group_prefix, &bank.folder.group_prefix);
    let other = Bank { folder: other.folder.write("vitrina.toml", &same), ..other };
    let beside = other.folder.serve();
    let reason = reason_for(&other, "balance", "waiting").await;
    assert!(reason.contains("is in use by another deployment"), "{reason}");
    assert!(reason.contains("another kafka.group_prefix, or stop the other"), "{reason}");
    // What the first one has left behind is in nobody's way.
    assert!(vitrina.terminate().await.success());
    second.eventually("SELECT events FROM balance.balance", &one).await;
    reason_for(&other, "balance", "live").await;
    assert!(beside.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_created_again_is_never_continued() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let send = async |first: u64| {
        let messages: Vec<Message> =
            (first..first + 3).map(|seq| moved(&writer, "a", seq, 5)).collect();
        Producer::new().send_all(&messages).await;
    };
    send(1).await;
    let vitrina = bank.folder.serve();
    database.eventually("SELECT events FROM balance.balance", &json!([{"events": 3}])).await;
    assert!(vitrina.terminate().await.success());
    delete_topic(&bank.topic).await;
    // With another partition, which no position has ever been kept for.
    create_topic(&bank.topic, 2).await;
    send(1).await;
    send(4).await;
    let vitrina = bank.folder.serve();
    let reason = reason_for(&bank, "balance", "stopped").await;
    assert!(reason.contains("deleted and created again"), "{reason}");
    let resumed = bank.folder.run(&["resume", "balance"]);
    let says = |part: &str| resumed.stderr.contains(part);
    assert!(
        resumed.status == Some(1) && says("stopped again") && says("deleted and created again"),
        "{resumed:?}"
    );
    assert_eq!(events(&database).await, json!([{"events": 3}]));
    assert!(
        reason.contains("`vitrina rebuild balance --allow-shorter-history` builds"),
        "{reason}"
    );
    let refused = bank.folder.run(&["rebuild", "balance"]);
    let lost = "deleted and created again: 3 offsets that balance@1 has read would be lost";
    assert!(refused.status == Some(1) && refused.stderr.contains(lost), "{refused:?}");
    // Said by somebody, it is built from what there is and goes live, though it never comes to the old position in one
    // partition, and in the other to none.
    let way_out = ["rebuild", "balance", "--allow-shorter-history", "--wait"];
    let rebuilt = bank.folder.run(&way_out);
    assert_eq!(rebuilt.status, Some(0), "{rebuilt:?}");
    assert!(
        rebuilt.stdout.contains("not compared: it and balance@1 do not know the same log"),
        "{rebuilt:?}"
    );
    assert_eq!(events(&database).await, json!([{"events": 6}]));
    let status = reason_for(&bank, "balance", "live").await;
    assert_eq!(status, "");
    let partitions =
        bank.folder.run(&["status", "--json"]).json()["models"][0]["partitions"].clone();
    for partition in partitions.as_array().unwrap() {
        let first = partition["first"].as_str().unwrap_or_default();
        assert!(first.contains("offset 0") && first.contains("created again"), "{partitions}");
    }
    send(7).await;
    database.eventually("SELECT events FROM balance.balance", &json!([{"events": 9}])).await;
    let refused = bank.folder.run(&["rollback", "balance"]);
    assert!(refused.stderr.contains("created again since balance@1 read it"), "{refused:?}");
    assert!(vitrina.terminate().await.success());
    let resumed = bank.folder.run(&["resume", "balance"]);
    assert!(
        resumed.status == Some(0) && resumed.stdout.contains("no instance runs it"),
        "{resumed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_types_and_null_values_are_ignored_by_name_and_the_position_passes_them() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let writer = bank.writer(MOVED).await;
    let other = r#"{"type":"record","name":"Unheard","namespace":"bank","fields":[{"name":"x","type":"long"}]}"#;
    let other = Writer::register(&bank.topic, other).await;
    let messages = [
        other.event("k", &json!({"x": 1})),
        Message::tombstone(&bank.topic, "a"),
        moved(&writer, "a", 1, 5),
        other.event("k", &json!({"x": 2})),
    ];
    Producer::new().send_all(&messages).await;
    let vitrina = bank.folder.serve();
    database
        .eventually(
            r#"SELECT next_offset FROM "balance@1"."@position""#,
            &json!([{"next_offset": 4}]),
        )
        .await;
    assert_eq!(events(&database).await, json!([{"events": 1}]));
    let metrics = vitrina.get_admin("/metrics").await.body;
    let ignored = "vitrina_events_total{model=\"balance\",outcome=\"ignored\"} 3";
    assert!(metrics.as_str().unwrap().contains(ignored), "{metrics}");
    assert!(vitrina.terminate().await.success());
}
