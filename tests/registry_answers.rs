//! An answer about one schema is held against its record alone; an answer to everything is held against no record.

use serde_json::{Value, json};

use crate::bank::{MODEL, MOVED, moved};
use crate::support::{
    Database, Folder, Message, PATIENCE, Producer, Proxy, Stack, Weather, Writer, create_topic,
    eventually, unique,
};

const EVENTS: &str = "SELECT coalesce(sum(events), 0)::int AS events FROM balance.balance";

/// The bank with the registry at this address.
async fn bank(database: &Database, registry: &str, partitions: i32) -> (Folder, String) {
    let topic = unique("bank");
    create_topic(&topic, partitions).await;
    let opened = crate::bank::OPENED_V1;
    let folder = Folder::at(&Stack::get().kafka, registry, &database.url)
        .write(
            "contracts/bank/context.toml",
            &format!("topic = \"{topic}\"\nkey = \"account_id\"\n"),
        )
        .write(
            "contracts/bank/account_opened/v1.avsc",
            &opened
                .replace("\"owner\"", "\"holder\"")
                .replace("]}", r#",{"name":"country","type":["null","string"],"default":null}]}"#),
        )
        .write("contracts/bank/amount_moved/v1.avsc", MOVED)
        .write("models/balance.sql", MODEL);
    (folder, topic)
}

fn status(folder: &Folder) -> Value {
    folder.run(&["status", "--json"]).json()["models"][0].clone()
}

/// Ids that Apicurio answers in ways of its own, between sound records: each is parked, and the model goes on.
#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_apicurio_does_not_have() {
    let database = Database::create().await;
    let (folder, topic) = bank(&database, &Stack::get().registry, 1).await;
    let writer = Writer::register(&topic, MOVED).await;
    let raw = |key: &str, value: &[u8]| Message {
        value: Some(value.to_vec()),
        ..Message::tombstone(&topic, key)
    };
    let header = |id: &[u8]| ("__value_schema_id".to_owned(), id.to_vec());
    let guid = [&[1u8][..], &[7; 16]].concat();
    let by_header =
        |key: &str, id: &[u8]| Message { headers: vec![header(id)], ..raw(key, b"\x02a") };
    let messages = [
        moved(&writer, "a", 1, 5),
        raw("max", &[0, 0xff, 0xff, 0xff, 0xff, 2, b'a']),
        moved(&writer, "a", 2, 5),
        raw("int", &[0, 0x7f, 0xff, 0xff, 0xff, 2, b'a']),
        raw("zero", &[0, 0, 0, 0, 0, 2, b'a']),
        by_header("guid", &guid),
        by_header("header", &[0, 0x80, 0, 0, 0]),
        moved(&writer, "a", 3, 5),
    ];
    Producer::new().send_all(&messages).await;
    let vitrina = folder.serve();
    database.eventually(EVENTS, &json!([{"events": 3}])).await;
    let keys = "SELECT convert_from(key, 'UTF8') AS key FROM \"balance@1\".\"@parked\" ORDER BY id";
    let keys = database.rows(keys).await;
    assert_eq!(
        keys,
        json!(["max", "int", "zero", "guid", "header"].map(|key| json!({"key": key})))
    );
    assert!(vitrina.terminate().await.success());
}

/// The registry's word on one schema is waited for by the records behind it, and by nobody else; what it said is
/// remembered, so that later ones do not wait again.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_schema_holds_its_partition_alone() {
    let database = Database::create().await;
    let (folder, topic) = bank(&database, &Stack::get().registry, 4).await;
    let writer = Writer::register(&topic, MOVED).await;
    let unknown = |place: u32| Message {
        value: Some([&[0][..], &(0x7000_0000 + place).to_be_bytes(), &[2]].concat()),
        ..Message::tombstone(&topic, "unknown").partition(0)
    };
    let in_partition = |partition: i32, seq: u64| {
        moved(&writer, &format!("p{partition}"), seq, 5).partition(partition)
    };
    let mut messages = vec![in_partition(0, 1)];
    for place in 0..20 {
        messages.push(unknown(place % 2));
        messages.push(in_partition(0, u64::from(place) + 2));
        messages.extend((1..4).map(|partition| in_partition(partition, u64::from(place))));
    }
    Producer::new().send_all(&messages).await;
    let vitrina = folder.serve();
    let others = "SELECT count(*)::int AS done FROM balance.balance WHERE account_id <> 'p0' AND events = 20";
    database.eventually(others, &json!([{"done": 3}])).await;
    let parked = "SELECT count(*)::int AS parked FROM \"balance@1\".\"@parked\"";
    let waits = database.rows(parked).await;
    assert_eq!(
        waits,
        json!([{"parked": 0}]),
        "the others did not wait for the registry's last word"
    );
    let began = std::time::Instant::now();
    database.eventually(parked, &json!([{"parked": 20}])).await;
    let all = "SELECT events FROM balance.balance WHERE account_id = 'p0'";
    database.eventually(all, &json!([{"events": 21}])).await;
    // Two schemas are asked for one after the other; twenty records would take ten times as long.
    assert!(began.elapsed() < std::time::Duration::from_secs(45), "{:?}", began.elapsed());
    // Its order was kept: the chain over the sequence numbers tells.
    let chain = (1..=21u64).fold(0, |chain, seq| (chain * 31 + seq) % 1_000_000_007);
    let chained = "SELECT chain FROM balance.balance WHERE account_id = 'p0'";
    assert_eq!(database.rows(chained).await, json!([{ "chain": chain }]));
    assert!(vitrina.terminate().await.success());
}

