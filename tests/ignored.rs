//! Nothing passes in silence: names that no contract knows, and fields that a writer lacks, are told of.

use serde_json::{Value, json};

use crate::bank::{Bank, MOVED, OPENED_V2, moved};
use crate::support::{Database, Folder, PATIENCE, Producer, Writer, eventually};

fn status(folder: &Folder) -> Value {
    folder.run(&["status", "--json"]).json()["models"][0].clone()
}

async fn says(folder: &Folder, what: &str, expected: &Value) {
    eventually(PATIENCE, async || {
        let status = status(folder);
        if status[what] == *expected { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_contract_knows_are_told_with_their_number() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let elsewhere = MOVED.replace("\"namespace\":\"bank\"", "\"namespace\":\"com.acme.bank\"");
    let (elsewhere, misspelt) = (
        Writer::register(&bank.topic, &elsewhere).await,
        Writer::register(&bank.topic, &MOVED.replace("AmountMoved", "AmountMovd")).await,
    );
    let producer = Producer::new();
    let send = async |from: u64, count: u64| {
        let records: Vec<_> = (from..from + count)
            .flat_map(|seq| {
                let key = format!("a{}", seq % 7);
                [moved(&elsewhere, &key, seq, 5), moved(&misspelt, &key, seq, 5)]
            })
            .chain([moved(&misspelt, "a", from, 5)])
            .collect();
        producer.send_all(&records).await;
    };
    send(0, 50).await;
    let ignored = |of_elsewhere: i64, of_misspelt: i64| {
        let name = |name: &str, count: i64| json!({"topic": bank.topic, "name": name, "count": count, "nearest": "bank.AmountMoved"});
        json!([
            name("bank.AmountMovd", of_misspelt),
            name("com.acme.bank.AmountMoved", of_elsewhere)
        ])
    };
    let vitrina = bank.folder.serve();
    says(&bank.folder, "ignored", &ignored(50, 51)).await;
    says(&bank.folder, "state", &json!("live")).await;
    let first = |folder: &Folder| folder.run(&["status"]).stdout.lines().next().unwrap().to_owned();
    assert!(
        first(&bank.folder)
            .contains("nothing has come except records of names that no contract knows")
    );
    let text = bank.folder.run(&["status"]).stdout;
    assert!(
        text.contains("ignored: 50 of com.acme.bank.AmountMoved")
            && text.contains("did you mean bank.AmountMoved?"),
        "{text}"
    );
    let log = vitrina.stderr();
    assert_eq!(log.matches("ignores com.acme.bank.AmountMoved").count(), 1, "{log}");
    assert!(vitrina.terminate().await.success());
    // The numbers are the generation's, not the process's.
    let vitrina = bank.folder.serve();
    send(100, 9).await;
    says(&bank.folder, "ignored", &ignored(59, 61)).await;
    assert_eq!(status(&bank.folder)["only_ignored"], true);
    let sound = bank.writer(MOVED).await;
    producer.send(&moved(&sound, "a", 1, 5)).await;
    says(&bank.folder, "only_ignored", &json!(false)).await;
    assert!(!first(&bank.folder).contains("nothing has come"));
    assert!(vitrina.terminate().await.success());
}

/// A writer that lacks what the newest version has a default for, and knows what only that version knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_lacks_what_has_a_default_is_read_and_told_of() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let with = OPENED_V2.replace("]}", r#",{"name":"branch","type":"string","default":"main"}]}"#);
    let folder = bank.folder.write(
        "contracts/bank/account_opened/v3.avsc",
        &with.replace("]}", r#",{"name":"since","type":["null","int"]}]}"#),
    );
    let folder = folder.write("contracts/bank/account_opened/v3.sql", "SELECT NULL AS since FROM v2;\n").write(
        "models/opened.sql",
        "CREATE TABLE opened (id text PRIMARY KEY, branch text NOT NULL);\n\
         INSERT INTO opened SELECT e.account_id, e.branch FROM bank.account_opened e ON CONFLICT (id) DO NOTHING;\n",
    );
    let writer = OPENED_V2.replace("]}", r#",{"name":"since","type":["null","int"]}]}"#);
    let writer = Writer::register(&bank.topic, &writer).await;
    let event = json!({"account_id": "a", "holder": "h", "country": "ES", "since": 1999});
    Producer::new().send(&writer.event("a", &event)).await;
    let vitrina = folder.serve();
    let rows = json!([{"id": "a", "branch": "main"}]);
    database.eventually("SELECT id, branch FROM opened.opened", &rows).await;
    let told = "bank.AccountOpened lacks branch, so it is read as bank.account_opened v3 with their defaults";
    says_in(&folder, told).await;
    assert!(vitrina.terminate().await.success());
}

async fn says_in(folder: &Folder, told: &str) {
    eventually(PATIENCE, async || {
        let status = folder.run(&["status"]).stdout;
        if status.contains(told) { Ok(()) } else { Err(status) }
    })
    .await;
}
