//! Who has written reads it, on the instance that applies it and on one that only answers.

use serde_json::json;

use crate::bank::{Bank, MOVED, moved};
use crate::support::{Database, Producer, Vitrina, free_address};

/// Each write is read at once, by what its producer knows of it: its place in the log, or its id.
#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_read_by_who_names_it() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 3).await;
    let writer = bank.writer(MOVED).await;
    let producer = Producer::new();
    let vitrina = bank.folder.serve();
    vitrina.ready().await;
    let (listen, admin_listen) = (free_address(), free_address());
    let mut command = bank.folder.command(&["serve", "--only", "query"]);
    command.env("VITRINA_HTTP__LISTEN", listen.to_string());
    command.env("VITRINA_HTTP__ADMIN_LISTEN", admin_listen.to_string());
    let reader = Vitrina::start(command, listen, admin_listen);
    reader.ready().await;
    // A generation is there before it has read anything: until then a view is not there at all.
    database.eventually("SELECT live FROM vitrina.model", &json!([{ "live": 1 }])).await;

    let mut position = String::new();
    for seq in 1..=20 {
        let account = format!("a{}", seq % 4);
        let (partition, offset) = producer.send(&moved(&writer, &account, seq, 100)).await;
        let instance = if seq % 2 == 0 { &vitrina } else { &reader };
        let after = match seq % 3 {
            0 => format!("event=\"{account}-{seq}\""),
            _ => format!("{}/{partition}={offset}", bank.topic),
        };
        let path = format!("/v1/views/balance/{account}?select=chain,events");
        let headers = [("read-after", after.as_str()), ("prefer", "wait=30")];
        let answer = instance.get_with(&path, &headers).await;
        assert_eq!(answer.status, 200, "{after}: {answer}");
        assert_eq!(answer.body["data"]["events"], json!((seq - 1) / 4 + 1), "{after}");
        position = answer.headers["projection-position"].to_str().unwrap().to_owned();
    }
    // What one instance has answered, the other reflects.
    let headers = [("read-after", position.as_str()), ("prefer", "wait=0")];
    assert_eq!(reader.get_with("/v1/views/balance", &headers).await.status, 200);
    let beyond = format!("{}/0=1000000", bank.topic);
    let answer = reader
        .get_with("/v1/views/balance", &[("read-after", beyond.as_str()), ("prefer", "wait=1")])
        .await;
    assert_eq!((answer.status, &answer.body["type"]), (503, &json!("/problems/projection-behind")));
    let elsewhere = [("read-after", "elsewhere/0=1"), ("prefer", "wait=30")];
    let answer = vitrina.get_with("/v1/views/balance", &elsewhere).await;
    assert_eq!(answer.body["errors"][0]["allowed"], json!([bank.topic]));
}