/// An address that lacks its path: Apicurio says 404 to everything, in JSON, with a code.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_its_path_parks_nothing() {
    let database = Database::create().await;
    let registry = &Stack::get().registry;
    let root = registry.split_once("/apis").unwrap().0;
    let (folder, topic) = bank(&database, root, 1).await;
    let writer = Writer::register(&topic, MOVED).await;
    let events: Vec<Message> = (0..10).map(|seq| moved(&writer, "a", seq, 5)).collect();
    Producer::new().send_all(&events).await;
    let vitrina = folder.serve();
    says_waiting(&folder).await;
    assert!(vitrina.terminate().await.success());
    let settings = std::fs::read_to_string(folder.path().join("vitrina.toml")).unwrap();
    let mended = settings.replace(&format!("\"{root}\""), &format!("\"{registry}\""));
    let folder = folder.write("vitrina.toml", &mended);
    let vitrina = folder.serve();
    database.eventually(EVENTS, &json!([{"events": 10}])).await;
    assert_eq!(database.rows("SELECT 1 FROM \"balance@1\".\"@parked\"").await, json!([]));
    assert!(vitrina.terminate().await.success());
}

/// Whatever is said to everything is waited out, and the model goes on by itself when it is mended.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_everything_parks_nothing_and_goes_on_when_mended() {
    let database = Database::create().await;
    let registry = Stack::get().registry.strip_prefix("http://").unwrap();
    let (target, path) = registry.split_once('/').unwrap();
    let proxy = Proxy::to(target).await;
    let (folder, topic) = bank(&database, &format!("http://{}/{path}", proxy.address), 1).await;
    let all = [
        "401 Unauthorized\r\nContent-Length: 22\r\n\r\n{\"error_code\":40101}\r\n\r\n",
        "403 Forbidden\r\nContent-Length: 13\r\n\r\n<html></html>",
        "404 Not Found\r\nContent-Length: 18\r\n\r\n{\"error_code\":404}",
        "422 Unprocessable\r\nContent-Length: 20\r\n\r\n{\"error_code\":42201}",
        "200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "200 OK\r\nContent-Length: 13\r\n\r\n<html></html>",
    ];
    let answers = all.map(|answer| &*format!("HTTP/1.1 {answer}").leak());
    proxy.set(Weather::Answers(answers[0]));
    let vitrina = folder.serve();
    for (round, answer) in answers.into_iter().enumerate() {
        proxy.set(Weather::Answers(answer));
        // A schema that nobody has asked for yet.
        let doc = format!("{{\"doc\":\"{round}\",");
        let writer = Writer::register(&topic, &MOVED.replacen('{', &doc, 1)).await;
        let seqs = (0..10).map(|seq| 10 * round as u64 + seq);
        let events: Vec<Message> = seqs.map(|seq| moved(&writer, "a", seq, 5)).collect();
        Producer::new().send_all(&events).await;
        says_waiting(&folder).await;
        proxy.set(Weather::Fair);
        database.eventually(EVENTS, &json!([{"events": 10 * (round + 1)}])).await;
    }
    assert_eq!(database.rows("SELECT 1 FROM \"balance@1\".\"@parked\"").await, json!([]));
    assert!(vitrina.terminate().await.success());
}

/// The model waits, and its reason names the setting.
async fn says_waiting(folder: &Folder) {
    eventually(PATIENCE, async || {
        let status = status(folder);
        let told = status["reason"].to_string();
        match status["state"] == "waiting" && told.contains("registry") {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    })
    .await;
}
