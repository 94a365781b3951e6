//! What tells two records apart: ids and keys of any bytes, as other languages' clients write them.

use serde_json::json;

use crate::bank::{Bank, MOVED, moved};
use crate::support::{Database, Message, Producer};

const MODEL: &str = "\
CREATE TABLE event (id text PRIMARY KEY, record_key text, key_bytes bytea, times int NOT NULL);
INSERT INTO event AS v SELECT e._event_id, e._key, e._key_bytes, 1 FROM bank.amount_moved e
ON CONFLICT (id) DO UPDATE SET times = v.times + 1;
";

fn with_id(message: Message, id: &[u8]) -> Message {
    Message { headers: vec![("ce_id".to_owned(), id.to_vec())], ..message }
}

/// Eight-byte longs, ids that are no UTF-8, and one id under no key and under an empty one: all are events of their own,
/// and each counts once, however often it comes.
#[tokio::test(flavor = "multi_thread")]
async fn ids_and_keys_are_told_apart_by_their_bytes() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let bank = Bank { folder: bank.folder.write("models/event.sql", MODEL), ..bank };
    let writer = bank.writer(MOVED).await;
    let event = |id: &[u8]| with_id(moved(&writer, "a", 1, 5), id);
    let keyed = |key: Option<&[u8]>, id: &[u8]| Message {
        key: key.map(<[u8]>::to_vec),
        partition: Some(0),
        ..event(id)
    };
    let mut messages: Vec<Message> =
        [0, 1, 127, 128, 129, 255, 256, u64::MAX].map(|id: u64| event(&id.to_be_bytes())).into();
    messages.extend([event(b"\xff"), event(b"\xfe"), event("\u{fffd}".as_bytes())]);
    let (framed, binary) = (b"\0\0\0\0\x07\x02a", b"\xff\xfe");
    messages.extend([keyed(Some(framed), b"framed"), keyed(Some(binary), b"binary")]);
    let distinct = messages.len();
    messages.extend([keyed(None, b"same"), keyed(Some(b""), b"same")]);
    let twice: Vec<Message> = messages.iter().chain(&messages).cloned().collect();
    Producer::new().send_all(&twice).await;
    let vitrina = bank.folder.serve();
    let applied = "SELECT count(*)::int AS ids, sum(times)::int AS events FROM event.event";
    let all = json!([{ "ids": distinct + 1, "events": distinct + 2 }]);
    database.eventually(applied, &all).await;
    let keys = "SELECT id, record_key, encode(key_bytes, 'hex') AS bytes FROM event.event \
                WHERE id IN ('framed', 'binary', '\\x0000000000000080') ORDER BY id COLLATE \"C\"";
    assert_eq!(
        database.rows(keys).await,
        json!([
            {"id": "\\x0000000000000080", "record_key": "a", "bytes": "61"},
            {"id": "binary", "record_key": null, "bytes": "fffe"},
            {"id": "framed", "record_key": null, "bytes": "00000000070261"},
        ])
    );
    let parked = database.rows("SELECT reason FROM \"event@1\".\"@parked\"").await;
    assert_eq!(parked, json!([]));
    assert!(vitrina.terminate().await.success());
}
